//! Keys that are missing, and keys that come in time.

use std::sync::Arc;

use crate::support::{ISSUER, KeyEndpoint, World, alone, key_set};
use portcullis_guard::Guard;
use portcullis_jose::{Algorithm, SigningKey, base64url_encode};
use portcullis_oidc::{IssuerRule, Provider, ProviderSettings};
use serde_json::json;

fn world(endpoint: &Arc<KeyEndpoint>) -> World {
    let world = World::new();
    World::with_provider(world.key.clone(), endpoint.provider(&world.clock), world.clock.clone())
}

#[tokio::test]
async fn without_keys_it_is_503_and_never_401() {
    let endpoint = Arc::new(KeyEndpoint::default());
    let world = world(&endpoint);
    let guard = world.guard();
    let token = world.token(json!({}));
    assert!(!guard.is_ready());
    let answer = world.send_token(&guard, "Read", &token).await;
    assert_eq!(
        (
            answer.status,
            answer.header("retry-after"),
            answer.header("www-authenticate")
        ),
        (503, Some("5"), None)
    );
    assert_eq!(answer.json()["code"], "temporarily_unavailable");
    assert_eq!(world.last_event().event.refused().unwrap().code, "keys.unavailable");
    assert!(guard.prepare().await.is_err());
    // What is wrong without any key is refused without one.
    assert_eq!(world.send_token(&guard, "Read", "abc").await.status, 401);

    endpoint.serve(&[&world.key]);
    world.clock.advance(2); // a provider that just failed is left alone for a moment
    guard.prepare().await.unwrap();
    assert!(guard.is_ready());
    assert_eq!(world.send_token(&guard, "Read", &token).await.status, 200);
}

#[tokio::test]
async fn the_request_with_a_new_key_waits_for_it_and_passes() {
    let endpoint = Arc::new(KeyEndpoint::default());
    let world = world(&endpoint);
    let guard = world.guard();
    endpoint.serve(&[&world.key]);
    assert_eq!(
        world.send_token(&guard, "Read", &world.token(json!({}))).await.status,
        200
    );

    let new = SigningKey::generate(Algorithm::EdDSA).unwrap();
    endpoint.serve(&[&world.key, &new]);
    let token = new.sign_jwt("at+jwt", &world.claims(json!({}))).unwrap();
    assert!(guard.try_verify(&alone(&token)).is_none(), "it takes a fetch");
    assert_eq!(world.send_token(&guard, "Read", &token).await.status, 200);
    assert_eq!((endpoint.asked(), world.reached()), (2, 2));
}

#[tokio::test]
async fn made_up_key_names_cause_few_fetches_and_known_keys_go_on() {
    let endpoint = Arc::new(KeyEndpoint::default());
    let world = world(&endpoint);
    let guard = world.guard();
    endpoint.serve(&[&world.key]);
    let good = world.token(json!({}));
    assert_eq!(world.send_token(&guard, "Read", &good).await.status, 200);
    for number in 0..50 {
        let key = world.key.clone().with_kid(format!("made-up-{number}"));
        let token = key.sign_jwt("at+jwt", &world.claims(json!({}))).unwrap();
        assert_eq!(world.send_token(&guard, "Read", &token).await.status, 401);
    }
    assert!(endpoint.asked() <= 5, "{} fetches", endpoint.asked());
    endpoint.down();
    assert_eq!(
        world.send_token(&guard, "Read", &world.token(json!({}))).await.status,
        200,
        "the last good keys"
    );
}

#[tokio::test]
async fn the_issuer_picks_the_keys_and_no_other_issuers_keys_are_tried() {
    let world = World::new();
    let key_b = SigningKey::generate(Algorithm::ES256).unwrap();
    let issuer_b = "https://issuer-b.test";
    let provider_b = Provider::with_keys(
        ProviderSettings::new("b", issuer_b),
        key_set(&[&key_b]),
        world.clock.clone(),
    );
    let guard: Guard = world.builder().also_provider(provider_b).build().unwrap();
    let sign = |key: &SigningKey, iss: &str| key.sign_jwt("at+jwt", &world.claims(json!({"iss": iss}))).unwrap();

    assert_eq!(
        guard.verify(&alone(&sign(&world.key, ISSUER))).await.unwrap().issuer(),
        ISSUER
    );
    assert_eq!(
        guard.verify(&alone(&sign(&key_b, issuer_b))).await.unwrap().issuer(),
        issuer_b
    );
    assert_eq!(
        guard
            .verify(&alone(&sign(&world.key, issuer_b)))
            .await
            .unwrap_err()
            .code(),
        "keys.unknown_kid"
    );
    assert_eq!(
        guard.verify(&alone(&sign(&key_b, ISSUER))).await.unwrap_err().code(),
        "keys.unknown_kid"
    );
    let error = guard
        .verify(&alone(&sign(&key_b, "https://issuer-c.test")))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "token.issuer_mismatch");
    assert_eq!(
        error.expected().as_deref(),
        Some("https://issuer.test or https://issuer-b.test")
    );
}

