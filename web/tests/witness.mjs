// Sees everything that a browser sees, and says whether there was a secret in it.
//
// A secret is: anything that looks like a JWT, the value of any cookie, and an authorization code outside the one
// request that carries it. Cookies come and go in `Set-Cookie` and `Cookie`, which no page can read; nowhere else.

import { setTimeout } from "node:timers/promises";

const JWT = /eyJ[A-Za-z0-9_-]{10,}\./;
/** A shorter value (`1`, `en`) is no secret and would be found everywhere. */
const SHORTEST_SECRET = 16;
/** How long an answer's body may take; one that the page never reads stays open for ever. */
const BODY_MS = 5_000;

/**
 * @typedef {{where: string, origin: string, text: string, kind?: "callback" | "redirect" | "set-cookie"}} Sight
 */

export class Witness {
  /** @type {Sight[]} */ #sights = [];
  /** @type {Map<string, string>} */ #cookies = new Map();
  /** @type {Set<string>} */ #codes = new Set();
  /** @type {Promise<unknown>[]} */ #pending = [];
  #demo;
  #context;

  /** Problems of the page itself: exceptions and violations of the content security policy. @type {string[]} */
  problems = [];
  /** Bodies of the app's origin that were read. */
  bodies = 0;

  /** @param {import("playwright-core").BrowserContext} context @param {import("./demo.mjs").Demo} demo */
  constructor(context, demo) {
    this.#demo = demo;
    this.#context = context;
    context.on("request", (request) => this.#request(request));
    context.on("response", (response) => this.#pending.push(this.#response(response)));
    context.on("weberror", (error) => this.problems.push(String(error.error())));
    context.on("console", (message) => {
      this.#see("console", this.#demo.app, message.text());
      if (message.text().includes("Content Security Policy")) this.problems.push(message.text());
    });
  }

  /** Waits until all answers so far have been read; call it before the page is left. */
  async settle() {
    while (this.#pending.length > 0) await Promise.all(this.#pending.splice(0));
  }

  /** Looks at all that a script on this page could reach. @param {import("playwright-core").Page} page */
  async inspect(page) {
    await this.settle();
    const found = await page.evaluate(async () => ({
      "document.cookie": document.cookie,
      "local storage": JSON.stringify({ ...localStorage }),
      "session storage": JSON.stringify({ ...sessionStorage }),
      "databases": JSON.stringify(await indexedDB.databases()),
      "caches": JSON.stringify(await globalThis.caches?.keys?.() ?? []),
      "history": JSON.stringify([location.href, ...(globalThis.navigation?.entries().map((entry) => entry.url) ?? [])]),
      "history state": JSON.stringify(history.state),
      "resource timing": JSON.stringify(performance.getEntries().map((entry) => entry.name)),
      "window.name": window.name,
      "referrer": document.referrer,
      "the page": document.documentElement.outerHTML,
    }));
    for (const [where, text] of Object.entries(found)) this.#see(`${where} of ${page.url()}`, new URL(page.url()).origin, text);
  }

  /** How many values were hunted for, so that a walk can tell that it hunted at all. */
  get secrets() {
    return { cookies: this.#cookies.size, codes: this.#codes.size, sights: this.#sights.length };
  }

  /** Everything that should not have been seen, each with its place and never with its value. @returns {Promise<string[]>} */
  async leaks() {
    await this.settle();
    const leaks = [];
    for (const cookie of await this.#context.cookies()) {
      if (!cookie.httpOnly) leaks.push(`the cookie ${cookie.name} can be read by JavaScript`);
    }
    for (const sight of this.#sights) {
      if (JWT.test(sight.text)) leaks.push(`something like a JWT in ${sight.where}`);
      for (const [value, owner] of this.#cookies) {
        // The provider's own pages may know the provider's own cookies.
        const atHome = owner === this.#demo.provider && sight.origin === owner;
        if (sight.kind !== "set-cookie" && !atHome && sight.text.includes(value)) leaks.push(`a cookie's value in ${sight.where}`);
      }
      for (const code of this.#codes) {
        const allowed = sight.kind === "callback" || sight.kind === "redirect";
        if (!allowed && sight.text.includes(code)) leaks.push(`an authorization code in ${sight.where}`);
      }
    }
    return [...new Set(leaks)];
  }

  /** @param {import("playwright-core").Request} request */
  #request(request) {
    const url = new URL(request.url());
    const callback = url.origin === this.#demo.app && url.pathname === "/bff/callback";
    const code = callback ? url.searchParams.get("code") : null;
    if (code) this.#codes.add(code);
    const place = `${request.method()} ${url.origin}${url.pathname}`;
    this.#see(`the address of ${place}`, url.origin, request.url(), callback ? "callback" : undefined);
    for (const name of ["referer", "authorization"]) {
      const value = request.headers()[name];
      if (value !== undefined) this.#see(`the header ${name} of ${place}`, url.origin, value);
      if (name === "authorization" && value !== undefined) this.problems.push(`the page sent ${name} to ${place}`);
    }
    // A password goes to the provider in a form; everything else that a page sends is looked at.
    if (url.origin !== this.#demo.provider) this.#see(`the body of ${place}`, url.origin, request.postData() ?? "");
  }

  /** @param {import("playwright-core").Response} response */
  async #response(response) {
    const url = new URL(response.url());
    const place = `the answer of ${url.origin}${url.pathname}`;
    const redirect = response.status() >= 300 && response.status() < 400;
    for (const { name, value } of await response.headersArray().catch(() => [])) {
      const lower = name.toLowerCase();
      if (lower === "set-cookie") this.#cookie(value, url.origin);
      const toCallback = lower === "location" && url.origin === this.#demo.provider && value.startsWith(`${this.#demo.app}/bff/callback?`);
      this.#see(`the header ${name} in ${place}`, url.origin, value, lower === "set-cookie" ? "set-cookie" : toCallback ? "redirect" : undefined);
    }
    if (redirect) return;
    // A body is gone where the page was left before it arrived; nobody saw it then.
    const body = await Promise.race([response.body().catch(() => null), setTimeout(BODY_MS, null, { ref: false })]);
    if (body === null) return;
    if (url.origin === this.#demo.app) this.bodies += 1;
    this.#see(place, url.origin, body.toString("utf8"));
  }

  /** @param {string} line @param {string} origin */
  #cookie(line, origin) {
    const value = /^[^=]*=([^;]*)/.exec(line)?.[1] ?? "";
    if (value.length >= SHORTEST_SECRET) this.#cookies.set(value, origin);
  }

  /** @param {string} where @param {string} origin @param {string} text @param {Sight["kind"]} [kind] */
  #see(where, origin, text, kind) {
    if (text !== "") this.#sights.push({ where, origin, text, kind });
  }
}
