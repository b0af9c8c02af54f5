//! Tokens that do not speak for themselves.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use portcullis_guard::{Guard, Revocation, RevocationTarget};
use portcullis_jose::{Clock as _, Secret};
use portcullis_oidc::{
    BoxFuture, Client, ClientAuth, HttpClient, HttpError, HttpsUrl, Introspection, Provider, ProviderSettings,
};
use serde_json::{Value, json};

use crate::support::{ISSUER, NOW, World, alone, jwks};

const OPAQUE: &str = "2YotnFZFEjr1zCsicMWpAA";

/// A provider that knows one opaque token, and counts how often it is asked.
#[derive(Debug, Default)]
struct Endpoint {
    keys: String,
    answer: Mutex<Option<Value>>,
    asked: AtomicUsize,
}

impl HttpClient for Endpoint {
    fn send(&self, request: http::Request<Bytes>, _: usize) -> BoxFuture<'_, Result<http::Response<Bytes>, HttpError>> {
        let body = match request.uri().path() {
            "/jwks" => Some(self.keys.clone()),
            _ => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                let ours = request.body().starts_with(format!("token={OPAQUE}&").as_bytes());
                let answer = self.answer.lock().unwrap().clone();
                answer.map(|answer| if ours { answer } else { json!({"active": false}) }.to_string())
            }
        };
        let response = body.map(|body| {
            let response = http::Response::builder().header("content-type", "application/json");
            response.body(Bytes::from(body)).unwrap()
        });
        Box::pin(std::future::ready(
            response.ok_or_else(|| HttpError::Unreachable("connection refused".into())),
        ))
    }
}

struct Setup {
    world: World,
    endpoint: Arc<Endpoint>,
    guard: Guard,
}

fn introspection(provider: &Provider) -> Introspection {
    let client = Client::new(provider.clone(), "api", ClientAuth::Basic(Secret::new("secret")));
    Introspection::new(client).at(HttpsUrl::parse("https://issuer.test/introspect").unwrap())
}

fn setup() -> Setup {
    let world = World::new();
    let endpoint = Arc::new(Endpoint {
        keys: jwks(&[&world.key]),
        ..Endpoint::default()
    });
    let mut settings = ProviderSettings::new("test", ISSUER);
    settings.jwks_uri = Some(HttpsUrl::parse("https://issuer.test/jwks").unwrap());
    let provider = Provider::new(settings, endpoint.clone(), world.clock.clone(), Arc::new(|_, _| {}));
    let world = World::with_provider(world.key, provider.clone(), world.clock);
    let guard = world.builder().introspection(introspection(&provider)).build().unwrap();
    let setup = Setup { world, endpoint, guard };
    setup.says(json!({}));
    setup
}

impl Setup {
    /// The token is active, with the claims of a good JWT and these changes.
    fn says(&self, changes: Value) {
        let mut answer = self.world.claims(changes);
        if answer.get("active").is_none() {
            answer["active"] = true.into();
        }
        *self.endpoint.answer.lock().unwrap() = Some(answer);
    }

    fn asked(&self) -> usize {
        self.endpoint.asked.load(Ordering::SeqCst)
    }

    /// The answer's status, and the code of the refusal.
    async fn send(&self, policy: &str, token: &str) -> (u16, &'static str) {
        let answer = self.world.send_token(&self.guard, policy, token).await;
        match answer.status {
            200 => (200, ""),
            status => (status, self.world.last_event().event.refused().unwrap().code),
        }
    }
}

