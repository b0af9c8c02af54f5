//! Claims for unit tests: only a signature makes them.

use std::sync::OnceLock;

use portcullis_jose::{Algorithm, AlgorithmSet, Claims, JwkSet, Limits, SigningKey, UnverifiedJws, Verified};
use serde_json::{Value, json};

pub(crate) fn claims(claims: &Value) -> Verified<Claims> {
    static KEY: OnceLock<(SigningKey, JwkSet)> = OnceLock::new();
    let (key, set) = KEY.get_or_init(|| {
        let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let jwks = json!({"keys": [key.public_jwk()]}).to_string();
        (key, JwkSet::parse(jwks.as_bytes()).unwrap().0)
    });
    let token = key.sign_jwt("at+jwt", claims).unwrap();
    UnverifiedJws::parse(&token, &Limits::default())
        .unwrap()
        .verify(set, AlgorithmSet::asymmetric())
        .unwrap()
}
