// The demo page: puts its parts together. Each part owns one piece of the page.

import { fetch } from "./portcullis.js";
import { byId, el } from "./dom.js";
import { startEvents } from "./events.js";
import { startFailures } from "./failures.js";
import { startOrders } from "./orders.js";
import { startSession } from "./session.js";

/**
 * What `/demo/info` answers.
 * @typedef {object} Info
 * @property {string} provider
 * @property {string} admin
 * @property {string} attacker
 * @property {{username: string, password: string, scopes: string[], about?: string}[]} users
 */

const info = fetch("/demo/info").then(async (response) => {
  const body = await response.json();
  if (!response.ok) throw new Error(`/demo/info answered ${response.status}`);
  return /** @type {Info} */ (body);
});

// A provider adds a `state` to the address that a sign-out comes back to; nobody needs it any more.
if (location.search !== "") history.replaceState(null, "", location.pathname);
// The events after the session: they are told with the name of whoever is signed in.
startSession().finally(startEvents);
startOrders();
startFailures(info);
info.then(showInfo, () => { byId("places").textContent = "The demo's addresses could not be loaded."; });

/** @param {Info} info */
function showInfo(info) {
  byId("users").replaceChildren(...info.users.map((user) => el("li", {},
    el("p", { class: "user-name" }, user.username),
    el("p", { class: "user-about" }, user.about || user.scopes.join(", ")),
    el("p", { class: "user-password" }, "Password ", el("code", {}, user.password)),
  )));
  byId("places").replaceChildren(
    link(info.admin, "Operator's console"), link(info.provider, "Development provider"), link(`${info.attacker}?app=${encodeURIComponent(location.origin)}`, "The other website"),
  );
}

/** @param {string} href @param {string} text */
function link(href, text) {
  // RFC 9110 s10.1.3: the address of this page is nobody else's business.
  return el("a", { href, target: "_blank", rel: "noopener noreferrer" }, text);
}
