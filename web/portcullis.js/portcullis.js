// Portcullis in the browser. The page never sees a token: this adds the header that proves that a call is its own.

export const SESSION_ENDED = "portcullis:session-ended";
export const STEP_UP = "portcullis:step-up";

const SERVED = new URL(import.meta.url).pathname;
/** How long the stream may be silent before it counts as dead, and how long to wait before the next try. */
const SILENCE = 45_000, FIRST = 8_000, PAUSE = 15_000;
const options = {
  /** Where the endpoints are: beside this file where the gateway serves it. */
  base: SERVED.endsWith("/bff/portcullis.js") ? SERVED.slice(0, -14) : "/bff",
  /** Whether `fetch` leaves for the login when the session has ended. */
  loginOn401: false,
};

export function configure(changes) {
  Object.assign(options, changes);
}

export async function fetch(input, init = {}) {
  const response = await send(input, init);
  if (response.status !== 401) return response;
  const challenge = response.headers.get("WWW-Authenticate") ?? "";
  const value = (name) => new RegExp(`(?:^|[ ,])${name}="?([^",]*)`).exec(challenge)?.[1];
  if (value("error") === "insufficient_user_authentication") {
    const wish = { acrValues: value("acr_values"), maxAge: value("max_age") };
    if (raise(STEP_UP, { ...wish, url: response.url })) loginOnce(wish);
  } else if (raise(SESSION_ENDED, { login_url: `${options.base}/login` }) && options.loginOn401) {
    loginOnce({});
  }
  return response;
}

/** What a login of a moment ago did not help, the next would not either. */
function loginOnce(wish) {
  const tried = JSON.stringify(wish), now = Date.now(), was = (sessionStorage.portcullis ?? "").split("|");
  if (was[0] === tried && now - was[1] < Math.min(60, wish.maxAge ?? 60) * 1000) return;
  sessionStorage.portcullis = `${tried}|${now}`;
  login(wish);
}

export async function user({ slide = true } = {}) {
  const path = `${options.base}/user`;
  const response = await send(slide ? path : `${path}?slide=false`, { headers: { Accept: "application/json" } });
  if (response.ok) {
    const found = await response.json();
    tell({ left: found.seconds_left });
    return found;
  }
  // An answer that nobody reads keeps its connection, of which a browser has six.
  await response.text();
  if (response.status === 401) return null;
  throw new Error(`${path} answered ${response.status}`);
}

export function login(wish = {}) {
  if (typeof wish === "string") wish = { returnTo: wish };
  const { pathname, search, hash } = location;
  const here = (pathname + search + hash).replaceAll("\\", "%5C");
  const query = new URLSearchParams({ return_to: wish.returnTo ?? (here.length > 2000 ? pathname : here) });
  const names = { prompt: "prompt", maxAge: "max_age", acrValues: "acr_values", loginHint: "login_hint", uiLocales: "ui_locales" };
  for (const [name, parameter] of Object.entries(names)) {
    if (wish[name] !== undefined) query.set(parameter, wish[name]);
  }
  location.assign(`${options.base}/login?${query}`);
}

export async function logout({ everywhere } = {}) {
  // Asked for anew: an earlier address belongs to a session that another tab may have replaced.
  const current = await user();
  if (current === null) return false;
  location.assign(current.logout_url + (everywhere ? "&everywhere=true" : ""));
  return true;
}

export function onSessionEnding(callback, seconds = 60) {
  return listen({ callback, seconds });
}

export function onSessionEnded(callback) {
  return listen({ callback });
}

// --- word of the session -------------------------------------------------------------------------------------------

const listeners = new Set();
/** `ends`: when the session ends, in milliseconds; 0 where there is none that is known of. */
let channel, ends = 0, wake = () => {};

function listen(listener) {
  listeners.add(listener);
  if (!channel) {
    const name = `portcullis ${options.base}`;
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }) => hear(data);
    // One tab asks for all: a browser has few connections to a server.
    if (navigator.locks) navigator.locks.request(name, follow);
    else follow();
    if (!ends) user({ slide: false }).catch(() => {});
  }
  plan(listener);
  return () => {
    listeners.delete(listener);
    clearTimeout(listener.timer);
  };
}

function tell(news) {
  hear(news);
  channel?.postMessage(news);
}

/** @param {{left?: number, reason?: string}} news */
function hear({ left, reason }) {
  const was = ends;
  ends = reason ? 0 : Date.now() + left * 1000;
  if (ends) wake();
  for (const listener of listeners) {
    plan(listener);
    if (was && !ends && !listener.seconds) listener.callback({ reason });
  }
}

function plan(listener) {
  clearTimeout(listener.timer);
  if (!ends || !listener.seconds || Math.abs(ends - listener.told) < 2000) return;
  const left = () => Math.max(0, Math.round((ends - Date.now()) / 1000));
  // A timer that is set for more than 24 days goes off at once.
  const wait = Math.min(ends - Date.now() - listener.seconds * 1000, 0x7fffffff);
  listener.timer = setTimeout(() => {
    listener.told = ends;
    listener.callback({ secondsLeft: left() });
  }, wait);
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function follow() {
  for (;;) {
    let reason;
    try {
      reason = await stream();
    } catch {
      // The stream cannot be had, or a proxy holds it back: ask from time to time.
    }
    // It may have ended because another tab signs in anew; then the new cookie is there in a moment.
    if (reason) await pause(500);
    const current = await user({ slide: false }).catch(() => undefined);
    if (current === null) {
      if (ends) tell({ reason: reason ?? "signed_out" });
      await new Promise((resolve) => { wake = resolve; });
    } else if (reason === undefined) {
      await pause(PAUSE);
    }
  }
}

/** Reads the event stream; returns why the session ended, or throws where the stream breaks. */
async function stream() {
  const control = new AbortController();
  let silence = setTimeout(() => control.abort(), FIRST);
  try {
    const response = await send(`${options.base}/events`, { signal: control.signal });
    if (response.status === 401) return "signed_out";
    if (!response.ok) throw new Error(String(response.status));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Error("closed");
      clearTimeout(silence);
      silence = setTimeout(() => control.abort(), SILENCE);
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const data = /^data: (.*)$/m.exec(event)?.[1];
        if (!data) continue;
        const { seconds_left: left, reason } = JSON.parse(data);
        if (reason) return reason;
        tell({ left });
      }
    }
  } finally {
    clearTimeout(silence);
    control.abort();
  }
}

/** Returns whether nobody cancelled it. */
function raise(name, detail) {
  return window.dispatchEvent(new CustomEvent(name, { detail, cancelable: true }));
}

async function send(input, init) {
  const request = new Request(input, { ...init, credentials: "same-origin" });
  if (new URL(request.url).origin !== location.origin) {
    throw new TypeError(`portcullis: ${new URL(request.url).origin} is not the origin of this page`);
  }
  request.headers.set("X-CSRF", "1");
  return globalThis.fetch(request);
}
