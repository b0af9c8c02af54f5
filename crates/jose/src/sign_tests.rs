use super::*;

#[test]
fn a_key_survives_pem() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::PS384,
        Algorithm::ES256,
        Algorithm::ES512,
        Algorithm::EdDSA,
    ] {
        let key = SigningKey::generate(algorithm).unwrap();
        let pem = key.to_pkcs8_pem().unwrap();
        let again = SigningKey::from_pem(pem.expose(), algorithm).unwrap();
        assert_eq!(again.kid(), key.kid(), "{algorithm}");
        assert_eq!(again.public_jwk(), key.public_jwk());
    }
}

#[test]
fn a_key_of_another_kind_is_refused() {
    let pem = SigningKey::generate(Algorithm::ES256).unwrap().to_pkcs8_pem().unwrap();
    assert_eq!(
        SigningKey::from_pem(pem.expose(), Algorithm::RS256).unwrap_err(),
        SignError::WrongKind(Algorithm::RS256)
    );
    assert_eq!(
        SigningKey::from_pem("hello", Algorithm::RS256).unwrap_err(),
        SignError::NotPem
    );
}

#[test]
fn debug_shows_no_private_half() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    assert_eq!(
        format!("{key:?}"),
        format!("SigningKey {{ algorithm: ES256, kid: {:?}, .. }}", key.kid())
    );
}
