// What happens to people in a real browser: Chromium, the gateway, its development provider, and an API.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { app as startApp, freePort, start } from "./app.mjs";
import { launch } from "./browser.mjs";

const ROOT = path.join(import.meta.dirname, "../..");
const LIBRARY = path.join(ROOT, "web/portcullis.js/portcullis.js");
const PLAIN = `{ dir = "${path.join(ROOT, "examples/plain-html/web")}" }`;
const REACT = path.join(ROOT, "examples/react");
const WHOLE = { timeout: 120_000 };
const PATIENCE_MS = 20_000;

/** @type {import("./app.mjs").App} */ let app;
/** @type {import("playwright-core").Browser} */ let browser;

before(async () => {
  app = await startApp({ assets: PLAIN });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await app?.stop();
});

/** A person with a browser of their own. */
async function person() {
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE_MS);
  return { context, page: await context.newPage() };
}

/** @param {import("playwright-core").Page} page @param {string} state */
const state = (page, state) => page.locator(`#who[data-state="${state}"]`).waitFor();

/** Fills in the provider's page. @param {import("playwright-core").Page} page */
async function password(page, at = app) {
  await page.waitForURL((url) => url.origin === at.provider);
  await page.locator("input[name=username]").fill("alice");
  await page.locator("input[name=password]").fill("alice-password");
  await page.locator("button[type=submit]").click();
}

/** @param {import("playwright-core").Page} page */
async function signIn(page, address = "/", at = app) {
  await page.goto(at.origin + address);
  await state(page, "anonymous");
  await page.locator("#sign-in").click();
  await password(page, at);
  await page.waitForURL(at.origin + address);
  await state(page, "signed-in");
}

/** Ends a person's session from another browser that has the same cookies. @param {import("playwright-core").BrowserContext} context */
async function signOutElsewhere(context) {
  const other = await browser.newContext();
  await other.addCookies(await context.cookies());
  const page = await other.newPage();
  await page.goto(`${app.origin}/`);
  await state(page, "signed-in");
  const done = page.waitForResponse((response) => new URL(response.url()).pathname === "/bff/logout");
  await page.locator("#sign-out").click();
  assert.equal((await done).status(), 303);
  await other.close();
}

test("portcullis.js stays small, and needs nothing", () => {
  const text = readFileSync(LIBRARY);
  const size = gzipSync(text, { level: 9 }).length;
  assert.ok(size < 3 * 1024, `${size} bytes with gzip`);
  assert.ok(!/^import /m.test(text.toString()));
  const types = readFileSync(LIBRARY.replace(/js$/, "d.ts")).toString();
  const names = (/** @type {string} */ source) => [...source.matchAll(/^export (?:declare )?(?:async )?(?:function|const) (\w+)/gm)].map((found) => found[1]).sort();
  assert.deepEqual(names(types), names(text.toString()), "each export has a type");
});

test("the module is served beside the endpoints, and asked for again by its tag", async () => {
  const first = await fetch(`${app.origin}/bff/portcullis.js`);
  assert.equal(first.status, 200);
  assert.match(first.headers.get("content-type") ?? "", /^text\/javascript/);
  assert.equal(await first.text(), readFileSync(LIBRARY).toString());
  const tag = first.headers.get("etag") ?? "";
  const again = await fetch(`${app.origin}/bff/portcullis.js`, { headers: { "If-None-Match": tag } });
  assert.equal(again.status, 304);
  assert.equal((await fetch(`${app.origin}/bff/portcullis.js`, { method: "POST" })).status, 405);
});

test("a login comes back to the very place, also after the #", WHOLE, async () => {
  const { context, page } = await person();
  await signIn(page, "/?tab=2#section");
  assert.match(await page.locator("#who").innerText(), /Alice Liddell/);
  await page.locator("#load").click();
  await page.locator("#answer", { hasText: "200 GET /api/orders" }).waitFor();
  await page.locator("#sign-out").click();
  await state(page, "anonymous");
  // A page of the upstream, straight from an address.
  await context.clearCookies();
  await page.goto(`${app.origin}/app/form?a=1#part`);
  await password(page);
  await page.waitForURL(`${app.origin}/app/form?a=1#part`);
  await page.locator("#send").waitFor();
  await context.close();
});

