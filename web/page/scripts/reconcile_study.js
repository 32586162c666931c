// What is known of one study, and what is decided about it? Objects beside the order, and one decision with a reason.

import { get, post } from "./api.js";
import { ask, askFor } from "./dialogs.js";
import { fill, h } from "./elements.js";
import { meaning } from "./meanings.js";
import { tell, tellRefusal } from "./notices.js";
import { partsOf } from "./reconcile_parts.js";
import { dateTime, shortTime } from "./times.js";
import { t } from "./words.js";

const TITLES = ["quality", "patient-safety", "worklist", "retention"];

/** Draws into `detail`. `changed` is called after a decision; `goTo` shows another study. */
export function studyDetail(detail, thumbnails, { changed, goTo }) {
  let turn = 0;

  async function show(chosen) {
    const mine = ++turn;
    try {
      const study = await get(pathOf(chosen));
      if (mine !== turn) return;
      draw(study);
      detail.scrollTop = 0;
      detail.scrollIntoView({ block: "nearest" });
    } catch (error) {
      if (mine === turn) fill(detail);
      tellRefusal(error);
    }
  }

  function draw(study) {
    thumbnails.clear();
    const isServed = study.series.length > 0;
    const name = study.attributes.patient_name || study.apart[0]?.tags.patient_name || t("reconcile.nobody");
    const parts = { onSplit: (chosen) => split(study, chosen), onReject: (chosen) => reject(study, chosen) };
    fill(
      detail,
      h("h2", {}, name, h("small", { class: "mono block", text: study.study_uid })),
      study.kinds.length > 0 && h("p", {}, study.kinds.map((one) => h("span", { class: "chip severity-warning", text: meaning(one) || one }))),
      !isServed && h("p", { class: "banner bad", text: t("reconcile.nothing-served.long") }),
      decisions(study),
      isServed && compared(study),
      proposed(study),
      isServed && h("p", { class: "row-actions" },
        h("button", { text: t("reconcile.assign.accession"), on: { click: () => assignTo(study, "accession") } }),
        h("button", { text: t("reconcile.assign.patient"), on: { click: () => assignTo(study, "patient_id") } }),
        h("button", { text: t("reconcile.merge"), on: { click: () => mergeInto(study) } }),
        h("button", { class: "danger", text: t("reconcile.reject.all"), on: { click: () => reject(study, null) } }),
        h("a", { class: "go", href: `#/studies/${study.facility}/${study.study_uid}`, text: t("reconcile.go.whole") }),
        h("a", { class: "go", href: `#/trace/${study.study_uid}`, text: t("tab.trace") })),
      isServed && partsOf(study, thumbnails, parts).element,
      apart(study),
    );
  }

  function compared(study) {
    const row = (line) => h(
      "tr",
      { class: line.agrees ? "" : "differs" },
      h("th", { scope: "row", text: t(`reconcile.${line.attribute}`) }),
      h("td", {}, line.objects.length === 0 ? "—" : line.objects.map((one) => h("div", { text: one }))),
      h("td", { class: "same", text: line.agrees ? "" : "≠", "aria-label": line.agrees ? "" : t("reconcile.differs") }),
      h("td", { text: line.order || "—" }),
    );
    const order = study.order === null ? t("reconcile.no-order") : t("reconcile.order", { accession: study.order.accession });
    return h("table", { class: "compared" }, h("thead", {}, h("tr", {}, h("th"), h("th", { text: t("reconcile.objects-say") }), h("th"), h("th", { text: order }))), h("tbody", {}, study.differences.filter((line) => line.objects.length > 0 || line.order !== "").map(row)));
  }

  function proposed(study) {
    if (study.proposals.length === 0) return null;
    const one = (order) => h(
      "li",
      { class: "proposal" },
      h("div", {}, h("b", { text: order.patient_name || order.patient_name_latin }), " ", h("span", { class: "mono", text: order.patient_id }), h("small", { class: "block", text: [order.accession, order.modality, order.procedure, shortTime(order.scheduled_at)].filter(Boolean).join(" · ") }), h("span", {}, order.agrees.map((agreed) => h("span", { class: "chip agrees", text: t(`reconcile.agrees.${agreed}`) })))),
      h("button", { class: "primary", text: t("reconcile.assign"), on: { click: () => decide(study, "assign", { accession: order.accession }, t("reconcile.assign.hint")) } }),
    );
    return h("section", {}, h("h3", { text: t("reconcile.proposals") }), h("ul", { class: "proposals" }, study.proposals.map(one)));
  }

  function apart(study) {
    if (study.apart.length === 0) return null;
    const [waiting, hidden] = [study.apart.filter((one) => one.waits), study.apart.filter((one) => !one.waits)];
    const says = (tags) => [tags.patient_name, tags.patient_id, tags.accession].filter(Boolean).join(" · ") || "—";
    const choose = (other, choice) => decide(study, "content", { sop_uid: other.sop_uid, sha256: other.sha256, choice }, t(`reconcile.content.${choice}.hint`));
    const one = (other) => h(
      "li",
      { class: "proposal" },
      h("div", {},
        h("span", { class: "mono", text: other.sop_uid }),
        h("small", { class: "block", text: `${t("reconcile.other")}: ${says(other.tags)} · ${dateTime(other.stored_at)} · ${other.peer}` }),
        other.waits && h("small", { class: "block", text: `${t("reconcile.first")}: ${says(other.first)}` }),
        !other.waits && h("span", { class: "chip", text: t(`reconcile.hidden.${other.why}`) })),
      other.waits && h("span", { class: "row-actions" }, ["keep", "replace", "leave"].map((choice) => h("button", { text: t(`reconcile.content.${choice}`), on: { click: () => choose(other, choice) } }))),
    );
    return [
      waiting.length > 0 && h("section", {}, h("h3", { text: t("reconcile.apart") }), h("ul", { class: "proposals" }, waiting.map(one))),
      hidden.length > 0 && h("details", { class: "hidden-objects" }, h("summary", { text: t("reconcile.hidden", { count: hidden.length }) }), h("ul", { class: "proposals" }, hidden.map(one))),
    ];
  }

  function decisions(study) {
    if (study.decisions.length === 0) return null;
    const last = study.decisions.filter((line) => !line.undone_at).pop();
    const one = (line) => h(
      "li",
      { class: `said${line.undone_at ? " undone" : ""}` },
      h("div", {},
        h("b", { text: t(`reconcile.kind.${line.kind}`) }), line.code && h("span", { class: "chip", text: titleOf(line.code) }), ` ${partOf(line)}${line.actor} · ${dateTime(line.at)}`, h("small", { class: "block", text: line.reason }),
        line.undone_at && h("small", { class: "block", text: `${t("reconcile.undone")}: ${line.undone_by} · ${line.undone_why}` }),
        line.note !== "none" && h("span", { class: "chip", text: t("reconcile.note") }),
        otherOf(study, line)),
      !line.undone_at && h("button", { text: t("reconcile.undo"), disabled: line !== last, title: line !== last && t("refused.later-statements"), on: { click: () => undo(study, line) } }),
    );
    return h("section", { class: "decisions" }, h("h3", { text: t("reconcile.decisions") }), h("ul", { class: "proposals" }, study.decisions.map(one)));
  }

  /** The study that a part went to, or that this one came from. */
  function otherOf(study, line) {
    const other = line.to_study === study.study_uid ? line.study_uid : line.to_study;
    if (other === "" || other === study.study_uid) return null;
    return h("button", { class: "plain-link", text: `${t(other === line.to_study ? "reconcile.went-to" : "reconcile.came-from")} …${other.slice(-12)}`, title: other, on: { click: () => goTo({ facility: study.facility, study_uid: other }) } });
  }

  function partOf(line) {
    const parts = [line.series > 0 && t("reconcile.series.count", { count: line.series }), line.instances > 0 && t("reconcile.objects", { count: line.instances })].filter(Boolean).join(t("comma"));
    return parts === "" ? "" : `${parts} · `;
  }

  async function assignTo(study, name) {
    const number = await askFor(t(`reconcile.assign.${name === "accession" ? "accession" : "patient"}`), t(`reconcile.${name}`), t("reconcile.next"), t("reconcile.number.missing"));
    if (number !== null) await decide(study, "assign", { [name]: number }, t("reconcile.assign.hint"));
  }

  async function mergeInto(study) {
    const into = await askFor(t("reconcile.merge"), t("reconcile.merge.into"), t("reconcile.next"), t("reconcile.number.missing"));
    if (into !== null) await decide(study, "merge", { into }, t("reconcile.merge.hint"));
  }

  /** `chosen` of partsOf; its order may be said at once. */
  async function split(study, { series, instances, words }) {
    const accession = h("input", { type: "text", class: "mono", maxlength: 64, name: "accession", "aria-label": t("reconcile.split.accession") });
    const why = reasonInput();
    const content = [meant(words), h("p", { class: "hint", text: t("reconcile.split.hint") }), h("label", { class: "asked" }, h("span", { text: t("reconcile.split.accession") }), accession), why.element];
    const said = await ask(t("reconcile.split"), content, t("reconcile.split"), () => why.answer((reason) => ({ reason, accession: accession.value.trim() })));
    if (said !== null) await carryOut(study, "split", { series, instances, ...said });
  }

  /** `chosen` of partsOf, or null for the whole study. Why is asked for, never assumed: others are told it. */
  async function reject(study, chosen) {
    const count = study.series.reduce((sum, one) => sum + one.count, 0);
    const why = reasonInput();
    const choice = h("fieldset", { class: "choices" }, h("legend", { text: t("reconcile.reject.title") }), TITLES.map((title) => h("label", { class: "choice" }, h("input", { type: "radio", name: "title", value: title }), h("span", {}, h("b", { text: t(`reconcile.title.${title}`) }), h("small", { class: "block", text: t(`reconcile.title.${title}.hint`) })))));
    const problem = h("p", { class: "problem", hidden: true, text: t("reconcile.reject.title.missing") });
    const heading = chosen === null ? t("reconcile.reject.all") : t("reconcile.reject.chosen");
    const content = [meant(chosen === null ? [t("reconcile.chosen.all", { count })] : chosen.words), choice, problem, h("p", { class: "hint", text: t("reconcile.reject.hint") }), why.element];
    const said = await ask(heading, content, t("reconcile.reject"), () => {
      const title = choice.querySelector("input:checked")?.value ?? null;
      problem.hidden = title !== null;
      return why.answer((reason) => (title === null ? null : { reason, title }));
    });
    if (said !== null) await carryOut(study, "reject", { ...(chosen !== null && { series: chosen.series, instances: chosen.instances }), ...said });
  }

  async function decide(study, action, body, hint) {
    const reason = await askFor(t(`reconcile.${action}`), `${hint} ${t("reason")}`, t(`reconcile.${action}`), t("reason.missing"));
    if (reason !== null) await carryOut(study, action, { ...body, reason });
  }

  async function carryOut(study, action, body) {
    try {
      await post(`${pathOf(study)}/${action}`, { ...body, revision: study.revision });
      tell(t("reconcile.decided"));
    } catch (error) {
      tellRefusal(error);
    }
    await show(study);
    changed();
  }

  async function undo(study, line) {
    const why = await askFor(t("reconcile.undo"), t("reason"), t("reconcile.undo"), t("reason.missing"));
    if (why === null) return;
    try {
      await post(`/api/reconcile/decisions/${line.number}/undo`, { reason: why });
      tell(t("reconcile.undone"));
    } catch (error) {
      tellRefusal(error);
    }
    await show(study);
    changed();
  }

  return { show };
}

/** What is about to be decided on, in words. */
function meant(words) {
  return h("ul", { class: "meant" }, words.map((one) => h("li", { text: one })));
}

function reasonInput() {
  const input = h("textarea", { rows: 3, "aria-label": t("reason"), placeholder: t("reason"), maxlength: 1000, name: "reason" });
  const problem = h("p", { class: "problem", hidden: true, text: t("reason.missing") });
  const answer = (of) => {
    const reason = input.value.trim();
    problem.hidden = reason !== "";
    return reason === "" ? null : of(reason);
  };
  return { element: h("div", {}, input, problem), answer };
}

function titleOf(code) {
  const key = `reconcile.hidden.${code}`;
  const words = t(key);
  return words === key ? code : words;
}

function pathOf(study) {
  return `/api/reconcile/studies/${encodeURIComponent(study.facility)}/${encodeURIComponent(study.study_uid)}`;
}
