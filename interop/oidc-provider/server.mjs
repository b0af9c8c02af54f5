// Starts npm's oidc-provider on loopback for the interoperability tests. README.md says how to talk to it.

import { createServer } from "node:http";
import Provider from "oidc-provider";
import { API, configuration, isAccount, settings } from "./configuration.mjs";
import { loginForm } from "./pages.mjs";

const MAX_FORM_BYTES = 4096;

const given = settings(process.env);
const server = createServer();
await new Promise((resolve, reject) => {
  server.once("error", reject);
  server.listen(given.port, "127.0.0.1", resolve);
});
// The issuer holds the port, so the provider is made once the port is known.
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, configuration(given));
const protocol = provider.callback();

server.on("request", (request, response) => {
  const uid = /^\/interaction\/([\w-]+)$/.exec(request.url ?? "")?.[1];
  if (uid === undefined) {
    protocol(request, response);
    return;
  }
  interaction(request, response, uid).catch((error) => html(response, error.statusCode ?? 500, loginForm(uid, error.message)));
});

// Whoever started this holds the other end of stdin: when it goes, so does the server.
process.stdin.on("close", () => process.exit(0)).resume();

console.log(JSON.stringify({
  issuer,
  api: API,
  clients: {
    web: { secret: given.webSecret, auth: given.webAuthMethod, redirect_uris: given.redirectUris },
    service: { secret: given.serviceSecret, auth: "client_secret_basic" },
  },
}));

/** GET shows the form; POST signs in and goes back to the authorization request. */
async function interaction(request, response, uid) {
  // Throws where the browser that asks is not the one that the interaction belongs to.
  const details = await provider.interactionDetails(request, response);
  if (details.uid !== uid || request.method === "GET") {
    html(response, 200, loginForm(details.uid));
    return;
  }
  const login = (await form(request)).get("login") ?? "";
  if (!isAccount(login)) {
    html(response, 400, loginForm(uid, `Nobody here is called "${login}".`));
    return;
  }
  await provider.interactionFinished(request, response, { login: { accountId: login } }, { mergeWithLastSubmission: false });
}

async function form(request) {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += chunk;
    if (body.length > MAX_FORM_BYTES) throw new Error("the form is too large");
  }
  return new URLSearchParams(body);
}

function html(response, status, body) {
  response.writeHead(status, { "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store" }).end(body);
}
