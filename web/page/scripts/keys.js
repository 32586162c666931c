// Which keys are there? The dialog that lists them.

import { inform } from "./dialogs.js";
import { h } from "./elements.js";
import { t } from "./words.js";

const WORKLIST = [["↑ ↓", "keys.select"], ["Enter", "keys.open"], ["C", "keys.claim"], ["/", "keys.search"]];
const CASE = [
  ["C", "keys.claim"],
  ["E", "keys.write"],
  ["Ctrl Enter", "keys.proceed"],
  ["Ctrl S", "keys.save"],
  ["W P Z", "keys.tools"],
  ["F I O R", "keys.view"],
  ["← →", "keys.images"],
  ["Esc", "keys.back"],
];

export function showKeys() {
  const rows = (keys) =>
    h("dl", { class: "keys" }, keys.map(([key, words]) => [h("dt", {}, key.split(" ").map((k) => h("kbd", { text: k }))), h("dd", { text: t(words) })]).flat());
  inform(
    t("keys.heading"),
    h("div", { class: "keys-columns" }, h("section", {}, h("h3", { text: t("keys.worklist") }), rows(WORKLIST)), h("section", {}, h("h3", { text: t("keys.case") }), rows(CASE))),
    h("p", { class: "hint", text: t("keys.mouse") }),
  );
}
