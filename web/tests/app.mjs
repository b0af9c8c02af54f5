// A gateway of a test's own: the binary with its development provider, before an API that shows what reached it.

import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { stripVTControlCharacters } from "node:util";

/** How long a program may take until it is ready. */
const START_MS = 30_000;

/**
 * @typedef {object} App
 * @property {string} origin
 * @property {string} provider
 * @property {Api} api
 * @property {() => Promise<void>} stop
 */

/**
 * @param {{assets: string, extra?: string, host?: string, frontend?: string}} options  `assets`: the value of the key in
 * TOML; `frontend`: more keys beside it; `host`: the name by which browsers know the gateway. The provider is at 127.0.0.1.
 * @returns {Promise<App>}
 */
export async function app({ assets, extra = "", host = "127.0.0.1", frontend = "" }) {
  const dir = mkdtempSync(path.join(tmpdir(), "portcullis-web-"));
  const port = await freePort();
  const origin = `http://${host}:${port}`;
  const api = await Api.start();
  writeFileSync(path.join(dir, "idp.toml"), provider(origin));
  const idp = await program(["idp", "--config", path.join(dir, "idp.toml"), "--json"], "stdout");
  const { issuer } = JSON.parse(idp.first);
  writeFileSync(path.join(dir, "portcullis.toml"), gateway({ origin, issuer, assets, extra, frontend, upstream: api.origin }));
  const serve = await program(["serve", "--config", path.join(dir, "portcullis.toml")], "stderr");
  return {
    origin,
    provider: new URL(issuer).origin,
    api,
    async stop() {
      await serve.stop();
      await idp.stop();
      await api.stop();
      rmSync(dir, { recursive: true });
    },
  };
}

/** The API: it remembers what came, and can want a newer login. */
export class Api {
  /** @type {{method: string, path: string, body: string}[]} */ seen = [];
  /** A token with which it does not pay. @type {string | null} */ #old = null;
  #server;
  origin = "";

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start() {
    const api = new Api();
    await new Promise((resolve) => { api.#server.listen(0, "127.0.0.1", () => resolve(undefined)); });
    api.origin = `http://127.0.0.1:${api.#server.address().port}`;
    return api;
  }

  stop() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => { this.#server.close(() => resolve(undefined)); });
  }

  /** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response */
  async #answer(request, response) {
    let body = "";
    for await (const piece of request) body += piece;
    const { pathname } = new URL(request.url, "http://api");
    const token = request.headers.authorization ?? "";
    this.seen.push({ method: request.method, path: request.url, body });
    if (pathname.endsWith("/pay")) {
      // RFC 9470: with the token that came first it does not pay; with that of a newer login it does.
      this.#old ??= token;
      if (token === this.#old) {
        const challenge = 'Bearer error="insufficient_user_authentication", max_age="0"';
        response.writeHead(401, { "WWW-Authenticate": challenge }).end("sign in anew");
        return;
      }
      this.#old = null;
    }
    if (request.method === "GET" && pathname.startsWith("/app/")) {
      response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
      response.end(`<!doctype html><title>A form</title><h1>A form</h1>
        <form method="post" action="/app/order"><input name="item" id="item"><button id="send">Send</button></form>`);
      return;
    }
    const type = pathname.startsWith("/app/") ? "text/html; charset=utf-8" : "text/plain; charset=utf-8";
    response.writeHead(200, { "Content-Type": type });
    response.end(pathname.startsWith("/app/") ? `<h1 id="received">Received</h1>` : `${request.method} ${pathname}`);
  }
}

/** Starts a program of the binary; it is ready when it has written a line. @param {string[]} args @param {"stdout" | "stderr"} where */
async function program(args, where) {
  if (!process.env.PORTCULLIS_BIN) throw new Error("set PORTCULLIS_BIN to the binary");
  return start(process.env.PORTCULLIS_BIN, args, where, () => true);
}

/**
 * @param {string} command @param {string[]} args @param {"stdout" | "stderr"} where
 * @param {(line: string) => boolean} ready @param {import("node:child_process").SpawnOptions} [options]
 */
export async function start(command, args, where, ready, options = {}) {
  const other = where === "stdout" ? "inherit" : "ignore";
  const stdio = where === "stdout" ? ["ignore", "pipe", other] : ["ignore", other, "pipe"];
  const child = spawn(command, args, { ...options, stdio });
  const ended = new Promise((resolve) => { child.once("close", resolve); });
  /** @type {string[]} */ const lines = [];
  const reader = createInterface({ input: child[where] });
  const found = new Promise((resolve) => {
    reader.on("line", (coloured) => {
      // Where the variable `CI` is set, some programs colour what they write into a pipe.
      const line = stripVTControlCharacters(coloured);
      lines.push(line);
      if (ready(line)) resolve(line);
    });
  });
  const late = setTimeout(() => child.kill(), START_MS);
  const first = await Promise.race([found, ended.then(() => null)]);
  clearTimeout(late);
  if (first === null) throw new Error(`${command} ${args.join(" ")} ended before it was ready:\n${lines.join("\n")}`);
  return {
    first: /** @type {string} */ (first),
    async stop() {
      child.kill("SIGINT");
      await ended;
    },
  };
}

/** @returns {Promise<number>} */
export async function freePort() {
  const server = createNetServer();
  await new Promise((resolve) => { server.listen(0, "127.0.0.1", () => resolve(undefined)); });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

/** @param {string} origin */
const provider = (origin) => `
listen = "127.0.0.1:0"
[[api]]
audience = "api://orders"
scopes = ["orders.read"]
[[client]]
client_id = "web"
secret = "the-secret-of-the-web-client"
redirect_uris = ["${origin}/bff/callback"]
post_logout_redirect_uris = ["${origin}/"]
backchannel_logout_uri = "${origin}/bff/backchannel-logout"
scopes = ["orders.read"]
[[user]]
username = "alice"
password = "alice-password"
sub = "alice"
claims = { name = "Alice Liddell" }
scopes = ["orders.read"]
`;

/** @param {{origin: string, issuer: string, assets: string, extra: string, frontend: string, upstream: string}} options */
const gateway = ({ origin, issuer, assets, extra, frontend, upstream }) => `
[server]
public_url = "${origin}"
development = true
[store]
url = "sqlite:sessions.db"
[provider.dev]
issuer = "${issuer}"
[client.web]
provider = "dev"
client_id = "web"
secret = { dev_only = "the-secret-of-the-web-client" }
[frontend.shop]
client = "web"
scopes = ["openid", "profile", "offline_access", "orders.read"]
assets = ${assets}
${frontend}
[api.orders]
path = "/api/orders"
upstream = "${upstream}"
accept = ["session"]
provider = "dev"
audience = "api://orders"
policy = "authenticated"
[api.app]
path = "/app"
upstream = "${upstream}"
accept = ["session"]
pages = true
provider = "dev"
audience = "api://orders"
policy = "authenticated"
${extra}
`;
