//! What was used lately, within a bound of bytes.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_jose::UnixTime;

/// Locks, so that requests seldom wait for each other.
const SHARDS: usize = 16;

/// Values that go when they were not used for a while, or when there are too many. Two generations: the older one is
/// thrown away as a whole; what is used of it moves into the newer one.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    hasher: RandomState,
    max_bytes: usize,
    turn_every: i64,
    eras: [AtomicU64; SHARDS],
}

/// When something began, for one shard: what is removed of it after that is not put back by whoever had it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Era(u64);

#[derive(Debug)]
struct Shard<K, V> {
    young: HashMap<K, Weighed<V>>,
    old: HashMap<K, Weighed<V>>,
    /// Of the young.
    bytes: usize,
    turned: UnixTime,
}

#[derive(Debug)]
struct Weighed<V> {
    value: Arc<V>,
    bytes: usize,
}

impl<K, V> Default for Shard<K, V> {
    fn default() -> Self {
        Shard {
            young: HashMap::new(),
            old: HashMap::new(),
            bytes: 0,
            turned: UnixTime::from_secs(0),
        }
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// At most `max_bytes` together. What is not used for `seconds` goes, at the latest after twice as long.
    pub(crate) fn new(max_bytes: usize, seconds: i64) -> Recent<K, V> {
        Recent {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            max_bytes,
            turn_every: seconds,
            eras: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// To be taken before the value is made that is put under this key.
    pub(crate) fn era(&self, key: &K) -> Era {
        self.era_of(self.place(key))
    }

    pub(crate) fn get(&self, key: &K, now: UnixTime) -> Option<Arc<V>> {
        let mut shard = self.shard(self.place(key));
        if let Some(found) = shard.young.get(key) {
            return Some(Arc::clone(&found.value));
        }
        let (key, found) = shard.old.remove_entry(key)?;
        let value = Arc::clone(&found.value);
        self.insert(&mut shard, key, found, now);
        Some(value)
    }

    /// Unless something was removed since. `bytes` is about what the value takes.
    pub(crate) fn put(&self, key: K, value: Arc<V>, bytes: usize, era: Era, now: UnixTime) {
        let place = self.place(&key);
        let mut shard = self.shard(place);
        // Under the lock: whoever removes begins the next era first.
        if era == self.era_of(place) {
            self.insert(&mut shard, key, Weighed { value, bytes }, now);
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        let place = self.place(key);
        self.begin_era(place);
        let mut shard = self.shard(place);
        if let Some(found) = shard.young.remove(key) {
            shard.bytes = shard.bytes.saturating_sub(found.bytes);
        }
        shard.old.remove(key);
    }

    pub(crate) fn clear(&self) {
        for place in 0..SHARDS {
            self.begin_era(place);
            *self.shard(place) = Shard::default();
        }
    }

    fn insert(&self, shard: &mut Shard<K, V>, key: K, value: Weighed<V>, now: UnixTime) {
        let due = now.since(shard.turned) >= self.turn_every;
        if due || shard.bytes + value.bytes > self.max_bytes / SHARDS / 2 {
            shard.old = std::mem::take(&mut shard.young);
            (shard.bytes, shard.turned) = (0, now);
        }
        shard.bytes += value.bytes;
        if let Some(before) = shard.young.insert(key, value) {
            shard.bytes = shard.bytes.saturating_sub(before.bytes);
        }
    }

    /// Below the number of shards.
    fn place(&self, key: &K) -> usize {
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)
    }

    #[expect(clippy::indexing_slicing, reason = "a place is below the number of shards")]
    fn shard(&self, place: usize) -> MutexGuard<'_, Shard<K, V>> {
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::indexing_slicing, reason = "a place is below the number of shards")]
    fn era_of(&self, place: usize) -> Era {
        Era(self.eras[place].load(Ordering::SeqCst))
    }

    #[expect(clippy::indexing_slicing, reason = "a place is below the number of shards")]
    fn begin_era(&self, place: usize) {
        self.eras[place].fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let recent = Recent::new(1_000_000, 30);
        recent.put("a", Arc::new(1), 10, recent.era(&"a"), at(0));
        recent.put("b", Arc::new(2), 10, recent.era(&"b"), at(0));
        for round in 1..10 {
            assert_eq!(recent.get(&"a", at(round * 30)).as_deref(), Some(&1), "round {round}");
            // Something new comes into every shard.
            for number in 0..1_000 {
                let name = &*format!("{round}-{number}").leak();
                recent.put(name, Arc::new(0), 1, recent.era(&name), at(round * 30));
            }
        }
        assert_eq!(recent.get(&"b", at(300)), None);
        recent.put("a", Arc::new(3), 10, recent.era(&"a"), at(300));
        assert_eq!(recent.get(&"a", at(300)).as_deref(), Some(&3));
        recent.remove(&"a");
        assert_eq!(recent.get(&"a", at(300)), None);
        recent.put("a", Arc::new(3), 10, recent.era(&"a"), at(300));
        recent.clear();
        assert_eq!(recent.get(&"a", at(300)), None);
    }

    #[test]
    fn what_was_removed_meanwhile_is_not_put_back() {
        let recent = Recent::new(1_000_000, 30);
        for remove in [
            |recent: &Recent<_, _>| recent.remove(&"a"),
            |recent: &Recent<_, _>| recent.clear(),
        ] {
            let era = recent.era(&"a");
            remove(&recent);
            recent.put("a", Arc::new(1), 10, era, at(0));
            assert_eq!(recent.get(&"a", at(0)), None);
            recent.put("a", Arc::new(1), 10, recent.era(&"a"), at(0));
            assert_eq!(recent.get(&"a", at(0)).as_deref(), Some(&1));
        }
    }

    #[test]
    fn they_take_a_bounded_amount_of_memory() {
        const MAX: usize = 64 * 1024 * 1024;
        let recent = Recent::new(MAX, 600);
        for number in 0..2_000 {
            recent.put(number, Arc::new(()), 100_000, recent.era(&number), at(0));
            // What is used again and again is counted once.
            recent.get(&(number / 2), at(0));
            recent.put(number, Arc::new(()), 100_000, recent.era(&number), at(0));
        }
        let kept = |shard: &Mutex<Shard<usize, ()>>| {
            let shard = shard.lock().unwrap();
            assert_eq!(shard.bytes, shard.young.len() * 100_000);
            (shard.young.len() + shard.old.len()) * 100_000
        };
        let kept: usize = recent.shards.iter().map(kept).sum();
        assert!((MAX / 4..=MAX).contains(&kept), "{kept}");
        assert!(recent.get(&1_999, at(1)).is_some(), "the newest is there");
    }
}
