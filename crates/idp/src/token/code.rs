use serde_json::Value;

use super::issue::{Login, token_answer};
use super::{Binding, pkce};
use crate::config::Client;
use crate::form::Params;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::state::Redemption;

/// The authorization code grant (RFC 6749 s4.1.3).
pub(super) fn exchange(
    provider: &Provider,
    client: &Client,
    form: &Params,
    binding: &Binding,
) -> Result<Value, OAuthError> {
    let code = form
        .get("code")
        .ok_or_else(|| OAuthError::invalid_request("code is missing"))?;
    // A code that comes back ends what was issued from it, so that happens before anything else is looked at.
    let redemption = provider.state().redeem_code(code, &client.client_id, provider.now());
    let (grant_id, code) = match redemption {
        Redemption::Fresh(id, code) => (id, code),
        Redemption::Used => {
            return Err(OAuthError::invalid_grant(
                "the code was used before; what was issued for it is revoked",
            ));
        }
        Redemption::Unknown => {
            return Err(OAuthError::invalid_grant(
                "the code is unknown, expired or another client's",
            ));
        }
    };
    // RFC 6749 s4.1.3: identical to the one of the authorization request.
    match form.get("redirect_uri") {
        None => return Err(OAuthError::invalid_request("redirect_uri is missing")),
        Some(uri) if uri != code.redirect_uri => {
            return Err(OAuthError::invalid_grant("redirect_uri is not the one of the login"));
        }
        Some(_) => {}
    }
    pkce::check(code.code_challenge.as_deref(), form.get("code_verifier"))?;
    // RFC 9449 s10
    if code.dpop_jkt.is_some() && code.dpop_jkt != binding.jkt {
        return Err(OAuthError::invalid_grant(
            "the key is not the one that the login named in dpop_jkt",
        ));
    }
    let login = Login {
        id: grant_id,
        grant: &code.grant,
        scopes: &code.grant.scopes,
        binding,
        first: true,
    };
    token_answer(provider, client, &login, super::resource(form)?)
}
