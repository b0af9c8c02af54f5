use std::collections::BTreeSet;

use aws_lc_rs::digest;
use portcullis_jose::{Algorithm, UnixTime, base64url_encode};
use serde_json::{Map, Value, json};

use crate::config::Person;
use crate::provider::Provider;

/// Claims that come with the scope `email` (OpenID Connect Core s5.4); all others come with `profile`.
const EMAIL_CLAIMS: [&str; 2] = ["email", "email_verified"];

/// What an ID token says.
pub(crate) struct IdClaims<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) person: &'a Person,
    pub(crate) scopes: &'a BTreeSet<String>,
    pub(crate) auth_time: UnixTime,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) sid: Option<&'a str>,
    pub(crate) access_token: Option<&'a str>,
    pub(crate) lifetime: i64,
}

/// The claims of OpenID Connect Core s2 and s3.1.3.6.
pub(crate) fn id_claims(provider: &Provider, what: &IdClaims<'_>) -> Map<String, Value> {
    let now = provider.now();
    let mut claims = person_claims(what.person, what.scopes);
    claims.insert("iss".into(), json!(provider.issuer));
    claims.insert("sub".into(), json!(what.person.sub));
    claims.insert("aud".into(), json!(what.client_id));
    claims.insert("iat".into(), json!(now));
    claims.insert("exp".into(), json!(now.plus(what.lifetime)));
    claims.insert("auth_time".into(), json!(what.auth_time));
    if let Some(nonce) = what.nonce {
        claims.insert("nonce".into(), json!(nonce));
    }
    if let Some(sid) = what.sid {
        claims.insert("sid".into(), json!(sid));
    }
    if let Some(hash) = what
        .access_token
        .and_then(|token| at_hash(token, provider.keys.algorithm()))
    {
        claims.insert("at_hash".into(), json!(hash));
    }
    claims
}

/// The user's own claims, as far as the scopes ask for them.
pub(crate) fn person_claims(person: &Person, scopes: &BTreeSet<String>) -> Map<String, Value> {
    let asked = |name: &str| {
        scopes.contains(if EMAIL_CLAIMS.contains(&name) {
            "email"
        } else {
            "profile"
        })
    };
    let mut claims: Map<String, Value> = person
        .claims
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if scopes.contains("profile") {
        claims
            .entry("preferred_username")
            .or_insert_with(|| json!(person.username));
    }
    claims
}

/// OpenID Connect Core s3.1.3.6: the left half of the hash of the access token, by the hash of the signature.
/// EdDSA has none of its own that fits, so there is no `at_hash` with it.
fn at_hash(token: &str, algorithm: Algorithm) -> Option<String> {
    let hash = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &digest::SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::ES512 => &digest::SHA512,
        _ => return None,
    };
    let digest = digest::digest(hash, token.as_bytes());
    let digest = digest.as_ref();
    digest.get(..digest.len() / 2).map(base64url_encode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_hash_is_the_left_half() {
        // OpenID Connect Core A.3: this access token and this at_hash.
        assert_eq!(
            at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", Algorithm::RS256).unwrap(),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
        assert_eq!(at_hash("x", Algorithm::ES384).unwrap().len(), 32);
        assert_eq!(at_hash("x", Algorithm::EdDSA), None);
    }
}
