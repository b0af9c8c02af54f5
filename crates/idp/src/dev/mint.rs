use std::collections::BTreeSet;

use serde::Deserialize;

use super::Defect;
use crate::IdpError;
use crate::config::{Client, Person};
use crate::provider::Provider;
use crate::state::AccessToken;
use crate::token::{AccessClaims, Binding, IdClaims, access_claims, id_claims};

/// A token to be made, valid but for its defect.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mint {
    /// The username. Without one, the token is the client's own if a client is named, else the first user's.
    pub user: Option<String>,
    /// The client. Default: the first.
    pub client: Option<String>,
    /// The audience. Default: the API of the first scope, else the client's default, else the first API.
    pub audience: Option<String>,
    /// The scopes, exactly. Default: all that the user (or client) may have of that API.
    pub scopes: Vec<String>,
    /// Seconds of validity. Default: as the token endpoint does.
    pub lifetime: Option<i64>,
    /// The key that it is bound to: the claim `cnf` (RFC 7800 s3.1), such as `{"x5t#S256": "..."}`.
    pub cnf: Option<serde_json::Map<String, serde_json::Value>>,
    /// What is wrong with it.
    pub defect: Option<Defect>,
}

pub(crate) fn mint(provider: &Provider, mint: &Mint) -> Result<String, IdpError> {
    let registry = &provider.registry;
    let client = match &mint.client {
        Some(id) => registry.client(id),
        None => registry.first_client(),
    }
    .ok_or(IdpError::UnknownClient)?;
    let client = &*client;
    let person = match (&mint.user, &mint.client) {
        (Some(username), _) => Some(registry.person(username).ok_or(IdpError::UnknownUser)?),
        (None, Some(_)) => None,
        (None, None) => Some(registry.first_person().ok_or(IdpError::UnknownUser)?),
    };
    let lifetime = mint.lifetime.unwrap_or(provider.settings.access_token_lifetime);
    let token = if mint.defect == Some(Defect::IdTokenAsAccessToken) {
        let person = person
            .or_else(|| registry.first_person())
            .ok_or(IdpError::UnknownUser)?;
        id_token(provider, client, person, lifetime)?
    } else {
        access_token(provider, client, person, mint, lifetime)?
    };
    provider.dev.note_secret(&token);
    Ok(token)
}

fn access_token(
    provider: &Provider,
    client: &Client,
    person: Option<&Person>,
    mint: &Mint,
    lifetime: i64,
) -> Result<String, IdpError> {
    let now = provider.now();
    let audience = audience(provider, client, mint);
    let scopes = if mint.scopes.is_empty() {
        all_scopes(provider, client, person, &audience)
    } else {
        mint.scopes.iter().cloned().collect()
    };
    let mut claims = access_claims(
        provider,
        &AccessClaims {
            client_id: &client.client_id,
            person,
            audience: &audience,
            scopes: &scopes,
            auth_time: person.map(|_| now),
            sid: None,
            lifetime,
            binding: &Binding::default(),
        },
    );
    if let Some(cnf) = &mint.cnf {
        claims.insert("cnf".into(), cnf.clone().into());
    }
    let token = provider.sign_access_token(claims.clone(), mint.defect)?;
    if mint.defect.is_none() {
        let kept = AccessToken {
            grant: None,
            client_id: client.client_id.clone(),
            username: person.map(|person| person.username.clone()),
            claims: claims.into(),
            expires: now.plus(lifetime),
            revoked: false,
        };
        provider.state().keep_access_token(&token, kept);
    }
    Ok(token)
}

fn id_token(provider: &Provider, client: &Client, person: &Person, lifetime: i64) -> Result<String, IdpError> {
    let claims = id_claims(
        provider,
        &IdClaims {
            client_id: &client.client_id,
            person,
            scopes: &["openid", "profile", "email"].map(str::to_owned).into(),
            auth_time: provider.now(),
            nonce: None,
            sid: None,
            access_token: None,
            lifetime,
        },
    );
    provider.sign_id_token(claims, None)
}

fn audience(provider: &Provider, client: &Client, mint: &Mint) -> String {
    let registry = &provider.registry;
    let of_scope = || {
        mint.scopes
            .iter()
            .find_map(|scope| registry.owner(scope))
            .map(|api| api.audience.clone())
    };
    mint.audience
        .clone()
        .or_else(of_scope)
        .or_else(|| client.audience.clone())
        .or_else(|| registry.first_api().map(|api| api.audience.clone()))
        .unwrap_or_else(|| provider.issuer.clone())
}

fn all_scopes(provider: &Provider, client: &Client, person: Option<&Person>, audience: &str) -> BTreeSet<String> {
    let Some(api) = provider.registry.api(audience) else {
        return BTreeSet::new();
    };
    let may = person.map_or(&client.scopes[..], Person::scopes);
    api.scopes.iter().filter(|scope| may.contains(scope)).cloned().collect()
}
