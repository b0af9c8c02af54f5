use super::{AuthorizationRequest, AuthorizeError, Prompt};
use crate::config::Client;
use crate::form::Params;
use crate::logout::hint;
use crate::provider::Provider;

/// How the user is asked (OpenID Connect Core s3.1.2.1): `prompt`, `max_age`, `id_token_hint`.
pub(super) fn run(
    provider: &Provider,
    client: &Client,
    params: &Params,
    request: &mut AuthorizationRequest,
) -> Result<(), AuthorizeError> {
    let refused = |description| Err(AuthorizeError::new("invalid_request", description));
    let mut others = false;
    let mut prompt = Prompt::default();
    for value in params
        .get("prompt")
        .unwrap_or_default()
        .split(' ')
        .filter(|value| !value.is_empty())
    {
        match value {
            "none" => prompt.none = true,
            "consent" => prompt.consent = true,
            // There is one account for each login, so choosing one is signing in again.
            "login" | "select_account" => prompt.login = true,
            _ => return refused("prompt must be none, login, consent or select_account"),
        }
        others |= value != "none";
    }
    if prompt.none && others {
        return refused("prompt=none stands alone");
    }
    request.prompt = prompt;
    if let Some(max_age) = params.get("max_age") {
        let Some(seconds) = max_age.parse::<i64>().ok().filter(|seconds| *seconds >= 0) else {
            return refused("max_age must be a number of seconds");
        };
        request.max_age = Some(seconds);
    }
    if let Some(token) = params.get("id_token_hint") {
        let Some(hint) = hint(provider, token).filter(|hint| hint.client_id == client.client_id) else {
            return refused("id_token_hint is no ID token of this provider for this client");
        };
        request.hinted_sub = Some(hint.sub);
    }
    Ok(())
}
