// Has everything of each study come? The list by state, and beside it one study with what is missing of it.

import { Refused, getUnless } from "./api.js";
import { modalityBadge } from "./chips.js";
import { bar, colourOf, countOf, wordOf } from "./completeness.js";
import { fill, h, isTyping } from "./elements.js";
import { personName } from "./names.js";
import { tellRefusal } from "./notices.js";
import { studyStanding } from "./study_standing.js";
import { clockTime, waited } from "./times.js";
import { t } from "./words.js";

const REFRESH_MS = 15_000;
const LIMIT = 200;
const STATES = ["short", "late", "receiving", "whole"];
/** What was chosen stays chosen when a person comes back from a study's trace. */
const wanted = { state: "", facility: "", said: "" };

/** `place` is a state, or "FACILITY/UID" of the study that is shown at once: alerts lead to both. */
export function studiesPage(me, place = "") {
  if (STATES.includes(place)) Object.assign(wanted, { state: place, facility: "", said: "" });
  let chosen = studyOf(place);
  let pages = []; // [{path, tag, body}], one after another
  let loadedAt = null;
  let stale = false;
  let timer = null;
  let turn = 0;
  let closed = false;

  const filters = h("div", { class: "filters", role: "tablist" });
  const facilities = h("select", { "aria-label": t("studies.facility"), hidden: true, on: { change: () => { wanted.facility = facilities.value; reload(); } } });
  const search = h("input", { type: "search", class: "search wide", placeholder: t("reconcile.search"), "aria-label": t("reconcile.search"), maxlength: 200, value: wanted.said, name: "said", on: { search: ask } });
  const form = h("form", { class: "search-form", role: "search", on: { submit: (event) => { event.preventDefault(); ask(); } } }, search, h("button", { class: "primary", type: "submit", text: t("reconcile.search.go") }));
  const body = h("tbody");
  const table = h("table", {}, h("thead", {}, h("tr", {}, ["state", "patient", "facility", "modality", "count", "since"].map((column) => h("th", { class: `s-${column}`, text: t(`studies.${column}`) })))), body);
  const foot = h("div", { class: "list-more" });
  const frame = h("div", { class: "list-frame" }, table, foot);
  const status = h("p", { class: "list-status" });
  const standing = studyStanding({ changed: reload, close: () => open(null) });
  const split = h("div", { class: "studies-frame" }, frame, standing.element);
  const element = h("section", { class: "findings studies" }, h("div", { class: "list-tools" }, filters, h("span", { class: "space" }), facilities, form), split, h("footer", { class: "list-foot" }, h("span", { text: t("studies.keys") }), h("span", { class: "space" }), status));

  async function load() {
    clearTimeout(timer);
    const mine = ++turn;
    try {
      const fresh = [];
      do fresh.push(await pageAfter(fresh, pages[fresh.length])); while (fresh.length < pages.length && fresh[fresh.length - 1].body.next);
      if (mine !== turn || closed) return; // another list was asked for meanwhile
      const isChanged = fresh.length !== pages.length || fresh.some((one, n) => one !== pages[n]);
      pages = fresh;
      loadedAt = new Date();
      stale = false;
      if (isChanged) draw();
    } catch (error) {
      if (mine !== turn || closed) return;
      if (!(error instanceof Refused)) throw error;
      if (error.status === 401) return;
      if (loadedAt === null) tellRefusal(error);
      stale = true;
    }
    drawStatus();
    if (chosen !== null) standing.refresh();
    timer = setTimeout(load, REFRESH_MS);
  }

  async function pageAfter(before, known) {
    const query = new URLSearchParams({ patients: "true", limit: LIMIT });
    for (const [name, value] of Object.entries(wanted)) if (value !== "") query.set(name, value);
    if (before.length > 0) query.set("after", before[before.length - 1].body.next);
    const path = `/api/studies?${query}`;
    const changed = await getUnless(known?.path === path ? known.tag : null, path);
    return changed === null ? known : { path, ...changed };
  }

  async function loadMore() {
    if (pages.length === 0) return; // another list is on its way
    clearTimeout(timer);
    const mine = ++turn;
    try {
      const next = await pageAfter(pages, null);
      if (mine !== turn || closed) return;
      pages = [...pages, next];
      body.append(...next.body.studies.map(row));
      drawFoot();
    } catch (error) {
      tellRefusal(error);
    }
    timer = setTimeout(load, REFRESH_MS);
  }

  function reload() {
    pages = [];
    load();
  }

  function ask() {
    if (search.value.trim() === wanted.said) return;
    wanted.said = search.value.trim();
    reload();
  }

  function draw() {
    const first = pages[0].body;
    drawFilters(first.by_state);
    drawFacilities(first.facilities);
    fill(body, shown().map(row));
    drawFoot();
    mark();
  }

  function drawFoot() {
    const isEmpty = pages[0].body.studies.length === 0;
    table.hidden = isEmpty;
    fill(
      foot,
      isEmpty && h("p", { class: "empty", text: t(wanted.said !== "" || wanted.facility !== "" ? "studies.none.found" : wanted.state === "short" ? "studies.none.short" : "studies.none") }),
      pages[pages.length - 1].body.next && h("p", { class: "more" }, h("button", { text: t("more"), on: { click: loadMore } })),
    );
  }

  function drawStatus() {
    status.classList.toggle("stale", stale);
    status.textContent = loadedAt === null ? "" : t(stale ? "list.stale" : "list.updated", { time: clockTime(loadedAt) });
  }

  function drawFilters(counts) {
    const filter = (state, label, count) =>
      h("button", { role: "tab", class: "filter", "aria-selected": String(wanted.state === state), data: { state }, on: { click: () => { wanted.state = state; reload(); } } }, t(label), count !== null && h("span", { class: "count", text: String(count) }));
    fill(filters, filter("", "all", null), STATES.map((state) => filter(state, `study.${state}`, state === "whole" ? null : (counts[state] ?? 0))));
  }

  function drawFacilities(names) {
    const codes = Object.keys(names);
    facilities.hidden = codes.length < 2;
    if (facilities.childElementCount === codes.length + 1) return;
    fill(facilities, h("option", { value: "", text: t("studies.facilities") }), codes.map((code) => h("option", { value: code, text: names[code] })));
    facilities.value = wanted.facility;
  }

  function shown() {
    return pages.flatMap((one) => one.body.studies);
  }

  function row(line) {
    const names = pages[0].body.facilities;
    const { name, latin } = personName(line.patient_name);
    return h(
      "tr",
      { data: { key: keyOf(line) }, on: { click: () => open(line) } },
      h("td", { class: "s-state" }, h("span", { class: `chip ${colourOf(line)}`, text: wordOf(line) })),
      h("td", { class: "s-patient" }, h("b", { text: name || t("reconcile.nobody") }), latin && h("small", { text: ` ${latin}` }), h("small", { class: "block mono", text: [line.patient_id, line.accession].filter(Boolean).join(" · ") || line.uid })),
      h("td", { class: "s-facility" }, names[line.facility] ?? line.facility, h("small", { class: "block", text: line.peer.split("@")[0] })),
      h("td", { class: "s-modality" }, line.modalities.map((one) => modalityBadge(one))),
      h("td", { class: "s-count" }, bar(line.instances, line.announced, line.missing), h("small", { class: "figures", text: countOf(line) })),
      h("td", { class: "s-since nowrap", text: waited(line.since) }),
    );
  }

  function open(line) {
    chosen = line === null ? null : { facility: line.facility, uid: line.uid };
    history.replaceState(null, "", chosen === null ? "#/studies" : `#/studies/${keyOf(chosen)}`);
    mark();
    if (chosen !== null) standing.show(chosen);
    else standing.hide();
  }

  function mark() {
    split.classList.toggle("open", chosen !== null);
    for (const one of body.rows) one.classList.toggle("selected", chosen !== null && one.dataset.key === keyOf(chosen));
  }

  function move(step) {
    const lines = shown();
    const at = chosen === null ? -1 : lines.findIndex((line) => keyOf(line) === keyOf(chosen));
    const next = lines[Math.min(lines.length - 1, Math.max(0, at + step))];
    if (!next) return;
    open(next);
    body.querySelector("tr.selected")?.scrollIntoView({ block: "nearest" });
  }

  function keys(event) {
    if (event.key === "Escape") {
      if (event.target === search) search.blur();
      else if (chosen !== null) open(null);
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
  if (chosen !== null) {
    mark();
    standing.show(chosen);
  }
  return { element, keys, close: () => { closed = true; clearTimeout(timer); standing.hide(); } };
}

function studyOf(place) {
  const at = place.indexOf("/");
  return at < 0 ? null : { facility: place.slice(0, at), uid: place.slice(at + 1) };
}

function keyOf(line) {
  return `${line.facility}/${line.uid}`;
}
