//! What is wrong with a guard is found before the first request.

use crate::support::{AUDIENCE, ISSUER, NOW, World, alone};
use portcullis_guard::{BuildFault, Guard, Policy, TokenType};
use portcullis_jose::{Algorithm, AlgorithmSet, SigningKey};
use serde_json::json;

#[test]
fn an_unknown_policy_is_an_error_at_the_start() {
    let world = World::new();
    let guard = world.guard();
    assert!(guard.require("Read").is_ok() && guard.optional("Read").is_ok());
    let error = guard.require("read").unwrap_err();
    assert_eq!((error.name.as_str(), error.known.contains("Read")), ("read", true));
    assert!(error.to_string().contains(".policy(\"read\", ...)"), "{error}");
    assert!(guard.require("authenticated").is_ok(), "it needs no declaration");
    assert!(guard.optional("").is_err() && guard.policy("Reads").is_err());
}

#[test]
fn all_faults_are_told_at_once() {
    let error = Guard::builder()
        .authority("http://issuer.test")
        .also_authority("not a url")
        .audience("")
        .policy("Empty", Policy::all([]))
        .policy("Twice", Policy::scope("a"))
        .policy("Twice", Policy::scope("b"))
        .policy("authenticated", Policy::scope("a"))
        .realm("a\"b")
        .resource("api://orders")
        .leeway(301)
        .max_lifetime(0)
        .build()
        .unwrap_err();
    let kinds: Vec<&str> = error
        .faults
        .iter()
        .map(|fault| match fault {
            BuildFault::Authority { .. } => "authority",
            BuildFault::EmptyAudience => "audience",
            BuildFault::Policy { .. } => "policy",
            BuildFault::RepeatedPolicy(_) => "repeated",
            BuildFault::Realm => "realm",
            BuildFault::Resource(_) => "resource",
            BuildFault::Leeway(301) => "leeway",
            BuildFault::Lifetime(0) => "lifetime",
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "authority",
            "authority",
            "audience",
            "policy",
            "repeated",
            "repeated",
            "realm",
            "resource",
            "leeway",
            "lifetime"
        ]
    );
    assert_eq!(error.to_string().lines().count(), 11, "{error}");
}

#[test]
fn an_issuer_is_named_once() {
    let world = World::new();
    let builder = world.builder();
    let error = builder.also_provider(world.provider).build().unwrap_err();
    assert_eq!(error.faults, [BuildFault::RepeatedAuthority(ISSUER.into())]);
}

#[test]
fn an_authority_is_https_or_loopback_and_need_not_be_up() {
    for issuer in ["https://issuer.test", "http://127.0.0.1:1"] {
        let guard = Guard::builder().authority(issuer).audience(AUDIENCE).build().unwrap();
        assert!(!guard.is_ready());
        assert_eq!(guard.realm().as_str(), AUDIENCE);
    }
}

#[tokio::test]
async fn settings_reach_the_rules() {
    let world = World::new();
    let strict = world.guard();
    let old_style = world.key.sign_jwt("JWT", &world.claims(json!({}))).unwrap();
    let long = world.token(json!({"exp": NOW + 90_000}));
    let late = world.token(json!({"exp": NOW - 60}));
    let other_audience = world.token(json!({"aud": "api://old"}));
    for (token, code) in [
        (&old_style, "token.type_mismatch"),
        (&long, "token.claim_range"),
        (&late, "token.expired"),
        (&other_audience, "token.audience_mismatch"),
    ] {
        assert_eq!(strict.verify(&alone(token)).await.unwrap_err().code(), code);
    }
    let lenient = world
        .builder()
        .also_audience("api://old")
        .token_type(TokenType::Any)
        .leeway(120)
        .max_lifetime(100_000)
        .build()
        .unwrap();
    for token in [&old_style, &long, &late, &other_audience] {
        lenient.verify(&alone(token)).await.unwrap();
    }
    // Even then an ID token is no access token.
    let id_token = world.key.sign_jwt("JWT", &world.claims(json!({"nonce": "n"}))).unwrap();
    assert_eq!(
        lenient.verify(&alone(&id_token)).await.unwrap_err().code(),
        "token.type_mismatch"
    );

    let only_rsa = world
        .builder()
        .algorithms(AlgorithmSet::of(&[Algorithm::RS256]))
        .build()
        .unwrap();
    assert_eq!(
        only_rsa
            .verify(&alone(&world.token(json!({}))))
            .await
            .unwrap_err()
            .code(),
        "token.algorithm_not_allowed"
    );
    let rsa = World::with_key(SigningKey::generate(Algorithm::RS256).unwrap());
    let only_rsa = rsa
        .builder()
        .algorithms(AlgorithmSet::of(&[Algorithm::RS256]))
        .build()
        .unwrap();
    only_rsa.verify(&alone(&rsa.token(json!({})))).await.unwrap();
}
