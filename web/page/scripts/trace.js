// What happened to it? Everything known of a word: each message's walk, what it wrote, and where every element came from.

import { get } from "./api.js";
import { completenessChip } from "./chips.js";
import { fill, h } from "./elements.js";
import { meaning } from "./meanings.js";
import { tellRefusal } from "./notices.js";
import { originTable } from "./origins.js";
import { dateTime, shortTime } from "./times.js";
import { t } from "./words.js";

export function tracePage(word) {
  const input = h("input", { type: "search", class: "trace-word", value: word, placeholder: t("trace.ask"), "aria-label": t("trace.ask"), maxlength: 400, autofocus: true });
  const found = h("div", { class: "trace-found" });
  const ask = (event) => {
    event.preventDefault();
    location.hash = `#/trace/${encodeURIComponent(input.value.trim())}`;
  };
  const element = h("section", { class: "trace" }, h("form", { class: "trace-ask", on: { submit: ask } }, input, h("button", { class: "primary", type: "submit", text: t("trace.go") })), found);

  async function load() {
    if (word === "") return fill(found, h("p", { class: "empty", text: t("trace.start") }));
    fill(found, h("p", { class: "empty", text: t("loading") }));
    try {
      draw(await get(`/api/trace?word=${encodeURIComponent(word)}`));
    } catch (error) {
      fill(found);
      tellRefusal(error);
    }
  }

  function draw(trace) {
    const parts = [
      trace.beginning_so.length > 0 && h("p", { class: "hint warn" }, t("trace.beginning"), trace.beginning_so.map((id) => h("a", { class: "mono block", href: `#/trace/${id}`, text: id }))),
      trace.version && h("p", { class: "said" }, h("b", { class: "mono", text: `${trace.version.reference}@${trace.version.version}` }), h("small", { text: ` ${t(trace.version.current ? "trace.version.current" : "trace.version.older")} · ${dateTime(trace.version.last_updated)} · ${trace.version.envelope ?? trace.version.actor} · ${trace.version.mapping ?? ""}` })),
      trace.more && h("p", { class: "hint warn", text: t("trace.more") }),
      trace.envelopes.length > 0 && h("h2", { text: `${t("trace.envelopes")} · ${trace.envelopes.length}` }),
      trace.envelopes.map((envelope) => envelopeCard(envelope, trace.envelopes.length === 1)),
      trace.resources.length > 0 && h("h2", { text: `${t("trace.records")} · ${trace.resources.length}` }),
      trace.resources.length > 0 && h("div", { class: "records" }, trace.resources.map((line) => record(line.reference, line.version, [line.status, line.because.map((reason) => t(`because.${reason}`)).join(t("comma"))].filter(Boolean).join(" · ")))),
      trace.studies.length > 0 && h("h2", { text: t("trace.studies") }),
      trace.studies.map((study) => h("p", { class: "mono" }, h("a", { href: `#/studies/${study.facility}/${study.uid}`, text: study.uid }), " ", completenessChip(study), h("small", { text: study.missing_uids.join(" ") }))),
      trace.deliveries.length > 0 && h("h2", { text: t("trace.deliveries") }),
      trace.deliveries.map(delivery),
      trace.findings.length > 0 && h("h2", { text: t("trace.findings") }),
      trace.findings.map(finding),
    ].flat().filter(Boolean);
    fill(found, parts.length > 0 ? parts : h("p", { class: "empty", text: t("trace.nothing") }));
  }

  load();
  return { element };
}

function envelopeCard(envelope, open) {
  const state = h("span", { class: `chip envelope-${envelope.state}`, text: t(`envelope.${envelope.state}`) });
  return h(
    "details",
    { class: "envelope", open },
    h("summary", {}, state, h("b", { class: "mono", text: envelope.message_type || envelope.kind }), h("span", { class: "mono", text: envelope.control_id }), h("span", { text: `${envelope.channel} · ${envelope.facility_name}` }), h("span", { class: "space" }), h("small", { text: dateTime(envelope.received_at) })),
    steps(envelope.steps),
    h("div", { class: "envelope-body" }, left(envelope), right(envelope)),
  );
}

function steps(all) {
  return h("ol", { class: "walk" }, all.map((step) => h("li", { class: `walk-step ${step.state}` }, h("i"), h("b", { text: t(`step.${step.step}`) }), h("small", { text: step.at ? shortTime(step.at) : "" }), h("span", { class: "note", text: step.note }))));
}

function left(envelope) {
  const payload = envelope.payload;
  return h(
    "div",
    { class: "payload" },
    h("h3", {}, t("trace.payload"), h("small", { text: t("trace.bytes", { bytes: envelope.payload_bytes, charset: payload?.charset ?? "—" }) }), payload?.doubtful && h("span", { class: "chip severity-warning", text: t("trace.doubtful") })),
    payload && h("ol", { class: "segments" }, segments(payload.text)),
    h("small", { class: "mono block", text: `sha256 ${envelope.sha256}` }),
    h("small", { class: "mono block", text: envelope.id }),
  );
}