test("two tabs sign in at once", WHOLE, async () => {
  const { context, page: one } = await person();
  const two = await context.newPage();
  for (const [page, place] of [[one, "/?tab=1"], [two, "/?tab=2"]]) {
    await page.goto(app.origin + place);
    await state(page, "anonymous");
    await page.locator("#sign-in").click();
    await page.waitForURL((url) => url.origin === app.provider);
  }
  await password(two);
  await two.waitForURL(`${app.origin}/?tab=2`);
  await password(one);
  await one.waitForURL(`${app.origin}/?tab=1`);
  for (const page of [one, two]) {
    await state(page, "signed-in");
    await page.locator("#load").click();
    await page.locator("#answer", { hasText: "200 " }).waitFor();
  }
  // Back to the callback in the history: no error, the person is where they wanted to be.
  const callback = await context.newPage();
  await callback.goto(`${app.origin}/bff/callback?code=x&state=old`);
  assert.equal(callback.url(), `${app.origin}/`);
  await context.close();
});

test("a call that meets an ended session says so, and the page stays", WHOLE, async () => {
  const { context, page } = await person();
  await signIn(page);
  // This page does not hear of it in any other way.
  await page.route("**/bff/events", (route) => route.abort());
  await page.reload();
  await state(page, "signed-in");
  await signOutElsewhere(context);
  await page.locator("#load").click();
  await page.locator("#answer", { hasText: "401" }).waitFor();
  await page.locator("#notice", { hasText: "Sign in to go on" }).waitFor();
  await state(page, "anonymous");
  assert.equal(page.url(), `${app.origin}/`);
  await context.close();
});

test("a form that meets an ended session is sent after the login", WHOLE, async () => {
  const { context, page } = await person();
  await signIn(page);
  await page.goto(`${app.origin}/app/form`);
  await page.locator("#item").fill("Hänge <7> & \"more\"");
  await signOutElsewhere(context);
  const before = app.api.seen.length;
  await page.locator("#send").click();
  await page.locator("h1", { hasText: "Please sign in again" }).waitFor();
  await page.locator("a", { hasText: "Sign in" }).click();
  await password(page);
  await page.locator("h1", { hasText: "Send your form?" }).waitFor();
  assert.match(await page.locator("main").innerText(), /Alice Liddell[^]*\/app\/order/);
  assert.deepEqual(app.api.seen.slice(before), [], "nothing was sent before the person said so");
  await page.locator("button", { hasText: "Send" }).click();
  await page.locator("#received").waitFor();
  const [order] = app.api.seen.slice(before);
  assert.deepEqual([order.method, order.path], ["POST", "/app/order"]);
  assert.equal(new URLSearchParams(order.body).get("item"), "Hänge <7> & \"more\"");
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await context.close();
});

test("a logout in one tab is seen in the others", WHOLE, async () => {
  const { context, page: one } = await person();
  await signIn(one);
  const two = await context.newPage();
  await two.goto(`${app.origin}/?tab=2`);
  await state(two, "signed-in");
  await two.locator("#sign-out").click();
  await one.locator("#notice", { hasText: "You were signed out" }).waitFor();
  await state(one, "anonymous");
  await context.close();
});

