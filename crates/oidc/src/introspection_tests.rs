use portcullis_jose::{Algorithm, AlgorithmSet, Clock, ManualClock};
use serde_json::json;

use super::*;
use crate::provider::tests::{FakeProvider, answer, clock};
use crate::{ClientAuth, IssuerRule};

const NOW: i64 = 1_800_000_000;

fn good() -> serde_json::Value {
    json!({
        "active": true, "sub": "alice", "aud": "https://api.test", "client_id": "spa", "scope": "orders:read",
        "exp": NOW + 300, "token_type": "Bearer",
    })
}

fn asking(fake: &std::sync::Arc<FakeProvider>, clock: &std::sync::Arc<ManualClock>) -> Introspection {
    let provider = fake.provider(clock.clone());
    Introspection::new(Client::new(provider, "api", ClientAuth::Basic(Secret::new("secret"))))
        .at(HttpsUrl::parse("https://issuer.test/introspect").unwrap())
}

fn says(fake: &FakeProvider, body: &serde_json::Value) {
    let response = as_json(answer(200, body));
    fake.on("/introspect", move |_| response.clone());
}

fn as_json(mut response: http::Response<Bytes>) -> http::Response<Bytes> {
    let json = http::HeaderValue::from_static("application/json;charset=UTF-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn rules() -> AccessTokenRules {
    AccessTokenRules::new(
        "https://issuer.test",
        "https://api.test",
        AlgorithmSet::of(&[Algorithm::ES256]),
    )
}

async fn judge(answer: &serde_json::Value) -> Result<(), &'static str> {
    let (fake, clock) = (FakeProvider::new(), clock());
    says(&fake, answer);
    let claims = asking(&fake, &clock).claims("opaque").await.unwrap().unwrap();
    let checked = check_introspected(&claims, &rules(), clock.now());
    checked.map(|_| ()).map_err(|refusal| refusal.code())
}

#[tokio::test]
async fn the_client_asks_about_the_token_and_proves_itself() {
    let (fake, clock) = (FakeProvider::new(), clock());
    says(&fake, &good());
    let claims = asking(&fake, &clock).claims("the+token").await.unwrap().unwrap();
    assert_eq!(
        (claims.str("sub"), claims.str("iss")),
        (Some("alice"), Some("https://issuer.test"))
    );
    assert_eq!(claims.signed_part_hash(), &sha256(b"the+token"));
    let asked = fake.last("/introspect");
    assert_eq!(asked.method(), http::Method::POST);
    assert_eq!(asked.uri().query(), None);
    assert!(asked.headers()["authorization"].to_str().unwrap().starts_with("Basic "));
    assert_eq!(asked.body(), "token=the%2Btoken&token_type_hint=access_token");
}

#[tokio::test]
async fn the_metadata_names_the_endpoint() {
    let (fake, clock) = (FakeProvider::new(), clock());
    says(&fake, &good());
    let provider = fake.provider(clock.clone());
    let ask = Introspection::new(Client::new(provider, "api", ClientAuth::Post(Secret::new("secret"))));
    let error = ask.claims("opaque").await.unwrap_err();
    assert_eq!(error.code(), "provider.endpoint_missing");
    let metadata = json!({ "issuer": FakeProvider::ISSUER, "jwks_uri": "https://issuer.test/jwks",
        "introspection_endpoint": "https://issuer.test/introspect" });
    fake.on("/.well-known/openid-configuration", move |_| answer(200, &metadata));
    let provider = fake.provider(clock);
    let ask = Introspection::new(Client::new(provider, "api", ClientAuth::Post(Secret::new("secret"))));
    assert!(ask.claims("opaque").await.unwrap().is_some());
}

