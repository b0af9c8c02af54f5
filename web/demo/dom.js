// Small helpers around the DOM. Text from outside always becomes a text node, never markup.

/** Raised on `document` when a button's action is over, so that the panel need not wait for its next second. */
export const ACTED = "demo:acted";

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element #${id}`);
  return found;
}

/**
 * Makes an element.
 *
 * @param {string} name
 * @param {Record<string, string | boolean | undefined>} [attributes]  `undefined` and `false` are left out.
 * @param {...(Node | string | undefined | null)} children
 * @returns {HTMLElement}
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

/**
 * Text in which `words in back quotes` are code, as the gateway writes its causes and fixes.
 *
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function prose(text) {
  const fragment = document.createDocumentFragment();
  String(text).split("`").forEach((part, index) => {
    if (part !== "") fragment.append(index % 2 === 1 ? el("code", {}, part) : part);
  });
  return fragment;
}

/**
 * A note: a strip with a heading and what it means.
 *
 * @param {"good" | "bad" | "info"} mood
 * @param {string} title
 * @param {...(Node | string | undefined)} body
 */
export function note(mood, title, ...body) {
  return el("div", { class: `note ${mood}` }, el("p", { class: "note-title" }, title), ...body);
}

/**
 * Runs an action for a button: no second run while the first is under way, and a failure becomes a note.
 *
 * @param {HTMLElement} button
 * @param {HTMLElement} target  Where the answer goes.
 * @param {() => Promise<Node>} action
 */
export async function run(button, target, action) {
  // `aria-disabled` and not `disabled`: a disabled button loses the keyboard's focus.
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  target.setAttribute("aria-busy", "true");
  try {
    target.replaceChildren(await action());
  } catch (error) {
    target.replaceChildren(note("bad", "No answer", el("p", {}, `The gateway did not answer: ${error.message}`)));
  } finally {
    button.removeAttribute("aria-disabled");
    target.removeAttribute("aria-busy");
    document.dispatchEvent(new Event(ACTED));
  }
}

/** @param {number} seconds @returns {string}  For example `11 h 59 min` or `4 min 03 s`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  if (hours > 0) return `${hours} h ${two(minutes)} min`;
  if (minutes > 0) return rest === 0 ? `${minutes} min` : `${minutes} min ${two(rest)} s`;
  return `${rest} s`;
}
