//! Keys that are missing, and keys that come in time.

use std::sync::Arc;

use crate::support::{ISSUER, KeyEndpoint, World, alone, key_set};
use portcullis_guard::Guard;
use portcullis_jose::{Algorithm, SigningKey};
use portcullis_oidc::{Provider, ProviderSettings};
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
