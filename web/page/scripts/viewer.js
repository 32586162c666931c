// How is a picture looked at? Window, pan, zoom, turn and page through the images of a study.

import { Refused, picture } from "./api.js";
import { fill, h } from "./elements.js";
import { t } from "./words.js";

const KEPT = 48; // pictures kept in memory: a few series of a CT, at most some hundred megabytes
const ZOOM_STEP = 1.15;
const MOST_ZOOM = 20;
const LEAST_ZOOM = 0.05;
const WINDOW_PER_PIXEL = 1 / 400; // of the window's width, so that one sweep over the screen covers it
const GREYS = { center: 127.5, width: 255 }; // of a picture whose window the hub did not say: its own 256 greys
const CT_WINDOWS = { lung: { center: -600, width: 1500 }, mediastinum: { center: 40, width: 400 }, bone: { center: 500, width: 2000 }, brain: { center: 40, width: 80 } };
const SVG = "http://www.w3.org/2000/svg";
const CANNOT_BE_SHOWN = new Set(["not-renderable", "decoder-died"]); // asking again would change nothing

export function createViewer() {
  let images = [];
  let at = 0;
  let tool = "window";
  let loading = null;
  let isDrawing = false; // an ECG on paper: it says itself whose it is, and has no greys to window
  let view = blank();
  const kept = new Map();

  const stretch = stretcher();
  const img = h("img", { class: "picture", alt: "", draggable: "false" });
  const message = h("div", { class: "view-message", hidden: true });
  const corners = { tl: h("div", { class: "corner tl" }), tr: h("div", { class: "corner tr" }), bl: h("div", { class: "corner bl" }), br: h("div", { class: "corner br" }) };
  const stage = h("div", { class: "stage", tabindex: "-1" }, stretch.element, img, ...Object.values(corners), message);
  const strip = h("div", { class: "strip" });
  const tools = h("div", { class: "view-tools", role: "toolbar" });
  const element = h("section", { class: "viewer" }, strip, h("div", { class: "view-main" }, tools, stage));

  /**
   * `window`: the one asked of the hub, null for the hub's own choice. `shown`: the one the picture was rendered with, and
   * `live` the one it is stretched to on the screen, both in values of the image, or in greys where the hub said nothing.
   */
  function blank() {
    return { scale: 1, x: 0, y: 0, turn: 0, invert: false, fitted: true, window: null, shown: GREYS, live: null };
  }

  /** `pictures`: [{path, label, group, caption: [line, …]}], one after another; shows the first. */
  function show(pictures) {
    const same = pictures.length === images.length && pictures.every((one, n) => one.path === images[n].path);
    if (same) return;
    const path = images[at]?.path;
    images = pictures;
    at = Math.max(0, images.findIndex((one) => one.path === path));
    drawStrip();
    drawTools();
    go(at, true);
  }

  async function go(index, force = false) {
    if (images.length === 0) {
      img.hidden = true;
      return say(t("view.none"));
    }
    const target = Math.min(images.length - 1, Math.max(0, index));
    if (target === at && !force) return;
    const sameSeries = images[at]?.group === images[target].group;
    at = target;
    if (!sameSeries || force) view = blank();
    markStrip();
    drawTools();
    await load();
    for (const neighbour of [at + 1, at - 1]) if (images[neighbour]?.group === images[at].group) fetchPicture(images[neighbour].path).catch(() => {});
  }

  async function load() {
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    const path = withWindow(images[at].path);
    const slow = setTimeout(() => say(t("loading")), 150);
    try {
      const fetched = await fetchPicture(path, signal);
      if (signal.aborted) return;
      const { url, own } = fetched;
      isDrawing = fetched.isDrawing;
      drawTools();
      img.src = url;
      await img.decode();
      if (signal.aborted) return;
      const before = view.shown;
      view.shown = view.window ?? own ?? GREYS;
      if (view.shown !== GREYS || before !== GREYS) view.live = null;
      img.hidden = false;
      quiet();
      if (view.fitted) fit();
      else draw();
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      img.hidden = true;
      if (CANNOT_BE_SHOWN.has(error.code)) say(t("view.unshowable"));
      else say(t("view.failed"), h("button", { text: t("view.retry"), on: { click: load } }));
      if (!(error instanceof Refused) && error.name !== "EncodingError") throw error;
    } finally {
      clearTimeout(slow);
    }
  }

  function withWindow(path) {
    return view.window === null ? path : `${path}?window=${view.window.center.toFixed(1)},${view.window.width.toFixed(1)}`;
  }

  function fetchPicture(path, signal) {
    const known = kept.get(path);
    if (known) {
      kept.delete(path);
      kept.set(path, known);
      return known;
    }
    const fetched = picture(path, signal).then(({ blob, headers }) => ({ url: URL.createObjectURL(blob), own: ownWindow(headers), isDrawing: blob.type.startsWith("image/svg") }));
    kept.set(path, fetched);
    fetched.catch(() => kept.delete(path));
    if (kept.size > KEPT) {
      const [oldest, dropped] = kept.entries().next().value;
      kept.delete(oldest);
      dropped.then(({ url }) => URL.revokeObjectURL(url), () => {});
    }
    return fetched;
  }

  function ownWindow(headers) {
    const [center, width] = (headers.get("X-Window") ?? "").split(",").map(Number);
    return Number.isFinite(center) && width > 0 ? { center, width } : null;
  }

  // ── Geometry ──────────────────────────────────────────────────────────────────────────────────────────────────

  function natural() {
    return view.turn % 180 === 0 ? [img.naturalWidth, img.naturalHeight] : [img.naturalHeight, img.naturalWidth];
  }

  function fit() {
    const [width, height] = natural();
    if (!width || !stage.clientWidth) return;
    view.scale = Math.min(stage.clientWidth / width, stage.clientHeight / height);
    view.x = view.y = 0;
    view.fitted = true;
    draw();
  }

  function zoom(factor, x = 0, y = 0) {
    const scale = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, view.scale * factor));
    const by = scale / view.scale;
    view.x = x - (x - view.x) * by;
    view.y = y - (y - view.y) * by;
    view.scale = scale;
    view.fitted = false;
    draw();
  }

  function draw() {
    img.style.width = `${img.naturalWidth * view.scale}px`;
    img.style.transform = `translate(-50%, -50%) translate(${view.x}px, ${view.y}px) rotate(${view.turn}deg)`;
    stretch.to(view.shown, view.live ?? view.shown);
    img.style.filter = [view.live && "url(#stretch)", view.invert && "invert(1)"].filter(Boolean).join(" ") || "none";
    img.style.imageRendering = view.scale > 3 ? "pixelated" : "auto";
    const image = images[at];
    const inSeries = images.filter((one) => one.group === image.group);
    corners.tl.classList.toggle("earlier", image.isEarlier);
    stage.classList.toggle("paper", isDrawing);
    fill(corners.tl, image.caption.map((line) => h("div", { text: line })));
    fill(corners.tr, h("div", { text: image.label }), h("div", { text: t("view.image", { n: inSeries.indexOf(image) + 1, total: inSeries.length }) }));
    const window = view.live ?? view.shown;
    fill(corners.bl, view.shown !== GREYS && h("div", { text: `WL ${Math.round(window.center)}  WW ${Math.round(window.width)}` }));
    fill(corners.br, h("div", { text: `${Math.round(view.scale * 100)}%` }));
  }

  // ── Mouse ─────────────────────────────────────────────────────────────────────────────────────────────────────

  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("dblclick", fit);
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const stack = images.filter((one) => one.group === images[at]?.group).length > 1;
    if (stack && !event.ctrlKey) return page(event.deltaY > 0 ? 1 : -1);
    const box = stage.getBoundingClientRect();
    zoom(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    if (img.hidden || event.target.tagName === "BUTTON") return;
    event.preventDefault();
    stage.focus();
    stage.setPointerCapture(event.pointerId);
    const used = event.button === 1 ? "pan" : event.button === 2 ? "zoom" : usedTool();
    const start = { x: event.clientX, y: event.clientY, view: { ...view }, window: view.live ?? view.shown };
    const moved = (move) => drag(used, start, move.clientX - start.x, move.clientY - start.y);
    const ended = () => {
      stage.removeEventListener("pointermove", moved);
      if (used === "window") settleWindow();
    };
    stage.addEventListener("pointermove", moved);
    stage.addEventListener("lostpointercapture", ended, { once: true });
  });

  function drag(used, start, dx, dy) {
    if (used === "pan") {
      view.x = start.view.x + dx;
      view.y = start.view.y + dy;
      view.fitted = false;
      draw();
    } else if (used === "zoom") {
      view.scale = start.view.scale;
      view.x = start.view.x;
      view.y = start.view.y;
      zoom(Math.exp(-dy / 200));
    } else {
      windowBy(start.window, dx, dy);
    }
  }

  function windowBy(from, dx, dy) {
    const width = Math.max(1, from.width * Math.exp(dx * WINDOW_PER_PIXEL * 2));
    view.live = { width, center: from.center + dy * WINDOW_PER_PIXEL * from.width };
    draw();
  }

  /** While dragging the picture that is there is stretched; when the drag ends the hub renders the true values. */
  function settleWindow() {
    if (view.live === null || view.shown === GREYS) return;
    view.window = view.live;
    load();
  }

  function choose(window) {
    view.window = window;
    load();
  }

  function page(step) {
    const next = images[at + step];
    if (next && next.group === images[at].group) go(at + step);
  }

  // ── Tools, thumbnails, messages ───────────────────────────────────────────────────────────────────────────────

  const actions = {
    fit: () => fit(),
    actual: () => { view.scale = 1; view.x = view.y = 0; view.fitted = false; draw(); },
    invert: () => { view.invert = !view.invert; draw(); drawTools(); },
    rotate: () => { view.turn = (view.turn + 90) % 360; view.fitted ? fit() : draw(); },
    reset: () => { const { window, shown } = view; view = { ...blank(), shown }; window === null ? fit() : load(); drawTools(); },
    previous: () => go(at - 1),
    next: () => go(at + 1),
  };

  function drawTools() {
    const button = (name, key, pressed, listener) =>
      h("button", { class: "tool", title: `${t(`view.${name}`)} (${key})`, "aria-pressed": pressed === null ? null : String(pressed), data: { tool: name }, on: { click: listener } }, t(`view.${name}`));
    const chooser = (name, key) => button(name, key, usedTool() === name, () => { tool = name; drawTools(); });
    fill(
      tools,
      !isDrawing && chooser("window", "W"), chooser("pan", "P"), chooser("zoom", "Z"), h("i"),
      button("fit", "F", null, actions.fit), button("actual", "1", null, actions.actual), !isDrawing && button("invert", "I", view.invert, actions.invert), button("rotate", "O", null, actions.rotate), button("reset", "R", null, actions.reset),
      images[at]?.modality === "CT" && h("i"),
      images[at]?.modality === "CT" && Object.entries(CT_WINDOWS).map(([name, window]) => button(name, `W ${window.width} L ${window.center}`, null, () => choose(window))),
      images.length > 1 && h("i"),
      images.length > 1 && button("previous", "←", null, actions.previous),
      images.length > 1 && button("next", "→", null, actions.next),
    );
    stage.dataset.tool = usedTool();
  }

  function usedTool() {
    return isDrawing && tool === "window" ? "pan" : tool;
  }

  function drawStrip() {
    const groups = new Map();
    images.forEach((image, index) => { if (!groups.has(image.group)) groups.set(image.group, { image, index, total: 0 }); groups.get(image.group).total += 1; });
    strip.hidden = groups.size < 2;
    fill(strip, [...groups.values()].map(({ image, index, total }) => {
      const thumbnail = h("img", { alt: "", draggable: "false" });
      if (groups.size > 1) fetchPicture(image.path).then(({ url }) => { thumbnail.src = url; }, () => {});
      return h("button", { class: image.isEarlier ? "thumbnail earlier" : "thumbnail", data: { group: image.group }, on: { click: () => go(index) } }, thumbnail, h("span", { text: image.label }), h("small", { text: String(total) }));
    }));
  }

  function markStrip() {
    for (const one of strip.children) one.setAttribute("aria-current", String(one.dataset.group === images[at].group));
  }

  function say(text, ...more) {
    fill(message, h("p", { text }), more);
    message.hidden = false;
  }

  function quiet() {
    message.hidden = true;
  }

  const resized = new ResizeObserver(() => { if (view.fitted && !img.hidden) fit(); });
  resized.observe(stage);
  const letters = { f: "fit", 1: "actual", i: "invert", o: "rotate", r: "reset", arrowleft: "previous", arrowright: "next", pageup: "previous", pagedown: "next" };
  const choosers = { w: "window", p: "pan", z: "zoom" };

  function keys(event) {
    const key = event.key.toLowerCase();
    if (choosers[key]) {
      tool = choosers[key];
      drawTools();
      return true;
    }
    if (!letters[key] || images.length === 0) return false;
    actions[letters[key]]();
    return true;
  }

  function close() {
    resized.disconnect();
    loading?.abort();
    for (const one of kept.values()) one.then(({ url }) => URL.revokeObjectURL(url), () => {});
  }

  img.hidden = true;
  drawTools();
  return { element, show, goToEarlier: () => go(images.findIndex((image) => image.isEarlier)), keys, close };
}

/** Stretches a picture from the window it was rendered with to another one, exactly as far as its greys go. */
function stretcher() {
  const functions = ["feFuncR", "feFuncG", "feFuncB"].map((name) => {
    const one = document.createElementNS(SVG, name);
    one.setAttribute("type", "linear");
    return one;
  });
  const transfer = document.createElementNS(SVG, "feComponentTransfer");
  transfer.append(...functions);
  const filter = document.createElementNS(SVG, "filter");
  filter.id = "stretch";
  filter.setAttribute("color-interpolation-filters", "sRGB");
  filter.append(transfer);
  const element = document.createElementNS(SVG, "svg");
  element.setAttribute("class", "filters-only");
  element.append(filter);
  const low = (window) => window.center - window.width / 2;
  const to = (from, wanted) => {
    for (const one of functions) {
      one.setAttribute("slope", from.width / wanted.width);
      one.setAttribute("intercept", (low(from) - low(wanted)) / wanted.width);
    }
  };
  return { element, to };
}