#[tokio::test]
async fn the_rules_are_those_of_a_jwt() {
    assert_eq!(judge(&good()).await, Ok(()));
    let with = async |member: &str, value: serde_json::Value| {
        let mut answer = good();
        match value.is_null() {
            true => drop(answer.as_object_mut().unwrap().remove(member)),
            false => answer[member] = value,
        }
        judge(&answer).await
    };
    for (member, value, expected) in [
        ("iss", json!("https://issuer.test"), Ok(())),
        ("aud", json!(["other", "https://api.test"]), Ok(())),
        ("iat", json!(NOW - 5), Ok(())),
        ("token_type", json!("DPoP"), Err("token.binding_required")),
        ("token_type", json!("dpop"), Err("token.binding_required")),
        ("typ", json!("DPoP"), Err("token.binding_required")),
        ("token_type", serde_json::Value::Null, Ok(())),
        ("typ", json!("Bearer"), Ok(())),
        ("token_use", json!("access_token"), Ok(())),
        ("iss", json!("https://other.test"), Err("token.issuer_mismatch")),
        ("iss", json!(["https://issuer.test"]), Err("token.issuer_mismatch")),
        ("aud", json!("https://other.test"), Err("token.audience_mismatch")),
        ("aud", serde_json::Value::Null, Err("token.audience_missing")),
        ("exp", serde_json::Value::Null, Err("token.expiry_missing")),
        ("exp", json!(NOW - 30), Err("token.expired")),
        ("exp", json!("never"), Err("token.claim_type")),
        ("exp", json!(NOW + 90_000), Err("token.claim_range")),
        ("nbf", json!(NOW + 31), Err("token.not_yet_valid")),
        ("iat", json!(NOW + 31), Err("token.not_yet_valid")),
        ("sub", serde_json::Value::Null, Err("token.subject_missing")),
        ("scope", json!({}), Err("token.claim_type")),
        ("token_type", json!("refresh_token"), Err("token.type_mismatch")),
        ("token_use", json!("refresh_token"), Err("token.type_mismatch")),
        ("token_use", json!("id"), Err("token.type_mismatch")),
        ("typ", json!("Refresh"), Err("token.type_mismatch")),
        ("typ", json!(1), Err("token.claim_type")),
        ("nonce", json!("n"), Err("token.type_mismatch")),
        ("cnf", json!("key"), Err("token.binding_required")),
    ] {
        assert_eq!(with(member, value.clone()).await, expected, "{member} {value}");
    }
    let mut bound = good();
    bound["token_type"] = "DPoP".into();
    bound["cnf"] = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    assert_eq!(judge(&bound).await, Ok(()), "the proof is the guard's to see");
}

