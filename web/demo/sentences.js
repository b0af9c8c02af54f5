// What each kind of audit event means, in a sentence a person can read. Text in, text out.

import { duration } from "./dom.js";

/**
 * @typedef {{mood: "good" | "bad" | "info", text: string}} Told
 * @typedef {Record<string, any>} Event_
 */

/** @type {Record<string, (event: Event_) => Told>} */
const SENTENCES = {
  started: (e) => info(`The ${e.component} came up (version ${e.version})${e.dangers?.length ? `, with ${e.dangers.length} dangerous settings` : ""}.`),
  stopping: (e) => info(`The ${e.component} is going down: ${e.why}.`),

  login_started: (e) => info(`A browser was sent to the provider \`${e.provider}\` to sign in.`),
  login_succeeded: (e) => good(`${e.subject} signed in, and a session began.`),
  login_failed: () => bad("A login ended without a session."),
  logged_out: (e) => info(`${e.subject} signed out; the session is gone.`),
  logout_refused: () => bad("A sign-out was refused; nobody was signed out."),
  session_expired: (e) => info(`The session of ${e.subject} ended: ${e.how === "idle" ? "it lay idle" : "it reached its lifetime"}.`),

  token_stored: (e) => good(`The tokens were sealed and stored on the server; the page got none. The access token lives ${duration(e.expires_in)}${e.refreshable ? " and can be renewed" : ""}.`),
  token_refreshed: (e) => good(`The access token of ${e.subject} was renewed for ${duration(e.expires_in)}.`),
  refresh_failed: (e) => bad(`The access token of ${e.subject} could not be renewed${e.session_ended ? "; the person has to sign in again" : "; the session is kept"}.`),

  call_forwarded: (e) => (e.status < 400 ? good : info)(`${call(e)} was checked${e.policy ? ` (policy \`${e.policy}\`)` : ""} and forwarded ${WITH[e.credential] ?? ""}${e.subject ? ` for ${e.subject}` : ""}. The API answered ${e.status} after ${e.duration_ms} ms.`),
  call_refused: (e) => bad(`${call(e)} was refused with ${e.status}; the API saw nothing of it.`),
  csrf_blocked: (e) => bad(`${call(e)}${e.origin ? ` from \`${e.origin}\`` : ""} was blocked with ${e.status}: not a call of this site's own page.`),
  upstream_failed: (e) => bad(`The API behind route \`${e.route}\` gave no usable answer.`),

  keys_refreshed: (e) => info(`The keys of \`${e.provider}\` were fetched: ${e.keys} usable.`),
  keys_unavailable: (e) => bad(`The keys of \`${e.provider}\` could not be fetched: ${e.reason}.`),
  provider_unavailable: (e) => bad(`The provider \`${e.provider}\` did not answer (${e.operation}).`),
  provider_recovered: (e) => good(`The provider \`${e.provider}\` answers again.`),

  revoked: (e) => info(`A revocation (${e.kind}) took effect.`),
  revocation_removed: (e) => info(`The revocation ${e.id} (${e.kind}) was taken back.`),
  revocations_stale: (e) => bad(`The list of revocations cannot be read; calls to \`${e.realm}\` are ${e.refusing ? "refused" : "served all the same"}.`),
  revocations_loaded: (e) => info(`Revocations were loaded: ${e.entries} in force.`),
  store_unavailable: (e) => bad(`The store (${e.store}) did not answer.`),
  sealing_keys_loaded: (e) => good(`New sealing keys are in use, ${e.keys.length} in all.`),
  server_certificate_loaded: () => good("A new certificate is shown to whoever connects."),
  server_certificate_refused: () => bad("The new certificate cannot be used; the one of before is."),
  sealing_keys_refused: () => bad("The sealing keys cannot be read any more; those of before are used."),
  store_recovered: (e) => good(`The store (${e.store}) answers again.`),
  events_dropped: (e) => bad(`${e.routine + e.security} events were lost: a reader was too slow.`),
};

const WITH = { session: "with the session's token", bearer: "with the caller's token", none: "without a token" };

/**
 * @param {Event_} event  A record of the audit stream.
 * @returns {Told}  An event that this page does not know is told by its name.
 */
export function sentence(event) {
  const known = Object.hasOwn(SENTENCES, event.event) ? SENTENCES[event.event] : null;
  return known ? known(event) : info(String(event.event).replaceAll("_", " "));
}

/** @param {Event_} e */
function call(e) {
  return `\`${e.method} ${e.path}\``;
}

/** @param {string} text @returns {Told} */
function good(text) { return { mood: "good", text }; }
/** @param {string} text @returns {Told} */
function bad(text) { return { mood: "bad", text }; }
/** @param {string} text @returns {Told} */
function info(text) { return { mood: "info", text }; }
