use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::dev::LogNote;
use crate::response::no_store;

/// An error of an endpoint that programs call (RFC 6749 s5.2). The texts are fixed: nothing of the request is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthError {
    pub(crate) status: StatusCode,
    pub(crate) error: Cow<'static, str>,
    pub(crate) description: Cow<'static, str>,
}

impl OAuthError {
    pub(crate) fn new(error: &'static str, description: &'static str) -> OAuthError {
        OAuthError {
            status: StatusCode::BAD_REQUEST,
            error: error.into(),
            description: description.into(),
        }
    }

    pub(crate) fn invalid_request(description: &'static str) -> OAuthError {
        OAuthError::new("invalid_request", description)
    }

    pub(crate) fn invalid_grant(description: &'static str) -> OAuthError {
        OAuthError::new("invalid_grant", description)
    }

    pub(crate) fn invalid_scope(description: &'static str) -> OAuthError {
        OAuthError::new("invalid_scope", description)
    }

    /// The answer is the same whatever was wrong with the client's credentials.
    pub(crate) fn invalid_client() -> OAuthError {
        let description =
            "the client is unknown, or its credentials are missing, wrong or sent in another way than it must";
        OAuthError {
            status: StatusCode::UNAUTHORIZED,
            ..OAuthError::new("invalid_client", description)
        }
    }

    pub(crate) fn server_error() -> OAuthError {
        let description = "the provider failed; its log says why";
        OAuthError {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            ..OAuthError::new("server_error", description)
        }
    }
}

impl From<crate::IdpError> for OAuthError {
    fn from(_: crate::IdpError) -> OAuthError {
        OAuthError::server_error()
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut response = no_store((self.status, Json(body)).into_response());
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6749 s5.2, RFC 9110 s15.5.2
            let challenge = HeaderValue::from_static("Basic realm=\"portcullis idp\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(LogNote {
            error: Some(self.error.into_owned()),
            ..LogNote::default()
        });
        response
    }
}
