use serde_json::{Value, json};

use super::{AccessClaims, Binding, access_claims, audience, parse_scopes, scope_text};
use crate::config::{Client, grantable};
use crate::form::Params;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::state::AccessToken;

/// The client credentials grant (RFC 6749 s4.4). No refresh token (s4.4.3), no ID token: nobody signed in.
pub(super) fn exchange(
    provider: &Provider,
    client: &Client,
    form: &Params,
    binding: &Binding,
) -> Result<Value, OAuthError> {
    // A public client has no credentials; the configuration is refused too, so this is the second lock.
    if client.is_public() {
        return Err(OAuthError::new(
            "unauthorized_client",
            "a public client has no credentials",
        ));
    }
    let asked = form.get("scope").map(parse_scopes);
    let nothing_asked = asked.is_none();
    let requested = asked.unwrap_or_else(|| client.scopes.iter().cloned().collect());
    let granted = grantable(&requested, client, None);
    if granted.is_empty() && !nothing_asked {
        return Err(OAuthError::invalid_scope("the client may have none of these scopes"));
    }
    let resource = super::resource(form)?;
    let target = audience::target(&provider.registry, &provider.issuer, client, &granted, &[], resource)?;
    let lifetime = provider.settings.access_token_lifetime;
    let claims = access_claims(
        provider,
        &AccessClaims {
            client_id: &client.client_id,
            person: None,
            audience: &target.audience,
            scopes: &target.scopes,
            auth_time: None,
            sid: None,
            lifetime,
            binding,
        },
    );
    let defect = provider.dev.behaviour().access_token_defect;
    let token = provider.sign_access_token(claims.clone(), defect)?;
    provider.dev.note_secret(&token);
    let kept = AccessToken {
        grant: None,
        client_id: client.client_id.clone(),
        username: None,
        claims: claims.into(),
        expires: provider.now().plus(lifetime),
        revoked: false,
    };
    provider.state().keep_access_token(&token, kept);
    Ok(json!({
        "access_token": token,
        "token_type": binding.token_type(),
        "expires_in": lifetime,
        "scope": scope_text(&target.scopes),
    }))
}
