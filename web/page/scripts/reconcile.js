// Whose is a stored study? What its objects say beside what the order says, and one decision with a reason.

import { get, post } from "./api.js";
import { askFor } from "./dialogs.js";
import { fill, h } from "./elements.js";
import { meaning } from "./meanings.js";
import { tell, tellRefusal } from "./notices.js";
import { dateTime, shortTime } from "./times.js";
import { t } from "./words.js";

export function reconcilePage() {
  let kind = "";
  let after = [];
  let chosen = null;
  const filters = h("div", { class: "filters", role: "tablist" });
  const list = h("div", { class: "case-list" }, h("p", { class: "empty", text: t("loading") }));
  const detail = h("div", { class: "case-detail" });
  const element = h("section", { class: "findings reconcile" }, h("div", { class: "list-tools" }, filters), h("div", { class: "reconcile-frame" }, list, detail));

  async function load() {
    try {
      const query = new URLSearchParams({ limit: "100" });
      if (kind !== "") query.set("kind", kind);
      if (after.length > 0) query.set("after", after[after.length - 1]);
      const page = await get(`/api/reconcile?${query}`);
      drawFilters(page.by_kind);
      drawList(page);
    } catch (error) {
      fill(list);
      tellRefusal(error);
    }
  }

  function drawFilters(counts) {
    const chip = (value, label, count) =>
      h("button", { class: "filter", role: "tab", "aria-selected": value === kind ? "true" : "false", on: { click: () => { kind = value; after = []; load(); } } }, h("span", { text: label }), count !== null && h("span", { class: "count", text: String(count) }));
    fill(filters, chip("", t("all"), null), Object.entries(counts).map(([key, count]) => chip(key, shortly(key), count)));
  }

  function drawList(page) {
    if (page.cases.length === 0) return fill(list, h("p", { class: "empty", text: t("reconcile.empty") }));
    const more = page.next && h("p", { class: "more" }, h("button", { text: t("more"), on: { click: () => { after.push(page.next); load(); } } }));
    fill(list, h("ul", {}, page.cases.map(entry)), more);
  }

  function entry(line) {
    const isChosen = chosen !== null && chosen.study_uid === line.study_uid && chosen.facility === line.facility;
    return h("li", {}, h(
      "button",
      { class: "case", "aria-current": isChosen ? "true" : null, on: { click: (event) => { mark(event.currentTarget); show(line); } } },
      h("span", { class: "case-who" }, h("b", { text: line.patient_name || t("reconcile.nobody") }), h("small", { class: "mono", text: line.patient_id })),
      h("span", { class: "case-why" }, line.kinds.map((one) => h("span", { class: "chip severity-warning", text: shortly(one) }))),
      h("small", { text: [line.modalities.join("/"), line.study_date, line.facility, t("reconcile.objects", { count: line.objects }), shortTime(line.opened_at)].filter(Boolean).join(" · ") }),
    ));
  }

  function mark(button) {
    list.querySelectorAll(".case[aria-current]").forEach((one) => one.removeAttribute("aria-current"));
    button.setAttribute("aria-current", "true");
  }

  async function show(line) {
    chosen = { study_uid: line.study_uid, facility: line.facility };
    try {
      draw(await get(pathOf(chosen)));
      detail.scrollIntoView({ block: "nearest" });
    } catch (error) {
      fill(detail);
      tellRefusal(error);
    }
  }

  function draw(study) {
    fill(
      detail,
      h("h2", {}, study.attributes.patient_name || t("reconcile.nobody"), h("small", { class: "mono block", text: study.study_uid })),
      h("p", {}, study.kinds.map((one) => h("span", { class: "chip severity-warning", text: meaning(one) || one }))),
      compared(study),
      proposed(study),
      h("p", { class: "row-actions" },
        h("button", { text: t("reconcile.assign.accession"), on: { click: () => assignTo(study, "accession") } }),
        h("button", { text: t("reconcile.assign.patient"), on: { click: () => assignTo(study, "patient_id") } }),
        h("button", { text: t("reconcile.merge"), on: { click: () => mergeInto(study) } }),
        h("button", { class: "danger", text: t("reconcile.reject"), on: { click: () => decide(study, "reject", { title: "quality" }, t("reconcile.reject.hint")) } })),
      series(study),
      apart(study),
      decisions(study),
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
    return h("table", { class: "compared" }, h("thead", {}, h("tr", {}, h("th"), h("th", { text: t("reconcile.objects-say") }), h("th"), h("th", { text: order }))), h("tbody", {}, study.differences.map(row)));
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

  function series(study) {
    if (study.series.length === 0) return null;
    const picked = new Set();
    const button = h("button", { text: t("reconcile.split"), disabled: true, on: { click: () => split(study, [...picked]) } });
    const row = (one) => h(
      "label",
      { class: "series" },
      h("input", { type: "checkbox", on: { change: (event) => { if (event.target.checked) picked.add(one.uid); else picked.delete(one.uid); button.disabled = picked.size === 0 || picked.size === study.series.length; } } }),
      h("span", {}, h("b", { text: `${one.modality} ${one.number} ${one.description}`.trim() }), h("small", { class: "block", text: `${t("reconcile.objects", { count: one.count })} · ${one.patients.join("; ")}` })),
    );
    return h("section", {}, h("h3", { text: t("reconcile.series") }), study.series.map(row), study.series.length > 1 && h("p", {}, button));
  }

  function apart(study) {
    if (study.apart.length === 0) return null;
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
    return h("section", {}, h("h3", { text: t("reconcile.apart") }), h("ul", { class: "proposals" }, study.apart.map(one)));
  }

  function decisions(study) {
    if (study.decisions.length === 0) return null;
    const one = (line) => h(
      "li",
      { class: `said${line.undone_at ? " undone" : ""}` },
      h("div", {},
        h("b", { text: t(`reconcile.kind.${line.kind}`) }), ` ${line.actor} · ${dateTime(line.at)}`, h("small", { class: "block", text: line.reason }),
        line.undone_at && h("small", { class: "block", text: `${t("reconcile.undone")}: ${line.undone_by} · ${line.undone_why}` }),
        line.note !== "none" && h("span", { class: "chip", text: t("reconcile.note") })),
      !line.undone_at && h("button", { text: t("reconcile.undo"), on: { click: () => undo(line) } }),
    );
    return h("section", {}, h("h3", { text: t("reconcile.decisions") }), h("ul", { class: "proposals" }, study.decisions.map(one)));
  }

  async function assignTo(study, name) {
    const number = await askFor(t(`reconcile.assign.${name === "accession" ? "accession" : "patient"}`), t(`reconcile.${name}`), t("reconcile.next"), t("reconcile.number.missing"));
    if (number !== null) await decide(study, "assign", { [name]: number }, t("reconcile.assign.hint"));
  }

  async function mergeInto(study) {
    const into = await askFor(t("reconcile.merge"), t("reconcile.merge.into"), t("reconcile.next"), t("reconcile.number.missing"));
    if (into !== null) await decide(study, "merge", { into }, t("reconcile.merge.hint"));
  }

  const split = (study, picked) => decide(study, "split", { series: picked }, t("reconcile.split.hint"));

  async function decide(study, action, body, hint) {
    const why = await askFor(t(`reconcile.${action}`), `${hint} ${t("reason")}`, t(`reconcile.${action}`), t("reason.missing"));
    if (why === null) return;
    try {
      await post(`${pathOf(study)}/${action}`, { ...body, revision: study.revision, reason: why });
      tell(t("reconcile.decided"));
    } catch (error) {
      tellRefusal(error);
    }
    await show(study);
    load();
  }

  async function undo(line) {
    const why = await askFor(t("reconcile.undo"), t("reason"), t("reconcile.undo"), t("reason.missing"));
    if (why === null) return;
    try {
      await post(`/api/reconcile/decisions/${line.number}/undo`, { reason: why });
      tell(t("reconcile.undone"));
    } catch (error) {
      tellRefusal(error);
    }
    await show(chosen);
    load();
  }

  load();
  return { element };
}

function pathOf(study) {
  return `/api/reconcile/studies/${encodeURIComponent(study.facility)}/${encodeURIComponent(study.study_uid)}`;
}

function shortly(code) {
  const key = `reconcile.case.${code}`;
  const short = t(key);
  return short === key ? meaning(code) || code : short;
}
