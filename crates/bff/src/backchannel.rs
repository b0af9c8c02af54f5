//! Logout that the provider begins: OpenID Connect Back-Channel Logout 1.0.
//!
//! The provider's word ends what it names: the sessions here, and by a revocation also the access tokens of those
//! sessions, wherever they have got to.

use std::fmt;
use std::sync::Arc;

use axum_core::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use portcullis_audit::{Event, Refused, RequestId};
use portcullis_jose::{Claims, Secret, Verified};
use portcullis_oidc::ProviderError;
use portcullis_oidc::logout_token::LogoutToken;
use portcullis_store::{BoxFuture, IndexKey, Revocation, RevocationTarget, StoreError};

use crate::Bff;
use crate::session::store_refused;

/// The largest body of a logout message that is read, in bytes.
pub const MAX_LOGOUT_BODY: usize = 16 * 1024;

/// What the marks of logout tokens are kept under: one for each time that a token may be tried.
const TRIES: [&str; 5] = [
    "logout token",
    "logout token 2",
    "logout token 3",
    "logout token 4",
    "logout token 5",
];

/// The list of what is revoked, as the whole program goes by it.
#[derive(Clone)]
pub struct Revoke {
    enter: Arc<dyn Fn(Revocation) -> OfList<u64> + Send + Sync>,
    covers: Arc<dyn Fn(Verified<Claims>) -> OfList<bool> + Send + Sync>,
}

/// What comes of a question to the list.
type OfList<T> = BoxFuture<'static, Result<T, StoreError>>;

// === impl Revoke ===

impl Revoke {
    /// `enter` makes a revocation hold from the next request on, and returns its number. `covers` says whether a token
    /// with these claims is revoked, also by another replica.
    pub fn by(
        enter: impl Fn(Revocation) -> BoxFuture<'static, Result<u64, StoreError>> + Send + Sync + 'static,
        covers: impl Fn(Verified<Claims>) -> BoxFuture<'static, Result<bool, StoreError>> + Send + Sync + 'static,
    ) -> Revoke {
        Revoke {
            enter: Arc::new(enter),
            covers: Arc::new(covers),
        }
    }

    pub(crate) async fn covers(&self, claims: Verified<Claims>) -> Result<bool, StoreError> {
        (self.covers)(claims).await
    }
}

impl fmt::Debug for Revoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revoke")
    }
}

// === impl Bff ===

impl Bff {
    /// Whether a path is the one to which the provider sends its logout messages, by POST with a body.
    #[must_use]
    pub fn takes_logout_messages(&self, path: &str) -> bool {
        self.endpoint_of(path) == Some("backchannel-logout")
    }

    /// Answers a logout message of the provider's; `body` has at most [`MAX_LOGOUT_BODY`] bytes.
    ///
    /// s2.8: 200 when the sessions are over, also when there were none; 400 when the message is not acceptable or it
    /// could not be done. What is answered with 200 is in the store.
    pub async fn backchannel_logout(&self, headers: &HeaderMap, body: &[u8], id: &RequestId) -> Response<Body> {
        match self.end_by_message(headers, body, id).await {
            Ok(()) => answer(StatusCode::OK, Body::empty()),
            Err(refused) => {
                // Ours to put right: a provider that tries again will succeed.
                let error = match refused.status() {
                    500.. => "temporarily_unavailable",
                    _ => "invalid_request",
                };
                let frontend = self.0.settings.name.clone();
                self.0.audit.emit(Some(id), Event::LogoutRefused { frontend, refused });
                let body = serde_json::json!({ "error": error }).to_string();
                let mut response = answer(StatusCode::BAD_REQUEST, Body::from(body));
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
        }
    }

    async fn end_by_message(&self, headers: &HeaderMap, body: &[u8], id: &RequestId) -> Result<(), Refused> {
        self.needs_store()?;
        let token = logout_token(headers, body)?;
        let verified = self.0.settings.client.verify_logout_token(&token).await;
        let token = verified.map_err(|error| match error {
            ProviderError::Token(refusal) => Refused::new(refusal.code())
                .expected_if(refusal.expected())
                .found_if(refusal.found()),
            other => Refused::new(other.code()).found(other.to_string()),
        })?;
        let left = self.take(&token).await?;
        self.revoke_tokens(&token, id).await?;
        let ended = self.end_sessions(&token).await?;
        self.0.watches.look_now();
        for _ in 0..ended {
            let (frontend, subject) = (self.0.settings.name.clone(), token.subject.clone().unwrap_or_default());
            let how = "back_channel";
            self.0.audit.emit(Some(id), Event::LoggedOut { frontend, subject, how });
        }
        // It is done, and is not done again.
        for purpose in left {
            self.mark(purpose, &token).await?;
        }
        Ok(())
    }

    /// s2.6 (8): a token counts once. If the work was not finished, because the store or this process went away in
    /// between, the provider may send it again. Returns the tries that are left.
    async fn take(&self, token: &LogoutToken) -> Result<&'static [&'static str], Refused> {
        let mut left = TRIES.as_slice();
        while let Some((purpose, others)) = left.split_first() {
            left = others;
            if self.mark(purpose, token).await? {
                return Ok(left);
            }
        }
        Err(Refused::new("logout.token_replayed").found(&token.id))
    }

