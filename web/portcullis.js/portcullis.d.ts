/** What `/bff/user` answers for a person who is signed in. */
export interface User {
  /** Claims about the person. */
  claims: { sub: string; name?: string; email?: string } & Record<string, unknown>;
  /** Seconds until the session ends. */
  seconds_left: number;
  /** Seconds until the session ends however much it is used. */
  lifetime_left: number;
  /** Where to navigate in order to sign out; it holds a proof that belongs to this session. */
  logout_url: string;
}

/** What a login can be asked for. */
export interface LoginOptions {
  /** A path of this site; without it, where the page is now, with what stands after `#`. */
  returnTo?: string;
  /** `none` asks nobody: who is not signed in at the provider comes back without a session. */
  prompt?: "none" | "login" | "consent" | "select_account" | "create";
  /** The person must have authenticated within so many seconds. */
  maxAge?: number | string;
  /** How the person is to be authenticated, the best first, with spaces in between. */
  acrValues?: string;
  loginHint?: string;
  uiLocales?: string;
}

export interface Options {
  /** The path of the endpoints, `/bff` unless the gateway served the module itself. */
  base?: string;
  /**
   * `fetch` leaves for the login when the session has ended. Off by default: the page may hold unsaved work. A call that
   * is refused again within a minute after such a login does not lead to another: there is the event, and the answer.
   */
  loginOn401?: boolean;
}

/** `detail` of {@link STEP_UP}. */
export interface StepUp {
  acrValues?: string;
  maxAge?: string;
  /** The call that was refused. */
  url: string;
}

/**
 * Raised on `window`, as a `CustomEvent<{login_url: string}>`, when a call is answered with 401: there is no session, or
 * it has ended.
 */
export const SESSION_ENDED: "portcullis:session-ended";

/**
 * Raised on `window`, as a `CustomEvent<StepUp>`, when an API wants a stronger or newer login. Unless somebody cancels
 * it, the page is left for that login and comes back; pass `detail` to {@link login} to do that later.
 */
export const STEP_UP: "portcullis:step-up";

/** Changes the options; call it before anything else. */
export function configure(options: Options): void;

/**
 * `fetch` with the session: the header `X-CSRF: 1` on every call, cookies to this origin only. A 401 raises
 * {@link SESSION_ENDED} or {@link STEP_UP}.
 *
 * @param input An address of this origin; any other is a `TypeError`, because the session is not for it.
 */
export function fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;

/**
 * Who is signed in; `null` where nobody is. Anything but a clear answer is an `Error`: a gateway that cannot be reached
 * does not mean that the person is signed out.
 *
 * @param options `slide: false` does not prolong the session.
 */
export function user(options?: { slide?: boolean }): Promise<User | null>;

/** Leaves the page, signs in at the provider and comes back. */
export function login(options?: string | LoginOptions): void;

/**
 * Ends the session here and at the provider; with `everywhere`, all sessions of the person. `false` where nobody was
 * signed in; otherwise the page is about to be left.
 */
export function logout(options?: { everywhere?: boolean }): Promise<boolean>;

/**
 * Calls back when the session will end in so many seconds (60) unless it is used; again when it was used and comes
 * near its end once more. Returns a function that ends this.
 */
export function onSessionEnding(callback: (news: { secondsLeft: number }) => void, seconds?: number): () => void;

/**
 * Calls back when the session has ended: in this tab or another one, by its age, or because the provider said so.
 * Returns a function that ends this.
 */
export function onSessionEnded(callback: (news: { reason: "expired" | "signed_out" }) => void): () => void;
