use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwapOption;
use portcullis_jose::{JwkSet, Limits, UnixTime, UnverifiedJws};

/// Keys are used for so long after their last fetch while the provider is down.
pub(crate) const MAX_STALE: i64 = 24 * 60 * 60;
/// After a failure nothing is asked again for so long, in seconds, by those who only wait for an answer.
pub(crate) const BACK_OFF: i64 = 2;
/// An outage is told of when it begins, and then so often, in seconds.
const TELL_AGAIN: i64 = 300;

/// The keys of a provider at one time.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeySnapshot {
    /// The keys.
    pub set: JwkSet,
    /// Which of them count for which issuer, where the provider has several (Entra) and says so.
    pub(crate) owned: Option<Owned>,
    /// Goes up whenever the keys change in any way.
    pub version: u64,
    /// Goes up whenever a key goes away: what was verified under another generation is verified again, so that nothing
    /// outlives the key that signed it. A key that is added concerns nothing that was verified before.
    ///
    /// This is one number for all keys and not one for each: it is compared for every cached token, and a key goes away
    /// a few times in a year. What the others signed is then found good again at the price of one verification each.
    pub generation: u64,
    /// When they were fetched.
    pub fetched: UnixTime,
    /// For how long they are fresh, in seconds.
    pub fresh_for: i64,
}

impl KeySnapshot {
    /// So many seconds after they were fetched, they are fetched again.
    pub(crate) fn refresh_after(&self) -> i64 {
        self.fresh_for / 10 * 8
    }

    /// The keys that tokens of this issuer may be signed with: one tenant's own key signs nothing for another.
    #[must_use]
    pub fn of_issuer(&self, issuer: Option<&str>) -> &JwkSet {
        let Some(owned) = &self.owned else { return &self.set };
        let own = owned.own.iter().find(|(owner, _)| Some(owner.as_str()) == issuer);
        own.map_or(&owned.common, |(_, set)| set)
    }

    /// The same for a token, by its own word, which is compared again by the rules.
    #[must_use]
    pub fn of_token(&self, token: &str) -> &JwkSet {
        if self.owned.is_none() {
            return &self.set;
        }
        let jws = UnverifiedJws::parse(token, &Limits::default());
        let issuer = jws.as_ref().ok().and_then(|jws| jws.unverified_issuer().ok().flatten());
        self.of_issuer(issuer)
    }

    /// Whether there is a key of this name.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        self.set.kids().any(|known| known == Some(kid))
    }
}

/// The keys of a template's issuers.
#[derive(Debug)]
pub(crate) struct Owned {
    /// Those of all.
    pub(crate) common: JwkSet,
    /// Issuers that have keys of their own: these, and those of all.
    pub(crate) own: Vec<(String, JwkSet)>,
}

/// The last good keys, and what became of the last try to fetch them.
#[derive(Debug)]
pub(crate) struct KeyCache {
    current: ArcSwapOption<KeySnapshot>,
    failing: AtomicBool,
    failed: AtomicI64,
    told: AtomicI64,
}

impl KeyCache {
    pub(crate) fn new() -> KeyCache {
        KeyCache {
            current: ArcSwapOption::empty(),
            failing: AtomicBool::new(false),
            failed: AtomicI64::new(i64::MIN),
            told: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn current(&self, now: UnixTime) -> Option<Arc<KeySnapshot>> {
        self.current
            .load_full()
            .filter(|keys| now.since(keys.fetched) <= MAX_STALE)
    }

    /// The generation of [`KeyCache::current`], without taking hold of the keys.
    pub(crate) fn generation(&self, now: UnixTime) -> Option<u64> {
        let keys = self.current.load();
        let keys = keys.as_ref().filter(|keys| now.since(keys.fetched) <= MAX_STALE)?;
        Some(keys.generation)
    }

    /// Whether keys were ever fetched.
    pub(crate) fn are_known(&self) -> bool {
        self.current.load().is_some()
    }

    /// Whether they were fetched more than so many seconds ago.
    pub(crate) fn is_older(&self, seconds: i64, now: UnixTime) -> bool {
        let keys = self.current.load();
        keys.as_ref().is_some_and(|keys| now.since(keys.fetched) > seconds)
    }

    /// Whether it is time to fetch the keys again: after four fifths of the time for which they are fresh.
    pub(crate) fn is_old(&self, now: UnixTime) -> bool {
        let keys = self.current.load();
        keys.as_ref()
            .is_some_and(|keys| now.since(keys.fetched) >= keys.refresh_after())
    }

    /// Takes the place of the keys before, which may be too old to be used and still say what changed.
    pub(crate) fn store(
        &self,
        set: JwkSet,
        owned: Option<Owned>,
        fetched: UnixTime,
        fresh_for: i64,
    ) -> Arc<KeySnapshot> {
        let (version, generation) = match self.current.load_full() {
            None => (1, 1),
            Some(before) => {
                let gone = !is_subset(&before.set, &set);
                let changed = gone || !is_subset(&set, &before.set);
                (before.version + u64::from(changed), before.generation + u64::from(gone))
            }
        };
        let snapshot = Arc::new(KeySnapshot {
            set,
            owned,
            version,
            generation,
            fetched,
            fresh_for,
        });
        self.current.store(Some(snapshot.clone()));
        self.failing.store(false, Ordering::Release);
        snapshot
    }

    /// Whether nothing was fetched since the last failure: what is not here may be there.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Notes a failure, and says whether it is news: the first, or one after a long time.
    pub(crate) fn note_failure(&self, now: UnixTime) -> bool {
        self.back_off(now);
        let first = !self.failing.swap(true, Ordering::AcqRel);
        let told = UnixTime::from_secs(self.told.load(Ordering::Acquire));
        let news = first || !(0..TELL_AGAIN).contains(&now.since(told));
        if news {
            self.told.store(now.as_secs(), Ordering::Release);
        }
        news
    }

    /// Something was asked for in vain: the next who want it wait a moment.
    pub(crate) fn back_off(&self, now: UnixTime) {
        self.failed.store(now.as_secs(), Ordering::Release);
    }

    /// Whether a fetch failed so shortly ago that another would only be a burden.
    pub(crate) fn failed_just_now(&self, now: UnixTime) -> bool {
        self.failed_within(BACK_OFF, now)
    }

    /// Whether a fetch failed in the last so many seconds.
    pub(crate) fn failed_within(&self, seconds: i64, now: UnixTime) -> bool {
        let failed = UnixTime::from_secs(self.failed.load(Ordering::Acquire));
        (0..seconds).contains(&now.since(failed))
    }
}

/// Whether each key of the one is in the other, under the same name and for the same algorithms; the order is the
/// provider's whim.
fn is_subset(some: &JwkSet, all: &JwkSet) -> bool {
    let names = |set: &JwkSet| {
        let keys = set.public_keys().iter();
        keys.map(|key| {
            let kid = key.kid().map(str::to_owned);
            (kid, key.thumbprint().to_owned(), key.algorithms().to_string())
        })
        .collect::<std::collections::HashSet<_>>()
    };
    names(some).is_subset(&names(all))
}
