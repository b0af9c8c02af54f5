use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::{FailurePage, render};
use crate::dev::LogNote;

/// Why the person in front of the browser gets a page with an error. The client hears nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    UnknownClient,
    NoLogin,
    NoRedirectUri,
    UnknownRedirectUri,
    Repeated,
    InteractionGone,
    UnknownLogoutUri,
    LogoutClientMismatch,
    NotFound,
    WrongHost,
}

/// An error page. Its texts are fixed: nothing of the request is in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageError(Reason);

impl PageError {
    pub(crate) fn new(reason: Reason) -> PageError {
        PageError(reason)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, code, title, detail) = self.0.told();
        let mut response = render(status, &FailurePage { title, detail, code }, &[]);
        response.extensions_mut().insert(LogNote {
            error: Some(code.to_owned()),
            ..LogNote::default()
        });
        response
    }
}

impl Reason {
    fn told(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Reason::UnknownClient => (
                bad,
                "unknown_client",
                "Unknown application",
                "client_id is missing or names no client of this provider. Compare it with the [[client]] tables of the configuration.",
            ),
            Reason::NoLogin => (
                bad,
                "unauthorized_client",
                "This application does not sign people in",
                "Its configuration does not have the grant authorization_code.",
            ),
            Reason::NoRedirectUri => (
                bad,
                "redirect_uri_missing",
                "No address to return to",
                "redirect_uri is missing from the request.",
            ),
            Reason::UnknownRedirectUri => (
                bad,
                "redirect_uri_mismatch",
                "Unknown address to return to",
                "redirect_uri is not one of the client's redirect_uris. It is compared character by character; only the port of 127.0.0.1 and [::1] is free.",
            ),
            Reason::Repeated => (
                bad,
                "repeated_parameter",
                "Ambiguous request",
                "A parameter comes twice.",
            ),
            Reason::InteractionGone => (
                bad,
                "interaction_gone",
                "This page is out of date",
                "It was used already, is older than ten minutes, or was opened in another browser. Go back to the application and start again.",
            ),
            Reason::UnknownLogoutUri => (
                bad,
                "post_logout_redirect_uri_mismatch",
                "Unknown address to return to",
                "post_logout_redirect_uri is not one of the client's, or the request names no client. Nobody was signed out.",
            ),
            Reason::LogoutClientMismatch => (
                bad,
                "client_mismatch",
                "Two applications in one request",
                "client_id is not the client that id_token_hint was issued to. Nobody was signed out.",
            ),
            Reason::NotFound => (
                StatusCode::NOT_FOUND,
                "not_found",
                "There is nothing here",
                "This provider has no such page.",
            ),
            Reason::WrongHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "wrong_host",
                "Wrong name",
                "A development provider answers to 127.0.0.1, [::1] and localhost only.",
            ),
        }
    }
}
