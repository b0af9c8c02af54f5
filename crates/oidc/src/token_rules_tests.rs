use portcullis_jose::{Algorithm, Limits, SigningKey};
use serde_json::{Value as Json, json};

use super::*;

const NOW: i64 = 1_800_000_000;

struct Fixture {
    key: SigningKey,
    keys: JwkSet,
    rules: AccessTokenRules,
}

fn fixture() -> Fixture {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = JwkSet::parse(json!({ "keys": [key.public_jwk()] }).to_string().as_bytes())
        .unwrap()
        .0;
    let rules = AccessTokenRules::new(
        "https://issuer.test",
        "https://api.test",
        AlgorithmSet::of(&[Algorithm::ES256]),
    );
    Fixture { key, keys, rules }
}

impl Fixture {
    fn good(&self) -> Json {
        json!({
            "iss": "https://issuer.test", "sub": "user-1", "aud": "https://api.test", "exp": NOW + 300, "iat": NOW,
            "jti": "1", "client_id": "spa", "scope": "orders:read",
        })
    }

    fn verify(&self, typ: &str, claims: &Json) -> Result<(), &'static str> {
        self.judge(&self.key.sign_jwt(typ, claims).unwrap())
    }

    /// A good token with this `typ`.
    fn verify_typ(&self, typ: &Json) -> Result<(), &'static str> {
        let header = json!({ "alg": "ES256", "kid": self.key.kid(), "typ": typ });
        let payload = self.good().to_string();
        self.judge(&self.key.sign_with_header(&header, payload.as_bytes()).unwrap())
    }

    fn judge(&self, token: &str) -> Result<(), &'static str> {
        let jws = UnverifiedJws::parse(token, &Limits::default()).unwrap();
        self.rules
            .verify(jws, &self.keys, UnixTime::from_secs(NOW))
            .map(|_| ())
            .map_err(|refusal| refusal.code())
    }

    fn with(&self, name: &str, value: Json) -> Result<(), &'static str> {
        let mut claims = self.good();
        claims[name] = value;
        self.verify("at+jwt", &claims)
    }

    fn without(&self, name: &str) -> Result<(), &'static str> {
        let mut claims = self.good();
        claims.as_object_mut().unwrap().remove(name);
        self.verify("at+jwt", &claims)
    }
}

#[test]
fn a_token_that_keeps_every_rule_passes() {
    let fixture = fixture();
    assert_eq!(fixture.verify("at+jwt", &fixture.good()), Ok(()));
    assert_eq!(
        fixture.with("aud", json!(["https://other.test", "https://api.test"])),
        Ok(())
    );
    assert_eq!(fixture.with("exp", json!(NOW as f64 + 300.5)), Ok(()));
    assert_eq!(fixture.with("exp", json!(NOW - 29)), Ok(()));
    assert_eq!(fixture.with("nbf", json!(NOW + 30)), Ok(()));
    assert_eq!(fixture.with("scp", json!(["a", "b"])), Ok(()));
}

/// RFC 7519 s4.1.4, s4.1.5, s4.1.6
#[test]
fn time() {
    let fixture = fixture();
    assert_eq!(fixture.without("exp"), Err("token.expiry_missing"));
    assert_eq!(fixture.without("iat"), Err("token.claim_missing"));
    for (claim, value, code) in [
        ("exp", json!(NOW - 31), "token.expired"),
        ("exp", json!(NOW - 30), "token.expired"),
        ("exp", json!("soon"), "token.claim_type"),
        ("exp", Json::Null, "token.claim_type"),
        ("exp", json!(-1), "token.claim_range"),
        ("exp", json!(u64::MAX), "token.claim_range"),
        ("exp", json!(NOW * 1000), "token.claim_range"),
        ("exp", json!(NOW + 315_360_000), "token.claim_range"),
        ("nbf", json!(NOW + 3600), "token.not_yet_valid"),
        ("nbf", json!("later"), "token.claim_type"),
        ("iat", json!(NOW + 3600), "token.not_yet_valid"),
    ] {
        assert_eq!(fixture.with(claim, value.clone()), Err(code), "{claim} = {value}");
    }
}

/// RFC 9068 s4, RFC 8725 s3.8, s3.9
#[test]
fn issuer_audience_subject() {
    let fixture = fixture();
    assert_eq!(fixture.without("iss"), Err("token.issuer_mismatch"));
    assert_eq!(fixture.without("aud"), Err("token.audience_missing"));
    assert_eq!(fixture.without("sub"), Err("token.subject_missing"));
    for (claim, value, code) in [
        ("iss", json!(["https://issuer.test"]), "token.issuer_type"),
        ("iss", json!("https://issuer.test/"), "token.issuer_mismatch"),
        ("iss", json!("https://issuer.tes"), "token.issuer_mismatch"),
        ("iss", json!("HTTPS://issuer.test"), "token.issuer_mismatch"),
        ("aud", json!("https://api.test/"), "token.audience_mismatch"),
        ("aud", json!("https://api.test,https://x"), "token.audience_mismatch"),
        ("aud", json!([]), "token.audience_missing"),
        ("aud", json!(7), "token.claim_type"),
        ("aud", json!([7, "https://api.test"]), "token.claim_type"),
        ("sub", json!({}), "token.claim_type"),
        ("sub", json!(""), "token.subject_missing"),
        ("sub", json!("a".repeat(256)), "token.claim_value"),
        ("scope", json!({}), "token.claim_type"),
        ("client_id", json!(1), "token.claim_type"),
    ] {
        assert_eq!(fixture.with(claim, value.clone()), Err(code), "{claim} = {value}");
    }
}