/** Each line of the message, known by its name and number as the rules name it: OBX[2]. */
function segments(text) {
  const counts = {};
  return text.split(/\r\n|\r|\n/).filter((line) => line !== "").map((line) => {
    const name = /^[A-Z][A-Z0-9]{2}/.exec(line)?.[0] ?? "";
    counts[name] = (counts[name] ?? 0) + 1;
    return h("li", { data: { segment: `${name}[${counts[name]}]` } }, h("b", { text: name }), line.slice(name.length));
  });
}

function right(envelope) {
  return h(
    "div",
    { class: "outcome" },
    envelope.waits_for.length > 0 && h("p", { class: "hint warn" }, t("trace.waits"), envelope.waits_for.map((id) => h("a", { class: "mono", href: `#/trace/${id}`, text: id }))),
    envelope.acts.length > 0 && h("h3", { text: t("trace.acts") }),
    envelope.acts.map(act),
    envelope.findings.length > 0 && h("h3", { text: t("trace.findings") }),
    envelope.findings.map(finding),
    envelope.processings.map(processing),
    envelope.unmapped.length > 0 && h("h3", { text: t("trace.unmapped") }),
    envelope.unmapped.length > 0 && h("p", { class: "mono" }, envelope.unmapped.join("  ")),
    envelope.deliveries.length > 0 && h("h3", { text: t("trace.deliveries") }),
    envelope.deliveries.map(delivery),
  );
}

function record(reference, version, note) {
  const body = h("div", { class: "origins" });
  const load = async () => {
    if (body.childElementCount > 0) return;
    fill(body, h("small", { text: t("loading") }));
    try {
      fill(body, originTable(await get(`/api/provenance?reference=${encodeURIComponent(reference)}`)));
    } catch (error) {
      fill(body);
      tellRefusal(error);
    }
  };
  return h("details", { class: "record", on: { toggle: load } }, h("summary", {}, ...kindOf(reference),  h("span", { class: "mono id", text: reference.split("/")[1] }), h("small", { text: `v${version}` }), note && h("small", { text: note })), body);
}

/** The type as FHIR names it, after the word that people use where theirs is another language. */
function kindOf(reference) {
  const type = reference.split("/")[0];
  const said = t(`kind.${type}`);
  return said && said !== `kind.${type}` ? [h("b", { text: said }), h("small", { text: type })] : [h("b", { text: type })];
}

/** What a person did with the message, when, and why. */
function act(one) {
  return h("div", { class: "said act" }, h("b", { text: t(`act.${one.action}`) }), h("small", { text: ` ${one.actor} · ${dateTime(one.at)}` }), one.reason && h("div", {}, h("small", { text: one.reason })));
}

/** One time the message was processed: when, by which mapping and whom; what it wrote, and what was so already. */
function processing(one) {
  const by = one.by && [one.by, one.why].filter(Boolean).join(t("colon"));
  const left = one.left.map((each) => h("div", {}, h("small", { text: t("trace.left", { what: [each.reference, ...each.elements].join(" "), by: each.envelope ?? each.actor ?? "hutong" }) })));
  const stays = one.stays.map((each) => h("div", {}, h("small", { text: t("trace.stays", { what: each }) })));
  const confirmed = one.confirmed.map((each) => `${each.reference}@${each.version}`);
  return h(
    "div",
    { class: "processing" },
    h("h3", {}, t(`how.${one.how}`), h("small", { text: ` ${[dateTime(one.at), one.mapping, by].filter(Boolean).join(" · ")}` })),
    one.code && h("p", { class: "hint warn", text: t("trace.again.refused", { code: one.code }) }),
    one.wrote.length > 0 && h("small", { class: "block", text: t("trace.written", { number: one.wrote.length }) }),
    h("div", { class: "records" }, one.wrote.map((each) => record(each.reference, each.version, ""))),
    confirmed.length > 0 && h("details", {}, h("summary", {}, h("small", { text: t("trace.confirmed", { number: confirmed.length }) })), h("small", { class: "mono block", text: confirmed.join("  ") })),
    left,
    stays,
  );
}

function finding(one) {
  const short = meaning(one.code);
  return h("div", { class: `said severity-${one.severity}` }, h("b", { text: short || one.code }), one.location && h("span", { class: "chip place", text: one.location }), h("div", {}, h("small", { text: one.text })), one.settled_at && h("small", { class: "block", text: `${one.settled_by} · ${shortTime(one.settled_at)} · ${one.settlement}` }));
}

function delivery(one) {
  return h(
    "div",
    { class: "said" },
    h("span", { class: `chip delivery-${one.state}`, text: t(`delivery.${one.state}`) }),
    h("b", { text: ` ${one.endpoint}` }),
    h("small", { class: "mono", text: ` ${one.control_id}${one.receipt ? ` · ${one.receipt.code}` : ""}` }),
    h("ol", { class: "attempts" }, one.latest_attempts.map((attempt) => h("li", {}, h("small", { text: `${dateTime(attempt.at)} · ${attempt.outcome} · ${attempt.detail}` })))),
  );
}
