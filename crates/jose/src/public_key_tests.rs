use super::*;
use crate::{JwkSet, SigningKey};

/// A file of `tests/data`, made with openssl.
fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/data/{name}.pem", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const KINDS: [(&str, Algorithm); 5] = [
    ("rsa", Algorithm::RS256),
    ("p256", Algorithm::ES256),
    ("p384", Algorithm::ES384),
    ("p521", Algorithm::ES512),
    ("ed25519", Algorithm::EdDSA),
];

#[test]
fn one_key_in_every_form_is_one_key() {
    for (kind, algorithm) in KINDS {
        let private = SigningKey::from_pem(&file(&format!("{kind}.pkcs8")), algorithm).unwrap();
        let mut forms = vec![format!("{kind}.spki"), format!("{kind}.cert")];
        match kind {
            "rsa" => forms.push("rsa.pkcs1pub".into()),
            "p256" => forms.push("p256.certv1".into()),
            _ => {}
        }
        for form in forms {
            let text = file(&form);
            let key = PublicKey::from_pem(&text).unwrap();
            assert_eq!(key.thumbprint(), private.kid(), "{form}");
            assert_eq!(key.kid(), None);
            assert!(key.algorithms().contains(algorithm));
            assert_eq!(
                PublicKey::from_der(&pem::blocks(&text).unwrap()[0].der)
                    .unwrap()
                    .thumbprint(),
                private.kid()
            );
            // And out again.
            let jwk = PublicKey::from_jwk(key.to_jwk().to_string().as_bytes()).unwrap();
            assert_eq!(jwk.to_jwk(), key.to_jwk(), "{form}");
            assert_eq!(jwk.thumbprint(), private.kid());
            let spki = pem::write("PUBLIC KEY", &key.to_der().unwrap());
            assert_eq!(spki.trim(), file(&format!("{kind}.spki")).trim(), "{form}");
        }
    }
}

#[test]
fn private_pem_is_read_in_its_older_forms_too() {
    for (kind, form, algorithm) in [
        ("rsa", "pkcs1", Algorithm::PS256),
        ("p256", "sec1", Algorithm::ES256),
        ("p384", "sec1", Algorithm::ES384),
        ("p521", "sec1", Algorithm::ES512),
    ] {
        let key = SigningKey::from_pem(&file(&format!("{kind}.{form}")), algorithm).unwrap();
        let modern = SigningKey::from_pem(&file(&format!("{kind}.pkcs8")), algorithm).unwrap();
        assert_eq!(key.kid(), modern.kid());
    }
}

#[test]
fn a_private_key_may_stand_beside_its_certificates_and_not_beside_another_key() {
    let (key, chain) = (file("p256.pkcs8"), file("p256.cert") + &file("rsa.cert"));
    for text in [format!("{key}{chain}"), format!("{chain}{key}")] {
        assert!(SigningKey::from_pem(&text, Algorithm::ES256).is_ok());
    }
    for text in [chain, format!("{key}{key}"), format!("{key}{}", file("p256.spki"))] {
        let error = SigningKey::from_pem(&text, Algorithm::ES256).unwrap_err();
        assert_eq!(error, crate::SignError::NotPem);
    }
}

#[test]
fn keys_that_cannot_be_used_are_refused_in_pem_too() {
    for form in [
        "rsa1024.spki",
        "k256.spki",
        "x25519.spki",
        "p256.compressed",
        "p256.explicit",
        "rsapss.spki",
    ] {
        assert!(PublicKey::from_pem(&file(form)).is_err(), "{form}");
    }
    for form in ["rsa.pkcs8", "rsa.pkcs1", "p256.encrypted", "ed25519.pkcs8"] {
        assert!(
            matches!(PublicKey::from_pem(&file(form)), Err(KeyError::Private { .. })),
            "{form}"
        );
    }
    let two = file("p256.spki") + &file("p384.spki");
    assert!(matches!(PublicKey::from_pem(&two), Err(KeyError::Unreadable { .. })));
    assert!(PublicKey::from_pem(&file("p256.sec1")).is_err());
    assert!(PublicKey::from_pem("hello").is_err());
}

#[test]
fn der_is_read_in_its_one_encoding_alone() {
    for (kind, _) in KINDS {
        let der = pem::blocks(&file(&format!("{kind}.spki"))).unwrap()[0].der.to_vec();
        assert!(PublicKey::from_der(&der).is_ok());
        assert!(
            PublicKey::from_der(&[der.as_slice(), &[0]].concat()).is_err(),
            "{kind}: trailing byte"
        );
        assert!(PublicKey::from_der(&der[..der.len() - 1]).is_err(), "{kind}: cut");
        let point = if kind == "ed25519" { 32 } else { 65 };
        assert!(
            PublicKey::from_der(&der[der.len() - point..]).is_err(),
            "{kind}: raw point"
        );
    }
    assert!(PublicKey::from_der(&[]).is_err());
}

