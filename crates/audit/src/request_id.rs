use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use portcullis_jose::{base64url_encode, random_array};
use serde::{Serialize, Serializer};

/// What ties an answer, its log lines and its audit events together.
///
/// The public answer carries only the error code and this id; whoever runs the gateway finds the cause and the fix
/// under the same id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Arc<str>);

/// Twelve random bytes are sixteen characters of base64url: no two requests meet, and the id stays readable aloud.
const RANDOM_BYTES: usize = 12;

/// Each thread draws randomness for this many ids at once: a request needs one, and each draw costs as much as many ids.
const DRAWN: usize = 32;

const ACCEPTED_LENGTH: std::ops::RangeInclusive<usize> = 8..=64;

impl RequestId {
    /// A new, random id.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "each id is another one; a default value would not be"
    )]
    pub fn new() -> Self {
        Self(base64url_encode(&random_bytes()).into())
    }

    /// Takes over an id that a proxy in front has given, where the configuration trusts that proxy's header.
    ///
    /// 8 to 64 characters of `A-Z a-z 0-9 - _ . = :`; anything else is `None`, and the request gets an id of ours.
    #[must_use]
    pub fn accept(value: &str) -> Option<Self> {
        let fits = ACCEPTED_LENGTH.contains(&value.len());
        let plain = value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=' | b':'));
        (fits && plain).then(|| Self(value.into()))
    }

    /// The id as text, fit for a header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn random_bytes() -> [u8; RANDOM_BYTES] {
    thread_local! {
        static POOL: RefCell<Vec<[u8; RANDOM_BYTES]>> = const { RefCell::new(Vec::new()) };
    }
    POOL.with_borrow_mut(|pool| {
        if pool.is_empty() {
            let drawn = random_array::<{ RANDOM_BYTES * DRAWN }>();
            pool.extend(drawn.as_chunks().0);
        }
        // Never empty here; a draw of its own is as good.
        pool.pop().unwrap_or_else(random_array)
    })
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.0)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_long_and_differ() {
        let (a, b) = (RequestId::new(), RequestId::new());
        assert!(a.as_str().len() >= 16, "{a}");
        assert_ne!(a, b);
        let many: std::collections::HashSet<_> = (0..1_000).map(|_| RequestId::new()).collect();
        assert_eq!(many.len(), 1_000);
        assert_eq!(
            RequestId::accept(a.as_str()),
            Some(a),
            "our own id passes through a second gateway"
        );
    }

    #[test]
    fn what_other_proxies_send_is_accepted() {
        for id in [
            "7b6e0f0e-3f0c-4a7c-9a55-0c2f9e1d7a10",
            "Root=1-67891233-abcdef012345678912345678",
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ] {
            assert_eq!(
                RequestId::accept(id).map(|accepted| accepted.to_string()).as_deref(),
                Some(id)
            );
        }
    }

    #[test]
    fn what_could_break_a_log_or_hide_a_token_is_not_accepted() {
        let long = "a".repeat(65);
        for id in [
            "",
            "short",
            "two words here",
            "line\r\nbreak-it",
            "caf\u{e9}-caf\u{e9}",
            "\"quoted\"",
            long.as_str(),
        ] {
            assert_eq!(RequestId::accept(id), None, "{id:?}");
        }
    }
}
