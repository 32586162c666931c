// How is a picture shown small? Loaded when it comes into view, a few at a time, and given back when its view closes.

import { Refused, picture } from "./api.js";
import { h } from "./elements.js";

const AT_ONCE = 4; // each costs the hub a decoded image the first time
const AHEAD = "160px";

export function createThumbnails() {
  const waiting = [];
  const urls = [];
  let loading = 0;
  let gone = new AbortController();
  const observer = new IntersectionObserver(
    (seen) => {
      for (const { target, isIntersecting } of seen) {
        if (!isIntersecting) continue;
        observer.unobserve(target);
        waiting.push(target);
      }
      next();
    },
    { rootMargin: AHEAD },
  );

  /** An element that shows `words` until there is a picture, and where there is none: a report has no pixels. */
  function of(path, words) {
    const frame = h("span", { class: "thumb", data: { path } }, h("span", { class: "thumb-words", text: words }));
    observer.observe(frame);
    return frame;
  }

  function next() {
    while (loading < AT_ONCE && waiting.length > 0) {
      const frame = waiting.shift();
      if (frame.isConnected) load(frame, gone.signal);
    }
  }

  async function load(frame, signal) {
    loading += 1;
    try {
      const { blob } = await picture(frame.dataset.path, signal);
      if (signal.aborted) return;
      const url = URL.createObjectURL(blob);
      urls.push(url);
      frame.replaceChildren(h("img", { src: url, alt: "", draggable: "false" }));
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof Refused)) throw error;
    } finally {
      loading -= 1;
      next();
    }
  }

  /** Gives back what was loaded: another study is shown, or none. */
  function clear() {
    gone.abort();
    gone = new AbortController();
    observer.disconnect();
    waiting.length = 0;
    urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  }

  return { of, clear };
}
