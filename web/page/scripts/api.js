// How does the page speak to the hub? Calls with the token of this browser tab; refusals become Refused.

const TOKEN = "hutong.token";

/** An answer other than success. `code` is the stable name of the error; `status` is 0 when the hub was not reached. */
export class Refused extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

let onSignedOut = () => {};

/** What happens when the token is not, or no longer, valid. */
export function whenSignedOut(listener) {
  onSignedOut = listener;
}

export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

/** The token lives as long as the tab: closing it signs out. */
export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function dropToken() {
  sessionStorage.removeItem(TOKEN);
}

export async function get(path) {
  return (await call("GET", path)).json();
}

/** What is there unless it is what `tag` names: {tag, body}, or null when nothing changed. */
export async function getUnless(tag, path) {
  const answer = await call("GET", path, undefined, undefined, tag ? { "If-None-Match": tag } : {});
  return answer.status === 304 ? null : { tag: answer.headers.get("ETag"), body: await answer.json() };
}

export async function post(path, body) {
  return (await call("POST", path, body)).json();
}

/** Bytes behind the token, for pictures: an <img> cannot send it by itself. */
export async function picture(path, signal) {
  const answer = await call("GET", path, undefined, signal);
  return { blob: await answer.blob(), headers: answer.headers };
}

async function call(method, path, body, signal, more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { ...more, Authorization: `Bearer ${token}` } : more;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "unreachable");
  }
  if (answer.ok || answer.status === 304) return answer;
  const code = await codeOf(answer);
  if (answer.status === 401) {
    dropToken();
    onSignedOut();
  }
  throw new Refused(answer.status, code);
}

async function codeOf(answer) {
  try {
    return (await answer.json()).code ?? "unexpected";
  } catch {
    return "unexpected";
  }
}
