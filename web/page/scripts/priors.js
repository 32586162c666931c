// What else was found before? The signed reports of the same person, from every facility of the community.

import { h } from "./elements.js";
import { dateTime } from "./times.js";
import { t } from "./words.js";

/** `choose(id)` shows the pictures of an earlier report beside the present ones; null puts them away. */
export function priorsOf(priors, chosen, choose) {
  if (priors.length === 0) return h("p", { class: "empty", text: t("case.noPriors") });
  return h("div", { class: "priors" }, priors.map((prior) => one(prior, prior.id === chosen, choose)));
}

function one(prior, isChosen, choose) {
  const when = prior.observed_at ?? prior.issued_at;
  const hasPictures = prior.studies.some((study) => study.series.length > 0);
  return h(
    "article",
    { class: isChosen ? "prior chosen" : "prior" },
    h("header", {}, h("b", { text: prior.procedure }), h("small", { text: [when && dateTime(when), prior.facility.name].filter(Boolean).join(" · ") })),
    part("report.observed", prior.observed),
    part("report.conclusion", prior.conclusion),
    hasPictures && h("button", { "aria-pressed": String(isChosen), text: isChosen ? t("close") : t("case.open"), on: { click: () => choose(isChosen ? null : prior.id) } }),
  );
}

function part(key, text) {
  return text ? h("div", { class: "prior-part" }, h("small", { text: t(key) }), h("p", { text })) : null;
}
