// Where did each element of a record come from? Element, value, rule and the field of the message.

import { h } from "./elements.js";
import { t } from "./words.js";

export function originTable(provenance) {
  const changed = provenance.versions.some((version) => version.mapping_changed);
  const columns = ["path", "value", "rule", "field"].map((column) => h("th", { text: t(`trace.origin.${column}`) }));
  return [
    changed && h("p", { class: "hint warn", text: t("trace.origin.changed") }),
    h("table", { class: "origin-table" }, h("thead", {}, h("tr", {}, columns)), h("tbody", {}, provenance.elements.map(row))),
  ];
}

function row(element) {
  const rules = [...new Set(element.sources.map((source) => source.rule))].join(", ");
  const names = new Set(element.sources.map((source) => segmentOf(source.field)));
  const fields = element.sources.map((source) => source.field).join(", ");
  const point = (on) => (event) => {
    const segments = event.currentTarget.closest(".envelope")?.querySelectorAll(".segments li") ?? [];
    for (const line of segments) line.classList.toggle("pointed", on && names.has(line.dataset.segment));
  };
  return h(
    "tr",
    { on: { mouseenter: point(true), mouseleave: point(false) } },
    h("td", { class: "mono", text: element.path }),
    h("td", { text: element.value }),
    h("td", { class: "mono nowrap", text: rules }),
    h("td", { class: "mono" }, fields || h("small", { text: element.actor ?? t(`said.${element.said_by}`) })),
  );
}

/** The segment of a field: OBX[2] of OBX[2]-5[1].1, and PID[1] of PID-5[1]. */
function segmentOf(field) {
  const [segment] = field.split("-");
  return segment.includes("[") ? segment : `${segment}[1]`;
}