#[test]
fn a_file_holds_a_set_a_key_or_pem_blocks() {
    let key = |kind: &str| PublicKey::from_pem(&file(&format!("{kind}.spki"))).unwrap();
    let read = |text: &str| JwkSet::from_local(text.as_bytes()).map(|(set, problems)| (set.len(), problems.len()));
    let jwk = key("p256").with_kid("a").to_jwk();
    assert_eq!(read(&jwk.to_string()), Ok((1, 0)));
    assert_eq!(
        read(&serde_json::json!({ "keys": [jwk, { "kty": "XYZ" }] }).to_string()),
        Ok((1, 1))
    );
    let bundle = ["rsa.cert", "p256.spki", "rsa.pkcs1pub", "ed25519.cert"]
        .map(file)
        .join("\n");
    assert_eq!(read(&bundle), Ok((3, 0)), "the RSA key is there twice");
    assert_eq!(
        read(&(bundle + &file("rsa1024.spki") + &file("p384.pkcs8"))),
        Ok((3, 2))
    );
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"keys":[]}"#,
        r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#,
        &file("rsa.pkcs8"),
        &file("rsa1024.spki"),
    ] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
    assert!(JwkSet::from_local(&[0xff; 8]).is_err());
}

#[test]
fn a_key_of_a_pem_text_answers_to_any_kid_until_it_has_one() {
    let private = SigningKey::from_pem(&file("p256.pkcs8"), Algorithm::ES256).unwrap();
    let token = private.with_kid("2026-11".into()).sign_jwt("JWT", &json!({})).unwrap();
    let judge = |key: PublicKey| {
        crate::UnverifiedJws::parse(&token, &crate::Limits::default())
            .unwrap()
            .verify(&JwkSet::from_keys([key]), AlgorithmSet::asymmetric())
            .map(|_| "ok")
            .unwrap_or_else(|refusal| refusal.code())
    };
    let key = PublicKey::from_pem(&file("p256.spki")).unwrap();
    assert_eq!(judge(key.clone()), "ok");
    assert_eq!(judge(key.clone().with_kid("2026-11")), "ok");
    assert_eq!(judge(key.clone().with_kid("2026-12")), "keys.unknown_kid");
    // A JWK without a kid is not meant by a token with one.
    let mut jwk = key.to_jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    assert_eq!(
        judge(PublicKey::from_jwk(jwk.to_string().as_bytes()).unwrap()),
        "keys.unknown_kid"
    );
}

#[test]
fn a_key_can_be_bound_to_fewer_algorithms() {
    let key = PublicKey::from_pem(&file("rsa.spki")).unwrap();
    assert_eq!(key.algorithms().to_string(), "RS256, RS384, RS512, PS256, PS384, PS512");
    assert_eq!(key.to_jwk().get("alg"), None);
    let bound = key
        .clone()
        .for_algorithms(AlgorithmSet::of(&[Algorithm::PS256, Algorithm::ES256]))
        .unwrap();
    assert_eq!(bound.algorithms(), AlgorithmSet::of(&[Algorithm::PS256]));
    assert_eq!(bound.to_jwk()["alg"], "PS256");
    assert!(key.for_algorithms(AlgorithmSet::of(&[Algorithm::ES256])).is_err());
}

#[test]
fn a_certificate_has_the_thumbprint_that_openssl_prints() {
    let der = crate::certificate_from_pem(&file("p256.cert")).unwrap();
    assert_eq!(
        base64url_encode(&crate::certificate_thumbprint(&der)),
        "1KQSgerpPO0Rd5zuWn-vIejKM2KI2GGib3r3EFM1DIY"
    );
    assert!(crate::certificate_from_pem(&file("p256.certv1")).is_ok());
    for other in ["p256.spki", "p256.pkcs8"] {
        assert!(crate::certificate_from_pem(&file(other)).is_err());
    }
    for change in [-1, 1] {
        // Cut short, or with something after it.
        let mut der = der.clone();
        der.resize(der.len().saturating_add_signed(change), 0);
        let text = crate::pem::write("CERTIFICATE", &der);
        assert!(crate::certificate_from_pem(&text).is_err());
        assert!(PublicKey::from_pem(&text).is_err());
    }
    let two = file("p256.cert") + &file("rsa.cert");
    assert!(crate::certificate_from_pem(&two).is_err());
    assert!(crate::certificate_from_pem("-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----").is_err());
}

#[test]
fn the_weak_generator_is_recognised() {
    // p and q are k * M + (65537^a mod M), with M the product of the primes up to 701.
    let weak = "05e5Z3mfeRioKbZBF6GPItroUJZVUSfW2vBssJXd1d9Q-yKqNMaZ0Oofao1a1LfbmNDUTdNAW-gdItdAsB95oKYR7e7CTke_8DfKx-Vz6uzLkrsgicOzJEY9LJ9xfLNwF-ITyz-1Nmu78rzA6rgws5oSa49JmN-o-twUj9Lh8giU_Z0u1FKsPddCXgN9m9DJKW9aHJR5T5Erc0bogq91R23taxpW-VJH1EKkxyXOpNCx9y48oQbaWepzOvUyxdvVrzgucgUGWuUmxgUbil5wLfVqkUxOmBgNajcSg_MmEu-BaAWa8fvvGOEUt1qfs5ezRlA2HZrOQa8YldgogsDGzw";
    let jwk = json!({ "kty": "RSA", "n": weak, "e": "AQAB" }).to_string();
    let error = PublicKey::from_jwk(jwk.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("ROCA"), "{error}");
    let mut other = base64url_decode(weak).unwrap();
    other[200] ^= 1;
    let jwk = json!({ "kty": "RSA", "n": base64url_encode(&other), "e": "AQAB" }).to_string();
    assert!(PublicKey::from_jwk(jwk.as_bytes()).is_ok());
}
