// How far has an examination come? Its stages at a glance, and every step with its time and person.

import { h } from "./elements.js";
import { dateTime } from "./times.js";
import { t } from "./words.js";

const STAGES = ["claimed", "preliminary", "reviewed", "signed", "returned"];

export function stages(state) {
  if (state === "cancelled") return null;
  const at = STAGES.indexOf(state);
  return h("ol", { class: "stages" }, STAGES.map((stage, n) => h("li", { class: n < at || state === "returned" ? "done" : n === at ? "now" : "", text: t(`stage.${stage}`) })));
}

export function courseOf(view) {
  return h(
    "div",
    { class: "course" },
    h("ol", { class: "steps" }, view.steps.map(step)),
    view.returns.length > 0 && h("h3", { text: t("course.returns") }),
    view.returns.length > 0 && h("ol", { class: "steps" }, view.returns.map(delivery)),
  );
}

function step(one) {
  const who = one.display ? [one.display, one.facility].filter(Boolean).join(" · ") : t("course.system");
  return h("li", {}, h("time", { text: dateTime(one.at) }), h("b", { text: t(`step.${one.action}`) }), h("span", { text: who }), one.comment && h("p", { text: one.comment }));
}

function delivery(one) {
  return h(
    "li",
    { class: `return-${one.state}` },
    h("time", { text: dateTime(one.delivered_at ?? one.created_at) }),
    h("b", { text: one.endpoint }),
    h("span", { text: t(`return.${one.state}`, { attempts: one.attempts }) }),
    one.last_error && h("p", { text: one.last_error }),
  );
}
