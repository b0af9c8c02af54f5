//! Backend For Frontend: a browser app signs people in without ever holding a token.
//!
//! [`Bff`] runs the Authorization Code grant with PKCE, keeps the tokens sealed in the session store, and gives the
//! browser one opaque HttpOnly cookie. It serves these endpoints ([`Bff::handle`], the last one
//! [`Bff::backchannel_logout`]):
//!
//! | endpoint | what it does |
//! | --- | --- |
//! | `GET /bff/login?return_to=/path` | sends the browser to the provider |
//! | `GET /bff/callback` | takes the answer, begins a session, goes back to the path |
//! | `GET /bff/user` | who is signed in, and for how long; needs the header `X-CSRF: 1` |
//! | `GET /bff/logout?token=...` | ends the session here and at the provider; `/bff/user` tells the whole URL |
//! | `POST /bff/backchannel-logout` | the provider says whose sessions are over |
//!
//! For the gateway it finds the session of a request ([`Bff::session`]), checks that the page itself made it
//! ([`Bff::check_same_origin`]), and hands out an access token that is alive ([`Bff::access_token`]): renewed ahead of
//! its expiry, once for each session however many requests and replicas ask.
//!
//! A refusal is a value ([`Failure`]); the gateway makes a page or a problem document of it.

mod attempt;
mod backchannel;
mod cookies;
mod csrf;
mod failure;
mod login;
mod logout;
mod refresh;
mod return_path;
mod session;
mod settings;
mod user;

use std::sync::Arc;

use axum_core::body::Body;
use http::request::Parts;
use http::{Method, Response};
use portcullis_audit::{Audit, Refused, RequestId};
use portcullis_jose::{Clock, Secret};
use portcullis_store::{KeyRing, SealError, Sealer, Store};

pub use backchannel::{MAX_LOGOUT_BODY, Revoke};
pub use csrf::{CSRF_HEADER, is_navigation};
pub use failure::Failure;
pub use session::Session;
pub use settings::{FrontendSettings, SameSite};

/// The endpoints and sessions of one frontend. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bff(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: FrontendSettings,
    store: Arc<dyn Store>,
    sessions: Sealer,
    attempts: Sealer,
    audit: Audit,
    clock: Arc<dyn Clock>,
    revoke: Revoke,
    refreshing: refresh::Flights,
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
            settings,
            store,
            audit,
            clock,
            revoke,
            refreshing: refresh::Flights::default(),
        })))
    }

    /// The frontend's settings.
    #[must_use]
    pub fn settings(&self) -> &FrontendSettings {
        &self.0.settings
    }

    /// Whether a path is one of the endpoints here.
    #[must_use]
    pub fn owns(path: &str) -> bool {
        path == "/bff" || path.starts_with("/bff/")
    }

    /// Answers a request to one of the endpoints.
    ///
    /// # Errors
    /// [`Failure`] with the reason, and the cookies to set beside it.
    pub async fn handle(&self, request: &Parts, id: &RequestId) -> Result<Response<Body>, Failure> {
        let not_allowed = |allowed: &str| {
            let refused = Refused::new("route.method_not_allowed").expected(allowed);
            Err(refused.found(request.method.as_str()).into())
        };
        if Bff::takes_logout_messages(request.uri.path()) {
            return not_allowed("POST");
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return not_allowed("GET, HEAD");
        }
        match request.uri.path() {
            "/bff/login" => self.login(request, id).await,
            "/bff/callback" => self.callback(request, id).await,
            "/bff/user" => self.user(request).await,
            "/bff/logout" => self.logout(request, id).await,
            other => Err(Refused::new("route.not_found").found(other).into()),
        }
    }

    /// An access token of the session that is alive now, renewed if it is about to expire.
    ///
    /// # Errors
    /// `refresh.rejected` when the person has to sign in again, `refresh.unavailable` when the provider cannot be
    /// asked and the token is over, `store.unavailable`.
    pub async fn access_token(&self, session: &Session, id: &RequestId) -> Result<Secret, Refused> {
        self.fresh_access_token(session, id).await
    }

    /// Every cookie of this frontend's, by the start of its name: none of them goes to an upstream.
    #[must_use]
    pub fn cookie_prefix(&self) -> String {
        self.0.settings.session_cookie()
    }
}
