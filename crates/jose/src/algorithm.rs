use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self as aws, VerificationAlgorithm};

/// A signature algorithm of RFC 7518 s3.1, RFC 8037 or RFC 9864. There is no `none`.
///
/// The symmetric ones fit a [`SharedSecret`](crate::SharedSecret) alone; no key of a network or a token is ever
/// used with them, and [`AlgorithmSet::asymmetric`] does not contain them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the registered names say it")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    /// RFC 8037; here always with Ed25519.
    EdDSA,
    /// The fully specified name of RFC 9864 s2.2 for [`Algorithm::EdDSA`] with Ed25519.
    Ed25519,
    /// RFC 7518 s3.2: HMAC; needs a [`SharedSecret`](crate::SharedSecret).
    HS256,
    /// RFC 7518 s3.2: HMAC; needs a [`SharedSecret`](crate::SharedSecret).
    HS384,
    /// RFC 7518 s3.2: HMAC; needs a [`SharedSecret`](crate::SharedSecret).
    HS512,
}

/// The kind of key that an algorithm needs: `kty` and, where there is one, `crv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum KeyKind {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
    Secret,
}

impl Algorithm {
    /// Every algorithm, the symmetric ones last.
    pub const ALL: [Algorithm; 14] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
        Algorithm::Ed25519,
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
    ];

    /// The `alg` value, for example `"RS256"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::ES512 => "ES512",
            Algorithm::EdDSA => "EdDSA",
            Algorithm::Ed25519 => "Ed25519",
            Algorithm::HS256 => "HS256",
            Algorithm::HS384 => "HS384",
            Algorithm::HS512 => "HS512",
        }
    }

    /// The algorithm of exactly this name; `alg` values are case-sensitive (RFC 7515 s4.1.1).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|alg| alg.name() == name)
    }

    /// Whether it needs a shared secret: who can check such a token can make one.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        self.key_kind() == KeyKind::Secret
    }

    pub(crate) fn key_kind(self) -> KeyKind {
        match self {
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => KeyKind::Rsa,
            Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => KeyKind::Rsa,
            Algorithm::ES256 => KeyKind::P256,
            Algorithm::ES384 => KeyKind::P384,
            Algorithm::ES512 => KeyKind::P521,
            Algorithm::EdDSA | Algorithm::Ed25519 => KeyKind::Ed25519,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => KeyKind::Secret,
        }
    }

    pub(crate) fn rsa_parameters(self) -> Option<&'static aws::RsaParameters> {
        Some(match self {
            Algorithm::RS256 => &aws::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &aws::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &aws::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &aws::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &aws::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &aws::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }

    /// For the kinds whose public key is one string of bytes. The `FIXED` forms: a JWS signature is `r || s`
    /// (RFC 7518 s3.4), never ASN.1.
    pub(crate) fn curve_parameters(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            Algorithm::ES256 => &aws::ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &aws::ECDSA_P384_SHA384_FIXED,
            Algorithm::ES512 => &aws::ECDSA_P521_SHA512_FIXED,
            Algorithm::EdDSA | Algorithm::Ed25519 => &aws::ED25519,
            _ => return None,
        })
    }

    pub(crate) fn hmac(self) -> Option<hmac::Algorithm> {
        Some(match self {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return None,
        })
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of algorithms that a verifier accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// Exactly these.
    #[must_use]
    pub fn of(algorithms: &[Algorithm]) -> AlgorithmSet {
        AlgorithmSet(algorithms.iter().fold(0, |bits, alg| bits | alg.bit()))
    }

    /// Every algorithm with a public key, and no other.
    #[must_use]
    pub fn asymmetric() -> AlgorithmSet {
        AlgorithmSet(AlgorithmSet::of(&Algorithm::ALL).0 & !AlgorithmSet::symmetric().0)
    }

    /// Every algorithm with a shared secret, and no other.
    #[must_use]
    pub fn symmetric() -> AlgorithmSet {
        AlgorithmSet::of(&[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512])
    }

    /// With this one too.
    #[must_use]
    pub fn with(self, algorithm: Algorithm) -> AlgorithmSet {
        AlgorithmSet(self.0 | algorithm.bit())
    }

    /// What is in both sets.
    #[must_use]
    pub fn and(self, other: AlgorithmSet) -> AlgorithmSet {
        AlgorithmSet(self.0 & other.0)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `algorithm` is in the set.
    #[must_use]
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// The members, in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |alg| self.contains(*alg))
    }
}

impl fmt::Display for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("(none)");
        }
        for (i, alg) in self.iter().enumerate() {
            write!(f, "{}{alg}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for alg in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(alg.name()), Some(alg));
        }
        for wrong in ["none", "None", "rs256", "RS256 ", "", "hs256", "HS1", "RS1", "ES256K"] {
            assert_eq!(Algorithm::from_name(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let set = AlgorithmSet::of(&[Algorithm::ES256, Algorithm::RS256]);
        assert!(set.contains(Algorithm::RS256) && set.contains(Algorithm::ES256));
        assert!(!set.contains(Algorithm::PS256));
        assert_eq!(set.to_string(), "RS256, ES256");
    }

    #[test]
    fn symmetric_algorithms_are_apart() {
        for alg in Algorithm::ALL {
            assert_eq!(AlgorithmSet::symmetric().contains(alg), alg.name().starts_with("HS"));
            assert_eq!(AlgorithmSet::asymmetric().contains(alg), !alg.is_symmetric());
        }
        assert!(AlgorithmSet::asymmetric().and(AlgorithmSet::symmetric()).is_empty());
    }
}
