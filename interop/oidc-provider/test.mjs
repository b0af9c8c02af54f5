// The provider's own walk: what README.md promises about forms, tokens and logout, with a cookie jar and no browser.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { test } from "node:test";

const CALLBACK = "http://127.0.0.1:9/bff/callback";
const HOME = "http://127.0.0.1:9/";

/** Starts the server and gives its address, its endpoints and a jar. @param {import("node:test").TestContext} t */
async function start(t, env = {}) {
  const child = spawn(process.execPath, ["server.mjs"], {
    cwd: import.meta.dirname,
    env: { ...process.env, REDIRECT_URIS: CALLBACK, POST_LOGOUT_REDIRECT_URIS: HOME, ...env },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = new Promise((resolve) => { child.once("exit", resolve); });
  t.after(async () => {
    child.stdin.end();
    assert.equal(await ended, 0, "it exits when stdin closes");
  });
  const ready = JSON.parse((await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()).value);
  const metadata = await (await fetch(`${ready.issuer}/.well-known/openid-configuration`)).json();
  assert.equal(metadata.issuer, ready.issuer);
  return { ...ready, metadata, jar: new Map() };
}

/** One request with the jar, redirects not followed. */
async function ask(at, url, form) {
  const response = await fetch(new URL(url, at.issuer), {
    method: form ? "POST" : "GET",
    body: form && new URLSearchParams(form),
    redirect: "manual",
    headers: { Cookie: [...at.jar].map(([name, value]) => `${name}=${value}`).join("; ") },
  });
  for (const line of response.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
    if (value === "") at.jar.delete(name);
    else at.jar.set(name, value);
  }
  return response;
}

function authorization(at, verifier, extra = {}) {
  const query = new URLSearchParams({
    client_id: "web", response_type: "code", redirect_uri: CALLBACK, scope: "openid profile email orders.read", state: "s1", nonce: "n1",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256", ...extra,
  });
  return `${at.metadata.authorization_endpoint}?${query}`;
}

/** Authorization request to callback: the code, and the verifier that goes with it. */
async function signIn(at, extra = {}) {
  const verifier = randomBytes(32).toString("base64url");
  const first = await ask(at, authorization(at, verifier, extra));
  assert.equal(first.status, 303);
  const form = first.headers.get("location");
  assert.match(form, /^\/interaction\/[\w-]+$/);
  assert.match(await (await ask(at, form)).text(), /<form method="post" action="\/interaction\/[\w-]+">[^]*name="login"/);
  assert.equal((await ask(at, form, { login: "nobody" })).status, 400);
  const posted = await ask(at, form, { login: "alice" });
  assert.equal(posted.status, 303);
  assert.match(posted.headers.get("location"), /^http:\/\/127\.0\.0\.1:\d+\/auth\/[\w-]+$/);
  const resumed = await ask(at, posted.headers.get("location"));
  assert.equal(resumed.status, 303);
  const back = new URL(resumed.headers.get("location"));
  assert.equal(back.origin + back.pathname, CALLBACK);
  assert.equal(back.searchParams.get("state"), "s1");
  assert.equal(back.searchParams.get("iss"), at.issuer, "RFC 9207");
  return { code: back.searchParams.get("code"), verifier };
}

const encode = (text) => new URLSearchParams({ x: text }).toString().slice(2);

async function token(at, client, form) {
  const basic = Buffer.from(`${encode(client)}:${encode(at.clients[client].secret)}`).toString("base64");
  return fetch(form.endpoint ?? at.metadata.token_endpoint, {
    method: "POST", headers: { Authorization: `Basic ${basic}` }, body: new URLSearchParams(form.body ?? form),
  });
}

const claims = (jwt) => JSON.parse(Buffer.from(jwt.split(".")[1], "base64url"));
const header = (jwt) => JSON.parse(Buffer.from(jwt.split(".")[0], "base64url"));

async function exchange(at, { code, verifier }) {
  const response = await token(at, "web", { grant_type: "authorization_code", code, redirect_uri: CALLBACK, code_verifier: verifier });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  return body;
}

test("with a resource indicator: sign in, JWT access token, refresh with rotation, revocation, sign out", async (t) => {
  const at = await start(t);
  const tokens = await exchange(at, await signIn(at, { resource: at.api }));
  assert.equal(header(tokens.access_token).typ, "at+jwt");
  assert.equal(header(tokens.access_token).alg, "RS256");
  assert.equal(claims(tokens.access_token).aud, at.api);
  assert.equal(claims(tokens.access_token).scope, "orders.read");
  assert.equal(claims(tokens.access_token).client_id, "web");
  assert.equal(claims(tokens.id_token).nonce, "n1");
  assert.equal(claims(tokens.id_token).name, "Alice Archer");
  assert.equal(claims(tokens.id_token).email, "alice@example.test");

  const refreshed = await (await token(at, "web", { grant_type: "refresh_token", refresh_token: tokens.refresh_token })).json();
  assert.notEqual(refreshed.refresh_token, tokens.refresh_token);
  assert.equal(claims(refreshed.access_token).aud, at.api);

  const revoked = await token(at, "web", { endpoint: at.metadata.revocation_endpoint, body: { token: refreshed.refresh_token, token_type_hint: "refresh_token" } });
  assert.equal(revoked.status, 200);
  const dead = await token(at, "web", { grant_type: "refresh_token", refresh_token: refreshed.refresh_token });
  assert.equal(dead.status, 400);
  assert.equal((await dead.json()).error, "invalid_grant");

  for (const hint of [{ id_token_hint: tokens.id_token }, { client_id: "web" }]) {
    await exchange(at, await signIn(at, { prompt: "login", resource: at.api }));
    const asked = await ask(at, `${at.metadata.end_session_endpoint}?${new URLSearchParams({ ...hint, post_logout_redirect_uri: HOME, state: "bye" })}`);
    const page = await asked.text();
    assert.equal(asked.status, 200, page);
    const action = /action="([^"]+)"/.exec(page)[1];
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page)[1];
    const out = await ask(at, action, { xsrf, logout: "yes" });
    assert.equal(out.status, 303);
    assert.equal(out.headers.get("location"), `${HOME}?state=bye`);
    await signIn(at); // which asserts that the form is shown again
  }
});

