// Which part of a study is meant? Series and single images as pictures, chosen to be split off or rejected.

import { picture } from "./api.js";
import { inform } from "./dialogs.js";
import { h } from "./elements.js";
import { tellRefusal } from "./notices.js";
import { t } from "./words.js";

const TOGETHER = 60; // tiles that are added at once: a series of a thousand images stays quick

/** `{element, chosen()}`; `onSplit` and `onReject` are called with {series: [uid, …], instances: [uid, …], words}. */
export function partsOf(study, thumbnails, { onSplit, onReject }) {
  const series = new Map(study.series.map((one) => [one.uid, { one, whole: false, instances: new Set(), draw: () => {} }]));
  const count = h("b", { class: "chosen-count", "aria-live": "polite" });
  const split = h("button", { class: "primary", text: t("reconcile.split"), on: { click: () => onSplit(chosen()) } });
  const reject = h("button", { class: "danger", text: t("reconcile.reject.chosen"), on: { click: () => onReject(chosen()) } });
  const none = h("button", { text: t("reconcile.chosen.clear"), on: { click: clear } });
  const bar = h("div", { class: "chosen-bar" }, count, h("span", { class: "space" }), none, split, reject);
  const element = h("section", { class: "parts" }, h("h3", {}, t("reconcile.series"), h("small", { text: ` ${t("reconcile.series.hint")}` })), [...series.values()].map(row), bar);
  drawBar();

  function row(entry) {
    const { one } = entry;
    const box = h("input", { type: "checkbox", "aria-label": t("reconcile.series.choose", { name: nameOf(one) }), on: { change: () => chooseWhole(entry, box.checked) } });
    const tiles = h("div", { class: "tiles", hidden: true });
    const open = h("button", { class: "plain-link", "aria-expanded": "false", hidden: one.instances.length === 0, on: { click: () => toggle(entry, tiles, open) } }, t("reconcile.images.show", { count: one.count }));
    entry.draw = () => {
      box.checked = entry.whole;
      box.indeterminate = !entry.whole && entry.instances.size > 0;
      for (const tile of tiles.querySelectorAll(".tile")) drawTile(entry, tile);
    };
    return h(
      "div",
      { class: "series" },
      h("label", { class: "series-head" }, box, thumbnails.of(`${pathOf(study.study_uid)}/series/${encodeURIComponent(one.uid)}/thumbnail`, one.modality), h("span", { class: "series-what" }, h("b", { text: nameOf(one) }), h("small", { class: "block", text: [t("reconcile.objects", { count: one.count }), one.patients.join("; ")].filter(Boolean).join(" · ") }))),
      open,
      tiles,
    );
  }

  function toggle(entry, tiles, open) {
    tiles.hidden = !tiles.hidden;
    open.setAttribute("aria-expanded", String(!tiles.hidden));
    open.textContent = t(tiles.hidden ? "reconcile.images.show" : "reconcile.images.hide", { count: entry.one.count });
    if (tiles.childElementCount === 0) addTiles(entry, tiles, 0);
  }

  function addTiles(entry, tiles, from) {
    const { instances } = entry.one;
    tiles.querySelector(".tiles-more")?.remove();
    tiles.append(...instances.slice(from, from + TOGETHER).map((instance, at) => tile(entry, instance, from + at)));
    const left = instances.length - from - TOGETHER;
    if (left > 0) tiles.append(h("button", { class: "tiles-more", text: t("reconcile.images.more", { count: left }), on: { click: () => addTiles(entry, tiles, from + TOGETHER) } }));
  }

  function tile(entry, instance, at) {
    const number = String(instance.number ?? at + 1);
    const path = `${pathOf(study.study_uid)}/series/${encodeURIComponent(entry.one.uid)}/instances/${encodeURIComponent(instance.sop_uid)}`;
    const box = h("input", { type: "checkbox", "aria-label": t("reconcile.image.choose", { number }), on: { change: () => chooseOne(entry, instance.sop_uid, box.checked) } });
    const larger = h("button", { class: "tile-larger", title: t("reconcile.image.larger"), "aria-label": t("reconcile.image.larger"), text: "⤢", on: { click: () => enlarge(path, `${nameOf(entry.one)} · ${number}`) } });
    const who = entry.one.patients.length > 1 ? instance.patient_name || instance.patient_id : "";
    const element = h("div", { class: "tile", data: { sop: instance.sop_uid } }, h("label", { title: instance.sop_uid }, thumbnails.of(`${path}/thumbnail`, entry.one.modality), box, h("span", { class: "tile-number", text: number }), who && h("small", { class: "tile-who", text: who })), larger);
    drawTile(entry, element);
    return element;
  }

  function drawTile(entry, element) {
    const isChosen = entry.whole || entry.instances.has(element.dataset.sop);
    element.classList.toggle("chosen", isChosen);
    element.querySelector("input").checked = isChosen;
  }

  function chooseWhole(entry, isChosen) {
    entry.whole = isChosen;
    entry.instances.clear();
    entry.draw();
    drawBar();
  }

  /** A series that was chosen whole and loses one image is its other images from then on. */
  function chooseOne(entry, sop, isChosen) {
    if (entry.whole) entry.one.instances.forEach((instance) => entry.instances.add(instance.sop_uid));
    entry.whole = false;
    if (isChosen) entry.instances.add(sop);
    else entry.instances.delete(sop);
    entry.draw();
    drawBar();
  }

  function clear() {
    for (const entry of series.values()) chooseWhole(entry, false);
  }

  function chosen() {
    const entries = [...series.values()];
    return {
      series: entries.filter((entry) => entry.whole).map((entry) => entry.one.uid),
      instances: entries.flatMap((entry) => [...entry.instances]),
      words: entries.filter((entry) => entry.whole || entry.instances.size > 0).map((entry) => (entry.whole ? t("reconcile.chosen.series", { name: nameOf(entry.one), count: entry.one.count }) : t("reconcile.chosen.images", { name: nameOf(entry.one), count: entry.instances.size }))),
    };
  }

  function drawBar() {
    const entries = [...series.values()];
    const number = entries.reduce((sum, entry) => sum + (entry.whole ? entry.one.count : entry.instances.size), 0);
    bar.hidden = number === 0;
    count.textContent = t("reconcile.chosen", { count: number });
    split.disabled = number === entries.reduce((sum, entry) => sum + entry.one.count, 0); // nothing would stay
  }

  return { element };
}

async function enlarge(path, heading) {
  try {
    const { blob } = await picture(`${path}/rendered`);
    const url = URL.createObjectURL(blob);
    await inform(heading, h("img", { class: "enlarged", src: url, alt: "" }));
    URL.revokeObjectURL(url);
  } catch (error) {
    tellRefusal(error);
  }
}

function nameOf(series) {
  return `${series.modality} ${series.number} ${series.description}`.trim().replace(/\s+/g, " ") || t("unknown");
}

function pathOf(uid) {
  return `/dicomweb/studies/${encodeURIComponent(uid)}`;
}