#[tokio::test]
async fn a_flood_of_made_up_key_names_is_one_fetch_in_the_interval() {
    let endpoint = Arc::new(KeyEndpoint::default());
    let world = world(&endpoint);
    let guard = world.guard();
    endpoint.serve(&[&world.key]);
    guard.prepare().await.unwrap();
    assert_eq!(endpoint.asked(), 1);
    // Only the header is looked at before the key is: the rest can be anything, which is what makes a flood cheap.
    let good = world.token(json!({}));
    let rest = good.split_once('.').unwrap().1;
    for number in 0..100_000 {
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": format!("made-up-{number}")}).to_string();
        let token = format!("{}.{rest}", base64url_encode(header.as_bytes()));
        let error = match guard.try_verify(&alone(&token)) {
            Some(done) => done.unwrap_err(),
            None => guard.verify(&alone(&token)).await.unwrap_err(),
        };
        assert_eq!(error.code(), "keys.unknown_kid");
    }
    assert_eq!(endpoint.asked(), 2);
    // Those who have a key are not concerned, and a new key is seen when the interval is over.
    assert_eq!(world.send_token(&guard, "Read", &good).await.status, 200);
    let new = SigningKey::generate(Algorithm::ES256).unwrap();
    endpoint.serve(&[&world.key, &new]);
    world.clock.advance(30);
    let token = new.sign_jwt("at+jwt", &world.claims(json!({}))).unwrap();
    assert_eq!(world.send_token(&guard, "Read", &token).await.status, 200);
    assert_eq!(endpoint.asked(), 3);
}

#[tokio::test]
async fn a_new_key_while_the_provider_is_down_is_503_and_not_401() {
    let endpoint = Arc::new(KeyEndpoint::default());
    let world = world(&endpoint);
    let guard = world.guard();
    endpoint.serve(&[&world.key]);
    let old = world.token(json!({}));
    assert_eq!(world.send_token(&guard, "Read", &old).await.status, 200);
    let new = SigningKey::generate(Algorithm::ES256).unwrap();
    let token = new.sign_jwt("at+jwt", &world.claims(json!({}))).unwrap();
    endpoint.down();
    for _ in 0..2 {
        let answer = world.send_token(&guard, "Read", &token).await;
        let challenge = answer.header("www-authenticate");
        assert_eq!(
            (answer.status, answer.header("retry-after"), challenge),
            (503, Some("5"), None)
        );
        assert_eq!(world.last_event().event.refused().unwrap().code, "keys.unavailable");
    }
    assert_eq!(endpoint.asked(), 2);
    assert_eq!(world.send_token(&guard, "Read", &old).await.status, 200);
    endpoint.serve(&[&world.key, &new]);
    world.clock.advance(30);
    assert_eq!(world.send_token(&guard, "Read", &token).await.status, 200);
}

#[tokio::test]
async fn a_key_that_goes_takes_its_cached_tokens_with_it_and_no_others() {
    let endpoint = Arc::new(KeyEndpoint::default());
    let world = world(&endpoint);
    let guard = world.guard();
    let other = SigningKey::generate(Algorithm::ES256).unwrap();
    let third = SigningKey::generate(Algorithm::ES256).unwrap();
    endpoint.serve(&[&world.key, &other]);
    let (stays, goes) = (
        world.token(json!({})),
        other.sign_jwt("at+jwt", &world.claims(json!({}))).unwrap(),
    );
    for token in [&stays, &goes] {
        assert_eq!(world.send_token(&guard, "Read", token).await.status, 200);
        assert!(guard.try_verify_cached(&alone(token)).is_some());
    }
    // A key that comes makes no token be verified again.
    endpoint.serve(&[&world.key, &other, &third]);
    world.provider.refresh_keys().await.unwrap();
    assert!(guard.try_verify_cached(&alone(&stays)).is_some() && guard.try_verify_cached(&alone(&goes)).is_some());

    endpoint.serve(&[&world.key, &third]);
    world.provider.refresh_keys().await.unwrap();
    assert!(guard.try_verify_cached(&alone(&goes)).is_none(), "not for a moment");
    assert_eq!(world.send_token(&guard, "Read", &goes).await.status, 401);
    assert_eq!(world.last_event().event.refused().unwrap().code, "keys.unknown_kid");
    assert_eq!(world.send_token(&guard, "Read", &stays).await.status, 200);
    assert!(guard.try_verify_cached(&alone(&stays)).is_some());
}

#[tokio::test]
async fn a_template_takes_the_tokens_of_its_tenants_and_of_no_others() {
    let world = World::new();
    let tenants = ["tenant-a", "tenant-b"].map(str::to_owned);
    let template = "https://login.test/{tenantid}/v2.0";
    let settings = ProviderSettings::new("entra", IssuerRule::tenants(template, &tenants).unwrap());
    let entra = Provider::with_keys(settings, key_set(&[&world.key]), world.clock.clone());
    let guard = world.builder().also_provider(entra.clone()).build().unwrap();
    let token = |issuer: &str, tenant: &str| world.token(json!({"iss": issuer, "tid": tenant}));
    for tenant in &tenants {
        let issuer = template.replace("{tenantid}", tenant);
        let good = token(&issuer, tenant);
        assert_eq!(world.send_token(&guard, "Read", &good).await.status, 200);
        // The real issuer, once for all: revocations and handlers see no template.
        assert_eq!(guard.verify(&alone(&good)).await.unwrap().issuer(), issuer);
    }
    for (issuer, tenant, code) in [
        ("https://login.test/tenant-c/v2.0", "tenant-c", "token.issuer_mismatch"),
        ("https://login.test/tenant-c/v2.0", "tenant-a", "token.issuer_mismatch"),
        ("https://login.test/tenant-a/v2.0", "tenant-c", "token.claim_value"),
        (template, "{tenantid}", "token.issuer_mismatch"),
    ] {
        let answer = world.send_token(&guard, "Read", &token(issuer, tenant)).await;
        let refused = world.last_event().event.refused().unwrap().code;
        assert_eq!((answer.status, refused), (401, code), "{issuer} {tenant}");
    }
    // Two rules for one issuer: nobody could say which keys count.
    let one = Provider::with_keys(
        ProviderSettings::new("one", "https://login.test/tenant-a/v2.0"),
        key_set(&[&world.key]),
        world.clock.clone(),
    );
    let error = world.builder().also_provider(entra).also_provider(one).build();
    assert!(error.unwrap_err().to_string().contains("named twice"));
}
