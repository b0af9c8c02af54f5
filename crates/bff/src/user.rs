use axum_core::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::request::Parts;
use http::{HeaderValue, Response};
use portcullis_audit::{Refused, RequestId};
use serde_json::{Value, json};

use crate::{Bff, Failure, Session};

impl Bff {
    /// Who is signed in. `slide=false` in the query: the session does not live longer for it.
    pub(crate) async fn user(&self, request: &Parts) -> Result<Response<Body>, Failure> {
        self.check_same_origin(&request.headers)?;
        let slides = !has_parameter(request.uri.query(), "slide", "false");
        let session = match slides {
            true => self.session(&request.headers, &request.method).await,
            false => self.session_as_is(&request.headers, &request.method).await,
        };
        let session = signed_in(session)?;
        let now = self.0.clock.now();
        let answer = json!({
            "claims": session.data.claims,
            "seconds_left": session.seconds_left(now),
            "lifetime_left": session.times.expires.since(now).max(0),
            "logout_url": format!("{}?token={}", self.0.settings.endpoint("logout"), session.logout_token().expose()),
        });
        Ok(answered(&answer))
    }

    /// How long the session lasts. It does not last longer for it.
    pub(crate) async fn session_left(&self, request: &Parts) -> Result<Response<Body>, Failure> {
        self.check_same_origin(&request.headers)?;
        let session = signed_in(self.session_as_is(&request.headers, &request.method).await)?;
        Ok(answered(&self.left(&session)))
    }

    /// Renews the access token now.
    pub(crate) async fn refresh(&self, request: &Parts, id: &RequestId) -> Result<Response<Body>, Failure> {
        self.check_same_origin(&request.headers)?;
        let session = signed_in(self.session(&request.headers, &request.method).await)?;
        let refreshed = self.renew_now(&session, id).await?;
        let session = self.read(session.key).await?;
        let session = session.ok_or_else(|| Refused::new("session.expired"))?;
        let mut answer = self.left(&session);
        if let Some(members) = answer.as_object_mut() {
            members.insert("refreshed".to_owned(), refreshed.into());
        }
        Ok(answered(&answer))
    }

    fn left(&self, session: &Session) -> Value {
        let now = self.0.clock.now();
        json!({
            "seconds_left": session.seconds_left(now),
            "lifetime_left": session.times.expires.since(now).max(0),
            "token_seconds_left": session.data.access_expires.map(|expires| expires.since(now).max(0)),
            "refreshable": session.is_refreshable(),
        })
    }
}

pub(crate) fn signed_in(session: Result<Option<Session>, Refused>) -> Result<Session, Refused> {
    session?.ok_or_else(|| Refused::new("session.missing"))
}

/// JSON that no cache keeps.
pub(crate) fn answered(answer: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Cookie"));
    response
}

pub(crate) fn has_parameter(query: Option<&str>, name: &str, value: &str) -> bool {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).any(|(found, given)| found == name && given == value)
}
