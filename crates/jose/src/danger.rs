//! Ways around this crate's own proofs, for callers that have another one. Each use is a promise that nothing here
//! can check: search for `danger::` to find them all.

use crate::{Claims, Object, Verified};

/// Takes the members of an introspection answer (RFC 7662 s2.2) for the verified claims of the token asked about.
///
/// The caller asserts that the answer came from the token's own issuer, over a connection that proves it, to a
/// request that named this very token, and that it says `"active": true`. `token_hash` is what revocation lists and
/// caches name the token by: SHA-256 of the whole text for an opaque token, which has no signed part.
///
/// ```
/// use portcullis_jose::{Object, danger, sha256};
///
/// let answer = Object::parse(br#"{"active":true,"sub":"alice"}"#, "introspection answer", &Default::default())?;
/// assert_eq!(answer.get("active").and_then(|active| active.as_bool()), Some(true));
/// let claims = danger::vouched_by_introspection(answer, sha256(b"2YotnFZFEjr1zCsicMWpAA"));
/// assert_eq!(claims.str("sub"), Some("alice"));
/// # Ok::<(), portcullis_jose::Refusal>(())
/// ```
#[must_use]
pub fn vouched_by_introspection(answer: Object, token_hash: [u8; 32]) -> Verified<Claims> {
    Verified::assertion(Claims::new(answer, token_hash))
}
