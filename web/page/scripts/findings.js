// What should a person settle? The open findings, for those who run the hub.

import { get, post } from "./api.js";
import { askFor } from "./dialogs.js";
import { fill, h } from "./elements.js";
import { meaning } from "./meanings.js";
import { tell, tellRefusal } from "./notices.js";
import { dateTime } from "./times.js";
import { t } from "./words.js";

export function findingsPage() {
  const element = h("section", { class: "findings" }, h("p", { class: "empty", text: t("loading") }));

  async function load() {
    try {
      draw((await get("/api/findings?state=open")).findings);
    } catch (error) {
      fill(element);
      tellRefusal(error);
    }
  }

  function draw(findings) {
    if (findings.length === 0) return fill(element, h("p", { class: "empty", text: t("findings.empty") }));
    const columns = ["code", "text", "place", "found"].map((column) => h("th", { text: t(`findings.${column}`) }));
    fill(element, h("div", { class: "list-frame" }, h("table", {}, h("thead", {}, h("tr", {}, columns, h("th"))), h("tbody", {}, findings.map(row)))));
  }

  function row(finding) {
    return h(
      "tr",
      {},
      h("td", {}, h("span", { class: `chip severity-${finding.severity}`, text: t(`severity.${finding.severity}`) }), h("small", { text: finding.code })),
      h("td", { class: "finding-text" }, said(finding)),
      h("td", { text: [finding.channel, finding.location, finding.about].filter(Boolean).join(" · ") }),
      h("td", { text: dateTime(finding.found_at) }),
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