test("a person sees where they are signed in, and ends one session and all others", WHOLE, async () => {
  const people = [await person(), await person(), await person()];
  for (const { page } of people) await signIn(page);
  const [here, second, third] = people;
  await here.page.goto(`${app.origin}/sessions.html`);
  const rows = here.page.locator("#sessions li");
  // Earlier tests have left sessions of the same person.
  const mine = here.page.locator('#sessions li[data-current="true"]');
  await mine.waitFor();
  assert.equal(await mine.count(), 1);
  assert.match(await mine.innerText(), /Chrom[^]*127\.0\.0\.1/);
  const count = await rows.count();
  assert.ok(count >= 3, String(count));
  // Which of them is the third person's own, the list's order does not tell: they may have begun in the same second.
  const own = await third.page.evaluate(async () => {
    const { fetch } = await import("/bff/portcullis.js");
    const { sessions } = await (await fetch("/bff/sessions")).json();
    return sessions.find((session) => session.current).id;
  });
  await here.page.locator(`#sessions li[data-id="${own}"] button`).click();
  await third.page.locator("#notice", { hasText: "You were signed out" }).waitFor();
  await here.page.waitForFunction((count) => document.querySelectorAll("#sessions li").length === count, count - 1);
  await state(second.page, "signed-in");
  await here.page.locator("#end-others").click();
  await second.page.locator("#notice", { hasText: "You were signed out" }).waitFor();
  await here.page.waitForFunction(() => document.querySelectorAll("#sessions li").length === 1);
  await here.page.goto(`${app.origin}/`);
  await state(here.page, "signed-in");
  for (const { context } of people) await context.close();
});

test("without the stream the page asks from time to time", WHOLE, async () => {
  const { context, page } = await person();
  await context.route("**/bff/events", (route) => route.abort());
  await page.clock.install();
  await signIn(page);
  await signOutElsewhere(context);
  await page.clock.runFor(16_000);
  await page.locator("#notice", { hasText: "You were signed out" }).waitFor();
  await context.close();
});

test("the page is told before the session ends, and again when it was used", WHOLE, async (t) => {
  const short = await startApp({ assets: PLAIN, frontend: 'session = { idle = "1m", lifetime = "1h" }' });
  t.after(() => short.stop());
  const { context, page } = await person();
  await signIn(page, "/", short);
  const told = await page.evaluate(async () => {
    const { onSessionEnding, user } = await import("/bff/portcullis.js");
    const told = [];
    return new Promise((resolve) => {
      const off = onSessionEnding(({ secondsLeft }) => {
        if (told.push(secondsLeft) === 2) {
          off();
          resolve(told);
        } else {
          user();
        }
      }, 52);
    });
  });
  for (const seconds of told) assert.ok(seconds > 40 && seconds <= 52, String(seconds));
  await context.close();
});

test("an API that wants a newer login gets it, from a script and from a form", WHOLE, async () => {
  const { context, page } = await person();
  await signIn(page);
  await page.locator("#pay").click();
  await password(page);
  await page.waitForURL(`${app.origin}/`);
  await state(page, "signed-in");
  await page.locator("#pay").click();
  await page.locator("#answer", { hasText: "200 POST /api/orders/pay" }).waitFor();

  // Somebody who goes to a page comes back to it.
  await page.goto(`${app.origin}/app/pay?x=1#part`);
  await password(page);
  await page.waitForURL(`${app.origin}/app/pay?x=1#part`);
  await page.locator("#send").waitFor();
  await context.close();
});

test("a login that does not help is not begun again and again", WHOLE, async () => {
  const { context, page } = await person();
  await signIn(page);
  let logins = 0;
  page.on("request", (request) => { logins += new URL(request.url()).pathname === "/bff/login" ? 1 : 0; });
  await page.route("**/api/refused", (route) => route.fulfill({ status: 401 }));
  const call = () => page.evaluate(async () => {
    const portcullis = await import("/bff/portcullis.js");
    portcullis.configure({ loginOn401: true });
    return (await portcullis.fetch("/api/refused")).status;
  });
  const left = page.waitForRequest((request) => new URL(request.url()).pathname === "/bff/callback");
  await call().catch(() => {});
  await left;
  await page.waitForURL(`${app.origin}/`);
  await state(page, "signed-in");
  assert.equal(await call(), 401);
  assert.equal(await call(), 401);
  assert.equal(logins, 1);
  await context.close();
});