    /// Whether it is the first mark of its purpose.
    async fn mark(&self, purpose: &str, token: &LogoutToken) -> Result<bool, Refused> {
        // An issuer is a URL, and so has no line break.
        let id = format!("{}\n{}", token.issuer, token.id);
        let marked = self.0.store.mark(purpose, id.as_bytes(), token.expires).await;
        marked.map_err(store_refused)
    }

    /// Access tokens that were handed out in those sessions are refused from the next request on.
    async fn revoke_tokens(&self, token: &LogoutToken, id: &RequestId) -> Result<(), Refused> {
        let iss = token.issuer.clone();
        let (target, issued_before) = match (&token.sid, &token.subject) {
            // A session that is over never comes back.
            (Some(sid), _) => (RevocationTarget::Session { iss, sid: sid.clone() }, None),
            // A person may sign in again: both times are of the provider's clock. It counts in seconds, and tokens of
            // the logout's own second are older than it.
            (None, subject) => {
                let sub = subject.clone().unwrap_or_default();
                (RevocationTarget::Subject { iss, sub }, Some(token.issued.plus(1)))
            }
        };
        let (kind, reason) = (target.kind(), "logout at the provider".to_owned());
        let until = self.0.clock.now().plus(self.0.settings.revoke_for);
        let revocation = Revocation {
            target,
            issued_before,
            expires: until,
            reason: reason.clone(),
        };
        let number = (self.0.revoke.enter)(revocation).await.map_err(store_refused)?;
        let event = Event::Revoked {
            kind,
            id: number,
            until,
            reason,
            how: "back_channel",
        };
        self.0.audit.emit(Some(id), event);
        Ok(())
    }

    /// s2.7: the session that the `sid` names, or without one all sessions of the subject.
    async fn end_sessions(&self, token: &LogoutToken) -> Result<u64, Refused> {
        let store = &self.0.store;
        self.0.copies.forget_all();
        let ended = match (&token.sid, &token.subject) {
            (Some(sid), _) => store.delete_by_sid(IndexKey::sid(&token.issuer, sid)).await,
            (None, Some(subject)) => {
                let subject = IndexKey::subject(&token.issuer, subject);
                store.delete_by_subject(subject).await
            }
            (None, None) => Ok(0),
        };
        ended.map_err(store_refused)
    }
}

/// s2.5: a form with one `logout_token`; what else is in it is not looked at.
fn logout_token(headers: &HeaderMap, body: &[u8]) -> Result<Secret, Refused> {
    let invalid = |found: &str| Refused::new("logout.request_invalid").found(found);
    let form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    if !form {
        return Err(invalid("another Content-Type, or none"));
    }
    let mut tokens = form_urlencoded::parse(body).filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Ok(Secret::new(token)),
        (None, _) => Err(invalid("no logout_token")),
        _ => Err(invalid("several logout_token")),
    }
}

fn answer(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // s2.8
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