#[tokio::test]
async fn opaque_tokens_and_jwts_pass_the_same_policies_on_the_same_route() {
    let setup = setup();
    for token in [OPAQUE, &setup.world.token(json!({}))] {
        assert_eq!(setup.send("Read", token).await, (200, ""));
        assert_eq!(setup.send("Write", token).await, (403, "policy.scope_insufficient"));
    }
    assert_eq!(setup.asked(), 1);
    assert_eq!(setup.world.reached(), 2);
    let token = setup.guard.verify(&alone(OPAQUE)).await.unwrap();
    assert_eq!(
        (token.issuer(), token.subject(), token.client()),
        (ISSUER, Some("user-1"), Some("spa"))
    );
    // A JWT of nobody's is not asked about: it speaks for itself.
    let forged = portcullis_jose::SigningKey::generate(portcullis_jose::Algorithm::ES256).unwrap();
    let forged = forged.sign_jwt("at+jwt", &setup.world.claims(json!({}))).unwrap();
    assert_eq!(setup.send("Read", &forged).await, (401, "keys.unknown_kid"));
    assert_eq!(setup.asked(), 1);
}

#[tokio::test]
async fn an_answer_counts_for_a_minute_and_not_beyond_the_tokens_end() {
    let setup = setup();
    for _ in 0..3 {
        assert_eq!(setup.send("Read", OPAQUE).await, (200, ""));
    }
    assert_eq!(setup.asked(), 1);
    setup.world.clock.advance(59);
    assert_eq!((setup.send("Read", OPAQUE).await.0, setup.asked()), (200, 1));
    setup.world.clock.advance(1);
    // Revoked at the provider meanwhile.
    setup.says(json!({"active": false}));
    assert_eq!(setup.send("Read", OPAQUE).await, (401, "token.inactive"));
    assert_eq!(setup.asked(), 2);

    setup.world.clock.advance(10);
    let now = setup.world.clock.now().as_secs();
    setup.says(json!({"exp": now + 5}));
    assert_eq!(setup.send("Read", OPAQUE).await, (200, ""));
    setup.world.clock.advance(5 + 30);
    assert_eq!(setup.send("Read", OPAQUE).await, (401, "token.expired"));
}

#[tokio::test]
async fn a_cache_of_no_time_asks_for_every_request() {
    let setup = setup();
    let asking = introspection(&setup.world.provider).cache_for(0);
    let guard = setup.world.builder().introspection(asking).build().unwrap();
    for _ in 0..3 {
        assert_eq!(setup.world.send_token(&guard, "Read", OPAQUE).await.status, 200);
    }
    assert_eq!((setup.asked(), guard.cached().0), (3, 0));
}

#[tokio::test]
async fn what_the_provider_does_not_vouch_for_is_refused_like_any_bad_token() {
    let setup = setup();
    let made_up = setup.world.send_token(&setup.guard, "Read", "made-up").await;
    assert_eq!(setup.world.last_event().event.refused().unwrap().code, "token.inactive");
    let broken = setup.world.send_token(&setup.guard, "Read", "eyJ9.e30.").await;
    assert_eq!((made_up.status, broken.status), (401, 401));
    assert_eq!(made_up.header("www-authenticate"), broken.header("www-authenticate"));
    assert!(made_up.header("www-authenticate").unwrap().contains("invalid_token"));
    for (changes, code) in [
        (json!({"aud": "https://other.test"}), "token.audience_mismatch"),
        (json!({"aud": null}), "token.audience_missing"),
        (json!({"exp": null}), "token.expiry_missing"),
        (json!({"iss": "https://other.test"}), "token.issuer_mismatch"),
        (json!({"token_use": "refresh_token"}), "token.type_mismatch"),
        (
            json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
            "token.binding_required",
        ),
        (json!({"token_type": "DPoP"}), "token.binding_required"),
    ] {
        setup.says(changes);
        assert_eq!(setup.send("Read", OPAQUE).await, (401, code));
        setup.world.clock.advance(60);
    }
    assert_eq!(setup.world.reached(), 0);
    setup.says(json!({}));
    assert_eq!(setup.send("Read", OPAQUE).await, (200, ""));
}

