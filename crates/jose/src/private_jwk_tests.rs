use serde_json::{Value, json};

use super::*;
use crate::{AlgorithmSet, JwkSet, Limits, UnverifiedJws, base64url_encode};

fn from_jwk(jwk: &Value, algorithm: Option<Algorithm>) -> Result<SigningKey, SignError> {
    SigningKey::from_private_jwk(&Secret::new(jwk.to_string()), algorithm)
}

fn to_jwk(key: &SigningKey) -> Value {
    serde_json::from_str(key.to_private_jwk().unwrap().expose()).unwrap()
}

#[test]
fn keys_and_signatures_of_the_rfcs() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../tests/data/rfc_vectors.json")).unwrap();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let source = &vector["source"];
        let algorithm = Algorithm::from_name(vector["alg"].as_str().unwrap()).unwrap();
        let key = from_jwk(&vector["jwk"], Some(algorithm)).unwrap();
        if let Some(kid) = vector["jwk"]["kid"].as_str() {
            assert_eq!(key.kid(), kid, "{source}");
        }
        for (name, value) in vector["jwk"].as_object().unwrap() {
            assert_eq!(to_jwk(&key)[name], *value, "{source}: {name}");
        }

        let token = vector["token"].as_str().unwrap();
        let (signed_part, signature) = token.rsplit_once('.').unwrap();
        if vector["repeatable"] == true {
            let ours = key.sign(signed_part.as_bytes()).unwrap();
            assert_eq!(base64url_encode(&ours), signature, "{source}");
        }
        let keys = JwkSet::from_keys([key.public_key()]);
        let judge = |token: &str| {
            UnverifiedJws::parse(token, &Limits::default())
                .unwrap()
                .verify(&keys, AlgorithmSet::of(&[algorithm]))
                .map(|_| "ok")
                .unwrap_or_else(|refusal| refusal.code())
        };
        // The claims are read once the signature is good, and some of these payloads are prose.
        assert!(matches!(judge(token), "ok" | "token.bad_json"), "{source}");
        assert_eq!(
            judge(&format!("{signed_part}.AAAA")),
            "token.signature_invalid",
            "{source}"
        );
    }
}

#[test]
fn every_kind_survives_the_way_out_and_in() {
    for algorithm in AlgorithmSet::asymmetric().iter() {
        let key = SigningKey::generate(algorithm).unwrap().with_kid("a \"kid\"".into());
        let jwk = to_jwk(&key);
        assert_eq!(jwk["alg"], algorithm.name());
        let again = from_jwk(&jwk, None).unwrap();
        assert_eq!(again.algorithm(), algorithm);
        assert_eq!(again.public_jwk(), key.public_jwk());
        assert_eq!(to_jwk(&again), jwk);
        let token = again.sign_jwt("JWT", &json!({})).unwrap();
        let keys = JwkSet::from_keys([key.public_key()]);
        let jws = UnverifiedJws::parse(&token, &Limits::default()).unwrap();
        assert!(jws.verify(&keys, AlgorithmSet::asymmetric()).is_ok(), "{algorithm}");
    }
}

#[test]
fn the_algorithm_comes_from_the_key_or_the_caller_and_they_agree() {
    let without = |algorithm, name: &str| {
        let mut jwk = to_jwk(&SigningKey::generate(algorithm).unwrap());
        jwk.as_object_mut().unwrap().remove(name);
        jwk
    };
    let rsa = without(Algorithm::RS256, "alg");
    assert_eq!(from_jwk(&rsa, None).unwrap_err(), SignError::AlgorithmMissing);
    assert_eq!(
        from_jwk(&rsa, Some(Algorithm::PS512)).unwrap().algorithm(),
        Algorithm::PS512
    );
    assert_eq!(
        from_jwk(&without(Algorithm::ES384, "alg"), None).unwrap().algorithm(),
        Algorithm::ES384
    );
    assert_eq!(
        from_jwk(&without(Algorithm::EdDSA, "alg"), None).unwrap().algorithm(),
        Algorithm::EdDSA
    );
    let bound = to_jwk(&SigningKey::generate(Algorithm::RS256).unwrap());
    for wrong in [Algorithm::PS256, Algorithm::ES256, Algorithm::HS256] {
        assert_eq!(from_jwk(&bound, Some(wrong)).unwrap_err(), SignError::WrongKind(wrong));
        assert_eq!(
            from_jwk(&rsa, Some(Algorithm::ES256)).unwrap_err(),
            SignError::WrongKind(Algorithm::ES256)
        );
    }
    assert_eq!(
        from_jwk(&without(Algorithm::ES256, "kid"), None).unwrap().kid().len(),
        43
    );
}

#[test]
fn halves_that_do_not_belong_together_are_refused() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES512, Algorithm::EdDSA] {
        let good = to_jwk(&SigningKey::generate(algorithm).unwrap());
        let other = to_jwk(&SigningKey::generate(algorithm).unwrap());
        assert!(from_jwk(&good, None).is_ok());
        for (name, value) in good.as_object().unwrap() {
            if ["kty", "crv", "e", "alg", "use", "kid"].contains(&name.as_str()) {
                continue;
            }
            let mut mixed = good.clone();
            mixed[name] = other[name].clone();
            assert!(
                matches!(from_jwk(&mixed, None), Err(SignError::Jwk(_))),
                "{algorithm} {name}"
            );
            for bad in [json!(null), json!(7), json!("*"), json!(""), json!("AQ")] {
                let mut broken = good.clone();
                broken[name] = bad;
                assert!(from_jwk(&broken, None).is_err(), "{algorithm} {name}");
            }
            assert!(value.is_string());
        }
    }
}

#[test]
fn keys_that_are_not_for_signing_are_refused() {
    let good = to_jwk(&SigningKey::generate(Algorithm::RS256).unwrap());
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["verify"])),
        ("alg", json!("RSA-OAEP")),
        ("kty", json!("oct")),
        ("oth", json!([])),
        ("kid", json!(1)),
    ] {
        let mut jwk = good.clone();
        jwk[name] = value;
        assert!(matches!(from_jwk(&jwk, None), Err(SignError::Jwk(_))), "{name}");
    }
    let mut signs = good;
    signs["key_ops"] = json!(["sign"]);
    assert!(from_jwk(&signs, None).is_ok());
    let public = SigningKey::generate(Algorithm::ES256).unwrap().public_jwk();
    assert!(from_jwk(&public, None).is_err());
    for text in ["", "[]", "{\"kty\":\"EC\",\"kty\":\"EC\"}"] {
        assert!(SigningKey::from_private_jwk(&Secret::new(text), None).is_err());
    }
}

#[test]
fn errors_hold_nothing_of_the_key() {
    let mut jwk = to_jwk(&SigningKey::generate(Algorithm::ES256).unwrap());
    let d = jwk["d"].as_str().unwrap().to_owned();
    jwk["x"] = json!("AAAA");
    let error = from_jwk(&jwk, None).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&d));
}
