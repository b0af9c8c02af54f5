use serde_json::json;

use super::*;
use crate::{SigningKey, base64url_encode};

fn parse(keys: &serde_json::Value) -> (JwkSet, Vec<KeyProblem>) {
    JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

#[test]
fn thumbprint_is_that_of_rfc_7638_s3_1() {
    let jwk = json!({"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
    let (set, ignored) = parse(&json!([jwk]));
    assert_eq!(ignored, []);
    assert_eq!(
        set.thumbprints().collect::<Vec<_>>(),
        ["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]
    );
}

#[test]
fn thumbprint_of_ed25519_is_that_of_rfc_8037_a3() {
    let (set, _) =
        parse(&json!([{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]));
    assert_eq!(
        set.thumbprints().collect::<Vec<_>>(),
        ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]
    );
}

/// What is said of a token with this `kid` and algorithm whose signature is of no key.
fn say(set: &JwkSet, kid: Option<&str>, algorithm: Algorithm) -> &'static str {
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"");
    let signed = Signed {
        part: b"",
        sha256: &sha256,
        signature: b"",
    };
    set.check(kid, algorithm, &signed).unwrap_err().code()
}

fn es256(kid: &str) -> serde_json::Value {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    key.with_kid(kid.to_owned()).public_jwk()
}

fn nameless(mut jwk: serde_json::Value) -> serde_json::Value {
    jwk.as_object_mut().unwrap().remove("kid");
    jwk
}

/// The point of Ed25519 whose `y` is this, in the form of RFC 8032 s5.1.2.
fn small_order(y: u8) -> [u8; 32] {
    let mut point = [0; 32];
    point[0] = y;
    point
}

#[test]
fn a_key_of_small_order_would_verify_what_nobody_signed() {
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, small_order(1));
    let mut forged = [0; 64];
    forged[0] = 1;
    assert!(key.verify(b"anything", &forged).is_ok(), "so the library does not ask");
    let hex = |text: &str| {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..64).step_by(2).map(byte).collect::<Vec<_>>()
    };
    let ff = "ff".repeat(30);
    for point in [
        "00".repeat(32),
        format!("01{}", "00".repeat(31)),
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".to_owned(),
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".to_owned(),
        format!("ec{ff}7f"),
        format!("ed{ff}7f"),
        format!("ee{ff}7f"),
    ] {
        let mut x = hex(&point);
        for sign in [0, 0x80] {
            x[31] |= sign;
            let jwk = json!([{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": base64url_encode(&x)}]);
            assert_eq!(
                say(&parse(&jwk).0, Some("k"), Algorithm::EdDSA),
                "keys.unusable",
                "{point}"
            );
        }
    }
    let mut near = small_order(1);
    near[1] = 1;
    let jwk = json!([{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": base64url_encode(&near)}]);
    assert_eq!(
        say(&parse(&jwk).0, Some("k"), Algorithm::EdDSA),
        "token.signature_invalid"
    );
}

#[test]
fn single_bad_keys_do_not_spoil_the_set() {
    let good = SigningKey::generate(Algorithm::ES256).unwrap();
    let with = |name: &str, value: serde_json::Value| {
        let mut jwk = es256(&format!("bad-{name}"));
        jwk.as_object_mut().unwrap().remove("alg");
        jwk[name] = value;
        jwk
    };
    let rsa = |kid: &str, n: &[u8], e: &str| json!({ "kty": "RSA", "n": base64url_encode(n), "e": e, "kid": kid });
    let odd = [0xff; 256];
    let mut even = odd;
    even[255] = 0xfe;
    let mut zero_first = [0xff; 257];
    zero_first[0] = 0;
    let short_x = nameless(es256(""));
    for (bad, why) in [
        (with("use", json!("enc")), "its use is not \"sig\""),
        (with("use", json!(["sig"])), "its use is not \"sig\""),
        (with("key_ops", json!(["encrypt"])), "its key_ops lack \"verify\""),
        (with("key_ops", json!(["sign"])), "its key_ops lack \"verify\""),
        (with("key_ops", json!("verify")), "its key_ops lack \"verify\""),
        (with("d", json!("AAAA")), "holds the private or secret member \"d\""),
        (with("alg", json!("ES384")), "its alg ES384 does not fit its kind"),
        (with("alg", json!("HS256")), "its alg HS256 does not fit its kind"),
        (with("alg", json!("none")), "its alg is not one that is supported"),
        (with("alg", json!(1)), "its alg is not one that is supported"),
        (
            with("crv", json!("secp256k1")),
            "kind \"EC\" \"secp256k1\" is not supported",
        ),
        (
            with("crv", json!("Ed25519")),
            "kind \"EC\" \"Ed25519\" is not supported",
        ),
        (
            with("crv", json!("P-384")),
            "its coordinates are not 48 bytes long, as P-384 needs",
        ),
        (with("kty", json!("OKP")), "kind \"OKP\" \"P-256\" is not supported"),
        (with("kty", json!("ec")), "kind \"ec\" \"P-256\" is not supported"),
        (with("kty", json!(null)), "kind \"none\" \"P-256\" is not supported"),
        (
            with("x", json!("AAAA")),
            "its coordinates are not 32 bytes long, as P-256 needs",
        ),
        (with("x", json!(7)), "its member \"x\" is missing or not base64url"),
        (
            with("y", json!(format!("{}=", short_x["y"].as_str().unwrap()))),
            "its member \"y\" is missing or not base64url",
        ),
        (
            with("y", json!(base64url_encode(&[0; 32]))),
            "it is not a point on P-256",
        ),
        (
            with("kid", json!("a".repeat(257))),
            "the kid is not a string of at most 256 bytes",
        ),
        (with("kid", json!(7)), "the kid is not a string of at most 256 bytes"),
        (
            json!({"kty": "oct", "k": "AAAA", "kid": "secret"}),
            "holds the private or secret member \"k\"",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed448", "x": "AAAA"}),
            "kind \"OKP\" \"Ed448\" is not supported",
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": "AAAA"}),
            "kind \"OKP\" \"X25519\" is not supported",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
            "an Ed25519 key has 32 bytes",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": base64url_encode(&small_order(1))}),
            "it is a point of small order: whatever is signed with it can be forged",
        ),
        (
            rsa("weak", &[0xff; 128], "AQAB"),
            "an RSA modulus must be odd, without leading zeros, and of 2048 to 8192 bits; this has 1024",
        ),
        (
            rsa("huge", &[0xff; 1025], "AQAB"),
            "an RSA modulus must be odd, without leading zeros, and of 2048 to 8192 bits; this has 8200",
        ),
        (
            rsa("even", &even, "AQAB"),
            "an RSA modulus must be odd, without leading zeros, and of 2048 to 8192 bits; this has 2048",
        ),
        (
            rsa("zero", &zero_first, "AQAB"),
            "an RSA modulus must be odd, without leading zeros, and of 2048 to 8192 bits; this has 2048",
        ),
        (
            rsa("empty", &[], "AQAB"),
            "an RSA modulus must be odd, without leading zeros, and of 2048 to 8192 bits; this has 0",
        ),
        (
            rsa("e1", &odd, "AQ"),
            "its RSA exponent is not an odd number from 3 to 2^32",
        ),
        (
            rsa("e2", &odd, "Ag"),
            "its RSA exponent is not an odd number from 3 to 2^32",
        ),
        (
            rsa("e0", &odd, ""),
            "its RSA exponent is not an odd number from 3 to 2^32",
        ),
        (
            rsa("ehuge", &odd, "AQAAAAAB"),
            "its RSA exponent is not an odd number from 3 to 2^32",
        ),
        (
            rsa("ezero", &odd, "AAEAAQ"),
            "its RSA exponent is not an odd number from 3 to 2^32",
        ),
        (json!({"kty": "XYZ"}), "kind \"XYZ\" \"\" is not supported"),
        (json!({}), "kind \"none\" \"\" is not supported"),
        (json!(7), "not one strict JSON object"),
        (json!(null), "not one strict JSON object"),
    ] {
        let (set, problems) = parse(&json!([bad, good.public_jwk()]));
        assert_eq!(set.kids().collect::<Vec<_>>(), [Some(good.kid())], "{bad}");
        assert_eq!(problems.len(), 1, "{bad}");
        assert_eq!(problems[0].why, why, "{bad}");
        assert_eq!(problems[0].exposed, why.contains("private"), "{bad}");
        if let Some(kid) = problems[0].kid.as_deref().filter(|kid| kid.len() <= 256) {
            assert_eq!(say(&set, Some(kid), Algorithm::ES256), "keys.unusable");
        }
        assert_eq!(say(&set, Some("other"), Algorithm::ES256), "keys.unknown_kid");
        let token = good.sign_jwt("JWT", &json!({})).unwrap();
        let jws = crate::UnverifiedJws::parse(&token, &crate::Limits::default()).unwrap();
        assert!(jws.verify(&set, AlgorithmSet::asymmetric()).is_ok());
    }
    let twice = format!("{{\"keys\":[{{\"kty\":\"EC\",\"kty\":\"EC\"}},{}]}}", good.public_jwk());
    let (set, problems) = JwkSet::parse(twice.as_bytes()).unwrap();
    assert_eq!((set.len(), problems.len()), (1, 1));
}

#[test]
fn members_that_are_not_acted_on_are_passed_over() {
    let mut jwk = es256("a");
    for name in ["x5c", "x5u", "x5t", "x5t#S256", "ext", "key_ops_", "iat"] {
        jwk[name] = json!(["anything", { "at": "all" }]);
    }
    jwk["key_ops"] = json!(["sign", "verify"]);
    let (set, problems) = parse(&json!([jwk]));
    assert_eq!((set.len(), problems), (1, vec![]));
}

#[test]
fn different_keys_of_one_name_are_dropped_and_the_same_key_twice_is_one() {
    let twice = es256("twice");
    let decoy = SigningKey::generate(Algorithm::Ed25519)
        .unwrap()
        .with_kid("twice".to_owned())
        .public_jwk();
    let nameless = nameless(es256(""));
    let (set, problems) = parse(&json!([
        es256("dup"),
        es256("dup"),
        twice,
        twice,
        decoy,
        nameless,
        nameless,
        es256("good")
    ]));
    let kids: Vec<_> = set.kids().collect();
    assert_eq!(kids, [Some("twice"), Some("twice"), None, Some("good")]);
    assert_eq!(problems.len(), 2);
    assert!(
        problems
            .iter()
            .all(|problem| problem.why == "another key of the set has the same kid")
    );
    assert_eq!(say(&set, Some("twice"), Algorithm::ES256), "token.signature_invalid");
    assert_eq!(say(&set, Some("twice"), Algorithm::EdDSA), "token.signature_invalid");
    assert_eq!(say(&set, Some("dup"), Algorithm::ES256), "keys.unusable");
    assert_eq!(
        say(&set, Some("good"), Algorithm::ES384),
        "token.algorithm_key_mismatch"
    );
}

#[test]
fn the_same_key_twice_is_for_what_either_says() {
    let key = SigningKey::generate(Algorithm::RS256).unwrap().with_kid("a".into());
    let narrow = key.public_jwk();
    let mut broad = narrow.clone();
    broad.as_object_mut().unwrap().remove("alg");
    for (keys, expected) in [([&narrow, &broad], 2), ([&broad, &narrow], 1), ([&narrow, &narrow], 1)] {
        let (set, problems) = parse(&json!(keys));
        assert_eq!((set.len(), problems.len()), (expected, 0));
        let code = say(&set, Some("a"), Algorithm::PS256);
        let for_all = keys.contains(&&broad);
        assert_eq!(code == "token.signature_invalid", for_all, "{code}");
        assert_eq!(say(&set, Some("a"), Algorithm::RS256), "token.signature_invalid");
    }
}

#[test]
fn one_rsa_key_under_one_name_for_two_algorithms_is_two_keys() {
    let mut jwk = SigningKey::generate(Algorithm::RS256)
        .unwrap()
        .with_kid("a".into())
        .public_jwk();
    let other = SigningKey::generate(Algorithm::PS256)
        .unwrap()
        .with_kid("a".into())
        .public_jwk();
    let (set, problems) = parse(&json!([jwk, other]));
    assert_eq!((set.len(), problems.len()), (2, 0));
    assert_eq!(say(&set, Some("a"), Algorithm::RS512), "token.algorithm_key_mismatch");
    // Without an alg it is for all of RSA, and then nobody can tell which is meant by PS256.
    jwk.as_object_mut().unwrap().remove("alg");
    let (set, problems) = parse(&json!([jwk, other]));
    assert_eq!((set.len(), problems.len()), (0, 2));
}

#[test]
fn without_a_kid_at_most_eight_are_tried() {
    let keys: Vec<SigningKey> = (0..10)
        .map(|_| SigningKey::generate(Algorithm::ES256).unwrap())
        .collect();
    let rsa = SigningKey::generate(Algorithm::RS256).unwrap().public_jwk();
    let mut jwks = vec![rsa];
    jwks.extend(keys.iter().map(|key| nameless(key.public_jwk())));
    let (set, _) = parse(&json!(jwks));
    for (i, key) in keys.iter().enumerate() {
        let token = key.sign_with_header(&json!({ "alg": "ES256" }), b"{}").unwrap();
        let jws = crate::UnverifiedJws::parse(&token, &crate::Limits::default()).unwrap();
        assert_eq!(jws.verify(&set, AlgorithmSet::asymmetric()).is_ok(), i < 8, "key {i}");
    }
    assert_eq!(say(&set, None, Algorithm::ES384), "keys.unknown_kid");
    assert_eq!(say(&set, None, Algorithm::RS256), "token.signature_invalid");
}

#[test]
fn what_is_no_set_is_an_error() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert_eq!(
            JwkSet::parse(text.as_bytes()).unwrap_err(),
            JwksError::NotASet,
            "{text}"
        );
    }
    let many = json!({ "keys": vec![json!({}); 101] }).to_string();
    assert_eq!(JwkSet::parse(many.as_bytes()).unwrap_err(), JwksError::TooLarge);
}
