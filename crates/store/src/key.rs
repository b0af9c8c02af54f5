//! The names under which state is kept: hashes, so that the store holds nothing a thief can use.

use std::fmt;

use portcullis_jose::sha256;

/// The key of a session: the SHA-256 of its cookie's value.
///
/// The store never sees the cookie, so a copy of the store is no bunch of valid cookies.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

/// The key by which sessions are found together: all of a subject, or all of a provider's `sid`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IndexKey([u8; 32]);

/// The name of a lease.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseName([u8; 32]);

// === impl SessionKey ===

impl SessionKey {
    /// The key for a cookie's value.
    #[must_use]
    pub fn from_cookie(value: &str) -> Self {
        Self(sha256(value.as_bytes()))
    }

    /// The key as it was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes: what a store keeps, and the associated data for sealing the record.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

// === impl IndexKey ===

impl IndexKey {
    /// All sessions of one subject at one issuer.
    #[must_use]
    pub fn subject(iss: &str, sub: &str) -> Self {
        Self(labelled_hash(
            "portcullis index subject",
            &[iss.as_bytes(), sub.as_bytes()],
        ))
    }

    /// All sessions here that belong to one session at the provider.
    #[must_use]
    pub fn sid(iss: &str, sid: &str) -> Self {
        Self(labelled_hash("portcullis index sid", &[iss.as_bytes(), sid.as_bytes()]))
    }

    /// The key as it was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

// === impl LeaseName ===

impl LeaseName {
    /// The lease that guards changes of one session.
    #[must_use]
    pub fn session(key: &SessionKey) -> Self {
        Self(labelled_hash("portcullis lease session", &[key.as_bytes()]))
    }

    /// A lease for a job of which only one may run, such as `"purge"`.
    #[must_use]
    pub fn job(name: &str) -> Self {
        Self(labelled_hash("portcullis lease job", &[name.as_bytes()]))
    }

    /// The name's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

macro_rules! shortened_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            /// Four bytes: enough to follow an entry through a log, too few to look one up.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [a, b, c, d, ..] = self.0;
                write!(f, concat!(stringify!($name), "({:02x}{:02x}{:02x}{:02x}..)"), a, b, c, d)
            }
        }
    )*};
}

shortened_debug!(SessionKey, IndexKey, LeaseName);

/// SHA-256 over a label and parts, each with its length in front: `("a", "bc")` and `("ab", "c")`
/// must not meet.
pub(crate) fn labelled_hash(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut input = Vec::with_capacity(128);
    push_prefixed(&mut input, label.as_bytes());
    for part in parts {
        push_prefixed(&mut input, part);
    }
    sha256(&input)
}

/// Appends `part` with its length as eight bytes in front.
pub(crate) fn push_prefixed(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_key_is_the_hash_of_the_cookie() {
        let key = SessionKey::from_cookie("abc");
        // FIPS 180-2, appendix B.1.
        assert_eq!(key.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(format!("{key:?}"), "SessionKey(ba7816bf..)");
        assert_eq!(SessionKey::from_bytes(*key.as_bytes()), key);
    }

    #[test]
    fn where_one_part_ends_and_the_next_begins_matters() {
        assert_ne!(IndexKey::subject("a", "bc"), IndexKey::subject("ab", "c"));
        assert_ne!(IndexKey::subject("", "abc"), IndexKey::subject("abc", ""));
        assert_eq!(IndexKey::subject("a", "bc"), IndexKey::subject("a", "bc"));
    }

    #[test]
    fn a_kind_of_key_is_never_another_kind() {
        assert_ne!(
            IndexKey::subject("i", "x").as_bytes(),
            IndexKey::sid("i", "x").as_bytes()
        );
        let key = SessionKey::from_cookie("c");
        assert_ne!(LeaseName::session(&key).as_bytes(), key.as_bytes());
        assert_ne!(LeaseName::job("x"), LeaseName::job("y"));
    }
}
