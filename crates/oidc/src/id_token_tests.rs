use portcullis_jose::SigningKey;
use serde_json::{Value as Json, json};

use super::*;

const NOW: i64 = 1_800_000_000;

fn verify(change: impl FnOnce(&mut Json)) -> Result<(), &'static str> {
    verify_as(Algorithm::ES256, change)
}

fn verify_as(pinned: Algorithm, change: impl FnOnce(&mut Json)) -> Result<(), &'static str> {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = JwkSet::parse(json!({ "keys": [key.public_jwk()] }).to_string().as_bytes())
        .unwrap()
        .0;
    let access_token = Secret::new("access-token");
    let nonce = Secret::new("the-nonce");
    let mut claims = json!({
        "iss": "https://issuer.test", "sub": "alice", "aud": "web", "exp": NOW + 300, "iat": NOW, "nonce": "the-nonce",
        "at_hash": base64url_encode(&sha256(b"access-token")[..16]),
    });
    change(&mut claims);
    let token = Secret::new(key.sign_jwt("JWT", &claims).unwrap());
    let issuer = IssuerRule::exactly("https://issuer.test");
    let mut rules = IdTokenRules::new(&issuer, "web", pinned);
    rules.nonce = Some(&nonce);
    rules.access_token = Some(&access_token);
    rules
        .verify(&token, &keys, UnixTime::from_secs(NOW))
        .map(|_| ())
        .map_err(|refusal| refusal.code())
}

#[test]
fn a_good_id_token_passes() {
    assert_eq!(verify(|_| {}), Ok(()));
    assert_eq!(verify(|claims| claims["aud"] = json!(["web"])), Ok(()));
    assert_eq!(verify(|claims| claims["azp"] = json!("web")), Ok(()));
    assert_eq!(verify(|claims| claims["exp"] = json!(NOW - 59)), Ok(()));
    assert_eq!(verify(|claims| claims["nbf"] = json!(NOW + 60)), Ok(()));
    assert_eq!(
        verify(|claims| claims["at_hash"].take().as_null().unwrap_or_default()),
        Err("token.claim_type")
    );
}

/// OpenID Connect Core 1.0 s3.1.3.7
#[test]
fn each_rule_refuses() {
    for (claim, value, code) in [
        ("iss", json!("https://other.test"), "token.issuer_mismatch"),
        ("aud", json!("other"), "token.audience_mismatch"),
        ("aud", json!(["web", "other"]), "token.audience_mismatch"),
        ("aud", json!([]), "token.audience_mismatch"),
        ("azp", json!("other"), "token.claim_value"),
        ("exp", json!(NOW - 60), "token.expired"),
        ("iat", json!(NOW + 61), "token.not_yet_valid"),
        ("nbf", json!(NOW + 61), "token.not_yet_valid"),
        ("nbf", json!("now"), "token.claim_type"),
        ("nonce", json!("another"), "token.claim_value"),
        ("sub", json!(""), "token.subject_missing"),
        ("sub", json!("a".repeat(256)), "token.claim_value"),
        ("at_hash", json!("AAAA"), "token.claim_value"),
    ] {
        assert_eq!(
            verify(|claims| claims[claim] = value.clone()),
            Err(code),
            "{claim} = {value}"
        );
    }
    for (claim, code) in [
        ("iss", "token.issuer_mismatch"),
        ("aud", "token.audience_missing"),
        ("exp", "token.expiry_missing"),
        ("iat", "token.claim_missing"),
        ("sub", "token.subject_missing"),
        ("nonce", "token.claim_value"),
    ] {
        let removed = verify(|claims| {
            claims.as_object_mut().unwrap().remove(claim);
        });
        assert_eq!(removed, Err(code), "without {claim}");
    }
}

#[test]
fn the_algorithm_is_the_pinned_one() {
    assert_eq!(verify_as(Algorithm::RS256, |_| {}), Err("token.algorithm_not_allowed"));
}

#[test]
fn an_id_token_of_a_tenant_names_it_twice() {
    const TEMPLATE: &str = "https://login.test/{tenantid}/v2.0";
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let set = json!({ "keys": [key.public_jwk()] }).to_string();
    let (keys, _) = JwkSet::parse(set.as_bytes()).unwrap();
    let issuer = IssuerRule::tenants(TEMPLATE, &["a".to_owned(), "b".to_owned()]).unwrap();
    let rules = IdTokenRules::new(&issuer, "web", Algorithm::ES256);
    let verify = |issuer: &str, tenant: &str| {
        let claims = json!({
            "iss": issuer, "tid": tenant, "sub": "alice", "aud": "web", "exp": NOW + 300, "iat": NOW,
        });
        let token = Secret::new(key.sign_jwt("JWT", &claims).unwrap());
        let verified = rules.verify(&token, &keys, UnixTime::from_secs(NOW));
        verified.map(|_| ()).map_err(|refusal| refusal.code())
    };
    assert_eq!(verify("https://login.test/a/v2.0", "a"), Ok(()));
    assert_eq!(verify("https://login.test/b/v2.0", "b"), Ok(()));
    assert_eq!(verify("https://login.test/a/v2.0", "b"), Err("token.claim_value"));
    assert_eq!(verify("https://login.test/c/v2.0", "c"), Err("token.issuer_mismatch"));
}
