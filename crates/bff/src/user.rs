use axum_core::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::request::Parts;
use http::{HeaderValue, Response};
use portcullis_audit::Refused;
use serde_json::json;

use crate::{Bff, Failure};

impl Bff {
    pub(crate) async fn user(&self, request: &Parts) -> Result<Response<Body>, Failure> {
        self.check_same_origin(&request.headers)?;
        let session = match self.session(&request.headers, &request.method).await {
            Ok(Some(session)) => session,
            Ok(None) => return Err(Refused::new("session.missing").into()),
            Err(refused) => return Err(self.over(refused)),
        };
        let answer = json!({
            "claims": session.data.claims,
            "seconds_left": session.seconds_left(self.0.clock.now()),
            "logout_url": format!("{}?token={}", self.0.settings.endpoint("logout"), session.logout_token.expose()),
        });
        let mut response = Response::new(Body::from(answer.to_string()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("Cookie"));
        Ok(response)
    }

    /// A refusal with the cookie taken away where it can never be worth anything again.
    #[must_use]
    pub fn over(&self, refused: Refused) -> Failure {
        let mut failure = Failure::from(refused);
        if matches!(
            failure.refused.code,
            "session.expired" | "session.invalid" | "refresh.rejected"
        ) {
            failure.set_cookies.extend(self.0.settings.clear_session_cookie());
        }
        failure
    }
}
