//! Backend For Frontend: a browser app signs people in without ever holding a token.
//!
//! [`Bff`] runs the Authorization Code grant with PKCE, keeps the tokens sealed in the session store, and gives the
//! browser one opaque HttpOnly cookie. It serves these endpoints ([`Bff::handle`], the last one
//! [`Bff::backchannel_logout`]):
//!
//! | endpoint | what it does |
//! | --- | --- |
//! | `GET /bff/login?return_to=/path` | sends the browser to the provider |
//! | `POST /bff/login` | the same, asked by another party (OpenID Connect Core 1.0 s4) |
//! | `GET /bff/silent-login` | signs in without asking anybody, in a frame, and tells the page around it |
//! | `GET /bff/callback` | takes the answer, begins a session, goes back to the path |
//! | `GET /bff/user` | who is signed in, and for how long; needs the header `X-CSRF: 1` |
//! | `GET /bff/session` | how long the session and its token last; it does not last longer for it |
//! | `POST /bff/refresh` | renews the access token now |
//! | `GET /bff/sessions` | the person's own sessions |
//! | `DELETE /bff/sessions/{id}`, `others` or `all` | ends one of them, all others, or all |
//! | `GET /bff/logout?token=...` | ends the session here and at the provider; `/bff/user` tells the whole URL |
//! | `/bff/resubmit` | sends a form that met a session which was over |
//! | `GET /bff/events` | how long the session lasts, and its end, as an event stream |
//! | `GET /bff/frontchannel-logout` | the provider says in a frame that a session is over |
//! | `POST /bff/backchannel-logout` | the provider says whose sessions are over |
//!
//! For the gateway it finds the session of a request ([`Bff::session`]), checks that the page itself made it
//! ([`Bff::check_same_origin`]), and hands out an access token that is alive ([`Bff::access_token`]): renewed ahead of
//! its expiry, once for each session however many requests and replicas ask.
//!
//! A refusal is a value ([`Failure`]); the gateway makes a page or a problem document of it.

mod access_token;
mod administered;
mod attempt;
mod backchannel;
mod callbacks;
mod carried;
mod cookies;
mod copies;
mod csrf;
mod failure;
mod flights;
mod frontchannel;
mod kept;
mod login;
mod logout;
mod pages;
mod recent;
mod refresh;
mod return_path;
mod session;
mod sessions;
mod settings;
mod user;
mod watch;
mod wish;
mod work;

use std::sync::{Arc, OnceLock, Weak};

use axum_core::body::Body;
use http::request::Parts;
use http::{Method, Response};
use portcullis_audit::{Audit, Refused, RequestId};
use portcullis_jose::Clock;
use portcullis_store::{KeyRing, SealError, Sealer, Store};

pub use access_token::AccessToken;
pub use administered::SessionInfo;
pub use backchannel::{MAX_LOGOUT_BODY, Revoke};
pub use csrf::{CSRF_HEADER, is_navigation};
pub use failure::Failure;
pub use kept::{MAX_FORM, StepUp, is_form};
pub use refresh::Used;
pub use session::Session;
pub use sessions::Peer;
pub use settings::{FrontendSettings, LoginDefaults, SameSite};

/// The parameters of a login, as a form.
const MAX_PARAMETERS: usize = 8 * 1024;
/// A kept form, sealed and encoded, and encoded once more as a form.
const MAX_SEALED_FORM: usize = 2 * MAX_FORM + 16 * 1024;

/// The endpoints and sessions of one frontend. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bff(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: FrontendSettings,
    /// Of the settings, as each request needs them.
    origin: String,
    session_cookie: String,
    store: Arc<dyn Store>,
    sessions: Sealer,
    attempts: Sealer,
    carrier: Sealer,
    audit: Audit,
    clock: Arc<dyn Clock>,
    revoke: Revoke,
    refreshing: flights::Flights,
    watches: watch::Watches,
    copies: copies::Copies,
    carried: carried::CarriedLately,
    callbacks: callbacks::Callbacks,
    work: work::Work,
    /// The other frontends on the same store.
    others: OnceLock<Vec<Weak<Inner>>>,
    /// How many logins were begun.
    begun: std::sync::atomic::AtomicU64,
}

