use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        ("session.missing", "session_missing"),
        401,
        "Nobody is signed in",
        "The route accepts the session of a browser, and the request has no session cookie.",
        "Sign in at `/bff/login`. If the browser has just signed in, look at why it keeps the cookie back: the page must be on the host of `public_url`, on https (or loopback), and `fetch` must not say `credentials: 'omit'`.",
    ),
    entry(
        ("session.expired", "session_expired"),
        401,
        "The session has ended",
        "The session was idle for too long, reached its lifetime, or was ended by a logout; the cookie no longer leads to anything.",
        "Sign in again. If people lose their sessions too early, raise `session = { idle, lifetime }` of the frontend; if all sessions ended at once, the store was emptied or its key ring was replaced.",
    ),
    entry(
        ("session.token_expired", "session_token_expired"),
        401,
        "The session has no access token any more",
        "The access token of the session has expired, and the provider gave no refresh token to get another one with. The session itself goes on: `/bff/user` answers, and calls that need no token of the person's pass.",
        "Sign in again, which brings a new token. To spare people that, let the frontend ask for `offline_access` (and the provider grant it), or let access tokens live for as long as the session.",
    ),
    entry(
        ("session.not_kept", "session_not_kept"),
        501,
        "Nobody knows of the other sessions",
        "Sessions live in the browsers' cookies (`url` of `[store]` is `cookie`), so there is no list of a person's sessions, and a provider's message or a logout everywhere can reach none of them.",
        "Where that is needed, give the gateway a store: `sqlite:` on one machine, Redis or PostgreSQL on several. At the provider, leave the back-channel and front-channel logout addresses of this client out.",
    ),
    entry(
        ("session.invalid", "session_invalid"),
        401,
        "The session cookie is not ours",
        "The cookie was cut off, changed or made up, or it was sealed with a key that is no longer in the key ring.",
        "Sign in again; the new cookie takes the place of this one. If it happens to everybody after a deployment, the replicas do not share one store and key ring, or an old key was removed from the ring before the sessions under it had ended.",
    ),
    entry(
        ("session.form_lost", "form_lost"),
        400,
        "The form cannot be sent any more",
        "A form that was kept while the person signed in is older than an hour, was changed, or was sealed with a key that is no longer in the key ring.",
        "Fill the form in once more and send it within an hour of signing in. If that happens to everybody, keep an old sealing key in the ring for a while after a new one was put in front.",
    ),
    entry(
        ("csrf.header_missing", "csrf_header_missing"),
        403,
        "The X-CSRF header is missing",
        "The call uses the session cookie and lacks `X-CSRF: 1`; a form or an image of another site could have sent it.",
        "Send the header with every call: use `fetch` of `portcullis.js`, or add `headers: { 'X-CSRF': '1' }` (in Axios or Angular as a default header). Links and forms cannot carry it: let them go to a page, not to the API.",
    ),
    entry(
        ("csrf.cross_site", "csrf_cross_site"),
        403,
        "Another site made the request",
        "The browser says with Sec-Fetch-Site that a page of another site or a sibling subdomain made this call with the session of the person who looks at it.",
        "Call the API from pages of the same origin. A second application needs its own frontend or its own client; a sibling subdomain (`same-site`) counts as foreign on purpose, because whoever takes over one of them could otherwise use every session.",
    ),
    entry(
        ("csrf.origin_mismatch", "csrf_origin_mismatch"),
        403,
        "The Origin header names another origin",
        "The Origin of the request is not the origin of `public_url`.",
        "Compare `expected` and `found` of the event. If people reach the site by another name or port than `public_url` says, correct `public_url`; a development server that passes API calls on must keep the browser's Origin (or be set as `assets.upstream`, so that the browser talks to the gateway alone).",
    ),
];
