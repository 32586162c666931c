// How does a person sign in? By pasting the token the administrator issued.

import { Refused, dropToken, get, keepToken } from "./api.js";
import { h } from "./elements.js";
import { refusal, t } from "./words.js";

export function signIn(onEntered, message = "") {
  const input = h("input", { type: "password", name: "token", autocomplete: "off", spellcheck: "false", required: true, autofocus: true, "aria-label": t("login.token"), placeholder: t("login.token") });
  const problem = h("p", { class: "problem", role: "alert", hidden: message === "", text: message });
  const enter = async (event) => {
    event.preventDefault();
    keepToken(input.value.trim());
    try {
      await get("/api/me");
      onEntered();
    } catch (error) {
      dropToken();
      if (!(error instanceof Refused)) throw error;
      const shown = document.querySelector(".login .problem");
      shown.textContent = error.status === 401 ? t("login.wrong") : refusal(error.code);
      shown.hidden = false;
      document.querySelector(".login input").focus();
    }
  };
  return h(
    "div",
    { class: "login" },
    h(
      "form",
      { class: "login-card", on: { submit: enter } },
      h("div", { class: "login-brand" }, h("img", { src: "icon.svg", alt: "", width: 44, height: 44 }), h("div", {}, h("b", { text: t("brand") }), h("span", { text: t("room") }))),
      h("h1", { text: t("login.heading") }),
      h("p", { class: "hint", text: t("login.hint") }),
      input,
      problem,
      h("button", { class: "primary", type: "submit", text: t("login.enter") }),
    ),
  );
}
