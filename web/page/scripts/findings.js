// What should a person settle? The open findings, for those who run the hub.

import { get, post } from "./api.js";
import { askFor } from "./dialogs.js";
import { fill, h } from "./elements.js";
import { meaning } from "./meanings.js";
import { tell, tellRefusal } from "./notices.js";
import { dateTime } from "./times.js";
import { t } from "./words.js";

/** What each tab shows: what a person should settle, apart from what is noted for the record. */
const TABS = { "open": ["error", "warning"], "record": ["information"] };

export function findingsPage() {
  let tab = "open";
  let shown = [];
  let following = {};
  const filters = h("div", { class: "filters", role: "tablist" });
  const frame = h("div", { class: "list-frame" }, h("p", { class: "empty", text: t("loading") }));
  const element = h("section", { class: "findings" }, h("div", { class: "list-tools" }, filters), frame);

  async function load() {
    shown = [];
    following = Object.fromEntries(TABS[tab].map((severity) => [severity, ""]));
    await loadMore();
  }

  async function loadMore() {
    const asked = tab;
    try {
      const pages = await Promise.all(Object.entries(following).map(([severity, after]) => page(severity, after)));
      if (asked !== tab) return;
      shown.push(...pages.flatMap((one) => one.findings));
      following = Object.fromEntries(pages.filter((one) => one.next).map((one) => [one.severity, one.next]));
      draw();
    } catch (error) {
      fill(frame);
      tellRefusal(error);
    }
  }

  async function page(severity, after) {
    const query = new URLSearchParams({ state: "open", severity });
    if (after !== "") query.set("after", after);
    return { severity, ...(await get(`/api/findings?${query}`)) };
  }

  function draw() {
    fill(filters, Object.keys(TABS).map((one) => h("button", { class: "filter", role: "tab", "aria-selected": one === tab ? "true" : "false", text: t(`findings.${one}`), on: { click: () => { tab = one; load(); } } })));
    if (shown.length === 0) return fill(frame, h("p", { class: "empty", text: t("findings.empty") }));
    const columns = ["code", "text", "place", "found"].map((column) => h("th", { text: t(`findings.${column}`) }));
    const more = Object.keys(following).length > 0 && h("p", { class: "more" }, h("button", { text: t("more"), on: { click: () => loadMore() } }));
    fill(frame, h("table", {}, h("thead", {}, h("tr", {}, columns, h("th"))), h("tbody", {}, shown.map(row))), more);
  }

  function row(finding) {
    return h(
      "tr",
      {},
      h("td", {}, h("span", { class: `chip severity-${finding.severity}`, text: t(`severity.${finding.severity}`) }), h("small", { text: finding.code })),
      h("td", { class: "finding-text" }, said(finding)),
      h("td", { text: [finding.channel, finding.location, finding.about].filter(Boolean).join(" · ") }),
      h("td", {}, dateTime(finding.found_at), finding.times > 1 && h("small", { text: t("findings.times", { times: finding.times }) })),
      h("td", { class: "c-action" }, h("button", { text: t("findings.settle"), on: { click: () => settle(finding) } })),
    );
  }

  function said(finding) {
    const short = meaning(finding.code);
    return short === "" ? [finding.text] : [h("div", { text: short }), h("small", { text: finding.text })];
  }

  async function settle(finding) {
    const settlement = await askFor(t("findings.settle"), t("findings.settlement"), t("findings.settle"), t("findings.settlement"));
    if (settlement === null) return;
    try {
      await post(`/api/findings/${finding.id}/settle`, { settlement });
      tell(t("findings.settled"));
    } catch (error) {
      tellRefusal(error);
    }
    load();
  }

  load();
  return { element };
}
