//! Tokens that were verified, so that the signature of the next request need not be checked again.
//!
//! Only successes are kept, the key is the whole token, and the number of bytes is bounded. Whatever can change between
//! two requests (time, keys, revocations, policies) is not kept: the caller asks for it on every hit.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Weighter};

use crate::token::VerifiedToken;

/// The map's own cost for an entry, that of the reference-counted value, of a key that the token is bound to, and what
/// the allocator adds.
const ENTRY_OVERHEAD: usize = 256;

/// How much of a token's end is hashed.
const TAIL: usize = 16;

type Entries = Cache<Key, Arc<VerifiedToken>, ByBytes, TailHash>;

pub(crate) struct TokenCache(Option<Entries>);

struct Key(Box<[u8]>);

struct Lookup<'t>(&'t [u8]);

/// Hashes by one multiplication. The end of a signature is unpredictable, and only tokens with good signatures become keys,
/// so the end spreads them as well as the whole would, at a fraction of the cost; and the tokens are always compared as a
/// whole.
#[derive(Clone)]
struct TailHash([u64; 2]);

struct TailHasher {
    keys: [u64; 2],
    hash: u64,
}

#[derive(Clone)]
struct ByBytes;

// === impl TokenCache ===

impl TokenCache {
    /// A cache of at most this many bytes; 0 turns it off.
    pub(crate) fn new(max_bytes: usize) -> TokenCache {
        let bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        TokenCache((max_bytes > 0).then(|| {
            let entries = (max_bytes / 4_096).max(16);
            Cache::with(entries, bytes, ByBytes, TailHash::new(), DefaultLifecycle::default())
        }))
    }

    pub(crate) fn get(&self, token: &[u8]) -> Option<Arc<VerifiedToken>> {
        self.0.as_ref()?.get(&Lookup(token))
    }

    pub(crate) fn insert(&self, token: &[u8], verified: Arc<VerifiedToken>) {
        if let Some(cache) = &self.0 {
            cache.insert(Key(token.into()), verified);
        }
    }

    pub(crate) fn remove(&self, token: &[u8]) {
        if let Some(cache) = &self.0 {
            cache.remove(&Lookup(token));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, Cache::len)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, Cache::weight)
    }
}

/// Never the keys: they are tokens.
impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("tokens", &self.len())
            .field("bytes", &self.bytes())
            .finish()
    }
}

// === impl Key ===

fn hash_tail<H: Hasher>(token: &[u8], state: &mut H) {
    let start = token.len().saturating_sub(TAIL);
    state.write(token.get(start..).unwrap_or_default());
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_tail(&self.0, state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Lookup<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_tail(self.0, state);
    }
}

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.0 == *key.0
    }
}

// === impl TailHash ===

impl TailHash {
    fn new() -> TailHash {
        // The keys are drawn at random, and so are these.
        TailHash([0, 1].map(|number: u8| RandomState::new().hash_one(number)))
    }
}

impl BuildHasher for TailHash {
    type Hasher = TailHasher;

    fn build_hasher(&self) -> TailHasher {
        TailHasher { keys: self.0, hash: 0 }
    }
}

impl Hasher for TailHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, tail: &[u8]) {
        let tail = tail.first_chunk().copied().unwrap_or_else(|| {
            let mut padded = [0; TAIL];
            padded.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
            padded
        });
        let tail = u128::from_le_bytes(tail) ^ (u128::from(self.keys[0]) << 64 | u128::from(self.keys[1]));
        #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let product = u128::from(tail as u64) * u128::from((tail >> 64) as u64);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let folded = product as u64 ^ (product >> 64) as u64;
        self.hash ^= folded;
    }
}

impl Weighter<Key, Arc<VerifiedToken>> for ByBytes {
    fn weight(&self, key: &Key, verified: &Arc<VerifiedToken>) -> u64 {
        u64::try_from(key.0.len() + verified.bytes() + ENTRY_OVERHEAD).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_jose::UnixTime;
    use serde_json::json;

    use super::*;
    use crate::revocation::RevocationList;
    use crate::testing::claims;
    use crate::token::{Origin, Window};

    fn verified(groups: usize) -> Arc<VerifiedToken> {
        let groups: Vec<String> = (0..groups).map(|number| format!("group-{number}")).collect();
        let claims = claims(&json!({"iss": "https://issuer.test", "sub": "alice", "groups": groups}));
        let handles = RevocationList::new().handles(&claims);
        let (from, until) = (UnixTime::from_secs(0), UnixTime::from_secs(100));
        let origin = Origin {
            issuer: 0,
            generation: Some(1),
        };
        Arc::new(VerifiedToken::new(
            claims,
            None,
            until,
            Window { from, until },
            origin,
            portcullis_oidc::Binding::Bearer,
            handles,
        ))
    }

    #[test]
    fn only_the_whole_token_is_a_hit() {
        let cache = TokenCache::new(1 << 20);
        let end = "s".repeat(TAIL);
        let token = format!("header.alice.{end}");
        cache.insert(token.as_bytes(), verified(1));
        assert!(cache.get(token.as_bytes()).is_some());
        // Same length and same end, so the same hash: the comparison tells them apart.
        assert!(cache.get(format!("header.mally.{end}").as_bytes()).is_none());
        assert!(cache.get(format!("{token}x").as_bytes()).is_none());
        assert!(cache.get(end.as_bytes()).is_none());
        cache.remove(token.as_bytes());
        assert!(cache.get(token.as_bytes()).is_none());
    }

    #[test]
    fn the_bytes_stay_within_the_bound() {
        let bound = 256 * 1024;
        let cache = TokenCache::new(bound);
        let value = verified(20);
        for number in 0..5_000 {
            cache.insert(format!("header.payload.{number:0>800}").as_bytes(), Arc::clone(&value));
            assert!(cache.bytes() <= bound as u64, "{} after {number}", cache.bytes());
        }
        assert!((20..500).contains(&cache.len()), "{}", cache.len());
    }

    #[test]
    fn a_token_with_many_claims_weighs_more_than_they_take() {
        // 1,000 strings of about 9 bytes, and 16 for each to find it by.
        assert!(verified(1_000).bytes() > 1_000 * (9 + 16));
        assert!(verified(1).bytes() < 2_048);
    }

    #[test]
    fn no_bytes_is_no_cache_and_keys_are_not_shown() {
        let cache = TokenCache::new(0);
        cache.insert(b"secret-token", verified(1));
        assert!(cache.get(b"secret-token").is_none());
        let cache = TokenCache::new(1 << 20);
        cache.insert(b"secret-token", verified(1));
        assert_eq!(cache.len(), 1);
        assert!(!format!("{cache:?}").contains("secret"));
    }
}
