use crate::Algorithm;

/// A text that is no key, or a key that must not be used. It never holds a part of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not of the form that was asked for.
    #[error("not {form}")]
    Unreadable {
        /// What it was taken for.
        form: &'static str,
    },
    /// A private or secret key where a public one belongs: who published it has to replace it.
    #[error("holds the private or secret member {member:?}")]
    Private {
        /// The JWK member or PEM label.
        member: String,
    },
    /// The key is of an unknown kind, weak, broken, or not for signatures.
    #[error("{0}")]
    Unusable(String),
    /// RFC 7518 s3.2: a secret is at least as long as the hash.
    #[error("a secret for {algorithm} has at least {needed} bytes, this has {found}")]
    SecretTooShort {
        /// What the secret is for.
        algorithm: Algorithm,
        /// The length of the hash in bytes.
        needed: usize,
        /// The length of the secret in bytes.
        found: usize,
    },
    /// A shared secret fits HS256, HS384 and HS512 alone, and these fit nothing else.
    #[error("{0} is not for a shared secret")]
    NotSymmetric(Algorithm),
    /// Two keys of one set cannot be told apart.
    #[error("two keys have the same identifier {0:?}")]
    SameKid(String),
    /// There is nothing to use, or more than can be tried.
    #[error("a set needs between 1 and {limit} keys, this has {found}")]
    Count {
        /// The upper bound.
        limit: usize,
        /// How many there are.
        found: usize,
    },
}