/// RFC 6750 s2.1: b64token.
#[tokio::test]
async fn the_provider_is_not_asked_about_what_can_be_no_token() {
    let setup = setup();
    for junk in [
        "a b",
        "a,b",
        "%61",
        "{\"a\":1}",
        "\"x\"",
        "=",
        "==a",
        "a=b",
        "<script>",
        "a;b",
    ] {
        assert_eq!(setup.send("Read", junk).await, (401, "token.malformed"), "{junk}");
        let explained = setup.guard.explain(&alone(junk), None).await;
        assert_eq!(explained.refused.unwrap().code, "token.malformed", "{junk}");
    }
    assert_eq!(setup.asked(), 0);
    for known_to_nobody in ["a", "a==", "A-z.0_9~+/="] {
        assert_eq!(setup.send("Read", known_to_nobody).await, (401, "token.inactive"));
    }
    assert_eq!(setup.asked(), 3);
}

#[tokio::test]
async fn a_token_that_our_rules_refuse_is_not_asked_about_on_every_call() {
    let setup = setup();
    for (changes, code) in [
        (json!({"aud": "https://other.test"}), "token.audience_mismatch"),
        (json!({"sub": null}), "token.subject_missing"),
        (json!({"token_use": "refresh_token"}), "token.type_mismatch"),
    ] {
        let before = setup.asked();
        setup.says(changes);
        for _ in 0..5 {
            assert_eq!(setup.send("Read", OPAQUE).await, (401, code));
        }
        assert_eq!(setup.asked(), before + 1, "{code}");
        setup.world.clock.advance(5);
    }
    // What is refused by one API may be meant for another: it asks for itself.
    setup.says(json!({"aud": "https://other.test"}));
    assert_eq!(setup.send("Read", OPAQUE).await, (401, "token.audience_mismatch"));
    let other = setup.world.builder().also_audience("https://other.test");
    let other = other
        .introspection(introspection(&setup.world.provider))
        .build()
        .unwrap();
    assert_eq!(setup.world.send_token(&other, "Read", OPAQUE).await.status, 200);
    setup.world.clock.advance(5);
    setup.says(json!({}));
    assert_eq!(setup.send("Read", OPAQUE).await, (200, ""));

    // A token that begins in a moment is taken when the moment has come.
    setup.world.clock.advance(60);
    let now = setup.world.clock.now().as_secs();
    setup.says(json!({"nbf": now + 31}));
    assert_eq!(setup.send("Read", OPAQUE).await, (401, "token.not_yet_valid"));
    setup.world.clock.advance(1);
    assert_eq!(setup.send("Read", OPAQUE).await, (200, ""));
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_is_503_and_never_401() {
    let setup = setup();
    for broken in [None, Some(json!({"active": "true"})), Some(json!({}))] {
        *setup.endpoint.answer.lock().unwrap() = broken;
        let answer = setup.world.send_token(&setup.guard, "Read", OPAQUE).await;
        let challenge = answer.header("www-authenticate");
        assert_eq!(
            (answer.status, answer.header("retry-after"), challenge),
            (503, Some("5"), None)
        );
        let event = setup.world.last_event();
        assert_eq!(event.event.refused().unwrap().code, "introspection.unavailable");
        assert!(!format!("{event:?}").contains(OPAQUE));
    }
    setup.says(json!({}));
    assert_eq!(setup.send("Read", OPAQUE).await, (200, ""));
    // What was answered goes on to count while the provider is away.
    *setup.endpoint.answer.lock().unwrap() = None;
    assert_eq!(setup.send("Read", OPAQUE).await, (200, ""));
}

#[tokio::test]
async fn revocations_hold_for_opaque_tokens_at_once() {
    let setup = setup();
    assert_eq!(setup.send("Read", OPAQUE).await, (200, ""));
    let verified = setup.guard.verify(&alone(OPAQUE)).await.unwrap();
    setup.guard.revoke_token(&verified, "test").await.unwrap();
    assert_eq!(setup.send("Read", OPAQUE).await, (401, "token.revoked"));
    setup.says(json!({"jti": "another", "sub": "user-2"}));
    setup.world.clock.advance(60);
    assert_eq!(setup.send("Read", OPAQUE).await, (200, ""));
    let until = setup.world.clock.now().plus(1_000);
    let target = RevocationTarget::Subject {
        iss: ISSUER.into(),
        sub: "user-2".into(),
    };
    let revocation = Revocation {
        target,
        issued_before: None,
        expires: until,
        reason: "test".into(),
    };
    setup.guard.revoke(revocation).await.unwrap();
    assert_eq!(setup.send("Read", OPAQUE).await, (401, "token.revoked"));
}

#[tokio::test]
async fn a_revoked_opaque_token_stays_out_when_its_answer_is_forgotten() {
    for (cache_for, jti) in [(60, json!("1")), (60, json!(null)), (0, json!("1")), (0, json!(null))] {
        let setup = setup();
        setup.says(json!({"jti": jti, "exp": NOW + 3_600}));
        let asking = introspection(&setup.world.provider).cache_for(cache_for);
        let guard = setup.world.builder().introspection(asking).build().unwrap();
        let verified = guard.verify(&alone(OPAQUE)).await.unwrap();
        guard.revoke_token(&verified, "stolen").await.unwrap();
        // The provider knows nothing of it, and its answer is asked for again.
        for seconds in [0, 61, 3_600 - 61, 29] {
            setup.world.clock.advance(seconds);
            let answer = setup.world.send_token(&guard, "Read", OPAQUE).await;
            let code = setup.world.last_event().event.refused().unwrap().code;
            assert_eq!(
                (answer.status, code),
                (401, "token.revoked"),
                "{cache_for} {jti} {seconds}"
            );
        }
        setup.world.clock.advance(1_000);
        guard.sync_revocations().await.unwrap();
        let now = setup.world.clock.now();
        assert_eq!(guard.revocations().in_force(now), [], "it ends by itself");
    }
}

#[tokio::test]
async fn one_provider_is_asked_and_without_one_an_opaque_token_is_no_token() {
    let setup = setup();
    let provider = &setup.world.provider;
    let plain = setup.world.guard();
    let answer = setup.world.send_token(&plain, "Read", OPAQUE).await;
    assert_eq!((answer.status, setup.asked()), (401, 0));
    assert_eq!(
        setup.world.last_event().event.refused().unwrap().code,
        "token.malformed"
    );

    let twice = setup.world.builder().introspection(introspection(provider));
    let error = twice.introspection(introspection(provider)).build().unwrap_err();
    assert!(error.to_string().contains("at one provider"), "{error}");
    let settings = ProviderSettings::new("b", "https://issuer-b.test");
    let stranger = Provider::new(
        settings,
        setup.endpoint.clone(),
        setup.world.clock.clone(),
        Arc::new(|_, _| {}),
    );
    let error = setup.world.builder().introspection(introspection(&stranger)).build();
    assert!(error.unwrap_err().to_string().contains("issuer-b.test"));
}

#[tokio::test]
async fn an_opaque_token_can_be_explained() {
    let setup = setup();
    setup.says(json!({"aud": "https://other.test"}));
    let read = setup.guard.policy("Read").unwrap();
    let explained = setup.guard.explain(&alone(OPAQUE), Some(&read)).await;
    let json = serde_json::to_value(&explained).unwrap();
    let failed: Vec<&Value> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["outcome"] == "failed")
        .collect();
    assert_eq!(
        (failed.len(), &failed[0]["code"]),
        (1, &json!("token.audience_mismatch"))
    );
    assert_eq!(json["status"], 401);
    assert!(!json.to_string().contains(OPAQUE));
    setup.says(json!({"token_type": "DPoP"}));
    let explained = setup.guard.explain(&alone(OPAQUE), Some(&read)).await;
    assert_eq!(explained.refused.unwrap().code, "token.binding_required");
    setup.says(json!({}));
    assert_eq!(setup.guard.explain(&alone(OPAQUE), Some(&read)).await.status, 200);
    let unknown = setup.guard.explain(&alone("made-up"), Some(&read)).await;
    assert_eq!(unknown.refused.unwrap().code, "token.inactive");
}
