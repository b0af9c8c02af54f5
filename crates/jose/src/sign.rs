use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair, RsaSignatureEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::jwk::thumbprint_of;
use crate::{Algorithm, Secret, base64url_encode};

/// A private key that signs, with the one algorithm it is for.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    kid: String,
    pair: Arc<Pair>,
}

enum Pair {
    Rsa(RsaKeyPair, &'static RsaSignatureEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A key could not be made or read, or did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The text is no PEM block `PRIVATE KEY` (PKCS #8).
    #[error(
        "not a PEM text with one block \"PRIVATE KEY\" (PKCS #8); convert with: openssl pkcs8 -topk8 -nocrypt -in KEY"
    )]
    NotPkcs8Pem,
    /// The key is not of the kind that the algorithm needs.
    #[error("the private key cannot be used with {0}")]
    WrongKind(Algorithm),
    /// The cryptographic library failed.
    #[error("the cryptographic library could not make or use the key")]
    Crypto,
}

impl SigningKey {
    /// Makes a new key: RSA of 2048 bits, or of the algorithm's curve. Its `kid` is its RFC 7638 thumbprint.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn generate(algorithm: Algorithm) -> Result<SigningKey, SignError> {
        let pair = if let Some(encoding) = rsa_encoding(algorithm) {
            Pair::Rsa(
                RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SignError::Crypto)?,
                encoding,
            )
        } else if let Some(curve) = ec_algorithm(algorithm) {
            Pair::Ec(EcdsaKeyPair::generate(curve).map_err(|_| SignError::Crypto)?)
        } else {
            Pair::Ed(Ed25519KeyPair::generate().map_err(|_| SignError::Crypto)?)
        };
        SigningKey::from_pair(pair, algorithm)
    }

    /// Reads a key in PKCS #8, PEM-encoded (RFC 7468 s10).
    ///
    /// # Errors
    /// [`SignError::NotPkcs8Pem`], or [`SignError::WrongKind`] when it is not a key for `algorithm`.
    pub fn from_pkcs8_pem(pem: &str, algorithm: Algorithm) -> Result<SigningKey, SignError> {
        let body = pem
            .split_once("-----BEGIN PRIVATE KEY-----")
            .and_then(|(_, rest)| rest.split_once("-----END PRIVATE KEY-----"))
            .map(|(body, _)| body.split_ascii_whitespace().collect::<String>())
            .ok_or(SignError::NotPkcs8Pem)?;
        let der = zeroize::Zeroizing::new(STANDARD.decode(body).map_err(|_| SignError::NotPkcs8Pem)?);
        let wrong = |_| SignError::WrongKind(algorithm);
        let pair = if let Some(encoding) = rsa_encoding(algorithm) {
            Pair::Rsa(RsaKeyPair::from_pkcs8(&der).map_err(wrong)?, encoding)
        } else if let Some(curve) = ec_algorithm(algorithm) {
            Pair::Ec(EcdsaKeyPair::from_pkcs8(curve, &der).map_err(wrong)?)
        } else {
            Pair::Ed(Ed25519KeyPair::from_pkcs8(&der).map_err(wrong)?)
        };
        SigningKey::from_pair(pair, algorithm)
    }

    fn from_pair(pair: Pair, algorithm: Algorithm) -> Result<SigningKey, SignError> {
        let mut key = SigningKey {
            algorithm,
            kid: String::new(),
            pair: Arc::new(pair),
        };
        key.kid = thumbprint_of(&key.public_jwk()).ok_or(SignError::WrongKind(algorithm))?;
        Ok(key)
    }

    /// The same key under another `kid`.
    #[must_use]
    pub fn with_kid(self, kid: String) -> SigningKey {
        SigningKey { kid, ..self }
    }

    /// The key identifier.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half as a JWK with `kid`, `alg` and `use`.
    #[must_use]
    pub fn public_jwk(&self) -> serde_json::Value {
        let mut jwk = match &*self.pair {
            Pair::Rsa(pair, _) => {
                let public = pair.public_key();
                let n = base64url_encode(public.modulus().big_endian_without_leading_zero());
                let e = base64url_encode(public.exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": n, "e": e })
            }
            Pair::Ec(pair) => {
                let crv = match self.algorithm {
                    Algorithm::ES384 => "P-384",
                    Algorithm::ES512 => "P-521",
                    _ => "P-256",
                };
                // SEC 1 s2.3.3: 0x04, then both coordinates in the size of the field.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": crv, "x": base64url_encode(x), "y": base64url_encode(y) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url_encode(pair.public_key().as_ref()) })
            }
        };
        if let Some(members) = jwk.as_object_mut() {
            members.insert("alg".into(), self.algorithm.name().into());
            members.insert("use".into(), "sig".into());
            members.insert("kid".into(), self.kid.as_str().into());
        }
        jwk
    }

    /// The private key in PKCS #8, PEM-encoded.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn to_pkcs8_pem(&self) -> Result<Secret, SignError> {
        let der: Vec<u8> = match &*self.pair {
            Pair::Rsa(pair, _) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair)
                .map_err(|_| SignError::Crypto)?
                .as_ref()
                .to_vec(),
            Pair::Ec(pair) => pair.to_pkcs8v1().map_err(|_| SignError::Crypto)?.as_ref().to_vec(),
            Pair::Ed(pair) => pair.to_pkcs8v1().map_err(|_| SignError::Crypto)?.as_ref().to_vec(),
        };
        let der = zeroize::Zeroizing::new(der);
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in STANDARD.encode(&*der).as_bytes().chunks(64) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(Secret::new(pem))
    }

    /// Signs a JWT with the header `alg`, `typ` and `kid`.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn sign_jwt(&self, typ: &str, claims: &serde_json::Value) -> Result<String, SignError> {
        let header = json!({ "alg": self.algorithm.name(), "typ": typ, "kid": self.kid });
        self.sign_with_header(&header, claims.to_string().as_bytes())
    }

    /// Signs any payload under any header. The header is taken as it is, which is what tests of verifiers need.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn sign_with_header(&self, header: &serde_json::Value, payload: &[u8]) -> Result<String, SignError> {
        let mut token = format!(
            "{}.{}",
            base64url_encode(header.to_string().as_bytes()),
            base64url_encode(payload)
        );
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&base64url_encode(&signature));
        Ok(token)
    }

    /// The signature over `message`, in the form of RFC 7518 s3.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match &*self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)
                    .map_err(|_| SignError::Crypto)?;
                Ok(signature)
            }
            Pair::Ec(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignError::Crypto),
            Pair::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static RsaSignatureEncoding> {
    Some(match algorithm {
        Algorithm::RS256 => &aws::RSA_PKCS1_SHA256,
        Algorithm::RS384 => &aws::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &aws::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &aws::RSA_PSS_SHA256,
        Algorithm::PS384 => &aws::RSA_PSS_SHA384,
        Algorithm::PS512 => &aws::RSA_PSS_SHA512,
        _ => return None,
    })
}

fn ec_algorithm(algorithm: Algorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &aws::ECDSA_P256_SHA256_FIXED_SIGNING,
        Algorithm::ES384 => &aws::ECDSA_P384_SHA384_FIXED_SIGNING,
        Algorithm::ES512 => &aws::ECDSA_P521_SHA512_FIXED_SIGNING,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
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
            let again = SigningKey::from_pkcs8_pem(pem.expose(), algorithm).unwrap();
            assert_eq!(again.kid(), key.kid(), "{algorithm}");
            assert_eq!(again.public_jwk(), key.public_jwk());
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let pem = SigningKey::generate(Algorithm::ES256).unwrap().to_pkcs8_pem().unwrap();
        assert_eq!(
            SigningKey::from_pkcs8_pem(pem.expose(), Algorithm::RS256).unwrap_err(),
            SignError::WrongKind(Algorithm::RS256)
        );
        assert_eq!(
            SigningKey::from_pkcs8_pem("hello", Algorithm::RS256).unwrap_err(),
            SignError::NotPkcs8Pem
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
}
