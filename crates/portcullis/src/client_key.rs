//! Private keys of clients.

use portcullis_jose::{Algorithm, Secret, SignError, SigningKey};

/// What PEM keys are tried with where nothing says what they sign with. RSA comes with RS256, which every provider
/// takes that takes RSA.
const USUAL: [Algorithm; 5] = [
    Algorithm::ES256,
    Algorithm::RS256,
    Algorithm::EdDSA,
    Algorithm::ES384,
    Algorithm::ES512,
];

/// A key out of PEM or a private JWK.
pub(crate) fn parse(text: &Secret, algorithm: Option<Algorithm>) -> Result<SigningKey, SignError> {
    if text.expose().trim_start().starts_with('{') {
        return match SigningKey::from_private_jwk(text, algorithm) {
            Err(SignError::AlgorithmMissing) => SigningKey::from_private_jwk(text, Some(Algorithm::RS256)),
            other => other,
        };
    }
    let tried = match &algorithm {
        Some(only) => std::slice::from_ref(only),
        None => &USUAL[..],
    };
    let mut first = SignError::NotPem;
    for (at, algorithm) in tried.iter().enumerate() {
        match SigningKey::from_pem(text.expose(), *algorithm) {
            Ok(key) => return Ok(key),
            Err(error) if at == 0 => first = error,
            Err(_) => {}
        }
    }
    Err(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_and_jwk_sign_with_what_they_are_for() {
        use Algorithm::{ES256, ES384, Ed25519, EdDSA, PS256, RS256};
        for (made, named, read) in [
            (ES256, None, ES256),
            (ES384, None, ES384),
            (EdDSA, None, EdDSA),
            (Ed25519, None, EdDSA),
            (RS256, None, RS256),
            (RS256, Some(PS256), PS256),
        ] {
            let key = SigningKey::generate(made).unwrap();
            let from_pem = parse(&key.to_pkcs8_pem().unwrap(), named).unwrap();
            assert_eq!((from_pem.algorithm(), from_pem.kid()), (read, key.kid()), "{made}");
        }
        let key = SigningKey::generate(PS256).unwrap().with_kid("mine".into());
        let from_jwk = parse(&key.to_private_jwk().unwrap(), None).unwrap();
        assert_eq!((from_jwk.algorithm(), from_jwk.kid()), (PS256, "mine"));
        assert!(parse(&key.to_pkcs8_pem().unwrap(), Some(ES256)).is_err());
        for text in ["", "hunter2", "{}", "-----BEGIN PRIVATE KEY-----"] {
            assert!(parse(&Secret::new(text), None).is_err(), "{text}");
        }
    }
}
