// Which examinations wait? The list that refreshes itself, filtered by state, centre and words.

import { Refused, getUnless, post } from "./api.js";
import { completenessChip, modalityBadge, priorityChip, stateChip } from "./chips.js";
import { fill, h, isTyping } from "./elements.js";
import { tell, tellRefusal } from "./notices.js";
import { age, clockTime, shortTime, urgency, waited } from "./times.js";
import { refusal, t } from "./words.js";

const REFRESH_MS = 5000;
const LIMIT = 200;
const OPEN = ["waiting", "claimed", "preliminary", "reviewed", "signed", "awaiting-study"];
const CLOSED = ["returned", "cancelled"];
/** What was chosen stays chosen when a person comes back from a case. */
const chosen = { state: "open", centre: "", words: "", row: null };

export function worklistPage(me) {
  let list = { requests: [], counts: {} };
  let tag = null;
  let shownPath = null;
  let loadedAt = null;
  let stale = null;
  let timer = null;
  let turn = 0;
  let closed = false;

  const filters = h("div", { class: "filters", role: "tablist" });
  const body = h("tbody");
  const head = h("thead");
  const status = h("p", { class: "list-status" });
  const empty = h("div", { class: "empty", hidden: true });
  const centres = h("select", { "aria-label": t("case.centre"), on: { change: () => { chosen.centre = centres.value; reload(); } } });
  const search = h("input", { type: "search", class: "search", placeholder: t("list.search"), "aria-label": t("list.search"), value: chosen.words, on: { input: () => { chosen.words = search.value; draw(); } } });
  const element = h(
    "section",
    { class: "worklist" },
    h("div", { class: "list-tools" }, filters, h("span", { class: "space" }), centres, search),
    h("div", { class: "list-frame" }, h("table", {}, head, body), empty),
    h("footer", { class: "list-foot" }, h("span", { text: t("list.keys") }), h("span", { class: "space" }), status),
  );

  async function load() {
    const mine = ++turn;
    const wanted = chosen.state === "open" ? [] : [chosen.state];
    const query = new URLSearchParams([...wanted.map((state) => ["state", state]), ["limit", LIMIT]]);
    if (chosen.centre) query.set("centre", chosen.centre);
    try {
      const path = `/api/requests?${query}`;
      const changed = await getUnless(path === shownPath ? tag : null, path);
      if (mine !== turn) return; // another list was asked for meanwhile
      if (changed !== null) ({ body: list, tag } = changed);
      shownPath = path;
      loadedAt = new Date();
      stale = null;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 401 || mine !== turn) return;
      stale = error;
    }
    if (closed) return;
    draw();
    timer = setTimeout(load, REFRESH_MS);
  }

  function show(state) {
    if (state === chosen.state) return reload();
    chosen.state = state;
    list = { requests: [], counts: list.counts };
    shownPath = null; // what was shown is gone: an answer "nothing changed" would leave it so
    reload();
  }

  function reload() {
    clearTimeout(timer);
    load();
  }

  function draw() {
    const rows = shownRows();
    if (!rows.some((row) => row.id === chosen.row)) chosen.row = rows[0]?.id ?? null;
    drawFilters();
    drawCentres();
    const done = CLOSED.includes(chosen.state);
    fill(head, h("tr", {}, ["state", "patient", "examination", "facility", "accession", "images", done ? "returned" : "waiting", "people"].map((column) => h("th", { class: `c-${column}`, text: t(`list.${column}`) })), h("th")));
    fill(body, rows.map(drawRow));
    empty.hidden = rows.length > 0;
    empty.textContent = emptyText();
    status.classList.toggle("stale", stale !== null);
    status.textContent = statusText();
  }

  function emptyText() {
    if (loadedAt === null) return stale === null ? t("loading") : refusal(stale.code);
    return list.requests.length > 0 ? t("list.noMatch") : t("list.empty");
  }

  function statusText() {
    if (loadedAt === null) return "";
    if (stale !== null) return t("list.stale", { time: clockTime(loadedAt) });
    const updated = t("list.updated", { time: clockTime(loadedAt) });
    return list.requests.length >= LIMIT ? `${t("list.limit", { number: LIMIT })} ${updated}` : updated;
  }

  function shownRows() {
    const words = chosen.words.trim().toLowerCase().split(/\s+/).filter(Boolean);
    return list.requests.filter((row) => {
      const text = [row.patient.name, row.patient.local_id, row.accession, row.facility.name, row.procedure, row.modality, row.reader?.display ?? ""].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }

  function drawFilters() {
    const counted = (states) => states.every((state) => state in list.counts);
    const count = (states) => states.reduce((sum, state) => sum + (list.counts[state] ?? 0), 0);
    const filter = (state, states) =>
      h(
        "button",
        { role: "tab", class: "filter", "aria-selected": String(chosen.state === state), data: { state }, on: { click: () => show(state) } },
        t(`state.${state}`),
        counted(states) && h("span", { class: "count", text: String(count(states)) }),
      );
    fill(filters, filter("open", OPEN), ...[...OPEN, ...CLOSED].map((state) => filter(state, [state])));
  }

  function drawCentres() {
    const known = new Map(list.requests.map((row) => [row.centre, row.centre_display]));
    if (chosen.centre === "" && known.size < 2) {
      centres.hidden = true;
      return;
    }
    if (chosen.centre !== "") return;
    centres.hidden = false;
    fill(centres, h("option", { value: "", text: t("list.allCentres") }), ...[...known].map(([name, display]) => h("option", { value: name, text: display })));
  }

  function drawRow(row) {
    const late = CLOSED.includes(row.state) || row.state === "signed" ? "fine" : urgency(row);
    return h(
      "tr",
      { class: row.id === chosen.row ? "selected" : "", data: { request: row.id }, on: { click: () => select(row.id), dblclick: () => open(row.id) } },
      h("td", { class: "c-state" }, stateChip(row.state), priorityChip(row.priority)),
      h("td", { class: "c-patient" }, h("b", { text: row.patient.name || t("unknown") }), h("small", { text: [t(`sex.${row.patient.sex}`), age(row.patient.age)].filter(Boolean).join(" · ") })),
      h("td", { class: "c-examination" }, modalityBadge(row.modality), h("span", { text: row.procedure })),
      h("td", { class: "c-facility", text: row.facility.name }),
      h("td", { class: "c-accession", text: row.accession || "—" }),
      h("td", { class: "c-images" }, row.images ? String(row.images) : "—", completenessChip(row.completeness)),
      h("td", { class: `c-waiting ${late}`, text: timeOf(row) }),
      h("td", { class: "c-people", text: (row.reader ?? row.writer)?.display ?? "—" }),
      h("td", { class: "c-action" }, action(row)),
    );
  }

  function timeOf(row) {
    if (CLOSED.includes(row.state)) return shortTime(row.changed_at);
    if (row.state === "signed") return waited(row.changed_at);
    return row.waiting_since ? waited(row.waiting_since) : "—";
  }

  function action(row) {
    const button = (words, kind, listener) =>
      h("button", { class: kind, text: words, on: { click: (event) => { event.stopPropagation(); listener(row.id); } } });
    return row.state === "waiting" ? button(t("case.claim"), "primary", claim) : button(t("case.open"), "", open);
  }

  function select(id) {
    chosen.row = id;
    for (const row of body.rows) row.classList.toggle("selected", row.dataset.request === id);
  }

  function move(step) {
    const rows = [...body.rows];
    const at = rows.findIndex((row) => row.dataset.request === chosen.row);
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    if (!next) return;
    select(next.dataset.request);
    next.scrollIntoView({ block: "nearest" });
  }

  function open(id) {
    location.hash = `#/requests/${id}`;
  }

  async function claim(id) {
    try {
      await post(`/api/requests/${id}/claim`);
      tell(t("done.claimed"));
      open(id);
    } catch (error) {
      tellRefusal(error);
      reload();
    }
  }

  function keys(event) {
    if (event.key === "Escape" && event.target === search) {
      search.blur();
      return true;
    }
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return false;
    const row = list.requests.find((one) => one.id === chosen.row);
    switch (event.key) {
      case "ArrowDown": case "j": move(1); return true;
      case "ArrowUp": case "k": move(-1); return true;
      case "Enter": if (row && event.target.tagName !== "BUTTON" && event.target.tagName !== "A") { open(row.id); return true; } return false;
      case "c": case "C": if (row?.state === "waiting") claim(row.id); return true;
      case "/": search.focus(); return true;
      default: return false;
    }
  }

  draw();
  load();
  return { element, keys, close: () => { closed = true; clearTimeout(timer); } };
}
