//! Algorithms, keys, signatures, times.

use portcullis_idp::{Behaviour, Defect};
use portcullis_jose::{Algorithm, SharedSecret, SigningKey, base64url_decode, base64url_encode};
use serde_json::json;

use super::Provoked;
use super::stage::{Stage, at};

pub(super) const TRIES: &[Provoked] = &[
    ("cause.algorithm_none", |stage| {
        stage.send(stage.minted(Some(Defect::AlgNone)))
    }),
    ("cause.shared_secret_algorithm", |stage| {
        let secret = SharedSecret::new(&[7; 32], Algorithm::HS256).unwrap();
        let claims = stage.claims().to_string();
        stage.send(secret.sign_with_header(&json!({"alg": "HS256", "typ": "at+jwt"}), claims.as_bytes()))
    }),
    ("cause.algorithm_not_configured", |stage| {
        let config = stage.config().replacen("[\"ES256\"]", "[\"RS256\"]", 1);
        stage.send(stage.minted(None)).under(config).usually_good()
    }),
    ("cause.keys_unreachable", |stage| {
        stage.send(stage.minted(None)).while_provider(Behaviour {
            jwks_down: true,
            ..Behaviour::default()
        })
    }),
    ("cause.signature_der", |stage| stage.send(with_der(&stage.minted(None)))),
    ("cause.kid_missing", |stage| {
        let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
        let header = json!({"alg": "ES256", "typ": "at+jwt"});
        let token = stranger
            .sign_with_header(&header, stage.claims().to_string().as_bytes())
            .unwrap();
        let good = json!({"alg": "ES256", "typ": "at+jwt", "kid": stage.key.kid()});
        stage
            .send(token)
            .under(stage.config_of_file())
            .twin(stage.with_header(&good, &json!({})))
    }),
    ("cause.key_of_another_provider", |stage| {
        stage.send(stage.other.control().sign("at+jwt", &stage.claims()).unwrap())
    }),
    ("cause.key_rotated", |stage| {
        stage.send(stage.minted(Some(Defect::UnknownKid)))
    }),
    ("cause.key_unusable", |stage| {
        let config = stage
            .config_of_file()
            .replacen("[\"ES256\"]", "[\"ES256\", \"RS256\"]", 1);
        let weak = json!({"alg": "RS256", "typ": "at+jwt", "kid": "weak"});
        let good = json!({"alg": "ES256", "typ": "at+jwt", "kid": stage.key.kid()});
        let claims = stage.claims().to_string();
        let encoded = |text: &str| base64url_encode(text.as_bytes());
        let token = format!(
            "{}.{}.{}",
            encoded(&weak.to_string()),
            encoded(&claims),
            base64url_encode(&[1; 256])
        );
        stage
            .send(token)
            .under(config)
            .twin(stage.with_header(&good, &json!({})))
    }),
    ("cause.signature_wrong", |stage| {
        stage.send(stage.minted(Some(Defect::BadSignature)))
    }),
    ("cause.milliseconds", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"exp": (stage.now() + 300) * 1000})))
    }),
    ("cause.time_as_text", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"exp": (stage.now() + 300).to_string()})))
    }),
    ("cause.expiry_missing", |stage| {
        stage.send(stage.minted(Some(Defect::MissingExpiry)))
    }),
    ("cause.issue_time_missing", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"iat": null})))
    }),
    ("cause.clock_ahead", |stage| {
        stage.send(stage.minted(None)).ahead(600).usually_good()
    }),
    ("cause.clock_behind", |stage| {
        stage.send(stage.minted(None)).ahead(-600).usually_good()
    }),
    ("cause.expired", |stage| stage.send(stage.minted(Some(Defect::Expired)))),
    ("cause.not_yet_valid", |stage| {
        stage.send(stage.minted(Some(Defect::NotYetValid)))
    }),
    ("cause.lifetime_too_long", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"exp": at(stage, 2 * 86_400)})))
    }),
];

/// The same signature as ECDSA-Sig-Value (RFC 3279 s2.2.3).
fn with_der(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = base64url_decode(signature).unwrap();
    let mut integers = Vec::new();
    for number in signature.chunks(32) {
        // A leading zero keeps it positive.
        integers.extend([0x02, 33, 0]);
        integers.extend(number);
    }
    let mut der = vec![0x30, u8::try_from(integers.len()).unwrap()];
    der.extend(integers);
    format!("{signed}.{}", base64url_encode(&der))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_token_is_expired_whatever_the_clock_says() {
    let stage = Stage::new().await;
    let token = stage.minted(Some(Defect::Expired));
    for ahead in [0, 120] {
        let examined = stage.send(token.clone()).ahead(ahead).examine(&stage).await;
        assert_eq!(examined.causes.first().unwrap().entry.name, "cause.expired", "{ahead}");
    }
}
