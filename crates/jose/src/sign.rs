use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair, RsaSignatureEncoding,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{Algorithm, AlgorithmSet, KeyError, PublicKey, Secret, base64url_encode, pem};

/// A private key that signs, with the one algorithm it is for.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    kid: String,
    public: PublicKey,
    pair: Arc<Pair>,
}

pub(crate) enum Pair {
    Rsa(RsaKeyPair, &'static RsaSignatureEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A key could not be made or read, or did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The text is no PEM text with one private key.
    #[error(
        "not a PEM text with one unencrypted private key (PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY); decrypt \
         with: openssl pkey -in KEY"
    )]
    NotPem,
    /// The text is no private JWK, or one that is not for signing.
    #[error("not a private JWK to sign with: {0}")]
    Jwk(KeyError),
    /// Neither the JWK nor the caller says which algorithm an RSA key is for.
    #[error("the private JWK has no \"alg\", and an RSA key needs one")]
    AlgorithmMissing,
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
    /// [`SignError::WrongKind`] for a symmetric algorithm, [`SignError::Crypto`] if the library fails.
    pub fn generate(algorithm: Algorithm) -> Result<SigningKey, SignError> {
        let pair = if let Some(encoding) = rsa_encoding(algorithm) {
            Pair::Rsa(
                RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SignError::Crypto)?,
                encoding,
            )
        } else if let Some(curve) = ec_algorithm(algorithm) {
            Pair::Ec(EcdsaKeyPair::generate(curve).map_err(|_| SignError::Crypto)?)
        } else if !algorithm.is_symmetric() {
            Pair::Ed(Ed25519KeyPair::generate().map_err(|_| SignError::Crypto)?)
        } else {
            return Err(SignError::WrongKind(algorithm));
        };
        SigningKey::from_pair(pair, algorithm)
    }

    /// Reads a PEM text (RFC 7468) with one private key: `PRIVATE KEY` (PKCS #8), `RSA PRIVATE KEY` (PKCS #1) or
    /// `EC PRIVATE KEY` (SEC 1, where `EC PARAMETERS` may stand before it). Certificates beside it are passed over.
    ///
    /// # Errors
    /// [`SignError::NotPem`], or [`SignError::WrongKind`] when it is not a key for `algorithm`.
    pub fn from_pem(text: &str, algorithm: Algorithm) -> Result<SigningKey, SignError> {
        let blocks = pem::blocks(text).map_err(|_| SignError::NotPem)?;
        let mut keys = blocks
            .iter()
            .filter(|block| !matches!(block.label, "EC PARAMETERS" | "CERTIFICATE"));
        let (Some(block), None) = (keys.next(), keys.next()) else {
            return Err(SignError::NotPem);
        };
        let wrong = |_| SignError::WrongKind(algorithm);
        let der: &[u8] = &block.der;
        let pair = match (block.label, rsa_encoding(algorithm), ec_algorithm(algorithm)) {
            ("PRIVATE KEY", Some(encoding), _) => Pair::Rsa(RsaKeyPair::from_pkcs8(der).map_err(wrong)?, encoding),
            ("PRIVATE KEY", _, Some(curve)) => Pair::Ec(EcdsaKeyPair::from_pkcs8(curve, der).map_err(wrong)?),
            ("PRIVATE KEY", ..) => Pair::Ed(Ed25519KeyPair::from_pkcs8(der).map_err(wrong)?),
            ("RSA PRIVATE KEY", Some(encoding), _) => Pair::Rsa(RsaKeyPair::from_der(der).map_err(wrong)?, encoding),
            ("EC PRIVATE KEY", _, Some(curve)) => {
                Pair::Ec(EcdsaKeyPair::from_private_key_der(curve, der).map_err(wrong)?)
            }
            ("RSA PRIVATE KEY" | "EC PRIVATE KEY", ..) => return Err(SignError::WrongKind(algorithm)),
            _ => return Err(SignError::NotPem),
        };
        SigningKey::from_pair(pair, algorithm)
    }

    pub(crate) fn from_pair(pair: Pair, algorithm: Algorithm) -> Result<SigningKey, SignError> {
        let public = match &pair {
            Pair::Rsa(pair, _) => {
                let public = pair.public_key();
                PublicKey::rsa(
                    public.modulus().big_endian_without_leading_zero().to_vec(),
                    public.exponent().big_endian_without_leading_zero().to_vec(),
                    AlgorithmSet::of(&[algorithm]),
                )
            }
            Pair::Ec(pair) => PublicKey::ec(algorithm.key_kind(), pair.public_key().as_ref()),
            Pair::Ed(pair) if !algorithm.is_symmetric() => PublicKey::ed25519(pair.public_key().as_ref().to_vec()),
            Pair::Ed(_) => return Err(SignError::WrongKind(algorithm)),
        };
        let public = public.map_err(|_| SignError::WrongKind(algorithm))?;
        Ok(SigningKey {
            algorithm,
            kid: public.thumbprint().to_owned(),
            public,
            pair: Arc::new(pair),
        })
    }

    pub(crate) fn pair(&self) -> &Pair {
        &self.pair
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

    /// The public half, with the `kid`.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public.clone().with_kid(self.kid.as_str())
    }

    /// The public half as a JWK with `kid`, `alg` and `use`.
    #[must_use]
    pub fn public_jwk(&self) -> serde_json::Value {
        let mut jwk = self.public_key().to_jwk();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("alg".into(), self.algorithm.name().into());
        }
        jwk
    }

    /// The private key in PKCS #8, PEM-encoded.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn to_pkcs8_pem(&self) -> Result<Secret, SignError> {
        Ok(Secret::new(&**pem::write("PRIVATE KEY", &self.to_pkcs8()?)))
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SignError> {
        let der: Vec<u8> = match &*self.pair {
            Pair::Rsa(pair, _) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair)
                .map_err(|_| SignError::Crypto)?
                .as_ref()
                .to_vec(),
            Pair::Ec(pair) => pair.to_pkcs8v1().map_err(|_| SignError::Crypto)?.as_ref().to_vec(),
            Pair::Ed(pair) => pair.to_pkcs8v1().map_err(|_| SignError::Crypto)?.as_ref().to_vec(),
        };
        Ok(Zeroizing::new(der))
    }

    /// Signs a JWT with the header `alg`, `typ` and `kid`.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn sign_jwt(&self, typ: &str, claims: &serde_json::Value) -> Result<String, SignError> {
        let header = jwt_header(self.algorithm, typ, Some(&self.kid));
        self.sign_with_header(&header, claims.to_string().as_bytes())
    }

    /// Signs any payload under any header. The header is taken as it is, which is what tests of verifiers need.
    ///
    /// # Errors
    /// [`SignError::Crypto`] if the library fails.
    pub fn sign_with_header(&self, header: &serde_json::Value, payload: &[u8]) -> Result<String, SignError> {
        let mut token = compact(header, payload);
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

pub(crate) fn jwt_header(algorithm: Algorithm, typ: &str, kid: Option<&str>) -> serde_json::Value {
    let mut header = json!({ "alg": algorithm.name(), "typ": typ });
    if let (Some(members), Some(kid)) = (header.as_object_mut(), kid) {
        members.insert("kid".into(), kid.into());
    }
    header
}

/// `header.payload`, which is what gets signed (RFC 7515 s5.1).
pub(crate) fn compact(header: &serde_json::Value, payload: &[u8]) -> String {
    let header = base64url_encode(header.to_string().as_bytes());
    format!("{header}.{}", base64url_encode(payload))
}

pub(crate) fn rsa_encoding(algorithm: Algorithm) -> Option<&'static RsaSignatureEncoding> {
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

pub(crate) fn ec_algorithm(algorithm: Algorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &aws::ECDSA_P256_SHA256_FIXED_SIGNING,
        Algorithm::ES384 => &aws::ECDSA_P384_SHA384_FIXED_SIGNING,
        Algorithm::ES512 => &aws::ECDSA_P521_SHA512_FIXED_SIGNING,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
