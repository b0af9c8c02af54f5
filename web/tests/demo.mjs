// The demo that is walked: the one that the caller started (DEMO_JSON), or one that is started here (PORTCULLIS_BIN).

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** How long the binary may take until it is ready. */
const START_MS = 30_000;

/**
 * @typedef {object} Demo
 * @property {string} app
 * @property {string} provider  The issuer.
 * @property {(name: string) => {username: string, password: string}} user
 * @property {() => Promise<void>} stop
 */

/** @returns {Promise<Demo>} */
export async function demo(env = process.env) {
  if (env.DEMO_JSON) return view(JSON.parse(env.DEMO_JSON), async () => {});
  if (!env.PORTCULLIS_BIN) throw new Error("set DEMO_JSON to the demo's line, or PORTCULLIS_BIN to the binary");

  const child = spawn(env.PORTCULLIS_BIN, ["demo", "--json", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => { child.once("close", resolve); });
  const lines = createInterface({ input: child.stdout });
  const late = setTimeout(() => child.kill(), START_MS);
  const first = await Promise.race([new Promise((resolve) => { lines.once("line", resolve); }), ended.then(() => null)]);
  clearTimeout(late);
  if (typeof first !== "string") throw new Error("the demo ended before it was ready");
  return view(JSON.parse(first), async () => {
    child.kill("SIGINT");
    await ended;
  });
}

/** @param {any} json @param {() => Promise<void>} stop @returns {Demo} */
function view(json, stop) {
  return {
    app: new URL(json.app).origin,
    provider: new URL(json.provider).origin,
    user(name) {
      const found = json.users.find((/** @type {any} */ user) => user.username === name);
      if (!found) throw new Error(`the demo has no user ${name}`);
      return found;
    },
    stop,
  };
}