impl Bff {
    /// A frontend whose sessions are kept in `store`, sealed by `ring`. What a logout at the provider makes invalid is
    /// entered by `revoke`.
    ///
    /// # Errors
    /// When the keys of the ring cannot be used.
    pub fn new(
        settings: FrontendSettings,
        store: Arc<dyn Store>,
        ring: &KeyRing,
        audit: Audit,
        clock: Arc<dyn Clock>,
        revoke: Revoke,
    ) -> Result<Bff, SealError> {
        Ok(Bff(Arc::new(Inner {
            sessions: Sealer::new(ring, &format!("session {}", settings.name))?,
            attempts: Sealer::new(ring, &format!("login attempt {}", settings.name))?,
            carrier: Sealer::new(ring, &format!("session cookie {}", settings.name))?,
            copies: copies::Copies::new(settings.grace),
            carried: carried::CarriedLately::default(),
            callbacks: callbacks::Callbacks::default(),
            work: work::Work::default(),
            others: OnceLock::new(),
            begun: std::sync::atomic::AtomicU64::new(0),
            origin: settings.origin(),
            session_cookie: settings.session_cookie(),
            settings,
            store,
            audit,
            clock,
            revoke,
            refreshing: flights::Flights::default(),
            watches: watch::Watches::default(),
        })))
    }

    /// Makes the frontends on one store known to each other: a logout everywhere is one of all of them. Done once.
    pub fn introduce(all: &[Bff]) {
        for bff in all {
            let others = all.iter().filter(|other| !Arc::ptr_eq(&other.0, &bff.0));
            let _ = bff.0.others.set(others.map(|other| Arc::downgrade(&other.0)).collect());
        }
    }

    /// Takes over another key ring: its first key seals from now on, all of its keys open. Each session is sealed anew
    /// when it is used next.
    ///
    /// # Errors
    /// When the keys cannot be used; those of before stay then.
    pub fn rekey(&self, ring: &KeyRing) -> Result<(), SealError> {
        self.0.sessions.rekey(ring)?;
        self.0.attempts.rekey(ring)?;
        self.0.carrier.rekey(ring)?;
        // What was opened with a key that is gone counts no longer.
        self.0.copies.forget_all();
        self.0.carried.forget_all();
        Ok(())
    }

    /// The frontend's settings.
    #[must_use]
    pub fn settings(&self) -> &FrontendSettings {
        &self.0.settings
    }

    /// Whether a path is one of the endpoints here.
    #[must_use]
    pub fn owns(&self, path: &str) -> bool {
        self.endpoint_of(path).is_some()
    }

