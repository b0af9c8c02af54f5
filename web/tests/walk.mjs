// The walk through the demo, as a person does it, in real Chromium: see README.md for the environment.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, person, shoot } from "./browser.mjs";
import { demo as startDemo } from "./demo.mjs";

/** What each button of the tour must come to: the status, OAuth's error code, and the code of the audit event. */
const TOUR = {
  wrong_audience: { status: /^401$/, error: "invalid_token", code: "token.audience_mismatch" },
  wrong_issuer: { status: /^401$/, error: "invalid_token", code: "token.issuer_mismatch" },
  expired: { status: /^401$/, error: "invalid_token", code: "token.expired" },
  bad_signature: { status: /^401$/, error: "invalid_token", code: "token.signature_invalid" },
  missing_scope: { status: /^403$/, error: "insufficient_scope", code: "policy.scope_insufficient" },
  // RFC 6750 s3.1: two ways at once, or a way that is not taken, is a bad request.
  token_in_url: { status: /^400$/, error: "invalid_request", code: "token.in_query" },
};

const WHOLE_WALK = { timeout: 120_000 };

/** @type {import("./demo.mjs").Demo} */ let demo;
/** @type {import("playwright-core").Browser} */ let browser;

before(async () => {
  demo = await startDemo();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** @typedef {Awaited<ReturnType<typeof person>> & {since?: number}} Person  `since`: the newest event as the walk began. */

/** Waits until the header shows the state. @param {import("playwright-core").Page} page @param {string} state */
async function state(page, state) {
  await page.locator(`#session-state[data-state="${state}"]`).waitFor();
  return page.locator("#session-state").innerText();
}

/** @param {Person} at */
async function open(at) {
  const response = await at.page.goto(`${demo.app}/`);
  assert.equal(response?.status(), 200);
  at.since ??= await at.page.evaluate(async () => {
    const stream = await fetch("/demo/events?after=0", { headers: { "X-CSRF": "1" } });
    return (await stream.json()).last;
  });
}

/** From the signed-out page through the provider's login page and back. @param {Person} at @param {string} name */
async function signIn({ page, witness }, name, shots = false) {
  const user = demo.user(name);
  await state(page, "anonymous");
  await witness.settle();
  await page.locator("#sign-in").click();
  await page.waitForURL((url) => url.origin === demo.provider);
  await page.locator("input[name=username]").fill(user.username);
  await page.locator("input[name=password]").fill(user.password);
  if (shots) assert.equal(await shoot(page, "2-provider"), 0, "the provider's page fits a phone");
  await page.locator("button[type=submit]").click();
  await page.waitForURL(`${demo.app}/`);
  return state(page, "signed-in");
}

/** @param {Person} at */
async function signOut({ page, witness }) {
  await witness.settle();
  await page.locator("#sign-out").click();
  // A provider may ask whether to sign out there, too.
  const home = page.locator('#session-state[data-state="anonymous"]');
  const confirm = page.locator("form:not(#create-order) button[type=submit]");
  await home.or(confirm).first().waitFor();
  if (new URL(page.url()).origin === demo.provider) await confirm.first().click();
  // The provider adds a `state` to the address.
  await page.waitForURL((url) => url.origin === demo.app && url.pathname === "/");
  assert.match(await state(page, "anonymous"), /Not signed in/);
}

/** The end of each walk: nothing secret was seen, and something was looked at. @param {Person} at */
async function clean({ page, witness, context }, { codes, bodies }) {
  await witness.inspect(page);
  assert.deepEqual(await witness.leaks(), [], "no token, cookie value or code is visible to a page");
  assert.deepEqual(witness.problems, [], "no exception and no violation of the content security policy");
  assert.equal(witness.secrets.codes, codes, "logins that were watched");
  assert.ok(witness.secrets.cookies >= codes, `cookies that were hunted for: ${witness.secrets.cookies}`);
  assert.ok(witness.bodies >= bodies, `bodies that were read: ${witness.bodies}`);
  await context.close();
}

/**
 * Waits for an event in the panel; the stream is the demo's and also has what earlier people did, so it must be new.
 *
 * @param {Person} at @param {string} event @param {RegExp} text
 */
async function happened({ page, since }, event, text) {
  const told = ({ event, source, since }) => [...document.querySelectorAll(`#events > li[data-event="${event}"]`)]
    .some((item) => Number(item.dataset.seq) > since && new RegExp(source, "s").test(item.innerText));
  await page.waitForFunction(told, { event, source: text.source, since }).catch((error) => {
    throw new Error(`no new event ${event} with ${text} in the panel`, { cause: error });
  });
}

test("not signed in: the page says so, and the API refuses readably", WHOLE_WALK, async () => {
  const at = await person(browser, demo);
  await open(at);
  assert.match(await state(at.page, "anonymous"), /Not signed in/);
  assert.equal(await at.page.locator("#sign-in").isVisible(), true);
  assert.equal(await at.page.locator("#sign-out").isVisible(), false);
  await at.page.locator("#users li").first().waitFor();
  assert.equal(await shoot(at.page, "1-not-signed-in"), 0, "the page fits a phone");

  await at.page.locator("#load-orders").click();
  await at.page.locator("#orders .note.bad").waitFor();
  assert.match(await at.page.locator("#orders").innerText(), /Sign in first[^]*401/);
  await happened(at, "call_refused", /GET \/api\/orders .*401/);
  await clean(at, { codes: 0, bodies: 8 });
});

test("alice signs in, reads and creates orders, and signs out here and at the provider", WHOLE_WALK, async () => {
  const at = await person(browser, demo);
  const { page, context, witness } = at;
  await open(at);
  const shown = await signIn(at, "alice", true);
  assert.match(shown, /Signed in as .*alice/i);
  assert.match(shown, /Session ends in \d+ (h|min|s)/);
  await happened(at, "login_started", /sent to the provider/);
  await happened(at, "login_succeeded", /signed in/);
  await happened(at, "token_stored", /sealed/);
  await witness.inspect(page);

  // By keyboard, as everything here can be.
  await page.locator("#load-orders").focus();
  await page.keyboard.press("Enter");
  await page.locator("#orders table tbody tr").first().waitFor();
  await happened(at, "call_forwarded", /GET \/api\/orders .*policy/);

  const item = `Hinge ${process.pid}`;
  await page.locator("#item").fill(item);
  await page.locator("#quantity").fill("3");
  await page.locator("#create-submit").click();
  await page.locator("#create-result .note.good").waitFor();
  await page.locator("#load-orders").click();
  await page.locator("#orders td", { hasText: item }).waitFor();
  assert.equal(await shoot(page, "3-signed-in"), 0, "the page fits a phone");

  await page.locator("#admin-report").click();
  await page.locator("#report .note.bad").waitFor();
  assert.match(await page.locator("#report").innerText(), /403/);

  // Another site's link to the logout address must not sign anybody out.
  await witness.settle();
  assert.equal((await page.goto(`${demo.app}/bff/logout`))?.status(), 400);
  await open(at);
  await state(page, "signed-in");

  const cookies = await context.cookies(demo.app);
  assert.equal(await stateWith(cookies), "signed-in", "the cookie is the session");
  await signOut(at);
  assert.equal(await stateWith(cookies), "anonymous", "the session has ended on the server, not only in this browser");

  await witness.inspect(page);
  await page.locator("#sign-in").click();
  await page.locator("input[name=password]").waitFor();
  assert.equal(new URL(page.url()).origin, demo.provider, "the provider asks for the password again");
  await clean(at, { codes: 1, bodies: 20 });
});

/** What a second browser with these cookies is shown. @param {import("playwright-core").Cookie[]} cookies */
async function stateWith(cookies) {
  const { page, context } = await person(browser, demo);
  await context.addCookies(cookies);
  await page.goto(`${demo.app}/`);
  await page.locator('#session-state:not([data-state="unknown"])').waitFor();
  const found = await page.locator("#session-state").getAttribute("data-state");
  await context.close();
  return found;
}

test("bob may read and may not create: a 403 that says what is missing", WHOLE_WALK, async () => {
  const at = await person(browser, demo, { colorScheme: "dark" });
  await open(at);
  await signIn(at, "bob");
  await at.page.locator("#load-orders").click();
  await at.page.locator("#orders table").waitFor();
  await at.page.locator("#create-submit").click();
  await at.page.locator("#create-result .note.bad").waitFor();
  const told = await at.page.locator("#create-result").innerText();
  assert.match(told, /Not allowed/);
  assert.match(told, /orders\.write/);
  assert.match(told, /403/);
  await happened(at, "call_refused", /policy\.scope_insufficient.*POST \/api\/orders/);
  assert.equal(await shoot(at.page, "4-not-allowed-dark"), 0, "the page fits a phone");
  await clean(at, { codes: 1, bodies: 12 });
});

test("carol sees the admin report", WHOLE_WALK, async () => {
  const at = await person(browser, demo);
  await open(at);
  await signIn(at, "carol");
  await at.page.locator("#admin-report").click();
  await at.page.locator("#report .note.good").waitFor();
  assert.match(await at.page.locator("#report").innerText(), /Admin report[^]*\d/);
  await clean(at, { codes: 1, bodies: 12 });
});

test("the tour: each refusal shows the status, the challenge, the cause and the fix", WHOLE_WALK, async (t) => {
  const at = await person(browser, demo);
  const part = (/** @type {string} */ name) => at.page.locator(`#failure-result [data-testid="${name}"]`).innerText();
  /** @param {string} failure */
  const press = async (failure) => {
    await at.page.locator(`#failures [data-failure="${failure}"]`).click();
    await at.page.locator(`#failure-result[data-failure="${failure}"]`).waitFor();
    for (const told of ["cause", "fix"]) assert.ok((await part(told)).length > 20, `${failure} has a ${told}`);
  };
  await open(at);
  await signIn(at, "alice");

  for (const [failure, expected] of Object.entries(TOUR)) {
    await t.test(failure, async () => {
      await press(failure);
      assert.match(await part("request"), /^(GET|POST) \/api\/orders/);
      assert.match(await part("status"), expected.status);
      const challenge = await part("www-authenticate");
      assert.match(challenge, /^Bearer /);
      assert.ok(challenge.includes(`error="${expected.error}"`), challenge);
      assert.equal(await part("code"), expected.code);
      await happened(at, "call_refused", new RegExp(expected.code.replace(".", "\\.")));
    });
  }
  assert.equal(await shoot(at.page, "5-tour"), 0, "the page fits a phone");

  await t.test("cross_origin", async () => {
    await press("cross_origin");
    assert.match(await part("status"), /^blocked/);
    assert.match(await part("answer"), /did not let this page read/);
    assert.match(await part("request"), /from http:\/\/localhost:\d+$/);
  });
  assert.equal(await shoot(at.page, "6-cross-origin"), 0, "the page fits a phone");
  await clean(at, { codes: 1, bodies: 18 });
});
