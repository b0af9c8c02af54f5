// A person's own sessions: where they are signed in, and an end to one or to all others.

import { SESSION_ENDED, fetch, login } from "/bff/portcullis.js";

const list = document.getElementById("sessions");
const time = (seconds) => new Date(seconds * 1000).toLocaleString();

async function end(which) {
  await fetch(`/bff/sessions/${which}`, { method: "DELETE" });
  await refresh();
}

async function refresh() {
  const response = await fetch("/bff/sessions");
  if (!response.ok) return;
  const { sessions } = await response.json();
  list.replaceChildren(...sessions.map((session) => {
    const item = document.createElement("li");
    item.dataset.current = session.current;
    item.dataset.id = session.id;
    item.append(`${session.device || "An unknown device"}, ${session.address}, since ${time(session.since)}, `
      + (session.current ? "this one " : `last seen ${time(session.last_seen)} `));
    const button = document.createElement("button");
    button.textContent = "Sign out";
    button.addEventListener("click", () => end(session.id));
    item.append(button);
    return item;
  }));
}

window.addEventListener(SESSION_ENDED, () => login());
document.getElementById("end-others").addEventListener("click", () => end("others"));
await refresh();
