//! Who may call the admin API, and how a refusal is told.

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use portcullis_audit::{Credential, Event, Refused, RequestId};
use portcullis_jose::Secret;

use super::Admin;
use crate::gateway::answer::{Answer, Form};

impl Admin {
    /// A page's request is refused before its token is looked at: the browser may have been told the token.
    pub(super) fn check(&self, parts: &Parts) -> Result<(), Refused> {
        no_browser(&parts.headers)?;
        let Some(token) = &self.0.token else {
            return Err(Refused::new("admin.disabled"));
        };
        // Secrets compare in constant time.
        match bearer(&parts.headers) {
            Some(sent) if sent == *token => Ok(()),
            _ => Err(Refused::new("admin.unauthorized")),
        }
    }

    /// The answer to a call that is refused, and its event.
    pub(super) fn refuse(&self, parts: &Parts, refused: Refused) -> Response<Body> {
        let id = RequestId::new();
        let status = StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let challenge = (status == StatusCode::UNAUTHORIZED).then(|| "Bearer realm=\"portcullis admin\"".to_owned());
        let answer = Answer {
            challenges: challenge.as_slice(),
            ..Answer::new(&refused, status, Form::Problem, &id)
        };
        let response = answer.response();
        let credential = match parts.headers.contains_key(AUTHORIZATION) {
            true => Credential::Bearer,
            false => Credential::None,
        };
        let event = Event::CallRefused {
            route: Some("admin".to_owned()),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            credential,
            subject: None,
            client: None,
            status: status.as_u16(),
            refused,
            checks: Vec::new(),
        };
        self.0.audit.emit(Some(&id), event);
        response
    }
}

/// A form cannot send this type, and a script of another origin only after a preflight, which nobody answers here.
pub(super) fn is_json(headers: &HeaderMap) -> Result<(), Refused> {
    let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = found.and_then(|found| found.split(';').next()).map(str::trim);
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => Err(Refused::new("admin.media_type")
            .expected("application/json")
            .found(essence.unwrap_or("none"))),
    }
}

fn no_browser(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("(not ASCII)"));
    if let Some(origin) = text(ORIGIN.as_str()) {
        return Err(Refused::new("admin.browser").found(format!("Origin: {origin}")));
    }
    match text("sec-fetch-site") {
        None | Some("none" | "same-origin") => Ok(()),
        Some(site) => Err(Refused::new("admin.browser").found(format!("Sec-Fetch-Site: {site}"))),
    }
}

/// RFC 6750 s2.1, and one header alone.
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Secret::new(token.trim_matches(' ')))
}
