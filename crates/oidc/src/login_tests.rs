use super::*;

fn metadata(iss_parameter_supported: bool) -> Metadata {
    let document = serde_json::json!({
        "issuer": "https://issuer.test", "jwks_uri": "https://issuer.test/jwks",
        "authorization_response_iss_parameter_supported": iss_parameter_supported,
    });
    Metadata::parse(document.to_string().as_bytes(), "https://issuer.test").unwrap()
}

fn begin() -> (Url, LoginAttempt) {
    let endpoint = HttpsUrl::parse("https://issuer.test/authorize?tenant=1").unwrap();
    let scopes = vec!["orders.read".to_owned()];
    let mut request = LoginRequest::new("https://app.test/bff/callback", &scopes);
    request.resource = Some("https://api.test");
    request.prompt = Some("login");
    request.max_age = Some(300);
    request.acr_values = Some("urn:example:mfa urn:example:key");
    request.login_hint = Some("alice@example.test");
    request.ui_locales = Some("de en");
    let now = UnixTime::from_secs(7);
    let (parameters, attempt) = super::begin("https://issuer.test", "web", &request, false, now);
    (to_url(&endpoint, &parameters), attempt)
}

fn answer(attempt: &LoginAttempt, announced: bool, query: &str) -> Result<String, LoginError> {
    let rule = IssuerRule::exactly("https://issuer.test");
    let query = query.replace("STATE", attempt.state().expose());
    let parameters = CallbackParameters::parse(&query)?;
    validate_callback(&rule, &metadata(announced), attempt, parameters)
        .map(|callback| callback.into_code().expose().to_owned())
}

#[test]
fn the_request_has_all_that_protects_it() {
    let (url, attempt) = begin();
    let query: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query["tenant"], "1");
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["scope"], "openid orders.read");
    assert_eq!(query["resource"], "https://api.test");
    assert_eq!((query["prompt"].as_str(), query["max_age"].as_str()), ("login", "300"));
    assert_eq!(query["acr_values"], "urn:example:mfa urn:example:key");
    assert_eq!(query["login_hint"], "alice@example.test");
    assert_eq!(query["ui_locales"], "de en");
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(
        query["code_challenge"],
        base64url_encode(&sha256(attempt.verifier().expose().as_bytes()))
    );
    assert_eq!(query["nonce"].len(), 43);
    assert_eq!(query["state"], attempt.state().expose());
    assert!(!url.as_str().contains(attempt.verifier().expose()));
    let (_, other) = begin();
    assert!(
        other.state() != attempt.state() && other.nonce() != attempt.nonce() && other.verifier() != attempt.verifier()
    );
}

#[test]
fn an_attempt_survives_sealing_and_prints_nothing() {
    let (_, attempt) = begin();
    let again = LoginAttempt::from_sealable(attempt.to_sealable().expose()).unwrap();
    assert!(
        again.state() == attempt.state() && again.verifier() == attempt.verifier() && again.nonce() == attempt.nonce()
    );
    assert_eq!(again.started(), UnixTime::from_secs(7));
    let printed = format!("{attempt:?}");
    for secret in [attempt.state(), attempt.nonce(), attempt.verifier()] {
        assert!(!printed.contains(secret.expose()));
    }
    assert!(LoginAttempt::from_sealable("{}").is_none());
}

#[test]
fn an_answer_belongs_to_its_login() {
    let (_, attempt) = begin();
    let code = "code=c&state=STATE&iss=https%3A%2F%2Fissuer.test";
    assert_eq!(answer(&attempt, true, code), Ok("c".into()));
    assert_eq!(
        answer(&attempt, false, "code=c&state=STATE&unknown=1&unknown=2"),
        Ok("c".into())
    );
    for (announced, query, expected) in [
        (false, "code=c", "login.state_missing"),
        (false, "code=c&state=other", "login.state_mismatch"),
        (false, "code=c&state=", "login.state_mismatch"),
        (true, "code=c&state=STATE", "login.issuer_missing"),
        (
            false,
            "code=c&state=STATE&iss=https://evil.test",
            "login.issuer_mismatch",
        ),
        (false, "state=STATE", "login.code_rejected"),
        (false, "state=STATE&code=", "login.code_rejected"),
        (false, "state=STATE&error=access_denied", "login.access_denied"),
        (
            false,
            "state=STATE&error=server_error&code=c",
            "login.provider_unavailable",
        ),
        (
            false,
            "state=STATE&error=temporarily_unavailable",
            "login.provider_unavailable",
        ),
        (false, "state=STATE&error=login_required", "login.interaction_required"),
        (
            false,
            "state=STATE&error=consent_required",
            "login.interaction_required",
        ),
        (
            false,
            "state=STATE&error=interaction_required",
            "login.interaction_required",
        ),
        (
            false,
            "state=STATE&error=unmet_authentication_requirements",
            "login.authentication_unmet",
        ),
        (false, "state=STATE&error=invalid_scope", "login.provider_error"),
        (false, "code=c&state=STATE&state=STATE", "login.duplicate_parameter"),
        (false, "code=c&code=d&state=STATE", "login.duplicate_parameter"),
        (false, "code=c&state=STATE&iss=a&iss=a", "login.duplicate_parameter"),
    ] {
        assert_eq!(
            answer(&attempt, announced, query).unwrap_err().code(),
            expected,
            "{query}"
        );
    }
}
