// Whose is a stored study? Those that wait, those that were decided lately, and any other one that is looked for.

import { get } from "./api.js";
import { fill, h, isTyping } from "./elements.js";
import { meaning } from "./meanings.js";
import { tellRefusal } from "./notices.js";
import { studyDetail } from "./reconcile_study.js";
import { createThumbnails } from "./thumbnails.js";
import { shortTime } from "./times.js";
import { t } from "./words.js";

const LIMIT = 100;
const DECIDED = "decided";
const FOUND = "found";

/** `place` is "FACILITY/UID" of the study that is shown at once: the address of what somebody decides stays its address. */
export function reconcilePage(me, place = "") {
  let tab = ""; // a kind of case, all of them, what was decided, or what was found
  let words = "";
  let after = null;
  let lines = [];
  let counts = {};
  let turn = 0;
  let chosen = studyOf(place);
  const thumbnails = createThumbnails();
  const search = h("input", { type: "search", class: "search wide", placeholder: t("reconcile.search"), "aria-label": t("reconcile.search"), maxlength: 200, name: "said" });
  const filters = h("div", { class: "filters", role: "tablist" });
  const list = h("div", { class: "case-list" }, h("p", { class: "empty", text: t("loading") }));
  const detail = h("div", { class: "case-detail" });
  const form = h("form", { class: "search-form", role: "search", on: { submit: (event) => { event.preventDefault(); find(); } } }, search, h("button", { class: "primary", type: "submit", text: t("reconcile.search.go") }));
  const element = h("section", { class: "findings reconcile" }, h("div", { class: "list-tools" }, filters, h("span", { class: "space" }), form), h("div", { class: "reconcile-frame" }, list, detail));
  const study = studyDetail(detail, thumbnails, { changed: () => load(), goTo: open });

  async function load() {
    after = null;
    lines = [];
    await loadMore();
  }

  async function loadMore() {
    const mine = ++turn;
    try {
      const page = await pageOf();
      if (mine !== turn) return; // another list was asked for meanwhile
      lines = [...lines, ...page.lines];
      after = page.next;
      drawFilters();
      drawList();
    } catch (error) {
      if (mine === turn) fill(list);
      tellRefusal(error);
    }
  }

  async function pageOf() {
    if (tab === FOUND) return { lines: await get(`/api/reconcile/find?${new URLSearchParams({ said: words, limit: LIMIT })}`), next: null };
    const query = new URLSearchParams({ limit: LIMIT, ...(after !== null && { after }) });
    if (tab === DECIDED) {
      const page = await get(`/api/reconcile/decided?${query}`);
      const known = new Set(lines.map(keyOf));
      return { lines: page.studies.filter((line) => !known.has(keyOf(line))), next: page.next };
    }
    if (tab !== "") query.set("kind", tab);
    const page = await get(`/api/reconcile?${query}`);
    counts = page.by_kind;
    return { lines: page.cases, next: page.next };
  }

  async function find() {
    words = search.value.trim();
    await show(words === "" ? "" : FOUND);
    if (tab === FOUND && lines.length === 1) open(lines[0]);
  }

  function show(one) {
    tab = one;
    return load();
  }

  function drawFilters() {
    const chip = (value, label, count) =>
      h("button", { class: "filter", role: "tab", "aria-selected": String(value === tab), on: { click: () => show(value) } }, h("span", { text: label }), count !== null && h("span", { class: "count", text: String(count) }));
    fill(filters, chip("", t("reconcile.waiting"), null), Object.entries(counts).map(([key, count]) => chip(key, shortly(key), count)), chip(DECIDED, t("reconcile.decided-lately"), null), tab === FOUND && chip(FOUND, t("reconcile.found", { words }), lines.length));
  }

  function drawList() {
    if (lines.length === 0) return fill(list, h("p", { class: "empty", text: t(tab === FOUND ? "reconcile.found.none" : tab === DECIDED ? "reconcile.decided.none" : "reconcile.empty") }));
    const full = tab === FOUND && lines.length === LIMIT && h("p", { class: "hint", text: t("reconcile.found.many", { number: LIMIT }) });
    const more = after !== null && h("p", { class: "more" }, h("button", { text: t("more"), on: { click: loadMore } }));
    fill(list, h("ul", {}, lines.map(entry)), full, more);
  }

  function entry(line) {
    const isChosen = chosen !== null && keyOf(chosen) === keyOf(line);
    return h("li", {}, h(
      "button",
      { class: "case", data: { key: keyOf(line) }, "aria-current": isChosen ? "true" : null, on: { click: () => open(line) } },
      h("span", { class: "case-who" }, h("b", { text: line.patient_name || t("reconcile.nobody") }), h("small", { class: "mono", text: line.patient_id })),
      h("span", { class: "case-why" }, line.kinds.map((one) => h("span", { class: "chip severity-warning", text: shortly(one) })), line.decisions > 0 && h("span", { class: "chip decided", text: t("reconcile.decisions.count", { count: line.decisions }) }), line.objects === 0 && h("span", { class: "chip severity-error", text: t("reconcile.nothing-served") })),
      h("small", { text: [line.modalities.join("/"), line.study_date, line.facility, line.accession, t("reconcile.objects", { count: line.objects }), shortTime(line.opened_at ?? line.decided_at ?? line.last_stored_at)].filter(Boolean).join(" · ") }),
    ));
  }

  function open(line) {
    chosen = { study_uid: line.study_uid, facility: line.facility };
    history.replaceState(null, "", `#/reconcile/${keyOf(chosen)}`);
    mark();
    study.show(chosen);
  }

  function mark() {
    for (const one of list.querySelectorAll(".case")) {
      if (one.dataset.key === keyOf(chosen)) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    }
  }

  /** The next or the one before in the list; it is opened, so that a queue is worked off without the mouse. */
  function move(step) {
    const at = chosen === null ? -1 : lines.findIndex((line) => keyOf(line) === keyOf(chosen));
    const next = lines[Math.min(lines.length - 1, Math.max(0, at + step))];
    if (!next) return;
    open(next);
    list.querySelector(".case[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  function keys(event) {
    if (event.key === "Escape" && event.target === search) {
      search.blur();
      return true;
    }
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return false;
    switch (event.key) {
      case "ArrowDown": case "j": move(1); return true;
      case "ArrowUp": case "k": move(-1); return true;
      case "/": search.focus(); return true;
      default: return false;
    }
  }

  load();
  if (chosen !== null) study.show(chosen);
  return { element, keys, close: () => thumbnails.clear() };
}

function studyOf(place) {
  const at = place.indexOf("/");
  return at < 0 ? null : { facility: place.slice(0, at), study_uid: place.slice(at + 1) };
}

function keyOf(line) {
  return `${line.facility}/${line.study_uid}`;
}

function shortly(code) {
  const key = `reconcile.case.${code}`;
  const short = t(key);
  return short === key ? meaning(code) || code : short;
}
