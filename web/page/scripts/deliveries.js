// What is owed to whom, and what does not arrive? Sent again, or given up, by those who run the hub.

import { get, post } from "./api.js";
import { askFor } from "./dialogs.js";
import { fill, h } from "./elements.js";
import { tell, tellRefusal } from "./notices.js";
import { shortTime } from "./times.js";
import { t } from "./words.js";

const STATES = ["owed", "refused", "given-up", "delivered"];

export function deliveriesPage() {
  let state = "owed";
  let endpoint = "";
  const backlog = h("div", { class: "cards" });
  const filters = h("div", { class: "filters", role: "tablist" });
  const actions = h("span", { class: "bulk" });
  const frame = h("div", { class: "list-frame" }, h("p", { class: "empty", text: t("loading") }));
  const element = h("section", { class: "findings deliveries" }, backlog, h("div", { class: "list-tools" }, filters, h("span", { class: "space" }), actions), frame);

  async function load() {
    const query = new URLSearchParams({ state, limit: "100" });
    if (endpoint !== "") query.set("endpoint", endpoint);
    try {
      drawBacklog(await get("/api/deliveries/backlog"));
      draw((await get(`/api/deliveries?${query}`)).deliveries);
    } catch (error) {
      fill(frame);
      tellRefusal(error);
    }
  }

  function drawBacklog(lines) {
    fill(backlog, lines.map(card));
    fill(filters, STATES.map((one) => h("button", { class: "filter", role: "tab", "aria-selected": one === state ? "true" : "false", text: t(`delivery.${one}`), on: { click: () => { state = one; load(); } } })));
    const bulk = endpoint !== "" && (state === "owed" || state === "refused");
    fill(actions, bulk && [h("button", { text: `${t("delivery.retry")} · ${endpoint}`, on: { click: () => act("retry", { endpoint, state }) } }), h("button", { text: `${t("delivery.give-up")} · ${endpoint}`, on: { click: () => act("give-up", { endpoint, state }) } })]);
  }

  function card(line) {
    const bad = !line.configured || line.refused > 0 || line.last_error;
    return h(
      "button",
      { class: `card${bad ? " bad" : ""}`, "aria-pressed": endpoint === line.endpoint ? "true" : "false", on: { click: () => { endpoint = endpoint === line.endpoint ? "" : line.endpoint; load(); } } },
      h("b", { text: line.endpoint }),
      h("span", { class: "figures" }, h("span", { text: `${t("delivery.owed")} ${line.owed}` }), line.refused > 0 && h("span", { class: "chip severity-error", text: `${t("delivery.refused")} ${line.refused}` })),
      h("small", { text: [!line.configured && t("delivery.unconfigured"), line.last_error, line.oldest_owed_at && t("delivery.oldest", { time: shortTime(line.oldest_owed_at) })].filter(Boolean).join(" · ") || "—" }),
    );
  }

  function draw(lines) {
    if (lines.length === 0) return fill(frame, h("p", { class: "empty", text: t("delivery.empty") }));
    const columns = ["state", "endpoint", "what", "created", "attempts", "error"].map((column) => h("th", { text: t(`delivery.${column}`) }));
    fill(frame, h("table", {}, h("thead", {}, h("tr", {}, columns, h("th"))), h("tbody", {}, lines.map(row))));
  }

  function row(line) {
    const latest = line.latest_attempts[line.latest_attempts.length - 1];
    const known = line.envelope ?? (line.about && line.control_id);
    const about = known ? h("a", { class: "mono", href: `#/trace/${encodeURIComponent(known)}`, text: line.control_id }) : h("span", { class: "mono", text: line.control_id });
    return h(
      "tr",
      {},
      h("td", {}, h("span", { class: `chip delivery-${line.state}`, text: t(`delivery.${line.state}`) })),
      h("td", { text: line.endpoint }),
      h("td", {}, about, h("small", { class: "block", text: [line.route, line.about].filter(Boolean).join(" · ") })),
      h("td", { class: "nowrap", text: shortTime(line.created_at) }),
      h("td", {}, String(line.attempts), line.next_attempt_at && line.state === "owed" && h("small", { class: "block", text: `${t("delivery.next")} ${shortTime(line.next_attempt_at)}` })),
      h("td", { class: "finding-text" }, line.last_error && h("b", { text: line.last_error }), latest && line.state !== "delivered" && h("small", { class: "block", text: latest.detail }), line.given_up_why && h("small", { class: "block", text: `${line.given_up_by}: ${line.given_up_why}` })),
      h("td", { class: "c-action" }, line.state !== "delivered" && h("span", { class: "row-actions" }, h("button", { text: t("delivery.retry"), on: { click: () => act("retry", { deliveries: [line.id] }) } }), line.state !== "given-up" && h("button", { text: t("delivery.give-up"), on: { click: () => act("give-up", { deliveries: [line.id] }) } }))),
    );
  }

  async function act(action, which) {
    const why = await askFor(t(`delivery.${action}`), `${t(`delivery.${action}.hint`)} ${t("reason")}`, t(`delivery.${action}`), t("reason.missing"));
    if (why === null) return;
    try {
      const { count } = await post(`/api/deliveries/${action}`, { ...which, reason: why });
      tell(t(action === "retry" ? "delivery.again" : "delivery.given", { count }));
    } catch (error) {
      tellRefusal(error);
    }
    load();
  }

  load();
  return { element };
}
