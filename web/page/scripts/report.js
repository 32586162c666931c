// How is a report written, reviewed and signed? The editor, what saves it, and the buttons a person may press now.

import { Refused } from "./api.js";
import { askFor, confirm } from "./dialogs.js";
import { fill, h } from "./elements.js";
import { tellRefusal } from "./notices.js";
import { clockTime } from "./times.js";
import { refusal, t } from "./words.js";

const QUIET_MS = 1200; // a pause this long while typing saves
const RETRY_MS = 5000;
const LONGEST = 20000;

/** `act(step, body, done)` takes a step of the request; `save(draft)` keeps the words and answers the fresh view. */
export function createReport({ act, save }) {
  let view = null;
  let me = null;
  let revision = 0;
  let dirty = false;
  let saving = null;
  let conflict = false;
  let timer = null;
  let busy = false;

  const facts = h("dl", { class: "facts" });
  const banner = h("div", { class: "banner", hidden: true });
  const observed = editor("observed");
  const conclusion = editor("conclusion");
  const saved = h("span", { class: "saved" });
  const rule = h("div", { class: "rule" });
  const actions = h("div", { class: "actions" });
  const element = h("div", { class: "report" }, facts, banner, field("observed", observed), field("conclusion", conclusion), h("div", { class: "report-foot" }, rule, h("div", { class: "action-row" }, saved, h("span", { class: "space" }), actions)));

  function editor(name) {
    return h("textarea", { name, rows: 2, maxlength: LONGEST, placeholder: t(`report.${name}Hint`), "aria-label": t(`report.${name}`), spellcheck: "false", on: { input: changed, blur: saveNow } });
  }

  function field(name, input) {
    return h("label", { class: `field ${name}` }, h("span", { text: t(`report.${name}`) }), input);
  }

  function may(action) {
    return view !== null && !(action in view.refused);
  }

  // ── What the hub says ─────────────────────────────────────────────────────────────────────────────────────────

  function take(fresh, person) {
    const first = view === null;
    view = fresh;
    me = person;
    if (!dirty && saving === null && !conflict) {
      put(observed, fresh.report.observed);
      put(conclusion, fresh.report.conclusion);
      revision = fresh.report.revision;
    }
    draw(first);
  }

  /** Leaves the caret where it is when nothing changed, and trailing blanks that the hub does not keep. */
  function put(input, text) {
    if (input.value.trimEnd() !== text) input.value = text;
  }

  function draw() {
    const editable = may("write");
    for (const input of [observed, conclusion]) {
      input.readOnly = !editable;
      input.placeholder = editable ? t(`report.${input.name}Hint`) : t("case.noText");
    }
    element.classList.toggle("editable", editable);
    drawFacts();
    drawBanner();
    drawRule();
    drawActions();
    drawSaved();
  }

  function drawFacts() {
    const known = [
      ["case.allergies", view.allergies.join(t("comma"))],
      ["case.reason", view.reason],
      ["case.note", view.note],
      ["case.requestedBy", view.requested_by],
      ["case.placer", view.placer],
      ["case.centre", view.request.centre_display],
    ].filter(([, value]) => value);
    fill(facts, known.flatMap(([key, value]) => [h("dt", { text: t(key) }), h("dd", { class: key === "case.allergies" ? "allergies" : "", text: value })]));
  }

  function drawBanner() {
    const sentBack = view.request.state === "claimed" ? view.steps.filter((step) => ["send-back", "submit"].includes(step.action)).at(-1) : null;
    banner.className = "banner";
    banner.hidden = false;
    if (conflict) {
      banner.classList.add("bad");
      fill(banner, h("span", { text: refusal("draft-changed") }), h("button", { text: t("report.reload"), on: { click: reload } }));
    } else if (sentBack?.action === "send-back") {
      banner.classList.add("warn");
      fill(banner, h("span", { text: t("report.sentBack", { person: sentBack.display, comment: sentBack.comment }) }));
    } else if (view.request.state === "waiting") {
      fill(banner, h("span", { text: may("claim") ? t("case.claimHint") : refusal(view.refused.claim) }));
    } else if (view.request.state === "awaiting-study") {
      fill(banner, h("span", { text: t("case.awaiting") }));
    } else if (view.request.state === "cancelled") {
      banner.classList.add("bad");
      fill(banner, h("span", { text: refusal("request-cancelled") }));
    } else {
      banner.hidden = true;
    }
  }

  /** The two-person rule, with who has done what so far and, for the one who looks, why an action is not theirs. */
  function drawRule() {
    const latest = (action) => view.steps.filter((step) => step.action === action).at(-1)?.display;
    const { state } = view.request;
    const at = ["claimed", "preliminary", "reviewed", "signed", "returned"].indexOf(state);
    const writer = at >= 1 ? latest("submit") : view.request.reader?.display;
    const people = [
      ["rule.writer", writer],
      ["rule.reviewer", at >= 2 ? latest("approve") : undefined],
      ["rule.signer", at >= 3 ? latest("sign") : undefined],
    ];
    fill(
      rule,
      h("div", { class: "rule-people" }, h("b", { class: "rule-name", text: t("rule.title") }), people.map(([key, who]) => h("span", { class: who ? "person" : "person nobody" }, h("small", { text: t(key) }), who ?? t("rule.nobody")))),
      h("p", { class: "hint", text: ruleText() }),
    );
  }

  function ruleText() {
    const { state, reader } = view.request;
    if (!view.two_person) return t("rule.off");
    if (state === "claimed" && reader && reader.name !== me.name) return t("rule.other", { person: reader.display });
    if (state === "preliminary" || state === "reviewed") {
      const why = view.refused[state === "preliminary" ? "approve" : "sign"];
      if (why === "same-person" || (why === "not-a-reviewer" && view.request.writer?.name === me.name)) return t("rule.you");
      if (why === "not-a-reviewer") return t("rule.reader");
    }
    return t("rule.open");
  }

  function drawActions() {
    const button = (key, kind, listener, shortcut) => h("button", { class: kind, data: { action: key }, title: shortcut, disabled: busy, text: t(key), on: { click: listener } });
    fill(
      actions,
      may("release") && button("report.release", "", release),
      may("send-back") && button("report.sendBack", "", sendBack),
      may("claim") && button("case.claim", "primary", claim, "C"),
      may("submit") && button("report.submit", "primary", submit, "Ctrl+Enter"),
      may("approve") && button("report.approve", "primary", approve, "Ctrl+Enter"),
      may("sign") && button("report.sign", "primary sign", sign, "Ctrl+Enter"),
    );
  }

  function drawSaved(text = null, kind = "") {
    saved.className = `saved ${kind}`;
    if (text !== null) saved.textContent = text;
    else if (!may("write")) saved.textContent = view.report.interpreters.length ? t("report.interpreters", { people: view.report.interpreters.join("、") }) : "";
    else if (dirty) saved.textContent = t("report.unsaved");
  }

  // ── Saving ────────────────────────────────────────────────────────────────────────────────────────────────────

  function changed() {
    dirty = true;
    drawSaved();
    clearTimeout(timer);
    timer = setTimeout(saveNow, QUIET_MS);
  }

  /** True, since the key was taken; use `settled` to wait for what is being saved. */
  function saveNow() {
    settled();
    return true;
  }

  /** Saves what is unsaved, one saving at a time; false when the words on the page are not the words in the hub. */
  async function settled() {
    clearTimeout(timer);
    while (saving !== null) await saving;
    if (conflict) return false;
    if (!dirty || !may("write")) return !dirty;
    saving = saveOnce();
    try {
      return await saving;
    } finally {
      saving = null;
    }
  }

  async function saveOnce() {
    dirty = false;
    drawSaved(t("report.saving"));
    try {
      const fresh = await save({ observed: observed.value, conclusion: conclusion.value, revision });
      revision = fresh.report.revision;
      if (!dirty) drawSaved(t("report.saved", { time: clockTime(new Date()) }), "good");
      return !dirty;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      dirty = true;
      if (error.code === "draft-changed") {
        conflict = true;
        drawBanner();
      } else if (error.status === 0 || error.status >= 500) {
        drawSaved(t("report.notSaved"), "bad");
        timer = setTimeout(saveNow, RETRY_MS);
      } else {
        drawSaved(refusal(error.code), "bad");
        tellRefusal(error);
      }
      return false;
    }
  }

  function reload() {
    conflict = false;
    dirty = false;
    revision = -1;
    observed.value = view.report.observed;
    conclusion.value = view.report.conclusion;
    revision = view.report.revision;
    draw();
  }

  // ── Steps ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** One step at a time: a second press while the first is under way does nothing. */
  function once(step) {
    return async () => {
      if (busy) return;
      busy = true;
      try {
        await step();
      } finally {
        busy = false;
        drawActions();
      }
    };
  }

  const claim = once(async () => {
    if (await act("claim", undefined, "done.claimed")) observed.focus();
  });

  const release = once(async () => {
    if (!(await settled())) return;
    if (await confirm(t("report.releaseHeading"), t("report.releaseText"), t("report.release"))) await act("release", undefined, "done.released");
  });

  const submit = once(async () => {
    if (!(await settled())) return;
    const missing = [observed, conclusion].find((input) => input.value.trim() === "");
    if (missing) {
      missing.focus();
      return tellRefusal(new Refused(409, "report-incomplete"));
    }
    if (await confirm(t("report.submitHeading"), t("report.submitText"), t("report.submit"))) await act("submit", undefined, "done.submitted");
  });

  const approve = once(() => act("review", { decision: "approve" }, "done.approved"));

  const sendBack = once(async () => {
    const comment = await askFor(t("report.sendBackHeading"), t("report.comment"), t("report.sendBack"), t("report.commentMissing"));
    if (comment !== null) await act("review", { decision: "return", comment }, "done.sentBack");
  });

  const sign = once(async () => {
    const text = t("report.signText", { facility: view.request.facility.name });
    if (await confirm(t("report.signHeading"), text, t("report.sign"))) await act("sign", undefined, "done.signed");
  });

  /** Does what the primary button does; true when there was one. */
  function proceed() {
    const [step] = [["submit", submit], ["approve", approve], ["sign", sign]].find(([action]) => may(action)) ?? [];
    ({ submit, approve, sign })[step]?.();
    return step !== undefined;
  }

  return {
    element,
    take,
    proceed,
    saveNow,
    claim: () => { if (may("claim")) claim(); return true; },
    focus: () => { observed.focus(); return true; },
    isDirty: () => dirty || saving !== null,
    close: () => { settled(); },
  };
}
