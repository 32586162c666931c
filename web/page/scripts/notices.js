// How is a person told what just happened? A line at the bottom for successes, one that stays longer for refusals.

import { Refused } from "./api.js";
import { fill, h } from "./elements.js";
import { refusal, t } from "./words.js";

const SHOWN_MS = { good: 3500, bad: 9000 };

export function tell(text) {
  show(text, "good");
}

/** Tells a refusal; errors of the page itself go on to the console. */
export function tellRefusal(error) {
  if (!(error instanceof Refused)) throw error;
  show(refusal(error.code), "bad");
}

function show(text, kind) {
  const close = h("button", { class: "notice-close", "aria-label": t("close"), text: "×", on: { click: () => notice.remove() } });
  const notice = h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null }, h("span", { text }), close);
  fill(document.getElementById("notices"), notice);
  setTimeout(() => notice.remove(), SHOWN_MS[kind]);
}