/// RFC 9068 s2.1, s4; RFC 8725 s3.11
#[test]
fn other_kinds_of_jwt_are_no_access_tokens() {
    let mut fixture = fixture();
    for typ in ["JWT", "logout+jwt", "dpop+jwt", "client-authentication+jwt"] {
        assert_eq!(
            fixture.verify(typ, &fixture.good()),
            Err("token.type_mismatch"),
            "{typ}"
        );
    }
    fixture.rules.token_type = TokenType::Any;
    assert_eq!(fixture.verify("JWT", &fixture.good()), Ok(()));
    let mut ageless = fixture.good();
    ageless.as_object_mut().unwrap().remove("iat");
    assert_eq!(fixture.verify("JWT", &ageless), Err("token.claim_missing"));
    assert_eq!(
        fixture.verify("logout+jwt", &fixture.good()),
        Err("token.type_mismatch")
    );
    for claim in ["nonce", "at_hash", "events"] {
        let mut claims = fixture.good();
        claims[claim] = json!("x");
        assert_eq!(fixture.verify("JWT", &claims), Err("token.type_mismatch"), "{claim}");
    }
    let mut claims = fixture.good();
    claims["nonce"] = json!("x");
    for (typ, taken) in [("Bearer", true), ("ID", false), ("JWT", false)] {
        claims["typ"] = json!(typ);
        let expected = if taken { Ok(()) } else { Err("token.type_mismatch") };
        assert_eq!(fixture.verify("JWT", &claims), expected, "{typ}");
    }
    claims["at_hash"] = json!("x");
    claims["typ"] = json!("Bearer");
    assert_eq!(fixture.verify("JWT", &claims), Err("token.type_mismatch"));
    // Amazon Cognito, Keycloak, and others say it in a claim.
    for (claim, kind, taken) in [
        ("token_use", "access", true),
        ("token_use", "id", false),
        ("typ", "Bearer", true),
        ("typ", "ID", false),
        ("typ", "Refresh", false),
        ("typ", "Offline", false),
        ("token_type", "Bearer", true),
        ("token_type", "refresh", false),
    ] {
        let mut claims = fixture.good();
        claims[claim] = json!(kind);
        let expected = if taken { Ok(()) } else { Err("token.type_mismatch") };
        assert_eq!(fixture.verify("JWT", &claims), expected, "{claim} {kind}");
    }
    // What is there and no text is not absent.
    for typ in [json!(null), json!(5), json!(["at+jwt"]), json!({})] {
        assert_eq!(fixture.verify_typ(&typ), Err("token.type_mismatch"), "{typ}");
    }
    assert_eq!(fixture.verify_typ(&json!("JWT")), Ok(()));
}

/// RFC 9449 s7.2, RFC 8705 s3
#[test]
fn a_bound_token_is_refused_without_its_proof() {
    let fixture = fixture();
    for method in ["jkt", "x5t#S256", "unknown"] {
        assert_eq!(
            fixture.with("cnf", json!({ method: "x" })),
            Err("token.binding_required"),
            "{method}"
        );
    }
    assert_eq!(fixture.with("cnf", json!("x")), Err("token.binding_required"));
}

/// An issuer template: `iss` is the template filled with the token's own `tid`, and that is one of the list.
#[test]
fn a_token_of_a_tenant_names_it_twice() {
    let mut fixture = fixture();
    let template = "https://login.test/{tenantid}/v2.0";
    fixture.rules.issuer = IssuerRule::tenants(template, &["a".to_owned(), "b".to_owned()]).unwrap();
    let verify = |issuer: &str, tenant: Json| {
        let mut claims = fixture.good();
        claims["iss"] = issuer.into();
        claims["tid"] = tenant;
        fixture.verify("at+jwt", &claims)
    };
    assert_eq!(verify("https://login.test/a/v2.0", json!("a")), Ok(()));
    assert_eq!(verify("https://login.test/b/v2.0", json!("b")), Ok(()));
    assert_eq!(
        verify("https://login.test/a/v2.0", json!("b")),
        Err("token.claim_value")
    );
    assert_eq!(
        verify("https://login.test/a/v2.0", json!("A")),
        Err("token.claim_value")
    );
    assert_eq!(
        verify("https://login.test/a/v2.0", json!(["a"])),
        Err("token.claim_type")
    );
    assert_eq!(verify("https://login.test/a/v2.0", Json::Null), Err("token.claim_type"));
    assert_eq!(
        verify("https://login.test/c/v2.0", json!("c")),
        Err("token.issuer_mismatch")
    );
    assert_eq!(verify(template, json!("{tenantid}")), Err("token.issuer_mismatch"));
    let mut claims = fixture.good();
    claims["iss"] = "https://login.test/a/v2.0".into();
    assert_eq!(fixture.verify("at+jwt", &claims), Err("token.claim_missing"));
}
