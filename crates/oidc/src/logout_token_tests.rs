use portcullis_jose::SigningKey;
use serde_json::{Value as Json, json};

use super::*;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.test";

fn good() -> Json {
    json!({
        "iss": ISSUER, "aud": "web", "iat": NOW, "exp": NOW + 120, "jti": "logout-1", "sid": "sid-1", "sub": "alice",
        "events": { LOGOUT_EVENT: {} },
    })
}

fn verify_as(pinned: Algorithm, typ: &str, claims: &Json) -> Result<LogoutToken, &'static str> {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = json!({ "keys": [key.public_jwk()] }).to_string();
    let keys = JwkSet::parse(keys.as_bytes()).unwrap().0;
    let token = Secret::new(key.sign_jwt(typ, claims).unwrap());
    let issuer = IssuerRule::exactly(ISSUER);
    let rules = LogoutTokenRules::new(&issuer, "web", pinned);
    rules
        .verify(&token, &keys, UnixTime::from_secs(NOW))
        .map_err(|refusal| refusal.code())
}

fn with(name: &str, value: Json) -> Json {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn without(names: &[&str]) -> Json {
    let mut claims = good();
    for name in names {
        claims.as_object_mut().unwrap().remove(*name);
    }
    claims
}

fn code(claims: &Json) -> &'static str {
    verify_as(Algorithm::ES256, "logout+jwt", claims).map_or_else(|code| code, |_| "ok")
}

#[test]
fn a_good_logout_token_says_whose_sessions_are_over() {
    let token = verify_as(Algorithm::ES256, "logout+jwt", &good()).unwrap();
    assert_eq!(
        (token.subject.as_deref(), token.sid.as_deref()),
        (Some("alice"), Some("sid-1"))
    );
    assert_eq!((token.issuer.as_str(), token.id.as_str()), (ISSUER, "logout-1"));
    assert_eq!(token.issued, UnixTime::from_secs(NOW));
    assert_eq!(token.expires, UnixTime::from_secs(NOW + 120));
}

/// s2.4 and s2.6: each case beside what is good.
#[test]
fn each_rule_refuses_and_its_twin_passes() {
    for (claim, value, expected) in [
        ("iss", json!("https://issuer.test/"), "token.issuer_mismatch"),
        ("iss", json!(7), "token.issuer_type"),
        ("aud", json!(["web"]), "ok"),
        ("aud", json!("other"), "token.audience_mismatch"),
        ("aud", json!(["web", "other"]), "token.audience_mismatch"),
        ("aud", json!([]), "token.audience_mismatch"),
        ("exp", json!(NOW - 59), "ok"),
        ("exp", json!(NOW - 60), "token.expired"),
        ("exp", json!(NOW + 3_600), "ok"),
        ("exp", json!(NOW + 3_601), "token.claim_range"),
        ("iat", json!(NOW + 60), "ok"),
        ("iat", json!(NOW + 61), "token.not_yet_valid"),
        ("iat", json!("now"), "token.claim_type"),
        ("nbf", json!(NOW + 61), "token.not_yet_valid"),
        ("jti", json!(""), "token.claim_missing"),
        ("jti", json!(7), "token.claim_type"),
        ("jti", json!("j".repeat(256)), "token.claim_value"),
        ("sid", json!(["sid-1"]), "token.claim_type"),
        ("sub", json!(7), "token.claim_type"),
        ("nonce", json!("n"), "token.claim_forbidden"),
        ("nonce", Json::Null, "token.claim_forbidden"),
        ("events", json!({ LOGOUT_EVENT: {}, "urn:other": {} }), "ok"),
        ("events", json!({ LOGOUT_EVENT: {"more": 1} }), "ok"),
        ("events", json!({ LOGOUT_EVENT: true }), "token.claim_type"),
        ("events", json!({ LOGOUT_EVENT: Json::Null }), "token.claim_type"),
        ("events", json!({ LOGOUT_EVENT: "" }), "token.claim_type"),
        ("events", json!({ LOGOUT_EVENT: [] }), "token.claim_type"),
        ("events", json!({ "urn:other": {} }), "token.claim_missing"),
        ("events", json!([LOGOUT_EVENT]), "token.claim_type"),
        ("unknown", json!(1), "ok"),
    ] {
        assert_eq!(code(&with(claim, value.clone())), expected, "{claim} = {value}");
    }
    for (claims, expected) in [
        (&["sid"][..], "ok"),
        (&["sub"], "ok"),
        (&["sub", "sid"], "token.claim_missing"),
        (&["iss"], "token.issuer_mismatch"),
        (&["aud"], "token.audience_missing"),
        (&["exp"], "token.expiry_missing"),
        (&["iat"], "token.claim_missing"),
        (&["jti"], "token.claim_missing"),
        (&["events"], "token.claim_missing"),
    ] {
        assert_eq!(code(&without(claims)), expected, "without {claims:?}");
    }
}

#[test]
fn another_kind_of_token_is_none_whatever_it_says() {
    for (typ, claims, expected) in [
        ("application/logout+jwt", good(), "ok"),
        ("LOGOUT+JWT", good(), "ok"),
        // s2.4 recommends the type: what can be nothing else is taken without it.
        ("JWT", good(), "ok"),
        ("JWT", without(&["events"]), "token.type_mismatch"),
        ("JWT", with("nonce", json!("n")), "token.type_mismatch"),
        ("JWT", with("at_hash", json!("AAAA")), "token.type_mismatch"),
        ("JWT", with("scope", json!("orders.read")), "token.type_mismatch"),
        ("at+jwt", good(), "token.type_mismatch"),
        ("secevent+jwt", good(), "token.type_mismatch"),
        ("dpop+jwt", good(), "token.type_mismatch"),
    ] {
        let found = verify_as(Algorithm::ES256, typ, &claims).map_or_else(|code| code, |_| "ok");
        assert_eq!(found, expected, "{typ} {claims}");
    }
}

#[test]
fn the_algorithm_is_the_pinned_one() {
    let found = verify_as(Algorithm::RS256, "logout+jwt", &good());
    assert_eq!(found, Err("token.algorithm_not_allowed"));
}

#[test]
fn of_several_tenants_it_says_which_and_takes_no_others() {
    let rule = IssuerRule::tenants("https://login.test/{tenantid}", &["a".to_owned(), "b".to_owned()]).unwrap();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = json!({ "keys": [key.public_jwk()] }).to_string();
    let keys = JwkSet::parse(keys.as_bytes()).unwrap().0;
    let verify = |issuer: &str| {
        let token = Secret::new(key.sign_jwt("logout+jwt", &with("iss", issuer.into())).unwrap());
        let verified =
            LogoutTokenRules::new(&rule, "web", Algorithm::ES256).verify(&token, &keys, UnixTime::from_secs(NOW));
        verified.map(|token| token.issuer).map_err(|refusal| refusal.code())
    };
    for issuer in ["https://login.test/a", "https://login.test/b"] {
        assert_eq!(verify(issuer), Ok(issuer.to_owned()));
    }
    for issuer in ["https://login.test/c", "https://login.test/{tenantid}"] {
        assert_eq!(verify(issuer), Err("token.issuer_mismatch"));
    }
}