#[tokio::test]
async fn what_is_not_exactly_an_answer_says_nothing_about_the_token() {
    let (fake, clock) = (FakeProvider::new(), clock());
    let ask = asking(&fake, &clock);
    let text = |text: &'static str| as_json(http::Response::new(Bytes::from_static(text.as_bytes())));
    let with_status = |status: u16, body: serde_json::Value| as_json(answer(status, &body));
    for (wrong, code) in [
        (text(r#"{"active":"true","sub":"alice"}"#), "provider.bad_answer"),
        (text(r#"{"active":1}"#), "provider.bad_answer"),
        (text(r#"{"sub":"alice"}"#), "provider.bad_answer"),
        (text(r#"{"active":false,"active":true}"#), "provider.bad_answer"),
        (text(r#"[{"active":true}]"#), "provider.bad_answer"),
        (text(r#"{"active":true}{"active":false}"#), "provider.bad_answer"),
        (text(""), "provider.bad_answer"),
        (answer(200, &good()), "provider.bad_answer"),
        (with_status(204, good()), "provider.bad_answer"),
        (with_status(302, good()), "provider.bad_answer"),
        (
            with_status(401, json!({"error": "invalid_client"})),
            "provider.client_rejected",
        ),
        (with_status(403, good()), "provider.bad_answer"),
        (with_status(429, json!({})), "provider.rate_limited"),
        (with_status(503, json!({"active": true})), "provider.bad_answer"),
    ] {
        let shown = format!("{wrong:?}");
        fake.on("/introspect", move |_| wrong.clone());
        assert_eq!(ask.claims("opaque").await.unwrap_err().code(), code, "{shown}");
    }
    // None of it is remembered.
    says(&fake, &good());
    assert!(ask.claims("opaque").await.unwrap().is_some());
}

#[tokio::test]
async fn those_who_ask_about_one_token_share_an_answer_and_no_other() {
    let (fake, clock) = (FakeProvider::new(), clock());
    fake.on("/introspect", |request| {
        let alice = request.body().starts_with(b"token=alice&");
        as_json(answer(200, &json!({ "active": alice, "sub": "alice" })))
    });
    let ask = asking(&fake, &clock);
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let (ask, token) = (ask.clone(), if number % 2 == 0 { "alice" } else { "mally" });
            tokio::spawn(async move { (token == "alice", ask.claims(token).await.unwrap().is_some()) })
        })
        .collect();
    for task in tasks {
        let (expected, active) = task.await.unwrap();
        assert_eq!(expected, active);
    }
    assert_eq!(fake.count("/introspect"), 2);
    assert!(lock(&ask.shared.flights).is_empty());
}

#[tokio::test]
async fn an_inactive_token_is_not_asked_about_again_for_a_moment() {
    let (fake, clock) = (FakeProvider::new(), clock());
    says(&fake, &json!({ "active": false, "sub": "alice" }));
    let ask = asking(&fake, &clock);
    for _ in 0..10 {
        assert!(ask.claims("opaque").await.unwrap().is_none());
    }
    assert_eq!(fake.count("/introspect"), 1);
    clock.advance(INACTIVE_FOR);
    says(&fake, &good());
    assert!(ask.claims("opaque").await.unwrap().is_some());
    assert!(
        ask.claims("opaque").await.unwrap().is_some(),
        "what is active is for others to remember"
    );
    assert_eq!(fake.count("/introspect"), 3);

    let hash = |number: usize| sha256(&number.to_le_bytes());
    for number in 0..MOST_INACTIVE + 100 {
        ask.shared.inactive.add(hash(number), INACTIVE_FOR, clock.now());
    }
    assert_eq!(lock(&ask.shared.inactive.tokens).len(), MOST_INACTIVE);
    clock.advance(INACTIVE_FOR);
    ask.shared.inactive.add(hash(0), INACTIVE_FOR, clock.now());
    assert_eq!(lock(&ask.shared.inactive.tokens).len(), 1);
}

/// A provider that answers when it is let.
#[derive(Debug)]
struct Held(Arc<FakeProvider>, Semaphore);

impl crate::HttpClient for Held {
    fn send(
        &self,
        request: http::Request<Bytes>,
        limit: usize,
    ) -> crate::BoxFuture<'_, Result<http::Response<Bytes>, HttpError>> {
        Box::pin(async move {
            drop(self.1.acquire().await.unwrap());
            self.0.send(request, limit).await
        })
    }
}

#[tokio::test]
async fn a_flood_of_made_up_tokens_leaves_room_for_those_that_were_good() {
    let (fake, clock) = (FakeProvider::new(), clock());
    says(&fake, &good());
    let held = Arc::new(Held(fake.clone(), Semaphore::new(1)));
    let settings = crate::ProviderSettings::new("test", FakeProvider::ISSUER);
    let provider = Provider::new(settings, held.clone(), clock.clone(), Arc::new(|_, _| {}));
    let ask = Introspection::new(Client::new(provider, "api", ClientAuth::Basic(Secret::new("secret"))))
        .at(HttpsUrl::parse("https://issuer.test/introspect").unwrap());
    assert!(ask.claims("good").await.unwrap().is_some());
    // The provider is slow from here on.
    held.1.forget_permits(1);
    let asked = |token: String| {
        let ask = ask.clone();
        tokio::spawn(async move { ask.claims(&token).await })
    };
    let mut flood: Vec<_> = (0..STRANGERS_AT_A_TIME)
        .map(|number| asked(format!("made-up-{number}")))
        .collect();
    while lock(&ask.shared.flights).len() < STRANGERS_AT_A_TIME {
        tokio::task::yield_now().await;
    }
    let error = ask.claims("one-more").await.unwrap_err();
    assert!(error.to_string().contains("too many tokens"), "{error}");
    flood.push(asked("good".to_owned()));
    while lock(&ask.shared.flights).len() <= STRANGERS_AT_A_TIME {
        tokio::task::yield_now().await;
    }
    held.1.add_permits(1);
    for answer in flood {
        assert!(answer.await.unwrap().unwrap().is_some());
    }
}

#[tokio::test]
async fn a_tenant_must_be_named_by_the_answer() {
    let (fake, clock) = (FakeProvider::new(), clock());
    says(&fake, &good());
    let rule = IssuerRule::tenants("https://login.test/{tenantid}/", &["a".to_owned()]).unwrap();
    let settings = crate::ProviderSettings::new("test", rule.clone());
    let provider = Provider::new(settings, fake.clone(), clock.clone(), Arc::new(|_, _| {}));
    let ask = Introspection::new(Client::new(provider, "api", ClientAuth::Basic(Secret::new("secret"))))
        .at(HttpsUrl::parse("https://issuer.test/introspect").unwrap());
    let claims = ask.claims("opaque").await.unwrap().unwrap();
    let mut rules = rules();
    rules.issuer = rule;
    let code = |claims| {
        check_introspected(claims, &rules, clock.now())
            .map(|_| ())
            .map_err(|refusal| refusal.code())
    };
    assert_eq!(code(&claims), Err("token.issuer_mismatch"));
    let mut named = good();
    named["iss"] = "https://login.test/a/".into();
    named["tid"] = "a".into();
    says(&fake, &named);
    assert_eq!(code(&ask.claims("opaque").await.unwrap().unwrap()), Ok(()));
}
