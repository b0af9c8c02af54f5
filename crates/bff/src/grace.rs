//! Copies of the sessions that were read lately. While the store does not answer they let people go on reading, for a
//! short time; they are sealed like what is stored, and nothing is ever written from them.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_jose::UnixTime;
use portcullis_store::{SessionKey, SessionRecord, Versioned};

/// Locks, so that requests seldom wait for each other.
const SHARDS: usize = 16;
/// Bytes of sealed content that all copies together may have.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// A copy younger than this, in seconds, is not made anew.
const FRESH: i64 = 1;

/// What was read lately.
#[derive(Debug)]
pub(crate) struct Copies {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// How old a copy may be, in seconds.
    grace: i64,
}

/// Two generations: the older one is thrown away as a whole, when it is too old or the newer one is full.
#[derive(Debug, Default)]
struct Shard {
    young: HashMap<SessionKey, Copy>,
    old: HashMap<SessionKey, Copy>,
    bytes: usize,
    turned: UnixTime,
}

#[derive(Debug, Clone)]
struct Copy {
    read: UnixTime,
    found: Versioned<SessionRecord>,
}

impl Copies {
    /// Copies that count for `grace` seconds; none are kept where that is 0.
    pub(crate) fn new(grace: i64) -> Copies {
        Copies {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            grace,
        }
    }

    /// Keeps what was just read.
    pub(crate) fn keep(&self, key: SessionKey, found: &Versioned<SessionRecord>, now: UnixTime) {
        if self.grace == 0 {
            return;
        }
        let mut shard = self.shard(key);
        if now.since(shard.turned) >= self.grace || shard.bytes > MAX_BYTES / SHARDS / 2 {
            shard.old = std::mem::take(&mut shard.young);
            (shard.bytes, shard.turned) = (0, now);
        }
        let fresh = |copy: &Copy| copy.found.version == found.version && now.since(copy.read) < FRESH;
        if shard.young.get(&key).is_some_and(fresh) {
            return;
        }
        shard.bytes += found.value.sealed.len();
        let copy = Copy {
            read: now,
            found: found.clone(),
        };
        if let Some(before) = shard.young.insert(key, copy) {
            shard.bytes = shard.bytes.saturating_sub(before.found.value.sealed.len());
        }
    }

    /// What was read of a session, if that is not too long ago and the session's time is not over.
    pub(crate) fn find(&self, key: SessionKey, now: UnixTime) -> Option<Versioned<SessionRecord>> {
        let shard = self.shard(key);
        let copy = shard.young.get(&key).or_else(|| shard.old.get(&key))?;
        let counts = (0..self.grace).contains(&now.since(copy.read)) && copy.found.value.idle_expires > now;
        counts.then(|| copy.found.clone())
    }

    /// The session is over.
    pub(crate) fn forget(&self, key: SessionKey) {
        let mut shard = self.shard(key);
        shard.young.remove(&key);
        shard.old.remove(&key);
    }

    /// Sessions are over, and it is not known which.
    pub(crate) fn forget_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            *shard = Shard::default();
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of shards")]
    fn shard(&self, key: SessionKey) -> MutexGuard<'_, Shard> {
        let shard = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_store::Version;

    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + seconds)
    }

    fn found(version: u64, size: usize) -> Versioned<SessionRecord> {
        Versioned {
            version: Version::from_u64(version),
            value: SessionRecord {
                sealed: vec![7; size],
                subject_index: None,
                sid_index: None,
                created: at(0),
                idle_expires: at(1_000),
                expires: at(1_000),
            },
        }
    }

    fn key(name: &str) -> SessionKey {
        SessionKey::from_cookie(name)
    }

    #[test]
    fn a_copy_counts_for_a_while_and_no_longer_than_its_session() {
        let copies = Copies::new(30);
        copies.keep(key("a"), &found(1, 10), at(0));
        assert_eq!(copies.find(key("a"), at(29)), Some(found(1, 10)));
        assert_eq!(copies.find(key("a"), at(30)), None);
        assert_eq!(copies.find(key("a"), at(-1)), None, "a clock that was turned back");
        assert_eq!(copies.find(key("b"), at(0)), None);
        // Newer ones take its place, and what is over is over.
        copies.keep(key("a"), &found(2, 10), at(980));
        assert_eq!(copies.find(key("a"), at(999)), Some(found(2, 10)));
        assert_eq!(copies.find(key("a"), at(1_000)), None);
        let none = Copies::new(0);
        none.keep(key("a"), &found(1, 10), at(0));
        assert_eq!(none.find(key("a"), at(0)), None);
    }

    #[test]
    fn what_was_ended_here_is_forgotten() {
        let copies = Copies::new(30);
        for name in ["a", "b", "c"] {
            copies.keep(key(name), &found(1, 10), at(0));
        }
        copies.forget(key("a"));
        assert_eq!(copies.find(key("a"), at(1)), None);
        assert!(copies.find(key("b"), at(1)).is_some());
        copies.forget_all();
        assert_eq!(copies.find(key("b"), at(1)), None);
    }

    #[test]
    fn they_take_a_bounded_amount_of_memory() {
        let copies = Copies::new(600);
        for number in 0..2_000 {
            copies.keep(key(&number.to_string()), &found(1, 100_000), at(0));
        }
        let kept: usize = copies
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.lock().unwrap();
                (shard.young.len() + shard.old.len()) * 100_000
            })
            .sum();
        assert!((MAX_BYTES / 4..=MAX_BYTES + SHARDS * 200_000).contains(&kept), "{kept}");
        assert!(copies.find(key("1999"), at(1)).is_some(), "the newest is there");
    }
}
