// The console's page: asks for new events once a second while it is looked at. Text goes into the page as text only.

const POLL = 1000;
const MOST = 500;
const byId = (id) => document.getElementById(id);
const list = byId("events");
let last = 0;
let paused = false;
let timer;

// One sentence for each event, and how it looks. An event that is not listed shows its name.
const SENTENCES = {
  started: (e) => [`${e.component} ${e.version} started`, e.dangers.length ? "warn" : "good"],
  stopping: (e) => [`${e.component} stops: ${e.why}`, "warn"],
  login_started: (e) => [`Login at ${e.provider} began (${e.frontend})`, ""],
  login_succeeded: (e) => [`${e.subject} signed in (${e.frontend})`, "good"],
  login_failed: (e) => [`Login failed (${e.frontend})`, "bad"],
  token_stored: (e) => [`Token of ${e.subject} sealed into the session, good for ${e.expires_in} s`, ""],
  token_refreshed: (e) => [`Token of ${e.subject} renewed, good for ${e.expires_in} s`, ""],
  refresh_failed: (e) => [`Token of ${e.subject} not renewed${e.session_ended ? ", the session ended" : ""}`, "bad"],
  logged_out: (e) => [`${e.subject} signed out (${e.how})`, ""],
  logout_refused: (e) => [`Logout refused (${e.frontend})`, "bad"],
  session_expired: (e) => [`Session of ${e.subject} expired (${e.how})`, ""],
  csrf_blocked: (e) => [`${e.method} ${e.path} blocked: from ${e.origin ?? "another site"}`, "bad"],
  call_forwarded: (e) => [`${e.method} ${e.path} ${e.status} in ${e.duration_ms} ms (${e.subject ?? e.client ?? e.credential})`, e.status < 400 ? "good" : "warn"],
  call_refused: (e) => [`${e.method} ${e.path} ${e.status} (${e.subject ?? e.credential})`, "bad"],
  upstream_failed: (e) => [`Upstream of ${e.route} failed`, "bad"],
  keys_refreshed: (e) => [`${e.keys} keys of ${e.provider} fetched`, e.ignored ? "warn" : ""],
  keys_unavailable: (e) => [`Keys of ${e.provider} cannot be fetched: ${e.reason}`, "warn"],
  provider_unavailable: (e) => [`${e.provider} did not answer (${e.operation})`, "bad"],
  client_credential_refused: (e) => [
    `The provider refuses ${e.credential} of client ${e.client}${e.next ? `; ${e.next} is tried` : ""}`,
    "bad",
  ],
  client_credential_expiring: (e) => [
    e.days < 0 ? `${e.credential} of client ${e.client} has expired` : `${e.credential} of client ${e.client} expires in ${e.days} days`,
    "warn",
  ],
  client_credential_unreadable: (e) => [`New ${e.credential} of client ${e.client} cannot be used: ${e.reason}`, "bad"],
  provider_recovered: (e) => [`${e.provider} answers again`, "good"],
  revoked: (e) => [`Revoked: ${e.kind}, until ${e.until}`, "warn"],
  revocation_removed: (e) => [`Taken back: the revocation ${e.id} (${e.kind})`, "warn"],
  revocations_stale: (e) => [
    `${e.realm}: the revocations cannot be read; calls are ${e.refusing ? "refused" : "served all the same"}`,
    "bad",
  ],
  revocations_loaded: (e) => [`${e.entries} revocations in force`, ""],
  store_unavailable: (e) => [`The ${e.store} store did not answer (${e.operation})`, "bad"],
  sealing_keys_loaded: (e) => [`New sealing keys are in use, ${e.keys.length} in all`, "good"],
  server_certificate_loaded: (e) => [`A new certificate is shown: ${e.file}`, "good"],
  server_certificate_refused: (e) => ["The new certificate cannot be used", "bad"],
  sealing_keys_refused: (e) => ["The sealing keys cannot be read any more", "bad"],
  store_recovered: (e) => [`The ${e.store} store answers again`, "good"],
  events_dropped: (e) => [`Log lines lost: ${e.routine} routine, ${e.security} security`, "warn"],
};
const OWN_PLACE = new Set(["seq", "time", "event", "code", "cause", "fix"]);

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// A sentence of the catalogue: what stands between backticks is code.
function paragraph(className, text) {
  const made = element("p", className);
  made.append(...text.split("`").map((part, at) => (at % 2 ? element("code", "", part) : part)));
  return made;
}

