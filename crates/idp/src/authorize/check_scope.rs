use super::{AuthorizationRequest, AuthorizeError};
use crate::config::{Client, is_scope_token};
use crate::form::Params;
use crate::provider::Provider;
use crate::token::parse_scopes;

/// Which scopes and which APIs are asked for. What of it is granted depends on the user and is decided later.
pub(super) fn run(
    provider: &Provider,
    client: &Client,
    params: &Params,
    request: &mut AuthorizationRequest,
) -> Result<(), AuthorizeError> {
    // RFC 6749 s3.3: without `scope` there is a default, which here is all that the client may have.
    request.scopes = params
        .get("scope")
        .map_or_else(|| client.scopes.iter().cloned().collect(), parse_scopes);
    if !request.scopes.iter().all(|scope| is_scope_token(scope)) {
        return Err(AuthorizeError::new(
            "invalid_scope",
            "scope has a character that it must not have",
        ));
    }
    // RFC 8707 s2
    for resource in params.all("resource") {
        if provider.registry.api(resource).is_none() {
            return Err(AuthorizeError::new(
                "invalid_target",
                "resource is no API of this provider",
            ));
        }
        request.resources.push(resource.to_owned());
    }
    Ok(())
}
