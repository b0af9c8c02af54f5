use std::sync::Arc;

use portcullis_jose::{AlgorithmSet, Claims, JwkSet, Limits, UnverifiedJws, Verified};
use portcullis_oidc::client_auth::AuthMethod;

use super::keys::keys_of;
use crate::config::{Client, Federated};
use crate::oauth_error::OAuthError;
use crate::provider::Provider;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 30;
/// An assertion must not live longer than this, in seconds: its `jti` is remembered so long.
const LONGEST_LIFE: i64 = 300;
/// A workload's token lives longer, since its file is written ahead of time.
const LONGEST_LIFE_OF_WORKLOADS: i64 = 86_400;

/// The client that an assertion is of (RFC 7523 s3). Each rule that is broken is the same `invalid_client` to whoever
/// asks.
pub(super) async fn check(
    provider: &Provider,
    posted_id: Option<&str>,
    kind: Option<&str>,
    assertion: &str,
) -> Result<Arc<Client>, OAuthError> {
    if kind != Some(JWT_BEARER) {
        return Err(OAuthError::invalid_request(
            "client_assertion_type is not the one of JWTs",
        ));
    }
    let jws = UnverifiedJws::parse(assertion, &Limits::default()).map_err(|_| OAuthError::invalid_client())?;
    let issuer = jws.unverified_issuer().ok().flatten();
    let issuer = issuer.ok_or_else(OAuthError::invalid_client)?.to_owned();
    // RFC 7521 s4.2: `client_id` is unnecessary, and must agree where it is there.
    let client = provider.registry.client(posted_id.unwrap_or(&issuer));
    let client = client.filter(|client| client.may_use(AuthMethod::PrivateKeyJwt));
    let client = client.ok_or_else(OAuthError::invalid_client)?;
    let proven = match client.federated.as_ref().filter(|federated| federated.issuer == issuer) {
        Some(federated) => of_workload(provider, federated, assertion),
        None => of_client(provider, &client, &issuer, assertion).await,
    };
    proven.map(|()| client).ok_or_else(OAuthError::invalid_client)
}

async fn of_client(provider: &Provider, client: &Client, issuer: &str, assertion: &str) -> Option<()> {
    if issuer != client.client_id || !client.has_keys() {
        return None;
    }
    let mut claims = verify(assertion, &keys_of(provider, client, false).await?);
    if claims.is_none() && client.jwks_uri.is_some() {
        // A key that was published a moment ago.
        claims = verify(assertion, &keys_of(provider, client, true).await?);
    }
    let claims = claims?;
    // RFC 7523 s3 no. 2: of the client, about the client.
    if claims.str("sub") != Some(&client.client_id) {
        return None;
    }
    // No. 3, and FAPI 2.0 Security Profile s5.3.2.1: the issuer. The endpoint's address is what clients sent before.
    let audiences = claims.strings("aud").ok()??;
    let token_endpoint = provider.url("/token");
    let for_us = |audience: &&str| *audience == provider.issuer || *audience == token_endpoint;
    if !matches!(audiences.as_slice(), [only] if for_us(only)) {
        return None;
    }
    let expires = in_time(provider, &claims, LONGEST_LIFE)?;
    // No. 7: used once.
    let jti = claims.str("jti").filter(|jti| !jti.is_empty())?;
    let id = format!("{} {jti}", client.client_id);
    provider
        .state()
        .use_assertion(&id, expires, provider.now())
        .then_some(())
}

/// The identity that a platform gives to a workload. It is used many times while it lives, so no `jti` is remembered.
fn of_workload(provider: &Provider, federated: &Federated, assertion: &str) -> Option<()> {
    let (keys, _) = JwkSet::parse(federated.jwks.to_string().as_bytes()).ok()?;
    let claims = verify(assertion, &keys)?;
    let audiences = claims.strings("aud").ok()??;
    let theirs = claims.str("iss") == Some(&federated.issuer)
        && claims.str("sub") == Some(&federated.subject)
        && audiences.contains(&federated.audience.as_str());
    in_time(provider, &claims, LONGEST_LIFE_OF_WORKLOADS)
        .filter(|_| theirs)
        .map(drop)
}

fn verify(assertion: &str, keys: &JwkSet) -> Option<Verified<Claims>> {
    let jws = UnverifiedJws::parse(assertion, &Limits::default()).ok()?;
    jws.verify(keys, AlgorithmSet::asymmetric()).ok()
}

/// RFC 7523 s3 no. 4 to 6. When it expires.
fn in_time(provider: &Provider, claims: &Verified<Claims>, longest: i64) -> Option<portcullis_jose::UnixTime> {
    let now = provider.now();
    let expires = claims.time("exp").ok()??;
    let not_before = claims.time("nbf").ok()?;
    let issued = claims.time("iat").ok()?;
    let begun = [not_before, issued]
        .into_iter()
        .flatten()
        .all(|from| from <= now.plus(LEEWAY));
    (begun && now < expires.plus(LEEWAY) && expires.since(now) <= longest + LEEWAY).then_some(expires.plus(LEEWAY))
}