function sentence(event) {
  try {
    return SENTENCES[event.event]?.(event) ?? [event.event, ""];
  } catch {
    return [event.event, ""];
  }
}

function details(event) {
  const more = element("div", "more");
  if (event.cause) more.append(paragraph("cause", event.cause));
  if (event.fix) more.append(paragraph("fix", event.fix));
  const members = element("dl");
  for (const [name, value] of Object.entries(event)) {
    if (OWN_PLACE.has(name)) continue;
    members.append(element("dt", "", name), element("dd", "mono", Array.isArray(value) ? value.join(", ") : String(value)));
  }
  more.append(members);
  return more;
}

function row(event) {
  const item = element("li");
  const box = element("details");
  const line = element("summary");
  const [text, look] = sentence(event);
  const time = element("time", "mono", event.time.slice(11, 23));
  time.dateTime = event.time;
  line.append(time, element("span", "what", text), element("span", `tag mono ${look}`, event.code ?? event.event));
  box.append(line);
  // What is inside is made when somebody looks.
  box.addEventListener("toggle", () => box.childElementCount === 1 && box.append(details(event)));
  item.append(box);
  item.dataset.refused = event.code ? "yes" : "no";
  item.dataset.event = event.event;
  item.dataset.find = JSON.stringify(event).toLowerCase();
  return item;
}

function filter(items) {
  const onlyRefused = byId("only-refused").checked;
  const find = byId("find").value.trim().toLowerCase();
  for (const item of items) {
    item.hidden = (onlyRefused && item.dataset.refused !== "yes") || (find !== "" && !item.dataset.find.includes(find));
  }
}

function tally(id, rows, none) {
  const made = rows.map(([name, count]) => {
    const item = element("li");
    item.append(element("span", "mono", name), element("b", "", String(count)));
    return item;
  });
  byId(id).replaceChildren(...(made.length ? made : [element("li", "quiet", none)]));
}

function show({ events, counts }) {
  const rows = events.map(row).reverse();
  filter(rows);
  list.prepend(...rows);
  while (list.childElementCount > MOST) list.lastElementChild.remove();
  byId("answered").textContent = counts.answered.toLocaleString();
  byId("refused").textContent = counts.refused.toLocaleString();
  byId("failed").textContent = counts.failed.toLocaleString();
  byId("lost").textContent = counts.lines_dropped.toLocaleString();
  tally("refusals", counts.refusals, "Nothing was refused yet.");
  tally("kinds", counts.events, "Nothing happened yet.");
}

async function readiness() {
  const pill = byId("ready");
  const answer = await fetch("/readyz");
  const { ready, checks } = await answer.json();
  pill.textContent = ready ? "ready" : "not ready";
  pill.className = `pill ${ready ? "good" : "bad"}`;
  tally("checks", checks.map((check) => [check.detail ? `${check.name}: ${check.detail}` : check.name, check.ready ? "ok" : "no"]), "Nothing to wait for.");
}

async function poll() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  try {
    const answer = await fetch(`/events.json?after=${last}`);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const body = await answer.json();
    if (body.last < last) list.replaceChildren();
    last = body.last;
    show(body);
    await readiness();
    byId("state").textContent = list.childElementCount ? "Newest first; open an event for its cause and fix." : "Waiting for the first event.";
  } catch {
    byId("state").textContent = "The gateway does not answer; trying again.";
    byId("ready").textContent = "not reachable";
    byId("ready").className = "pill bad";
  }
  clearTimeout(timer);
  timer = setTimeout(poll, POLL);
}

byId("only-refused").addEventListener("change", () => filter(list.children));
byId("find").addEventListener("input", () => filter(list.children));
byId("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  event.target.textContent = paused ? "Go on" : "Pause";
  byId("state").textContent = paused ? "Paused." : "";
  poll();
});
document.addEventListener("visibilitychange", poll);
poll();
