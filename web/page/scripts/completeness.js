// How complete is a study, or a series, at a glance? A bar, a figure and a word.

import { h } from "./elements.js";
import { t } from "./words.js";

const MISSING_SHOWN = 999;

/** What came of what was announced, as a picture; pale where nobody announced anything that it could be compared with. */
export function bar(instances, announced, missing) {
  const whole = Math.max(instances + missing, announced, 1);
  const part = (kind, number) => number > 0 && h("i", { class: kind, style: `width: ${(100 * number) / whole}%` });
  return h("span", { class: "bar", "aria-hidden": "true" }, part(announced === 0 && missing === 0 ? "came unsaid" : "came", instances), part("missing", missing));
}

export function countOf(line) {
  if (line.announced === 0 && line.missing === 0) return t("studies.came", { instances: line.instances });
  return t("studies.came-of", { instances: line.instances, announced: Math.max(line.announced, line.instances + line.missing) });
}

/** Of a study of which everything was rejected, or went to others, the state says nothing. */
export function isEmpty(line) {
  return line.instances === 0 && line.announced === 0 && line.missing === 0;
}

export function wordOf(line) {
  if (isEmpty(line)) return t("study.empty");
  if (line.state !== "short" || line.missing === 0) return t(`study.${line.state}`);
  return t("complete.short", { n: line.missing > MISSING_SHOWN ? `${MISSING_SHOWN}+` : line.missing });
}

/** The colour that goes with the word. */
export function colourOf(line) {
  return `study-${isEmpty(line) ? "empty" : line.state}`;
}
