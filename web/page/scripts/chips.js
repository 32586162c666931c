// How are a state, a priority and a modality shown at a glance?

import { h } from "./elements.js";
import { t } from "./words.js";

export function stateChip(state) {
  return h("span", { class: `chip state-${state}`, text: t(`state.${state}`) });
}

/** Nothing for routine: only what is urgent should catch the eye. */
export function priorityChip(priority) {
  return priority === "routine" ? null : h("span", { class: "chip urgent", text: t(`priority.${priority}`) });
}

/** Nothing for a whole study: only what a reader has to know before reading catches the eye. */
export function completenessChip(completeness) {
  if (completeness === null || completeness.state === "whole") return null;
  const words = t(`complete.${completeness.state}`, { n: completeness.missing });
  return h("span", { class: `chip complete-${completeness.state}`, text: words, title: completeness.missing_uids.join("\n") });
}

export function modalityBadge(modality) {
  return h("span", { class: "modality", text: modality || "—" });
}
