// Who is signed in, for how long, and the two buttons.

import { SESSION_ENDED, login, logout, user } from "./portcullis.js";
import { byId, duration } from "./dom.js";

/** When the session ends, on this page's own monotonic clock; `null` where nobody is signed in. */
let endsAt = /** @type {number | null} */ (null);

/** People that this page has seen signed in: subject to name. @type {Map<string, string>} */
const names = new Map();

/** @returns {Promise<void>}  Fulfilled when it is known who is signed in. */
export function startSession() {
  byId("sign-in").addEventListener("click", () => login("/"));
  byId("sign-out").addEventListener("click", () => {
    logout().then((left) => { if (!left) showAnonymous(); }, showUnknown);
  });
  window.addEventListener(SESSION_ENDED, () => { refresh(); });
  // Another tab may have signed in or out meanwhile; also after "back" from the browser's page cache.
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });
  setInterval(tick, 1000);
  return refresh();
}

/** A subject as a person reads it: the name where this page knows it, else the beginning of a long one. @param {string} subject */
export function nameOf(subject) {
  return names.get(subject) ?? (/^[\w-]{16,}$/.test(subject) ? `${subject.slice(0, 8)}...` : subject);
}

async function refresh() {
  try {
    const current = await user();
    if (current === null) showAnonymous();
    else showSignedIn(current);
  } catch {
    showUnknown();
  }
}

/** @param {import("./portcullis.js").User} current */
function showSignedIn(current) {
  endsAt = performance.now() + current.seconds_left * 1000;
  const name = current.claims.name ?? current.claims.sub;
  names.set(current.claims.sub, name);
  show("signed-in", `Signed in as ${name}`);
  tick();
}

function showAnonymous() {
  endsAt = null;
  byId("session-left").textContent = "";
  show("anonymous", "Not signed in");
}

function showUnknown() {
  endsAt = null;
  byId("session-left").textContent = "";
  show("unknown", "The gateway does not answer");
}

/** @param {"signed-in" | "anonymous" | "unknown"} state @param {string} text */
function show(state, text) {
  const name = byId("session-name");
  byId("session-state").dataset.state = state;
  // The region is announced when its text changes, so an equal text is left alone.
  if (name.textContent !== text) name.textContent = text;
  byId("sign-in").hidden = state !== "anonymous";
  byId("sign-out").hidden = state !== "signed-in";
  byId("who").hidden = state !== "anonymous";
}

function tick() {
  if (endsAt === null) return;
  const left = (endsAt - performance.now()) / 1000;
  byId("session-left").textContent = `Session ends in ${duration(left)}`;
  if (left <= 0) {
    endsAt = null;
    refresh();
  }
}
