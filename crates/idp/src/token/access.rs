use std::collections::BTreeSet;

use portcullis_jose::{UnixTime, random_token};
use serde_json::{Map, Value, json};

use super::{Binding, scope_text};
use crate::config::Person;
use crate::provider::Provider;

/// Claims of a user that access tokens carry (RFC 9068 s2.2.3.1), so that an API can decide by them.
const AUTHORIZATION_CLAIMS: [&str; 3] = ["roles", "groups", "entitlements"];

/// What an access token says.
pub(crate) struct AccessClaims<'a> {
    pub(crate) client_id: &'a str,
    /// None: the client itself.
    pub(crate) person: Option<&'a Person>,
    pub(crate) audience: &'a str,
    pub(crate) scopes: &'a BTreeSet<String>,
    pub(crate) auth_time: Option<UnixTime>,
    /// The session at the provider that the person signed in with, so that an API can refuse what came of it.
    pub(crate) sid: Option<&'a str>,
    pub(crate) lifetime: i64,
    /// What the token is bound to.
    pub(crate) binding: &'a Binding,
}

/// The claims of RFC 9068 s2.2.
pub(crate) fn access_claims(provider: &Provider, what: &AccessClaims<'_>) -> Map<String, Value> {
    let now = provider.now();
    let mut claims = Map::new();
    if let Some(person) = what.person {
        let carried = AUTHORIZATION_CLAIMS
            .into_iter()
            .filter_map(|name| person.claims.get_key_value(name));
        claims.extend(carried.map(|(name, value)| (name.clone(), value.clone())));
    }
    claims.insert("iss".into(), json!(provider.issuer));
    // RFC 9068 s2.2: without a user, `sub` identifies the client.
    claims.insert(
        "sub".into(),
        json!(what.person.map_or(what.client_id, |person| &person.sub)),
    );
    claims.insert("aud".into(), json!(what.audience));
    claims.insert("client_id".into(), json!(what.client_id));
    claims.insert("scope".into(), json!(scope_text(what.scopes)));
    claims.insert("iat".into(), json!(now));
    claims.insert("exp".into(), json!(now.plus(what.lifetime)));
    claims.insert("jti".into(), json!(random_token(16)));
    if let Some(auth_time) = what.auth_time {
        claims.insert("auth_time".into(), json!(auth_time));
    }
    if let Some(sid) = what.sid {
        claims.insert("sid".into(), json!(sid));
    }
    if let Some(confirmation) = what.binding.confirmation() {
        claims.insert("cnf".into(), confirmation);
    }
    claims
}
