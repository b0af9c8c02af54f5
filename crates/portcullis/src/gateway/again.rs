//! A person who has to sign in comes back to what they were doing: a page, or a form that they had filled in.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use portcullis_audit::{Credential, Refused};
use portcullis_bff::{Bff, Failure, MAX_FORM, StepUp, is_form, is_navigation};

use super::body;
use super::routes::Api;
use super::{Gateway, Incoming};

/// A longer address is cut to its path.
const MAX_RETURN: usize = 1024;

/// What a call came to.
pub(super) struct Outcome {
    pub(super) credential: Credential,
    pub(super) response: Response<Body>,
    /// Whether the upstream was not asked.
    pub(super) refused: bool,
}

impl Gateway {
    /// A call, after which a browser that must sign in is led there and back.
    pub(super) async fn call<B>(&self, api: &Api, incoming: Incoming<'_>, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let guarded = api.guarded.as_ref().filter(|guarded| guarded.session);
        let frontend = guarded.and_then(|_| self.0.frontends.of_api(api, incoming.host));
        let bff = frontend.map(|frontend| &frontend.bff);
        let Some(bff) = bff.filter(|_| is_navigation(&incoming.parts.headers)) else {
            return self.pass(api, incoming, body).await.response;
        };
        if incoming.parts.method == Method::GET {
            let again = incoming.again();
            let outcome = self.pass(api, incoming, body).await;
            return match step_up(&outcome) {
                Some(step_up) => self.step_up(api, bff, &again, &step_up, &outcome),
                None => outcome.response,
            };
        }
        let pages = guarded.is_some_and(|guarded| guarded.pages);
        if pages && incoming.parts.method == Method::POST && bff.check_page(&incoming.parts).is_ok() {
            return Box::pin(self.call_with_form(api, bff, incoming, body)).await;
        }
        self.pass(api, incoming, body).await.response
    }

    /// A form that a page of our own sends. If it meets a session that is over, it is offered for sending once more.
    async fn call_with_form<B>(&self, api: &Api, bff: &Bff, incoming: Incoming<'_>, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let again = incoming.again();
        let small = body.size_hint().upper().is_some_and(|size| size <= MAX_FORM as u64);
        let (outcome, form) = if small && is_form(&incoming.parts.headers) {
            let form = match body::read(body, MAX_FORM).await {
                Ok(form) => form,
                Err(refused) => return self.refuse_on(Some(api), &incoming, refused.into(), Credential::None),
            };
            (self.pass(api, incoming, Full::new(form.clone())).await, Some(form))
        } else {
            (self.pass(api, incoming, body).await, None)
        };
        let step_up = step_up(&outcome);
        let over = outcome.refused && outcome.response.status() == StatusCode::UNAUTHORIZED;
        match &step_up {
            None if !over => return outcome.response,
            Some(step_up) if bff.has_stepped_up_for_form(&again.parts.headers, step_up) => {
                return self.step_up_failed(api, bff, &again, step_up, &outcome);
            }
            _ => {}
        }
        match bff.keep_form(&again.return_to(), form.as_deref(), step_up.as_ref()) {
            Ok(mut page) => {
                take_cookies(&outcome.response, &mut page);
                page
            }
            Err(refused) => self.refuse_on(Some(api), &again, refused.into(), outcome.credential),
        }
    }

    /// RFC 9470: the person signs in as it is demanded, and comes back to the page.
    fn step_up(
        &self,
        api: &Api,
        bff: &Bff,
        again: &Incoming<'_>,
        step_up: &StepUp,
        outcome: &Outcome,
    ) -> Response<Body> {
        if bff.has_stepped_up(&again.parts.headers, step_up, &again.return_to()) {
            return self.step_up_failed(api, bff, again, step_up, outcome);
        }
        let mut response = see_other(&bff.login_for(&again.return_to(), Some(step_up), true));
        take_cookies(&outcome.response, &mut response);
        response
    }

    /// After a login that did not help none begins by itself.
    fn step_up_failed(
        &self,
        api: &Api,
        bff: &Bff,
        again: &Incoming<'_>,
        step_up: &StepUp,
        outcome: &Outcome,
    ) -> Response<Body> {
        let failure = Failure {
            again: Some(bff.login_for(&again.return_to(), Some(step_up), false)),
            ..Refused::new("login.step_up_failed").into()
        };
        self.refuse_on(Some(api), again, failure, outcome.credential)
    }
}

/// Somebody who goes to a page wants to sign in.
pub(super) fn to_login(bff: &Bff, incoming: &Incoming<'_>) -> Response<Body> {
    see_other(&bff.login_for(&incoming.return_to(), None, true))
}

impl<'a> Incoming<'a> {
    /// What is kept of a request while it is passed on.
    fn again(&self) -> Incoming<'a> {
        let mut parts = self.parts.clone();
        parts.extensions.clear();
        Incoming { parts, ..*self }
    }

    fn return_to(&self) -> String {
        return_to(&self.parts, self.path.as_str())
    }
}

/// The demand of an API, or of a policy of ours, to somebody with a session.
fn step_up(outcome: &Outcome) -> Option<StepUp> {
    let session = outcome.credential == Credential::Session;
    let unauthorized = outcome.response.status() == StatusCode::UNAUTHORIZED;
    (session && unauthorized).then(|| StepUp::of(outcome.response.headers()))?
}

/// The path and query to come back to. What the login would not take back is better cut than refused.
fn return_to(parts: &Parts, path: &str) -> String {
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    match format!("{path}{query}") {
        whole if whole.len() <= MAX_RETURN && !whole.contains('\\') => whole,
        _ if path.len() <= MAX_RETURN => path.to_owned(),
        _ => "/".to_owned(),
    }
}

fn see_other(location: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(LOCATION, location);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn take_cookies(from: &Response<Body>, to: &mut Response<Body>) {
    for cookie in from.headers().get_all(SET_COOKIE) {
        to.headers_mut().append(SET_COOKIE, cookie.clone());
    }
}