test("a used refresh token ends its whole family", async (t) => {
  const at = await start(t);
  const tokens = await exchange(at, await signIn(at, { resource: at.api }));
  const second = await (await token(at, "web", { grant_type: "refresh_token", refresh_token: tokens.refresh_token })).json();
  for (const refresh_token of [tokens.refresh_token, second.refresh_token]) {
    assert.equal((await token(at, "web", { grant_type: "refresh_token", refresh_token })).status, 400);
  }
});

test("without a resource indicator the access token is opaque, and userinfo takes it", async (t) => {
  const at = await start(t);
  const tokens = await exchange(at, await signIn(at));
  assert.equal(tokens.access_token.includes("."), false);
  const userinfo = await fetch(at.metadata.userinfo_endpoint, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
  assert.equal((await userinfo.json()).sub, "alice");

  const again = await ask(at, authorization(at, "x".repeat(43)));
  assert.match(again.headers.get("location"), /^http:\/\/127\.0\.0\.1:9\/bff\/callback\?code=/, "signed in already: no form");
});

test("with a default resource a client that knows nothing of resource indicators gets a JWT", async (t) => {
  const at = await start(t, { DEFAULT_RESOURCE: "1", ACCESS_TOKEN_TTL: "7" });
  const tokens = await exchange(at, await signIn(at, { scope: "openid orders.read orders.write" }));
  const { aud, scope, iat, exp } = claims(tokens.access_token);
  assert.deepEqual([aud, scope, exp - iat], [at.api, "orders.read orders.write", 7]);
});

test("client credentials, introspection, and what is refused", async (t) => {
  const at = await start(t);
  const body = await (await token(at, "service", { grant_type: "client_credentials", scope: "orders.read", resource: at.api })).json();
  assert.deepEqual([claims(body.access_token).sub, claims(body.access_token).aud, claims(body.access_token).scope], ["service", at.api, "orders.read"]);

  const elsewhere = await token(at, "service", { grant_type: "client_credentials", resource: "https://other.example.test" });
  assert.deepEqual([elsewhere.status, (await elsewhere.json()).error], [400, "invalid_target"]);

  const tokens = await exchange(at, await signIn(at));
  const active = await token(at, "web", { endpoint: at.metadata.introspection_endpoint, body: { token: tokens.access_token } });
  assert.equal((await active.json()).active, true);

  const { code } = await signIn(at, { prompt: "login" });
  const wrong = await token(at, "web", { grant_type: "authorization_code", code, redirect_uri: CALLBACK, code_verifier: "x".repeat(43) });
  assert.deepEqual([wrong.status, (await wrong.json()).error], [400, "invalid_grant"]);

  const plain = await ask(at, `${at.metadata.authorization_endpoint}?${new URLSearchParams({ client_id: "web", response_type: "code", redirect_uri: CALLBACK, scope: "openid" })}`);
  assert.match(plain.headers.get("location"), /error=invalid_request/);

  at.clients.web.secret = "wrong";
  assert.equal((await token(at, "web", { grant_type: "refresh_token", refresh_token: "x" })).status, 401);
});
