// A page without a build step: the gateway serves this file, and the module beside its endpoints.

import { SESSION_ENDED, fetch, login, logout, onSessionEnded, onSessionEnding, user } from "/bff/portcullis.js";

const at = (id) => document.getElementById(id);
const notice = (text) => { at("notice").textContent = text; };

async function refresh() {
  const me = await user();
  at("who").textContent = me ? `Signed in as ${me.claims.name ?? me.claims.sub}` : "Not signed in";
  at("who").dataset.state = me ? "signed-in" : "anonymous";
  at("sign-in").hidden = me !== null;
  at("sign-out").hidden = me === null;
}

async function show(path, init) {
  const response = await fetch(path, init);
  at("answer").textContent = `${response.status} ${await response.text()}`;
}

at("sign-in").addEventListener("click", () => login());
at("sign-out").addEventListener("click", () => logout());
at("load").addEventListener("click", () => show("/api/orders"));
// An API that wants a newer login leads through it and back here: portcullis.js does that by itself.
at("pay").addEventListener("click", () => show("/api/orders/pay", { method: "POST", body: "{}" }));

// A call came too late. What the person typed is still there, so it is left to them when to sign in.
window.addEventListener(SESSION_ENDED, () => { notice("You are signed out. Sign in to go on."); refresh(); });
onSessionEnding(({ secondsLeft }) => notice(`You will be signed out in ${secondsLeft} seconds.`), 60);
onSessionEnded(({ reason }) => {
  notice(reason === "expired" ? "You were signed out, because nothing happened for a while." : "You were signed out.");
  refresh();
});
await refresh();
