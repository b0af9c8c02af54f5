//! What holds for every token and every key: the fuzz targets (`cargo xtask fuzz`) on a stable compiler, over their
//! corpus and over changed copies of it, and each bit of a token changed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, outside of the functions that clippy knows as tests"
)]

#[path = "../../../fuzz/src/jose.rs"]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "a broken promise is told by a panic; the module is public where it is a crate's"
)]
mod jose;

use std::fs;
use std::path::Path;

use portcullis_jose::{
    Algorithm, AlgorithmSet, EmbeddedKeyJws, JwkSet, Limits, SharedSecret, SigningKey, UnverifiedJws, base64url_decode,
    base64url_encode,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Changed copies of the corpus that each target gets.
const CASES: u32 = 400;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One change of the kind that a fuzzer makes.
#[derive(Debug, Clone)]
enum Change {
    Flip(u8),
    Insert(u8),
    Remove(usize),
    Repeat(usize),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let change = prop_oneof![
        (0u8..8).prop_map(Change::Flip),
        prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:.=-_\\u0".to_vec())].prop_map(Change::Insert),
        (1usize..40).prop_map(Change::Remove),
        (1usize..40).prop_map(Change::Repeat),
    ];
    (any::<prop::sample::Index>(), change)
}

fn apply(bytes: &mut Vec<u8>, at: &prop::sample::Index, change: &Change) {
    let at = at.index(bytes.len() + 1);
    match change {
        Change::Flip(bit) => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << bit),
        Change::Insert(byte) => bytes.insert(at, *byte),
        Change::Remove(count) => drop(bytes.drain(at..bytes.len().min(at + count))),
        Change::Repeat(count) => {
            let copy = bytes[at..bytes.len().min(at + count)].to_vec();
            bytes.splice(at..at, copy);
        }
    }
}

fn run(name: &str) {
    let (_, target) = jose::TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let corpus = corpus(name);
    corpus.iter().for_each(|bytes| target(bytes));
    let changed =
        (prop::sample::select(corpus), prop::collection::vec(change(), 1..4)).prop_map(|(mut bytes, changes)| {
            for (at, change) in changes {
                apply(&mut bytes, &at, &change);
            }
            bytes
        });
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&changed, |bytes| {
            target(&bytes);
            Ok(())
        })
        .unwrap();
    let anything = prop::collection::vec(any::<u8>(), 0..200);
    runner
        .run(&anything, |bytes| {
            target(&bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn jws() {
    run("jws");
}

#[test]
fn json() {
    run("json");
}

#[test]
fn jwks() {
    run("jwks");
}

#[test]
fn pem() {
    run("pem");
}

#[test]
fn private_jwk() {
    run("private_jwk");
}

#[test]
fn bit_flip() {
    run("bit_flip");
}

/// Changes each bit of the token's text, one at a time. What is no text any more is no token.
fn no_bit_may_change(name: &str, token: &str, accepts: &dyn Fn(&str) -> bool) {
    assert!(accepts(token), "{name}");
    for bit in 0..token.len() * 8 {
        let mut bytes = token.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let accepted = std::str::from_utf8(&bytes).is_ok_and(accepts);
        assert!(!accepted, "{name}: bit {bit} of {token}");
    }
}

/// One algorithm of each family; the others differ in the length of hash and curve, and `bit_flip` takes them all.
#[test]
fn every_single_bit_of_a_token_counts() {
    let claims = serde_json::json!({ "sub": "alice" });
    let no_bit_may_change = |name: &str, token: &str, keys: &JwkSet| {
        no_bit_may_change(name, token, &|token| {
            UnverifiedJws::parse(token, &Limits::default())
                .and_then(|jws| jws.verify(keys, AlgorithmSet::of(&Algorithm::ALL)))
                .is_ok()
        });
    };
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA] {
        let key = SigningKey::generate(algorithm).unwrap().with_kid("1".into());
        let token = key.sign_jwt("at+jwt", &claims).unwrap();
        no_bit_may_change(algorithm.name(), &token, &JwkSet::from_keys([key.public_key()]));
    }
    let secret = SharedSecret::new(&[7; 32], Algorithm::HS256).unwrap();
    let keys = JwkSet::shared_secrets([secret.clone()]).unwrap();
    no_bit_may_change("HS256", &secret.sign_jwt("at+jwt", &claims), &keys);
}

#[test]
fn every_single_bit_of_a_proof_counts() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let header = serde_json::json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_jwk() });
    let proof = key.sign_with_header(&header, br#"{"htm":"GET"}"#).unwrap();
    no_bit_may_change("proof", &proof, &|token| {
        EmbeddedKeyJws::parse(token, &Limits::default())
            .and_then(|proof| proof.verify(AlgorithmSet::asymmetric()))
            .is_ok()
    });
}

proptest! {
    #[test]
    fn base64url_has_one_spelling_for_each_value(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        text in "[A-Za-z0-9_=+/. -]{0,12}",
    ) {
        prop_assert_eq!(base64url_decode(&base64url_encode(&bytes)), Some(bytes));
        if let Some(bytes) = base64url_decode(&text) {
            prop_assert_eq!(base64url_encode(&bytes), text);
        }
    }

    #[test]
    fn claims_come_back_as_they_were_signed(
        sub in any::<String>(),
        number in any::<i64>(),
        list in prop::collection::vec(any::<String>(), 0..4),
    ) {
        let secret = SharedSecret::new(&[7; 64], Algorithm::HS512).unwrap();
        let keys = JwkSet::shared_secrets([secret.clone()]).unwrap();
        let claims = serde_json::json!({ "sub": sub, "n": number, "list": list });
        let token = secret.sign_jwt("JWT", &claims);
        let verified = UnverifiedJws::parse(&token, &Limits::default())
            .and_then(|jws| jws.verify(&keys, AlgorithmSet::symmetric()))
            .unwrap();
        prop_assert_eq!(verified.to_json(), claims);
    }
}
