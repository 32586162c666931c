// Which view is shown? Sign-in without a token; otherwise what the address after # says.

import { alertsPage } from "./alerts.js";
import { dropToken, get, hasToken, whenSignedOut } from "./api.js";
import { casePage } from "./case.js";
import { deliveriesPage } from "./deliveries.js";
import { fill, h, isTyping } from "./elements.js";
import { findingsPage } from "./findings.js";
import { heldPage } from "./held.js";
import { showKeys } from "./keys.js";
import { signIn } from "./login.js";
import { reconcilePage } from "./reconcile.js";
import { tellRefusal } from "./notices.js";
import { studiesPage } from "./studies.js";
import { tracePage } from "./trace.js";
import { currentLanguage, switchLanguage, t } from "./words.js";
import { worklistPage } from "./worklist.js";

const PAGES = { "#/alerts": alertsPage, "#/findings": findingsPage, "#/held": heldPage, "#/deliveries": deliveriesPage };
/** Pages that show one of their things at once when the address goes on behind a slash. */
const PLACED = { "#/reconcile": reconcilePage, "#/studies": studiesPage, "#/trace": (_, word) => tracePage(word) };
const RUNS_THE_HUB = ["admin", "integrator"];

const page = document.getElementById("page");
let me = null;
let current = null;

/** A view is `{element, keys(event), close()}`; keys answers true for a key it took. */
async function show() {
  current?.close?.();
  current = null;
  document.title = t("title");
  if (!hasToken()) return fill(page, signIn(show));
  if (me === null) {
    try {
      me = await get("/api/me");
    } catch (error) {
      if (hasToken()) fill(page, unreachable(error));
      return;
    }
  }
  current = viewOf(location.hash);
  fill(page, header(), h("main", {}, current.element));
}

function viewOf(hash) {
  const request = /^#\/requests\/([\w-]+)$/.exec(hash);
  if (request) return casePage(request[1], me);
  const [, page, place] = /^(#\/[a-z]+)(?:\/(.*))?$/.exec(hash) ?? [];
  if (page in PLACED) return PLACED[page](me, decoded(place ?? ""));
  return (PAGES[hash] ?? worklistPage)(me);
}

function decoded(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word; // somebody typed a lone % into the address
  }
}

function header() {
  const tab = (hash, key) =>
    h("a", { href: hash, class: "tab", "aria-current": isUnder(hash) ? "page" : null, text: t(key) });
  return h(
    "header",
    { class: "top" },
    h("a", { class: "brand", href: "#/" }, h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }), h("b", { text: t("brand") }), h("span", { text: t("room") })),
    h("span", { class: "community", text: me.community }),
    h("nav", {}, tab("#/", "tab.worklist"), me.roles.some((role) => role !== "clinician") && tab("#/findings", "tab.findings"), runsTheHub() && [tab("#/alerts", "tab.alerts"), tab("#/held", "tab.held"), tab("#/studies", "tab.studies"), tab("#/reconcile", "tab.reconcile"), tab("#/deliveries", "tab.deliveries"), tab("#/trace", "tab.trace")]),
    h("span", { class: "space" }),
    h("button", { class: "plain", text: t("language"), on: { click: () => { switchLanguage(); show(); } } }),
    h("span", { class: "me" }, h("b", { text: me.display }), h("small", { text: me.facility_name })),
    h("button", { class: "plain", text: t("signOut"), on: { click: signOut } }),
  );
}

function runsTheHub() {
  return me.roles.some((role) => RUNS_THE_HUB.includes(role));
}

function isUnder(hash) {
  if (hash !== "#/") return location.hash === hash || location.hash.startsWith(`${hash}/`);
  return ![...Object.keys(PAGES), ...Object.keys(PLACED)].some(isUnder);
}

function signOut() {
  dropToken();
  me = null;
  location.hash = "#/";
  show();
}

function unreachable(error) {
  const retry = h("button", { class: "primary", text: t("view.retry"), on: { click: show } });
  const element = h("div", { class: "login" }, h("div", { class: "login-card" }, h("p", { text: t("refused.unreachable") }), retry));
  tellRefusal(error);
  return element;
}

whenSignedOut(() => {
  me = null;
  current?.close?.();
  current = null;
  fill(page, signIn(show, t("login.expired")));
});
window.addEventListener("hashchange", show);
document.addEventListener("keydown", (event) => {
  if (current === null || document.querySelector("dialog[open]")) return;
  if (event.key === "?" && !isTyping(event)) showKeys();
  else if (current.keys?.(event)) event.preventDefault();
});
document.documentElement.lang = currentLanguage() === "zh" ? "zh-CN" : "en";
show();
