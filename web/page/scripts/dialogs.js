// How is a person asked? Dialogs that answer with a promise.

import { h } from "./elements.js";
import { t } from "./words.js";

/** True when confirmed. */
export async function confirm(heading, text, action) {
  return (await ask(heading, [h("p", { text })], action, () => "yes")) !== null;
}

/** The words written, or null when cancelled. Nothing but blanks is not taken. */
export async function askFor(heading, label, action, missing) {
  const input = h("textarea", { rows: 4, "aria-label": label, placeholder: label, maxlength: 1000, name: "answer" });
  const problem = h("p", { class: "problem", hidden: true, text: missing });
  return ask(heading, [input, problem], action, () => {
    problem.hidden = input.value.trim() !== "";
    return input.value.trim() || null;
  });
}

export async function inform(heading, ...content) {
  await ask(heading, content, null, () => null);
}

/** What `answerOf` reads of the content once it is not null, or null when cancelled. */
export function ask(heading, content, action, answerOf) {
  return new Promise((resolve) => {
    let answer = null;
    const proceed = () => {
      answer = answerOf();
      if (answer !== null) dialog.close();
    };
    const dialog = h(
      "dialog",
      { on: { close: () => { dialog.remove(); resolve(answer); } } },
      h("h2", { text: heading }),
      ...content,
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { type: "button", text: action ? t("cancel") : t("close"), on: { click: () => dialog.close() } }),
        action && h("button", { type: "button", class: "primary", text: action, autofocus: true, on: { click: proceed } }),
      ),
    );
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) proceed();
      event.stopPropagation();
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("input, textarea")?.focus();
  });
}
