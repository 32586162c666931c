// What does a reader see of one examination? Who it is, the pictures, and beside them the report and its course.

import { Refused, getUnless, post } from "./api.js";
import { completenessChip, modalityBadge, priorityChip, stateChip } from "./chips.js";
import { courseOf, stages } from "./course.js";
import { fill, h, isTyping } from "./elements.js";
import { tell, tellRefusal } from "./notices.js";
import { priorsOf } from "./priors.js";
import { createReport } from "./report.js";
import { age, dateTime } from "./times.js";
import { createViewer } from "./viewer.js";
import { refusal, t } from "./words.js";

const REFRESH_MS = 4000;

export function casePage(id, me) {
  let view = null;
  let tag = null;
  let timer = null;
  let closed = false;
  let written = 0; // how often: a view that was asked for before something was written is older than what is shown
  let tab = "report";
  let prior = null;

  const viewer = createViewer();
  const report = createReport({ act, save });
  const strip = h("div", { class: "patient-strip" });
  const tabs = h("div", { class: "tabs", role: "tablist" });
  const panel = h("div", { class: "panel" });
  const side = h("aside", { class: "side" }, tabs, panel);
  const element = h("section", { class: "case" }, strip, h("div", { class: "case-body" }, viewer.element, side));
  fill(strip, back(), h("span", { class: "hint", text: t("loading") }));

  // ── Loading ───────────────────────────────────────────────────────────────────────────────────────────────────

  async function load() {
    clearTimeout(timer);
    const before = written;
    try {
      const changed = await getUnless(tag, `/api/requests/${id}`);
      if (changed !== null && before === written) {
        tag = changed.tag;
        take(changed.body);
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 401 || closed) return;
      if (view === null) return fill(strip, back(), h("span", { class: "problem", text: refusal(error.code) }));
    }
    if (!closed) timer = setTimeout(load, REFRESH_MS);
  }

  function take(fresh) {
    if (closed) return;
    const before = view?.request.state;
    view = fresh;
    if (before === "signed" && fresh.request.state === "returned") tell(t("done.returned", { facility: fresh.request.facility.name }));
    drawStrip();
    drawTabs();
    drawPictures();
    report.take(fresh, me);
    drawPanel();
  }

  // ── Drawing ───────────────────────────────────────────────────────────────────────────────────────────────────

  function back() {
    return h("a", { class: "back", href: "#/", title: `${t("back")} (Esc)`, text: `‹ ${t("back")}` });
  }

  function drawStrip() {
    const { request } = view;
    const { patient } = request;
    document.title = `${request.procedure} · ${t("title")}`;
    fill(
      strip,
      back(),
      h("div", { class: "who" }, h("b", { class: "name", text: patient.name || t("unknown") }), h("span", { text: [t(`sex.${patient.sex}`), age(patient.age)].filter(Boolean).join(" · ") })),
      fact("case.born", patient.birth_on),
      fact("case.localId", patient.local_id),
      h("div", { class: "what" }, modalityBadge(request.modality), h("b", { text: request.procedure }), priorityChip(request.priority), completenessChip(request.completeness)),
      fact("list.accession", request.accession),
      fact("list.facility", request.facility.name),
      h("span", { class: "space" }),
      stages(request.state),
      stateChip(request.state),
    );
  }

  function fact(key, value) {
    return value ? h("div", { class: "fact" }, h("small", { text: t(key) }), h("span", { text: value })) : null;
  }

  function drawTabs() {
    const one = (name, count) =>
      h("button", { role: "tab", class: "side-tab", "aria-selected": String(tab === name), data: { tab: name }, on: { click: () => { tab = name; drawTabs(); drawPanel(); } } }, t(`case.${name}`), count ? h("span", { class: "count", text: String(count) }) : null);
    fill(tabs, one("report"), one("priors", view.priors.length), one("course"));
  }

  function drawPanel() {
    if (tab === "report") {
      if (panel.firstChild !== report.element) fill(panel, report.element);
    } else if (tab === "priors") {
      fill(panel, priorsOf(view.priors, prior, choosePrior));
    } else {
      fill(panel, courseOf(view));
    }
  }

  function drawPictures() {
    const earlier = prior && view.priors.find((one) => one.id === prior);
    const { accession, facility, procedure } = view.request;
    const own = pictures(view.studies, procedure, [t("view.current"), accession, facility.name]);
    if (!earlier) return viewer.show(own);
    const when = earlier.observed_at ?? earlier.issued_at;
    viewer.show([...own, ...pictures(earlier.studies, earlier.procedure, [t("view.prior"), when && dateTime(when), earlier.facility.name], true)]);
  }

  /** The name stands on every picture; what is said of the examination is that of the picture's own. */
  function pictures(studies, procedure, about, isEarlier = false) {
    const { patient } = view.request;
    const who = `${t(`sex.${patient.sex}`)} ${age(patient.age)}`.trim();
    return studies.flatMap((study) =>
      study.series.flatMap((series) =>
        series.instances.map((instance) => ({
          path: instance.rendered,
          group: series.uid,
          label: series.description || study.description || procedure || t("view.series", { n: series.number ?? "" }),
          caption: [patient.name, who, ...about].filter(Boolean),
          modality: series.modality,
          isEarlier,
        })),
      ),
    );
  }

  /** Shows the pictures of an earlier report beside the present ones, or puts them away again. */
  function choosePrior(chosen) {
    prior = chosen;
    drawPictures();
    drawPanel();
    if (prior) viewer.goToEarlier();
  }

  // ── Acting ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a step and shows what came of it; false when it was refused, with the reason told. */
  async function act(step, body, done) {
    try {
      const fresh = await post(`/api/requests/${id}/${step}`, body);
      written += 1;
      take(fresh);
      tell(t(done, { facility: fresh.request.facility.name }));
      return true;
    } catch (error) {
      tellRefusal(error);
      if (error.status === 409 || error.status === 403) load();
      return false;
    }
  }

  async function save(draft) {
    const fresh = await post(`/api/requests/${id}/draft`, draft);
    written += 1;
    return fresh;
  }

  function keys(event) {
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key === "Enter") return report.proceed();
    if (control && event.key.toLowerCase() === "s") return report.saveNow();
    if (event.key === "Escape") {
      if (isTyping(event)) event.target.blur();
      else location.hash = "#/";
      return true;
    }
    if (isTyping(event) || control || event.altKey || view === null) return false;
    if (event.key.toLowerCase() === "c") return report.claim();
    if (event.key.toLowerCase() === "e") {
      tab = "report";
      drawTabs();
      drawPanel();
      return report.focus();
    }
    return viewer.keys(event);
  }

  const leaving = (event) => {
    if (report.isDirty()) event.preventDefault();
  };
  window.addEventListener("beforeunload", leaving);
  load();
  return {
    element,
    keys,
    close: () => {
      closed = true;
      clearTimeout(timer);
      window.removeEventListener("beforeunload", leaving);
      report.close();
      viewer.close();
    },
  };
}
