// The panel "What just happened": the audit stream, asked for once a second while somebody looks.

import { fetch } from "./portcullis.js";
import { ACTED, byId, el, prose } from "./dom.js";
import { sentence } from "./sentences.js";
import { nameOf } from "./session.js";

/**
 * A record of the audit stream: flat, with the members of its kind of event.
 * @typedef {{seq: number, time: string, event: string, code?: string, cause?: string, fix?: string} & Record<string, any>} Record_
 */

const INTERVAL_MS = 1000;
/** More than this many steps back nobody reads. */
const KEEP = 60;

let last = 0;
/** @type {Record_[]} */
const newest = [];
/** @type {Promise<void> | null} */
let underWay = null;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

export function startEvents() {
  document.addEventListener("visibilitychange", () => { loop(); });
  document.addEventListener(ACTED, () => { catchUp(); });
  loop();
}

/**
 * Reads everything that has been recorded until now.
 *
 * @returns {Promise<number>}  The newest record's sequence number.
 */
export async function catchUp() {
  // A question that is already under way may have been answered before the newest record was written.
  await underWay;
  await poll();
  return last;
}

/**
 * The newest refusal after `seq`; waits a moment for it.
 *
 * @param {number} seq
 * @returns {Promise<Record_ | null>}
 */
export async function newestRefusal(seq) {
  for (let attempt = 0; attempt < 8; attempt += 1) {
    await catchUp();
    const found = newest.find((record) => record.seq > seq && (record.event === "csrf_blocked" || record.event === "call_refused"));
    if (found) return found;
    await new Promise((resolve) => { setTimeout(resolve, 250); });
  }
  return null;
}

async function loop() {
  clearTimeout(timer);
  if (document.hidden) {
    state("paused", "paused");
    return;
  }
  await poll();
  clearTimeout(timer);
  timer = setTimeout(loop, INTERVAL_MS);
}

/** One question at a time; who asks meanwhile waits for the same answer. */
function poll() {
  underWay ??= ask().finally(() => { underWay = null; });
  return underWay;
}

async function ask() {
  try {
    const response = await fetch(`/demo/events?after=${last}`);
    const body = await response.json();
    if (!response.ok) throw new Error(String(response.status));
    // The gateway was started anew and counts from one again.
    if (body.last < last) newest.length = 0;
    last = body.last;
    if (body.events.length > 0) add(body.events);
    state("live", "live");
  } catch {
    state("lost", "no answer");
  }
}

/** @param {Record_[]} records  Oldest first. */
function add(records) {
  newest.unshift(...records.slice(-KEEP).reverse());
  newest.length = Math.min(newest.length, KEEP);
  const list = byId("events");
  for (const record of records.slice(-KEEP)) {
    list.prepend(item(record));
  }
  while (list.children.length > KEEP) list.lastElementChild?.remove();
  byId("events-empty").hidden = list.children.length > 0;
}

/** @param {Record_} record */
function item(record) {
  const told = sentence(record.subject ? { ...record, subject: nameOf(record.subject) } : record);
  const time = new Date(record.time);
  const readable = Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString([], { hour12: false });
  return el("li", { class: `event ${told.mood}`, "data-event": record.event, "data-code": record.code, "data-seq": String(record.seq) },
    el("p", { class: "event-head" },
      el("time", { datetime: record.time }, readable), " ",
      el("span", { class: `tag ${told.mood}` }, record.code ?? record.event)),
    el("p", { class: "event-text" }, prose(told.text)),
    record.cause ? el("p", { class: "event-cause" }, prose(record.cause)) : null,
    record.fix ? el("details", {}, el("summary", {}, "How to fix it"), el("p", {}, prose(record.fix))) : null);
}

/** @param {"live" | "paused" | "lost"} name @param {string} text */
function state(name, text) {
  const shown = byId("events-state");
  shown.dataset.state = name;
  if (shown.textContent !== text) shown.textContent = text;
}
