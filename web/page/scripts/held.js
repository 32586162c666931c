// Which messages are held, and what is done about each? Released, skipped, or corrected by those who run the hub.

import { get, post } from "./api.js";
import { askFor, inform } from "./dialogs.js";
import { fill, h } from "./elements.js";
import { meaning } from "./meanings.js";
import { tell, tellRefusal } from "./notices.js";
import { shortTime } from "./times.js";
import { t } from "./words.js";

export function heldPage() {
  let code = "";
  let after = [];
  const filters = h("div", { class: "filters", role: "tablist" });
  const actions = h("span", { class: "bulk" });
  const frame = h("div", { class: "list-frame" }, h("p", { class: "empty", text: t("loading") }));
  const element = h("section", { class: "findings held" }, h("div", { class: "list-tools" }, filters, h("span", { class: "space" }), actions), frame);

  async function load() {
    try {
      const all = await get("/api/held?limit=1");
      const query = new URLSearchParams({ limit: "100" });
      if (code !== "") query.set("code", code);
      if (after.length > 0) query.set("after", after[after.length - 1]);
      const page = await get(`/api/held?${query}`);
      drawFilters(all.by_code);
      draw(page);
    } catch (error) {
      fill(frame);
      tellRefusal(error);
    }
  }

  function drawFilters(counts) {
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const chip = (value, label, count) =>
      h("button", { class: "filter", role: "tab", "aria-selected": value === code ? "true" : "false", on: { click: () => { code = value; after = []; load(); } } }, h("span", { text: label }), h("span", { class: "count", text: String(count) }));
    fill(filters, chip("", t("all"), total), Object.entries(counts).filter(([key]) => key !== "").map(([key, count]) => chip(key, meaning(key) || key, count)));
    const count = code === "" ? 0 : (counts[code] ?? 0);
    fill(actions, count > 1 && h("button", { text: t("held.release.all", { count }), on: { click: () => releaseAll() } }));
  }

  function draw(page) {
    if (page.held.length === 0) return fill(frame, h("p", { class: "empty", text: t("held.empty") }));
    const columns = ["message", "channel", "received", "why", "behind"].map((column) => h("th", { class: `c-${column}`, text: t(`held.${column}`) }));
    const more = page.next && h("p", { class: "more" }, h("button", { text: t("more"), on: { click: () => { after.push(page.next); load(); } } }));
    fill(frame, h("table", {}, h("thead", {}, h("tr", {}, columns, h("th"))), h("tbody", {}, page.held.map(row))), more);
  }

  function row(line) {
    return h(
      "tr",
      {},
      h("td", {}, h("a", { class: "mono", href: `#/trace/${line.id}`, text: line.message_type || "?" }), h("small", { class: "block mono", text: line.control_id })),
      h("td", {}, line.channel, h("small", { class: "block", text: line.facility })),
      h("td", { class: "nowrap", text: shortTime(line.received_at) }),
      h("td", { class: "finding-text" }, line.reasons.map(reason)),
      h("td", { class: line.waiting_behind > 0 ? "waiting-many" : "" }, line.keeps_lanes ? String(line.waiting_behind) : "—"),
      h(
        "td",
        { class: "c-action" },
        h("span", { class: "row-actions" },
          h("button", { class: "primary", text: t("held.release"), on: { click: () => release(line) } }),
          h("button", { text: t("held.correct"), on: { click: () => inform(t("held.correct"), h("p", { text: t("held.correct.hint") }), h("pre", { text: `hutong edit ${line.id}` })) } }),
          h("button", { text: t("held.skip"), on: { click: () => skip(line) } })),
      ),
    );
  }

  function reason(one) {
    const short = meaning(one.code) || one.code;
    const place = [one.location, one.rule].filter(Boolean).join(" · ");
    return h("div", {}, h("div", {}, h("b", { text: short }), place && h("span", { class: "chip place", text: place })), h("small", { text: one.text }));
  }

  async function act(action, path, body, done) {
    const why = await askFor(t(`held.${action}`), `${t(`held.${action}.hint`)} ${t("reason")}`, t(`held.${action}`), t("reason.missing"));
    if (why === null) return;
    try {
      const { count } = await post(path, { ...body, reason: why });
      tell(t(done, { count }));
    } catch (error) {
      tellRefusal(error);
    }
    after = [];
    load();
  }

  const release = (line) => act("release", `/api/envelopes/${line.id}/release`, {}, "held.released");
  const skip = (line) => act("skip", `/api/envelopes/${line.id}/skip`, {}, "held.skipped");
  const releaseAll = () => act("release", "/api/held/release", { code }, "held.released");

  load();
  return { element };
}
