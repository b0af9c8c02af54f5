use super::{AuthorizationRequest, AuthorizeError};
use crate::config::Client;
use crate::form::Params;
use crate::provider::Provider;

/// Proof Key for Code Exchange: a must for public clients (RFC 9700 s2.1.1), and S256 for all.
pub(super) fn run(
    _: &Provider,
    client: &Client,
    params: &Params,
    request: &mut AuthorizationRequest,
) -> Result<(), AuthorizeError> {
    let refused = |description| Err(AuthorizeError::new("invalid_request", description));
    let Some(challenge) = params.get("code_challenge") else {
        return match (params.get("code_challenge_method"), client.is_public()) {
            (Some(_), _) => refused("code_challenge_method without code_challenge"),
            // RFC 7636 s4.4.1
            (None, true) => refused("code_challenge is missing; a public client must use PKCE"),
            (None, false) => Ok(()),
        };
    };
    // RFC 7636 s4.3: an absent method means plain.
    if params.get("code_challenge_method") != Some("S256") {
        return refused("code_challenge_method must be S256");
    }
    // RFC 7636 s4.2: SHA-256 in base64url has 43 characters.
    if challenge.len() != 43 || portcullis_jose::base64url_decode(challenge).is_none() {
        return refused("code_challenge is not base64url of a SHA-256 hash");
    }
    request.code_challenge = Some(challenge.to_owned());
    Ok(())
}
