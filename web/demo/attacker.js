// Another website that tries to use the session of whoever looks at it.

/** The shop's origin: from the address, only on this machine, so that this page cannot be aimed at anybody else. */
function target() {
  const given = new URLSearchParams(location.search).get("app");
  if (given === null) return null;
  const url = URL.canParse(given) ? new URL(given) : null;
  return url?.protocol === "http:" && ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname) ? url.origin : null;
}

/** @param {string} app */
async function attack(app) {
  const orders = `${app}/api/orders`;
  // First what any link or image can do: sent, and never readable here. The session's cookie stays behind (SameSite).
  await fetch(orders, { mode: "no-cors", credentials: "include" }).catch(() => null);
  // Then as the shop's own page does it. The header makes the browser ask the gateway first, which does not agree.
  try {
    const response = await fetch(orders, { credentials: "include", headers: { "X-CSRF": "1" } });
    return { result: "readable", detail: `The browser let this page read the answer: status ${response.status}.` };
  } catch (error) {
    return { result: "blocked", detail: `The browser did not let this page read anything: ${error.message}.` };
  }
}

/** @param {string} mood @param {string} title @param {string} text */
function show(mood, title, text) {
  const [box, head, body] = ["div", "p", "p"].map((name) => document.createElement(name));
  box.className = `note ${mood}`;
  head.className = "note-title";
  head.textContent = title;
  body.textContent = text;
  box.append(head, body);
  document.getElementById("result")?.append(box);
}

const app = target();
if (app === null) {
  show("info", "Nobody to attack", "Open this page from the demo: it then knows the shop's address.");
} else {
  const outcome = await attack(app);
  const blocked = outcome.result === "blocked";
  show(blocked ? "good" : "bad", blocked ? "Blocked" : "Readable", outcome.detail);
  const listener = window.opener ?? (window.parent === window ? null : window.parent);
  // Only the shop may hear it, whoever has framed or opened this page.
  listener?.postMessage({ kind: "attack", ...outcome }, app);
}