test("with a strict cookie, a login at another site still ends where it began", WHOLE, async (t) => {
  const strict = await startApp({ assets: PLAIN, host: "localhost", frontend: 'same_site = "strict"' });
  t.after(() => strict.stop());
  assert.notEqual(new URL(strict.provider).hostname, new URL(strict.origin).hostname);
  const { context, page } = await person();
  await page.goto(`${strict.origin}/app/form?a=1#part`);
  await password(page, strict);
  await page.locator("#send").waitFor();
  assert.equal(page.url(), `${strict.origin}/app/form?a=1#part`);
  const session = (await context.cookies()).find(({ name }) => name === "portcullis-shop");
  assert.equal(session?.sameSite, "Strict");
  // A link from elsewhere arrives without the cookie, and ends there too.
  const other = await context.newPage();
  await other.goto(`${strict.provider}/.well-known/openid-configuration`);
  await other.evaluate((to) => { location.href = to; }, `${strict.origin}/app/form`);
  await other.locator("#send").waitFor();
  await context.close();
});

test("a silent login in a frame tells the page", WHOLE, async () => {
  const { context, page } = await person();
  const silent = () => page.evaluate(() => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    addEventListener("message", ({ data }) => { if (data.source === "portcullis") resolve(data); }, { once: true });
    frame.src = "/bff/silent-login";
    document.body.append(frame);
  }));
  await page.goto(`${app.origin}/`);
  await state(page, "anonymous");
  assert.deepEqual(await silent(), { source: "portcullis", signed_in: false, error: "login.interaction_required" });
  await signIn(page);
  const names = (await context.cookies()).filter(({ name }) => name.startsWith("portcullis-shop"));
  for (const { name } of names) await context.clearCookies({ name });
  await page.reload();
  await state(page, "anonymous");
  assert.deepEqual(await silent(), { source: "portcullis", signed_in: true, error: null });
  await page.reload();
  await state(page, "signed-in");
  await context.close();
});

test("React: developed behind the gateway with hot reload, and served as it was built", WHOLE, async (t) => {
  // A copy, so that the test may change it.
  const dir = mkdtempSync(path.join(tmpdir(), "portcullis-react-"));
  for (const name of ["index.html", "package.json", "vite.config.js", "src"]) cpSync(path.join(REACT, name), path.join(dir, name), { recursive: true });
  symlinkSync(path.join(REACT, "node_modules"), path.join(dir, "node_modules"));
  const vite = path.join(REACT, "node_modules/vite/bin/vite.js");
  const port = await freePort();
  const server = await start(process.execPath, [vite, "--port", String(port)], "stdout", (line) => line.includes(`:${port}`), { cwd: dir });
  const developed = await startApp({ assets: `{ upstream = "http://127.0.0.1:${port}" }` });
  t.after(async () => {
    await developed.stop();
    await server.stop();
    rmSync(dir, { recursive: true });
  });
  const { context, page } = await person();
  await page.goto(`${developed.origin}/`);
  await page.locator("#sign-in").click();
  await page.waitForURL((url) => url.origin === developed.provider);
  // A change that comes before the page listens would be lost.
  const listens = page.waitForEvent("console", (message) => message.text().includes("[vite] connected"));
  await password(page, developed);
  await page.locator("#who", { hasText: "Alice Liddell" }).waitFor();
  await page.locator("#load").click();
  await page.locator("#answer", { hasText: "200 GET /api/orders" }).waitFor();
  await listens;
  const file = path.join(dir, "src/App.jsx");
  writeFileSync(file, readFileSync(file, "utf8").replace("<h1>Orders</h1>", "<h1>Changed</h1>"));
  await page.locator("h1", { hasText: "Changed" }).waitFor();
  assert.match(await page.locator("#answer").innerText(), /200/, "the page was not loaded anew");
  await context.close();

  await promisify(execFile)(process.execPath, [vite, "build"], { cwd: dir });
  const built = await startApp({ assets: `{ dir = "${path.join(dir, "dist")}" }` });
  t.after(() => built.stop());
  const { context: other, page: again } = await person();
  /** @type {string[]} */ const problems = [];
  again.on("console", (message) => { if (message.text().includes("Content Security Policy")) problems.push(message.text()); });
  await again.goto(`${built.origin}/a/path/of/the/app`);
  await again.locator("#sign-in").click();
  await password(again, built);
  await again.locator("#who", { hasText: "Alice Liddell" }).waitFor();
  assert.equal(again.url(), `${built.origin}/a/path/of/the/app`);
  assert.deepEqual(problems, []);
  await other.close();
});
