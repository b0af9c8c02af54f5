//! What the cache of verified tokens must not remember.

use std::sync::Arc;

use crate::support::{KeyEndpoint, World, alone};
use portcullis_guard::GuardError;
use portcullis_jose::{Algorithm, SigningKey};
use serde_json::json;

#[tokio::test]
async fn a_token_is_verified_once_and_authorized_every_time() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({}));
    assert_eq!(guard.cached().0, 0);
    assert!(guard.try_verify_cached(&alone(&token)).is_none());
    assert_eq!(world.send_token(&guard, "Read", &token).await.status, 200);
    assert_eq!(guard.cached().0, 1);
    let first = guard.try_verify_cached(&alone(&token)).unwrap().unwrap();
    let again = guard.verify(&alone(&token)).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again), "the cached one");
    // Good for one route says nothing about another.
    assert_eq!(world.send_token(&guard, "Write", &token).await.status, 403);
    assert_eq!(world.send_token(&guard, "Read", &token).await.status, 200);
}

#[tokio::test]
async fn only_good_tokens_are_kept() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({}));
    let mut forged = token.clone();
    forged.replace_range(
        forged.len() - 20..forged.len() - 19,
        if forged.as_bytes()[forged.len() - 20] == b'A' {
            "B"
        } else {
            "A"
        },
    );
    for _ in 0..2 {
        assert_eq!(
            guard.verify(&alone(&forged)).await.unwrap_err().code(),
            "token.signature_invalid"
        );
        assert_eq!(
            guard
                .verify(&alone(&world.token(json!({"exp": 1}))))
                .await
                .unwrap_err()
                .code(),
            "token.expired"
        );
    }
    assert_eq!(guard.cached().0, 0);
    guard.verify(&alone(&token)).await.unwrap();
    assert_eq!(
        guard.verify(&alone(&forged)).await.unwrap_err().code(),
        "token.signature_invalid",
        "also beside the good one"
    );
    assert_eq!(guard.cached().0, 1);
}

#[tokio::test]
async fn a_cached_token_dies_with_its_lifetime() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({}));
    guard.verify(&alone(&token)).await.unwrap();
    // exp is 300 s away, the leeway 30 s.
    world.clock.advance(329);
    assert!(guard.try_verify_cached(&alone(&token)).is_some());
    world.clock.advance(1);
    assert_eq!(guard.verify(&alone(&token)).await.unwrap_err().code(), "token.expired");
    assert_eq!(guard.cached().0, 0, "and it is forgotten");
    // A clock that was set back must not open a door either.
    guard.verify(&alone(&world.token(json!({})))).await.unwrap();
    let token = world.token(json!({}));
    guard.verify(&alone(&token)).await.unwrap();
    world.clock.advance(-100);
    assert_eq!(
        guard.verify(&alone(&token)).await.unwrap_err().code(),
        "token.not_yet_valid"
    );
}

#[tokio::test]
async fn a_key_that_is_gone_takes_its_cached_tokens_along() {
    let endpoint = Arc::new(KeyEndpoint::default());
    let world = World::new();
    let (old, new) = (world.key.clone(), SigningKey::generate(Algorithm::ES256).unwrap());
    endpoint.serve(&[&old, &new]);
    let world = World::with_provider(old.clone(), endpoint.provider(&world.clock), world.clock.clone());
    let guard = world.guard();
    let by_old = world.token(json!({}));
    let by_new = new.sign_jwt("at+jwt", &world.claims(json!({}))).unwrap();
    guard.verify(&alone(&by_old)).await.unwrap();
    guard.verify(&alone(&by_new)).await.unwrap();
    assert_eq!((guard.cached().0, endpoint.asked()), (2, 1));

    endpoint.serve(&[&new]);
    world.provider.refresh_keys().await.unwrap();
    assert_eq!(
        guard.verify(&alone(&by_old)).await.unwrap_err().code(),
        "keys.unknown_kid"
    );
    guard.verify(&alone(&by_new)).await.unwrap();
}

#[tokio::test]
async fn without_bytes_nothing_is_cached_and_all_works() {
    let world = World::new();
    let guard = world.builder().cache_bytes(0).build().unwrap();
    let token = world.token(json!({}));
    for _ in 0..2 {
        assert_eq!(world.send_token(&guard, "Read", &token).await.status, 200);
    }
    assert_eq!(guard.cached(), (0, 0));
}

#[tokio::test]
async fn the_cache_stays_within_its_bytes() {
    let world = World::new();
    let guard = world.builder().cache_bytes(64 * 1024).build().unwrap();
    for number in 0..200 {
        guard.verify(&alone(&world.token(json!({"n": number})))).await.unwrap();
        assert!(guard.cached().1 <= 64 * 1024);
    }
    assert!(guard.cached().0 > 5);
}

#[tokio::test]
async fn errors_show_no_token() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({"aud": "https://other.test"}));
    let error: GuardError = guard.verify(&alone(&token)).await.unwrap_err();
    let shown = format!("{error} {error:?} {:?} {:?}", error.found(), guard);
    for part in token.split('.') {
        assert!(!shown.contains(part), "{shown}");
    }
    let good = world.token(json!({"email": "alice@example.com"}));
    let verified = guard.verify(&alone(&good)).await.unwrap();
    assert!(!format!("{verified:?}").contains("alice@example.com"));
}
