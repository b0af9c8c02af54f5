use std::collections::BTreeSet;

use portcullis_jose::random_token;
use serde_json::{Map, Value, json};

use super::{AccessClaims, Binding, IdClaims, access_claims, audience, id_claims, scope_text};
use crate::IdpError;
use crate::config::{Client, Person};
use crate::dev::Defect;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::state::{AccessToken, Grant, GrantId};

/// A user's login that tokens are issued for.
pub(super) struct Login<'a> {
    pub(super) id: GrantId,
    pub(super) grant: &'a Grant,
    /// What of the grant's scopes is asked for now.
    pub(super) scopes: &'a BTreeSet<String>,
    /// What access tokens are bound to.
    pub(super) binding: &'a Binding,
    /// Whether this is the code's exchange, not a refresh.
    pub(super) first: bool,
}

/// The answer of RFC 6749 s5.1 and OpenID Connect Core s3.1.3.3.
pub(super) fn token_answer(
    provider: &Provider,
    client: &Client,
    login: &Login<'_>,
    resource: Option<&str>,
) -> Result<Value, OAuthError> {
    let Login { grant, .. } = login;
    let person = provider
        .registry
        .person(&grant.username)
        .ok_or_else(OAuthError::server_error)?;
    let target = audience::target(
        &provider.registry,
        &provider.issuer,
        client,
        login.scopes,
        &grant.resources,
        resource,
    )?;
    let lifetime = provider.settings.access_token_lifetime;
    let claims = access_claims(
        provider,
        &AccessClaims {
            client_id: &grant.client_id,
            person: Some(person),
            audience: &target.audience,
            scopes: &target.scopes,
            auth_time: Some(grant.auth_time),
            sid: Some(&grant.sid),
            lifetime,
            binding: login.binding,
        },
    );
    let access_defect = provider.dev.behaviour().access_token_defect;
    let access_token = provider.sign_access_token(claims.clone(), access_defect)?;
    let mut answer = Map::new();
    if login.scopes.contains("openid")
        && let Some(id_token) = id_token(provider, login, person, &access_token)?
    {
        provider.dev.note_secret(&id_token);
        provider.state().counts.id_tokens += 1;
        answer.insert("id_token".into(), id_token.into());
    }
    let kept = AccessToken {
        grant: Some(login.id),
        client_id: grant.client_id.clone(),
        username: Some(grant.username.clone()),
        claims: claims.into(),
        expires: provider.now().plus(lifetime),
        revoked: false,
    };
    provider.state().keep_access_token(&access_token, kept);
    provider.dev.note_secret(&access_token);
    if let Some(refresh_token) = refresh_token(provider, login) {
        provider.dev.note_secret(&refresh_token);
        answer.insert("refresh_token".into(), refresh_token.into());
    }
    answer.insert("access_token".into(), access_token.into());
    answer.insert("token_type".into(), login.binding.token_type().into());
    answer.insert("expires_in".into(), lifetime.into());
    answer.insert("scope".into(), scope_text(&target.scopes).into());
    Ok(answer.into())
}

/// The next refresh token. OpenID Connect Core s11: `offline_access` asks for one.
fn refresh_token(provider: &Provider, login: &Login<'_>) -> Option<String> {
    let kept = !login.first && provider.dev.behaviour().keep_refresh_token;
    if kept || !login.grant.scopes.contains("offline_access") {
        return None;
    }
    let expires = provider.now().plus(provider.settings.refresh_token_lifetime);
    provider.state().issue_refresh_token(login.id, expires)
}

fn id_token(
    provider: &Provider,
    login: &Login<'_>,
    person: &Person,
    access_token: &str,
) -> Result<Option<String>, IdpError> {
    let behaviour = provider.dev.behaviour().clone();
    if behaviour.omit_id_token {
        return Ok(None);
    }
    let wrong_nonce = behaviour.wrong_nonce.then(|| random_token(16));
    let nonce = match (&wrong_nonce, login.first) {
        // OpenID Connect Core s12.2: an ID token of a refresh should have no nonce.
        (_, false) => None,
        (Some(wrong), true) => Some(wrong.as_str()),
        (None, true) => login.grant.nonce.as_deref().filter(|_| !behaviour.omit_nonce),
    };
    let mut claims = id_claims(
        provider,
        &IdClaims {
            client_id: &login.grant.client_id,
            person,
            scopes: login.scopes,
            auth_time: login.grant.auth_time,
            nonce,
            sid: Some(&login.grant.sid),
            access_token: Some(access_token),
            lifetime: provider.settings.id_token_lifetime,
        },
    );
    if behaviour.wrong_at_hash {
        claims.insert("at_hash".into(), json!(random_token(16)));
    }
    if behaviour.refresh_wrong_sub && !login.first {
        claims.insert("sub".into(), json!("somebody-else"));
    }
    let wrong_audience = behaviour.id_token_wrong_audience.then_some(Defect::WrongAudience);
    provider
        .sign_id_token(claims, wrong_audience.or(behaviour.id_token_defect))
        .map(Some)
}
