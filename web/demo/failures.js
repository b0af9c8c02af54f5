// The tour of refusals: one button for each common failure, and a call from another website.

import { fetch } from "./portcullis.js";
import { byId, el, note, prose, run } from "./dom.js";
import { catchUp, newestRefusal } from "./events.js";

const FAILURES = [
  ["wrong_audience", "Wrong audience", "A good token that was issued for another API."],
  ["wrong_issuer", "Wrong issuer", "A token that names a provider nobody here trusts."],
  ["expired", "Expired", "A token that was good until a while ago."],
  ["bad_signature", "Bad signature", "A token whose claims are right and whose key is wrong."],
  ["missing_scope", "Missing scope", "A good token that does not carry the permission."],
  ["token_in_url", "Token in the URL", "A good token, sent where logs and histories keep it."],
];
const CROSS_ORIGIN = ["cross_origin", "Cross-origin call", "Another website calls the API with your session."];

/** How long the other website may take. */
const ATTACK_TIMEOUT_MS = 8000;

/** @param {Promise<import("./app.js").Info>} info */
export function startFailures(info) {
  const target = byId("failure-result");
  const buttons = [...FAILURES, CROSS_ORIGIN].map(([failure, name, about]) => {
    const button = el("button", { type: "button", class: "failure", "data-failure": failure, "data-testid": `failure-${failure}` },
      el("span", { class: "failure-name" }, name), el("span", { class: "failure-about" }, about));
    button.addEventListener("click", async () => {
      target.dataset.failure = "";
      await run(button, target, () => (failure === "cross_origin" ? attack(info) : attempt(failure, name)));
      target.dataset.failure = failure;
      target.scrollIntoView({ block: "nearest" });
    });
    return button;
  });
  byId("failures").replaceChildren(...buttons);
}

/** @param {string} failure @param {string} name */
async function attempt(failure, name) {
  const response = await fetch(`/demo/try/${failure}`, { method: "POST" });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) return note("bad", "The demo could not make the request", el("p", {}, body.detail ?? `It answered ${response.status}.`));
  return result(name, {
    request: body.request,
    status: String(body.status),
    challenge: body.www_authenticate || "none",
    answer: body.body,
    event: body.event,
  });
}

/** @param {Promise<import("./app.js").Info>} info */
async function attack(info) {
  const page = new URL((await info).attacker);
  const before = await catchUp();
  const outcome = await openAttacker(page);
  const event = await newestRefusal(before);
  return result("Cross-origin call", {
    request: `GET ${location.origin}/api/orders from ${page.origin}`,
    status: outcome.result === "readable" ? "READABLE: the session was usable from another origin" : `blocked${event ? ` (${event.status ?? event.code})` : ""}`,
    challenge: "nothing that the other website could read",
    answer: outcome.detail,
    event,
  });
}

/**
 * Opens the other website in a frame nobody sees and waits for what it reports.
 *
 * @param {URL} page
 * @returns {Promise<{result: string, detail: string}>}
 */
function openAttacker(page) {
  return new Promise((resolve, reject) => {
    const frame = /** @type {HTMLIFrameElement} */ (el("iframe", { class: "attacker", title: "The other website", "aria-hidden": "true", tabindex: "-1" }));
    const end = (/** @type {() => void} */ settle) => {
      clearTimeout(timer);
      window.removeEventListener("message", listen);
      frame.remove();
      settle();
    };
    const listen = (/** @type {MessageEvent} */ message) => {
      // Anybody may post to this window: the origin and the sender must both be the frame's.
      if (message.origin !== page.origin || message.source !== frame.contentWindow) return;
      if (message.data?.kind !== "attack") return;
      end(() => resolve({ result: String(message.data.result), detail: String(message.data.detail) }));
    };
    const timer = setTimeout(() => end(() => reject(new Error("the other website did not report"))), ATTACK_TIMEOUT_MS);
    window.addEventListener("message", listen);
    page.searchParams.set("app", location.origin);
    frame.src = page.href;
    document.body.append(frame);
  });
}

/**
 * @param {string} name
 * @param {{request: string, status: string, challenge: string, answer: unknown, event: Record<string, unknown> | null}} seen
 */
function result(name, { request, status, challenge, answer, event }) {
  const told = typeof answer === "string" ? answer : JSON.stringify(answer, null, 2);
  return el("div", { class: "two" },
    el("section", { class: "side", "aria-label": "What the caller sees" },
      el("h3", {}, `${name}: what the caller sees`),
      el("dl", { class: "facts stack" },
        el("dt", {}, "Request"), el("dd", { "data-testid": "request" }, el("code", {}, request)),
        el("dt", {}, "Status"), el("dd", { "data-testid": "status" }, el("span", { class: "tag bad" }, status)),
        el("dt", {}, "WWW-Authenticate"), el("dd", { "data-testid": "www-authenticate" }, el("code", {}, challenge)),
        el("dt", {}, "Answer"), el("dd", { "data-testid": "answer" }, el("pre", { tabindex: "0" }, told ?? "")))),
    el("section", { class: "side operator", "aria-label": "What the operator sees" },
      el("h3", {}, "What the operator sees"),
      event ? explained(event) : el("p", {}, "No event: the request did not reach the gateway.")));
}

/** @param {Record<string, unknown>} event */
function explained(event) {
  const rows = [
    el("dt", {}, "Cause"), el("dd", { "data-testid": "cause" }, prose(event.cause)),
    el("dt", {}, "Fix"), el("dd", { "data-testid": "fix" }, prose(event.fix)),
  ];
  for (const [label, value] of [["Expected", event.expected], ["Found", event.found]]) {
    if (value) rows.push(el("dt", {}, label), el("dd", {}, el("code", {}, value)));
  }
  rows.push(el("dt", {}, "Event"), el("dd", {}, el("span", { class: "tag", "data-testid": "code" }, event.code)));
  return el("dl", { class: "facts stack" }, ...rows);
}
