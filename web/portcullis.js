// Portcullis in the browser: who is signed in, sign in, sign out, and calls that carry the session.
//
// The page never sees a token. The session is a cookie that JavaScript cannot read; this module adds the header that
// proves that a call comes from the page itself, and says when the session has ended. No dependencies, no build step.

/**
 * What `/bff/user` answers for a person who is signed in.
 * @typedef {object} User
 * @property {{sub: string, name?: string, email?: string} & Record<string, unknown>} claims  Claims about the person.
 * @property {number} seconds_left  Seconds until the session ends.
 * @property {string} logout_url  Where to navigate in order to sign out; it holds a proof that belongs to this session.
 */

/**
 * Raised on `window` when a call is answered with 401: there is no session, or it has ended.
 * `detail.login_url` is the place to sign in.
 */
export const SESSION_ENDED = "portcullis:session-ended";

const LOGIN = "/bff/login";
const USER = "/bff/user";

/**
 * `fetch` with the session: the header `X-CSRF: 1` on every call, cookies to this origin only.
 *
 * @param {RequestInfo | URL} input  An address of this origin; any other is a `TypeError`, because the session is not for it.
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
export async function fetch(input, init = {}) {
  const response = await send(input, init);
  if (response.status === 401) {
    const detail = { login_url: LOGIN };
    window.dispatchEvent(new CustomEvent(SESSION_ENDED, { detail }));
  }
  return response;
}

/**
 * Who is signed in.
 *
 * @returns {Promise<User | null>}  `null` where nobody is. Anything but a clear answer is an `Error`: a gateway that
 *   cannot be reached does not mean that the person is signed out.
 */
export async function user() {
  const response = await send(USER, { headers: { Accept: "application/json" } });
  if (response.ok) return response.json();
  // An answer that nobody reads keeps its connection, of which a browser has six.
  await response.text();
  if (response.status === 401) return null;
  throw new Error(`${USER} answered ${response.status}`);
}

/**
 * Leaves the page, signs in at the provider and comes back.
 *
 * @param {string} [returnTo]  A path of this site.
 */
export function login(returnTo = location.pathname + location.search) {
  location.assign(`${LOGIN}?return_to=${encodeURIComponent(returnTo)}`);
}

/**
 * Ends the session here and at the provider, and comes back.
 *
 * The address is asked for anew: the one of an earlier answer belongs to a session that another tab may have replaced.
 *
 * @returns {Promise<boolean>}  `false` where nobody was signed in; otherwise the page is about to be left.
 */
export async function logout() {
  const current = await user();
  if (current === null) return false;
  location.assign(current.logout_url);
  return true;
}

/**
 * @param {RequestInfo | URL} input
 * @param {RequestInit} init
 */
async function send(input, init) {
  const request = new Request(input, { ...init, credentials: "same-origin" });
  if (new URL(request.url).origin !== location.origin) {
    throw new TypeError(`portcullis: ${new URL(request.url).origin} is not the origin of this page`);
  }
  request.headers.set("X-CSRF", "1");
  return globalThis.fetch(request);
}
