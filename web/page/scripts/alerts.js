// What is wrong with the hub now? One line for one trouble, with who knows of it.

import { get, post } from "./api.js";
import { askFor } from "./dialogs.js";
import { fill, h } from "./elements.js";
import { tell, tellRefusal } from "./notices.js";
import { dateTime, waited } from "./times.js";
import { currentLanguage, t } from "./words.js";

const REFRESH_MS = 15_000;
/** Where a person goes to do something about a kind of trouble. */
const PLACES = {
  "held": () => "#/held",
  "endpoint-away": () => "#/deliveries",
  "dead-letters": () => "#/deliveries",
  "error": () => "#/findings",
  "study-short": (alert) => `#/studies/${alert.subject}/${alert.code}`,
  "studies-short": () => "#/studies/short",
};

export function alertsPage() {
  let state = "open";
  let timer = null;
  let closed = false;
  const filters = h("div", { class: "filters", role: "tablist" });
  const list = h("div", { class: "incidents" }, h("p", { class: "empty", text: t("loading") }));
  const element = h("section", { class: "findings alerts" }, h("div", { class: "list-tools" }, filters), list);

  async function load() {
    clearTimeout(timer);
    try {
      draw((await get(`/api/alerts?state=${state}`)).alerts);
    } catch (error) {
      tellRefusal(error);
    }
    if (!closed) timer = setTimeout(load, REFRESH_MS);
  }

  function draw(alerts) {
    fill(filters, ["open", "closed"].map((one) => h("button", { class: "filter", role: "tab", "aria-selected": one === state ? "true" : "false", text: t(`alert.${one}`), on: { click: () => { state = one; load(); } } })));
    fill(list, alerts.length > 0 ? alerts.map(incident) : h("p", { class: "empty", text: t(state === "open" ? "alert.none" : "alert.never") }));
  }

  function incident(alert) {
    const until = alert.closed_at ? new Date(alert.closed_at) : new Date();
    return h(
      "article",
      { class: `incident severity-${alert.closed_at ? "none" : alert.severity}` },
      h("div", { class: "incident-what" }, h("b", { text: currentLanguage() === "zh" ? alert.text_zh : alert.text_en }), h("small", { text: [alert.code, alert.subject].filter(Boolean).join(" · ") })),
      h("div", { class: "incident-when" }, h("b", { text: waited(alert.since, until) }), h("small", { text: dateTime(alert.since) })),
      h("div", { class: "incident-who" }, alert.acknowledged_by ? [h("b", { text: alert.acknowledged_by }), h("small", { text: alert.acknowledgment })] : !alert.closed_at && h("button", { text: t("alert.acknowledge"), on: { click: () => acknowledge(alert) } })),
      h("div", {}, PLACES[alert.kind] && !alert.closed_at && h("a", { href: PLACES[alert.kind](alert), text: t("alert.go") })),
    );
  }

  async function acknowledge(alert) {
    const why = await askFor(t("alert.acknowledge"), t("alert.why"), t("alert.acknowledge"), t("reason.missing"));
    if (why === null) return;
    try {
      await post(`/api/alerts/${alert.id}/acknowledge`, { why });
      tell(t("alert.acknowledged"));
    } catch (error) {
      tellRefusal(error);
    }
    load();
  }

  load();
  return { element, close: () => { closed = true; clearTimeout(timer); } };
}
