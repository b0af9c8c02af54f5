//! Revocations: what is refused although it would be valid.

use std::fmt::Debug;

use portcullis_jose::UnixTime;
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, StoreError};

/// What is revoked, since when, and for how long that must be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Which tokens are meant.
    pub target: RevocationTarget,
    /// Only tokens that were issued before this time; all where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<UnixTime>,
    /// When the last token that is meant has expired, with leeway: the entry can be forgotten then.
    pub expires: UnixTime,
    /// Why; for the audit trail.
    pub reason: String,
}

/// Which tokens a revocation is about.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RevocationTarget {
    /// One token.
    Token {
        /// How it is known.
        id: TokenId,
    },
    /// All tokens of a session at the provider.
    Session {
        /// The issuer.
        iss: String,
        /// The provider's session.
        sid: String,
    },
    /// All tokens of a subject.
    Subject {
        /// The issuer.
        iss: String,
        /// The subject.
        sub: String,
    },
    /// All tokens that were issued to a client.
    Client {
        /// The issuer.
        iss: String,
        /// The client.
        client_id: String,
    },
    /// All tokens of an issuer.
    Issuer {
        /// The issuer.
        iss: String,
    },
}

/// How one token is known.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenId {
    /// By its `jti`, which is unique at its issuer only.
    Jti {
        /// The issuer.
        iss: String,
        /// The token's identifier.
        jti: String,
    },
    /// By the SHA-256 of what was signed (`header.payload`). Never of the whole token: an ECDSA
    /// signature has a twin that is valid too.
    SignedPart(#[serde(with = "base64url_digest")] [u8; 32]),
}

// === impl RevocationTarget ===

impl RevocationTarget {
    /// What is revoked, in one word: `token`, `session`, `subject`, `client` or `issuer`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            RevocationTarget::Token { .. } => "token",
            RevocationTarget::Session { .. } => "session",
            RevocationTarget::Subject { .. } => "subject",
            RevocationTarget::Client { .. } => "client",
            RevocationTarget::Issuer { .. } => "issuer",
        }
    }

    /// The issuer, where the target names it: the hash of a token's signed part is unique without.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        match self {
            RevocationTarget::Token {
                id: TokenId::SignedPart(_),
            } => None,
            RevocationTarget::Token {
                id: TokenId::Jti { iss, .. },
            }
            | RevocationTarget::Session { iss, .. }
            | RevocationTarget::Subject { iss, .. }
            | RevocationTarget::Client { iss, .. }
            | RevocationTarget::Issuer { iss } => Some(iss),
        }
    }
}

/// Keeps revocations for all replicas.
///
/// A replica holds all of them in memory: it loads the list once with `list_after(0)` and then asks
/// for what came since. If [`removals`](Self::removals) changed, it loads the list anew.
pub trait RevocationStore: Send + Sync + Debug {
    /// Adds a revocation; durable when it returns. Returns its sequence number, which is greater than all before.
    fn add(&self, revocation: Revocation) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The revocations with a greater number than `sequence` that have not expired, in order.
    ///
    /// No entry appears with a smaller number than one that could be seen before. One entry that
    /// cannot be read makes the whole list an error: a revocation that is skipped would be undone.
    fn list_after(&self, sequence: u64) -> BoxFuture<'_, Result<Vec<(u64, Revocation)>, StoreError>>;

    /// Takes a revocation back. Returns whether there was one with this number.
    fn remove(&self, sequence: u64) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// How many revocations were taken back since the store was made; expired ones do not count.
    fn removals(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
}

mod base64url_digest {
    use portcullis_jose::{base64url_decode, base64url_encode};
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url_encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        base64url_decode(&text)
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or_else(|| de::Error::custom("expected 32 bytes in base64url"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_stable() {
        let revocation = Revocation {
            target: RevocationTarget::Token {
                id: TokenId::SignedPart([7; 32]),
            },
            issued_before: None,
            expires: UnixTime::from_secs(100),
            reason: "stolen".into(),
        };
        let text = serde_json::to_string(&revocation).unwrap();
        assert_eq!(
            text,
            r#"{"target":{"kind":"token","id":{"signed_part":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}},"expires":100,"reason":"stolen"}"#
        );
        assert_eq!(serde_json::from_str::<Revocation>(&text).unwrap(), revocation);
    }

    #[test]
    fn what_is_not_understood_is_an_error_and_not_skipped() {
        for text in [
            r#"{"target":{"kind":"device","iss":"i"},"expires":1,"reason":""}"#,
            r#"{"target":{"kind":"issuer","iss":"i","only":"some"},"expires":1,"reason":""}"#,
            r#"{"target":{"kind":"token","id":{"signed_part":"BwcH"}},"expires":1,"reason":""}"#,
        ] {
            assert!(serde_json::from_str::<Revocation>(text).is_err(), "{text}");
        }
        let good = r#"{"target":{"kind":"issuer","iss":"i"},"issued_before":5,"expires":1,"reason":""}"#;
        assert!(serde_json::from_str::<Revocation>(good).is_ok());
    }
}
