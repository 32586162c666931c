// How is the page built? Elements whose text is always text: nothing here ever parses a value as HTML.

/**
 * An element. `attributes`: `class`, `text`, `on: {click: f}`, `data: {…}`, or any attribute or boolean property.
 * Children that are null or false are left out; strings become text.
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (key === "data") {
      Object.assign(element.dataset, value);
    } else if (key === "text") {
      element.textContent = value;
    } else if (key === "value") {
      element.value = value;
    } else {
      element.setAttribute(key, value === true ? "" : value);
    }
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child);
  }
  return element;
}

/** Puts these children in place of whatever an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Whether keys typed now are text and no shortcuts. */
export function isTyping(event) {
  const target = event.target instanceof HTMLElement ? event.target.closest("input, textarea, select, dialog") : null;
  return target !== null && !target.readOnly;
}
