use serde_json::{Value, json};

use super::{AccessClaims, Binding, access_claims, audience, parse_scopes, scope_text, scopes_of};
use crate::config::{Client, grantable};
use crate::form::Params;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::state::AccessToken;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The token exchange grant (RFC 8693): an access token of ours for a narrower one, in the name of the same person. It
/// ends no later than the one that it was made from.
pub(super) fn exchange(
    provider: &Provider,
    client: &Client,
    form: &Params,
    binding: &Binding,
) -> Result<Value, OAuthError> {
    if client.is_public() {
        return Err(OAuthError::new(
            "unauthorized_client",
            "a public client cannot exchange tokens",
        ));
    }
    // RFC 8693 s2.1
    let subject_token = form
        .get("subject_token")
        .ok_or_else(|| OAuthError::invalid_request("subject_token is missing"))?;
    match form.get("subject_token_type") {
        Some(ACCESS_TOKEN | JWT) => {}
        Some(_) => return Err(OAuthError::invalid_request("subject_token_type must be access_token")),
        None => return Err(OAuthError::invalid_request("subject_token_type is missing")),
    }
    if !matches!(form.get("requested_token_type"), None | Some(ACCESS_TOKEN | JWT)) {
        return Err(OAuthError::invalid_request("only access tokens are issued"));
    }
    if form.get("actor_token").is_some() || form.get("actor_token_type").is_some() {
        return Err(OAuthError::invalid_request("actor tokens are not supported"));
    }
    let now = provider.now();
    let (subject, granted) = {
        let state = provider.state();
        let found = state.live_access_token(subject_token, now).cloned();
        // RFC 8693 s2.2.2
        let found = found
            .ok_or_else(|| OAuthError::invalid_request("subject_token is no valid access token of this provider"))?;
        let grant = found.grant.and_then(|id| state.grant(id));
        let granted = grant.map_or_else(|| scopes_of(&found.claims), |grant| grant.scopes.clone());
        (found, granted)
    };
    // Who holds it: the client that it was issued to, or the API that it is for.
    let audience_of_subject = subject.claims.get("aud").and_then(Value::as_str);
    let is_holder = subject.client_id == client.client_id
        || (client.audience.is_some() && client.audience.as_deref() == audience_of_subject);
    if !is_holder {
        return Err(OAuthError::invalid_request("subject_token was issued to somebody else"));
    }
    let asked = match (form.get("resource"), form.get("audience")) {
        (Some(resource), Some(audience)) if resource != audience => {
            return Err(OAuthError::new("invalid_target", "a token is for one API"));
        }
        (resource, audience) => resource.or(audience),
    };
    if form.repeats("resource") || form.repeats("audience") {
        return Err(OAuthError::new("invalid_target", "a token is for one API"));
    }
    // Never more than the person agreed to, and than this client may have.
    let requested = form.get("scope").map(parse_scopes).unwrap_or_else(|| granted.clone());
    if !requested.is_subset(&granted) {
        return Err(OAuthError::invalid_scope("scope has more than was granted"));
    }
    let person = subject
        .username
        .as_deref()
        .and_then(|name| provider.registry.person(name));
    let scopes = grantable(&requested, client, person);
    let target = audience::target(&provider.registry, &provider.issuer, client, &scopes, &[], asked)?;
    let lifetime = provider.settings.access_token_lifetime.min(subject.expires.since(now));
    let claims = access_claims(
        provider,
        &AccessClaims {
            client_id: &client.client_id,
            person,
            audience: &target.audience,
            scopes: &target.scopes,
            auth_time: None,
            sid: None,
            lifetime,
            binding,
        },
    );
    let token = provider.sign_access_token(claims.clone(), None)?;
    provider.dev.note_secret(&token);
    let kept = AccessToken {
        grant: subject.grant,
        client_id: client.client_id.clone(),
        username: subject.username,
        claims: claims.into(),
        expires: now.plus(lifetime),
        revoked: false,
    };
    provider.state().keep_access_token(&token, kept);
    // RFC 8693 s2.2.1
    Ok(json!({
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": binding.token_type(),
        "expires_in": lifetime,
        "scope": scope_text(&target.scopes),
    }))
}
