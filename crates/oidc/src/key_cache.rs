use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use portcullis_jose::{JwkSet, UnixTime};

use crate::throttle::Throttle;

use std::sync::Arc;

/// Keys are used for so long after their last fetch while the provider is down.
pub(crate) const MAX_STALE: i64 = 24 * 60 * 60;

/// The keys of a provider at one time.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeySnapshot {
    /// The keys.
    pub set: JwkSet,
    /// Goes up whenever the keys change: what was verified under another generation is verified again.
    pub generation: u64,
    /// When they were fetched.
    pub fetched: UnixTime,
    /// For how long they are fresh, in seconds.
    pub fresh_for: i64,
}

/// The last good keys, and the bookkeeping that keeps fetches few.
#[derive(Debug)]
pub(crate) struct KeyCache {
    current: ArcSwapOption<KeySnapshot>,
    flight: tokio::sync::Mutex<()>,
    finished: AtomicU64,
    unknown_kid: Throttle,
    failed: AtomicI64,
}

/// After a failure nothing is asked again for so long, in seconds, by those who only wait for an answer.
pub(crate) const BACK_OFF: i64 = 2;

impl KeyCache {
    pub(crate) fn new(now: UnixTime) -> KeyCache {
        KeyCache {
            current: ArcSwapOption::empty(),
            flight: tokio::sync::Mutex::new(()),
            finished: AtomicU64::new(0),
            // A rotation seconds after the first fetch must be seen; a flood of made-up kids must not be heard.
            unknown_kid: Throttle::new(3, 30, now),
            failed: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn current(&self, now: UnixTime) -> Option<Arc<KeySnapshot>> {
        self.current
            .load_full()
            .filter(|keys| now.since(keys.fetched) <= MAX_STALE)
    }

    pub(crate) fn store(&self, set: JwkSet, fetched: UnixTime, fresh_for: i64) -> Arc<KeySnapshot> {
        let before = self.current.load_full();
        let generation = match &before {
            Some(before) if before.set.thumbprints().eq(set.thumbprints()) && before.set.kids().eq(set.kids()) => {
                before.generation
            }
            Some(before) => before.generation + 1,
            None => 1,
        };
        let snapshot = Arc::new(KeySnapshot {
            set,
            generation,
            fetched,
            fresh_for,
        });
        self.current.store(Some(snapshot.clone()));
        snapshot
    }

    pub(crate) fn may_ask_for_unknown_kid(&self, now: UnixTime) -> bool {
        self.unknown_kid.allow(now)
    }

    pub(crate) fn note_failure(&self, now: UnixTime) {
        self.failed.store(now.as_secs(), Ordering::Release);
    }

    /// Whether a fetch failed so shortly ago that another would only be a burden.
    pub(crate) fn failed_just_now(&self, now: UnixTime) -> bool {
        let failed = UnixTime::from_secs(self.failed.load(Ordering::Acquire));
        (0..BACK_OFF).contains(&now.since(failed))
    }

    /// Runs `fetch` unless a fetch that began after this call finished meanwhile: those who wait share its result.
    ///
    /// A `fetch` that did not ask anybody says `None`, and counts for nobody.
    pub(crate) async fn single_flight<T>(&self, fetch: impl AsyncFnOnce() -> Option<T>) -> Option<T> {
        let before = self.finished.load(Ordering::Acquire);
        let _flight = self.flight.lock().await;
        if self.finished.load(Ordering::Acquire) != before {
            return None;
        }
        let result = fetch().await;
        if result.is_some() {
            self.finished.fetch_add(1, Ordering::AcqRel);
        }
        result
    }
}
