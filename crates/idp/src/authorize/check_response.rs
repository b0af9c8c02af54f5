use super::{AuthorizationRequest, AuthorizeError};
use crate::config::Client;
use crate::form::Params;
use crate::provider::Provider;

/// RFC 6749 s3.1: no parameter comes twice.
pub(super) fn repetition(
    _: &Provider,
    _: &Client,
    params: &Params,
    _: &mut AuthorizationRequest,
) -> Result<(), AuthorizeError> {
    if params.has_repeated() {
        return Err(AuthorizeError::new("invalid_request", "a parameter comes twice"));
    }
    Ok(())
}

/// The kinds of answer that there are: `code`, in the query or as a form.
pub(super) fn run(
    _: &Provider,
    _: &Client,
    params: &Params,
    _: &mut AuthorizationRequest,
) -> Result<(), AuthorizeError> {
    let refused = |error, description| Err(AuthorizeError::new(error, description));
    // OpenID Connect Core s3.1.2.6
    if params.get("registration").is_some() {
        return refused("registration_not_supported", "registration is not supported");
    }
    match params.get("response_type") {
        None => return refused("invalid_request", "response_type is missing"),
        Some("code") => {}
        // RFC 9700 s2.1.2: no token is ever issued from here.
        Some(_) => return refused("unsupported_response_type", "only response_type=code is supported"),
    }
    match params.get("response_mode") {
        None | Some("query" | "form_post") => Ok(()),
        Some(_) => refused("invalid_request", "response_mode must be query or form_post"),
    }
}