    /// What stands after `/bff/`, where the path is one of this frontend's.
    fn endpoint_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.0.settings.path.as_str())?.strip_prefix("/bff")?;
        match rest.strip_prefix('/') {
            Some(endpoint) => Some(endpoint),
            None => rest.is_empty().then_some(""),
        }
    }

    /// How many bytes of a request's body are read; 0 where an endpoint takes none.
    #[must_use]
    pub fn body_limit(&self, request: &Parts) -> usize {
        match (self.endpoint_of(request.uri.path()), &request.method) {
            (Some("login"), &Method::POST) => MAX_PARAMETERS,
            (Some("callback"), &Method::POST) if self.takes_form_post() => MAX_PARAMETERS,
            (Some("resubmit"), &Method::POST) => MAX_SEALED_FORM,
            _ => 0,
        }
    }

    /// Answers a request to one of the endpoints. `body` has at most [`Bff::body_limit`] bytes.
    ///
    /// # Errors
    /// [`Failure`] with the reason, and the cookies to set beside it.
    pub async fn handle(&self, request: &Parts, body: &[u8], id: &RequestId) -> Result<Response<Body>, Failure> {
        let mut answer = self.answer(request, body, id).await;
        let endpoint = self.endpoint_of(request.uri.path()).unwrap_or_default();
        // The other endpoints begin a session, end it, or leave it as it is.
        if matches!(endpoint, "user" | "refresh") {
            let cookies = self.carry_out(&request.headers, &request.method).await;
            match &mut answer {
                Ok(response) => cookies.into_iter().for_each(|cookie| {
                    response.headers_mut().append(http::header::SET_COOKIE, cookie);
                }),
                Err(failure) => failure.set_cookies.extend(cookies),
            }
        }
        answer
    }

    async fn answer(&self, request: &Parts, body: &[u8], id: &RequestId) -> Result<Response<Body>, Failure> {
        let path = request.uri.path();
        let get = matches!(request.method, Method::GET | Method::HEAD);
        let (post, delete) = (request.method == Method::POST, request.method == Method::DELETE);
        let query = request.uri.query().unwrap_or_default().as_bytes();
        match self.endpoint_of(path).unwrap_or_default() {
            "login" if get => self.login(request, query, false, id).await,
            // OpenID Connect Core 1.0 s4: another party may also send a form.
            "login" if post => self.login(request, body, false, id).await,
            "silent-login" if get => self.silent_login(request, query, id).await,
            "callback" if get => self.callback(request, query, id).await,
            // OAuth 2.0 Form Post Response Mode s2.
            "callback" if post && self.takes_form_post() => {
                // What is no form has no fields.
                let form = if is_form(&request.headers) { body } else { &[] };
                self.callback(request, form, id).await
            }
            "user" if get => self.user(request).await,
            "session" if get => self.session_left(request).await,
            "refresh" if post => self.refresh(request, id).await,
            "sessions" if get => self.list_sessions(request).await,
            endpoint if delete && endpoint.starts_with("sessions/") => {
                let which = endpoint.strip_prefix("sessions/").unwrap_or_default();
                self.end_sessions_of(request, which, id).await
            }
            "events" if get => self.events(request).await,
            "frontchannel-logout" if !self.0.settings.frontchannel_logout => {
                Err(Refused::new("route.not_found").found(path).into())
            }
            "frontchannel-logout" if get => self.frontchannel_logout(request, id).await,
            "logout" if get => self.logout(request, id).await,
            "resubmit" if get => Ok(self.fetch_kept()),
            "resubmit" if post => self.send_again(request, body).await,
            "login" | "resubmit" => not_allowed(request, "GET, HEAD, POST"),
            "silent-login"
            | "callback"
            | "user"
            | "session"
            | "sessions"
            | "events"
            | "logout"
            | "frontchannel-logout" => not_allowed(request, "GET, HEAD"),
            "backchannel-logout" | "refresh" => not_allowed(request, "POST"),
            endpoint if endpoint.starts_with("sessions/") => not_allowed(request, "DELETE"),
            _ => Err(Refused::new("route.not_found").found(path).into()),
        }
    }

    fn takes_form_post(&self) -> bool {
        self.0.settings.client.options().form_post
    }

    /// An access token of the session that is alive now, renewed if it is about to expire.
    ///
    /// # Errors
    /// `refresh.rejected` when the person has to sign in again, `refresh.unavailable` when the provider cannot be
    /// asked and the token is over, `store.unavailable`.
    pub async fn access_token(&self, session: &Session, id: &RequestId) -> Result<AccessToken, Refused> {
        self.fresh_access_token(session, id).await
    }

    /// Waits until no token is being renewed, no login finished and nothing revoked at the provider: before the program ends.
    pub async fn finish(&self) {
        self.0.work.done().await;
    }

    /// Every cookie of this frontend's, by the start of its name: none of them goes to an upstream.
    #[must_use]
    pub fn cookie_prefix(&self) -> String {
        self.0.session_cookie.clone()
    }
}

fn not_allowed(request: &Parts, allowed: &str) -> Result<Response<Body>, Failure> {
    let refused = Refused::new("route.method_not_allowed").expected(allowed);
    Err(refused.found(request.method.as_str()).into())
}
