// What is missing of one study, who counted it, and what can be done? Its series as bars, its missing instances by name.

import { Refused, getUnless, post } from "./api.js";
import { bar, colourOf, countOf, isEmpty, wordOf } from "./completeness.js";
import { askFor, confirm } from "./dialogs.js";
import { fill, h } from "./elements.js";
import { personName } from "./names.js";
import { tell, tellRefusal } from "./notices.js";
import { dateTime, waited } from "./times.js";
import { t } from "./words.js";

const NO_STUDY = [404, 422]; // the address may hold anything
const BY_NUMBER = new Intl.Collator("en", { numeric: true }); // image 9 before image 10
const NAMED = 8; // missing instances that are shown before somebody asks for all of them

/** `changed` is called after an act; `close` when a person has seen enough. */
export function studyStanding({ changed, close }) {
  let chosen = null;
  let tag = null;
  const element = h("div", { class: "standing", hidden: true });

  function show(study) {
    if (chosen !== null && chosen.uid === study.uid && chosen.facility === study.facility) return refresh();
    chosen = study;
    tag = null;
    element.hidden = false;
    element.scrollTop = 0;
    fill(element, h("p", { class: "empty", text: t("loading") }));
    return refresh();
  }

  function hide() {
    chosen = null;
    element.hidden = true;
    fill(element);
  }

  /** Looks again; what a person has unfolded stays while nothing changed. */
  async function refresh() {
    const mine = chosen;
    try {
      const fresh = await getUnless(tag, `${pathOf(mine)}/at/${encodeURIComponent(mine.facility)}`);
      if (mine !== chosen || fresh === null) return;
      tag = fresh.tag;
      draw(fresh.body);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (mine !== chosen) return;
      if (NO_STUDY.includes(error.status)) fill(element, h("p", { class: "empty", text: t("study.unknown") }), h("p", { class: "mono center", text: mine.uid }));
      else if (error.status !== 0) tellRefusal(error);
    }
  }

  function draw(standing) {
    const { study } = standing;
    const { name, latin } = personName(study.patient_name);
    fill(
      element,
      h("header", { class: "standing-head" },
        h("div", {}, h("h2", {}, name || t("reconcile.nobody"), latin && h("small", { text: ` ${latin}` })), h("small", { class: "mono block", text: study.uid })),
        h("button", { class: "standing-close", "aria-label": t("close"), title: t("close"), text: "×", on: { click: close } })),
      h("p", { class: `verdict ${colourOf(study)}` }, h("b", { text: wordOf(study) }), h("span", { text: sentenceOf(standing) })),
      facts(standing),
      h("p", { class: "row-actions" },
        study.missing > 0 && h("button", { text: t("study.waive"), on: { click: () => waive(standing) } }),
        standing.asks && h("button", { text: t("study.ask"), on: { click: () => ask(standing) } }),
        h("a", { class: "go", href: `#/reconcile/${study.facility}/${study.uid}`, text: t("tab.reconcile") }),
        h("a", { class: "go", href: `#/trace/${study.uid}`, text: t("tab.trace") })),
      transfers(standing.transfers),
      series(standing),
      counted(standing),
    );
  }

  function facts({ study, facility_name, asked_at }) {
    const fact = (key, value) => value && [h("dt", { text: t(key) }), h("dd", {}, value)];
    return h("dl", { class: "facts" }, [
      fact("studies.facility", facility_name || study.facility),
      fact("study.peer", study.peer && h("span", { class: "mono", text: study.peer })),
      fact("list.accession", study.accession && h("span", { class: "mono", text: study.accession })),
      fact("reconcile.patient_id", study.patient_id && h("span", { class: "mono", text: study.patient_id })),
      fact("study.last", study.last_stored_at && dateTime(study.last_stored_at)),
      fact("study.since", `${dateTime(study.since)} · ${waited(study.since)}`),
      fact("study.asked", asked_at && dateTime(asked_at)),
    ].filter(Boolean).flat());
  }

  function transfers(all) {
    if (all.length === 0) return null;
    const one = (line) => {
      const percent = line.total_bytes === 0 ? 100 : Math.floor((100 * line.done_bytes) / line.total_bytes);
      return h(
        "li",
        { class: "transfer" },
        h("div", {}, h("b", { text: t(`transfer.${line.direction}`, { peer: line.peer }) }), h("span", { class: `chip transfer-${line.state}`, text: t(`transfer.${line.state}`) })),
        h("progress", { max: 100, value: String(percent), "aria-label": t("transfer.far") }),
        h("small", { text: t("transfer.figures", { percent, done: megabytes(line.done_bytes), total: megabytes(line.total_bytes), objects: line.objects, time: dateTime(line.updated_at) }) }),
      );
    };
    return h("section", {}, h("h3", { text: t("transfer.heading") }), h("ul", { class: "proposals" }, all.map(one)));
  }

  function series({ series: all, study, announced }) {
    const most = Math.max(...all.map((one) => one.instances + missingOf(one)), 1);
    const named = all.reduce((sum, one) => sum + one.missing.length, 0);
    const row = (one) => h(
      "li",
      { class: `manifest${missingOf(one) > 0 ? " lacks" : ""}` },
      h("div", { class: "manifest-head" },
        h("b", { text: nameOf(one) }),
        h("span", { class: "manifest-bar", style: `width: ${Math.max(6, (100 * (one.instances + missingOf(one))) / most)}%` }, bar(one.instances, one.announced, missingOf(one))),
        h("span", { class: "manifest-count", text: countOf({ ...one, missing: missingOf(one) }) }),
        missingOf(one) > 0 && h("span", { class: "chip study-short", text: t("complete.short", { n: missingOf(one) }) })),
      names(one.missing),
    );
    return h(
      "section",
      { class: "by-series" },
      h("h3", {}, t("study.series"), announced.length > 0 && h("small", { class: "legend" }, h("i", { class: "came" }), t("study.came"), h("i", { class: "missing" }), t("study.missing"))),
      all.length > 0 ? h("ul", { class: "proposals" }, all.map(row)) : h("p", { class: "hint", text: t("study.nothing") }),
      study.missing > named && h("p", { class: "hint warn", text: t(named === 0 ? "study.unnamed" : "study.unnamed.some", { count: study.missing - named }) }),
    );
  }

  /** Missing instances by name, to be read out or pasted to whoever has them. */
  function names(uids) {
    if (uids.length === 0) return null;
    const missing = [...uids].sort(BY_NUMBER.compare);
    const list = (some) => h("pre", { class: "uids", text: some.join("\n") });
    if (missing.length <= NAMED) return list(missing);
    const rest = missing.slice(NAMED);
    return [list(missing.slice(0, NAMED)), h("details", {}, h("summary", { text: t("study.named.more", { count: rest.length }) }), list(rest))];
  }

  function counted({ announced, waived }) {
    const said = (one) => h("tr", {}, h("td", {}, h("b", { text: t(`source.${one.source}`) })), h("td", { class: "mono", text: one.said_by }), h("td", { text: [one.named > 0 && t("study.said.named", { count: one.named }), one.counted !== null && t("study.said.counted", { count: one.counted })].filter(Boolean).join(t("comma")) }), h("td", { text: one.waived > 0 ? t("study.said.waived", { count: one.waived }) : "" }), h("td", { class: "nowrap", text: dateTime(one.said_at) }));
    const will = (one) => h("div", { class: "said" }, h("b", { text: t("study.waived") }), h("small", { text: ` ${one.by} · ${dateTime(one.at)}` }), h("div", {}, h("small", { text: one.why })));
    return h(
      "section",
      {},
      h("h3", { text: t("study.counted") }),
      announced.length > 0 ? h("table", { class: "counted" }, h("tbody", {}, announced.map(said))) : h("p", { class: "hint", text: t("study.counted.none") }),
      waived.map(will),
    );
  }

  async function waive({ study }) {
    const why = await askFor(t("study.waive"), `${t("study.waive.hint", { count: study.missing })} ${t("reason")}`, t("study.waive"), t("reason.missing"));
    if (why !== null) await act(study, "waive", { why }, "study.waive.done");
  }

  async function ask({ study }) {
    if (await confirm(t("study.ask"), t("study.ask.hint", { peer: study.peer.split("@")[0] }), t("study.ask"))) await act(study, "ask", {}, "study.ask.done");
  }

  async function act(study, action, body, done) {
    try {
      await post(`${pathOf(study)}/${action}`, { ...body, facility: study.facility });
      tell(t(done));
    } catch (error) {
      tellRefusal(error);
    }
    changed();
  }

  return { element, show, hide, refresh };
}

function missingOf(series) {
  return Math.max(series.missing.length, series.announced - series.instances, 0);
}

function sentenceOf({ study, announced }) {
  if (isEmpty(study)) return t("study.says.empty");
  if (study.missing > 0) return t("study.says.short", { instances: study.instances, missing: study.missing });
  if (study.state === "whole" && announced.length === 0) return t("study.says.quiet", { instances: study.instances });
  return t(`study.says.${study.state}`, { instances: study.instances });
}

function nameOf(series) {
  if (series.uid === "") return t("study.series.unknown");
  const name = `${series.modality} ${series.number ?? ""} ${series.description}`.trim().replace(/\s+/g, " ");
  return name || `…${series.uid.slice(-16)}`;
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

function pathOf(study) {
  return `/api/studies/${encodeURIComponent(study.uid)}`;
}
