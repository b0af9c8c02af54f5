use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_jose::UnixTime;

/// At most one fetch in so many seconds is caused by `kid`s that turn out to be made up.
pub(crate) const INTERVAL: i64 = 30;
/// The longest time for which a `kid` that was looked for in vain is not looked for again, in seconds. It is short,
/// since the name of the next key may be guessed, and asked for before there is such a key.
const LONGEST: i64 = 60;
/// So many absent `kid`s are remembered. One is added with each fetch, so there are never near as many.
const MOST: usize = 1_000;

/// Which unknown `kid`s are worth a fetch of the keys.
///
/// A fetch that finds the key that was asked for costs nothing, so that a provider may change its keys as often as it
/// likes. One in vain is paid for: nothing is fetched for any `kid` for [`INTERVAL`], and for this `kid` for twice as
/// long from the second time on, so that a client that keeps sending a wrong one does not use up what others may need.
#[derive(Debug, Default)]
pub(crate) struct UnknownKids {
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    asked: Option<UnixTime>,
    /// By the hash of the `kid`: it is the caller's text, and may be long.
    absent: HashMap<u64, Absent>,
}

#[derive(Debug, Clone, Copy)]
struct Absent {
    since: UnixTime,
    pause: i64,
}

impl UnknownKids {
    /// Whether the keys may be fetched for this `kid` now.
    pub(crate) fn is_worth_asking(&self, kid: &str, now: UnixTime) -> bool {
        self.lock().allows(self.hasher.hash_one(kid), now)
    }

    /// The same, and if so it is paid for.
    pub(crate) fn ask(&self, kid: &str, now: UnixTime) -> bool {
        let mut state = self.lock();
        let allowed = state.allows(self.hasher.hash_one(kid), now);
        if allowed {
            state.asked = Some(now);
        }
        allowed
    }

    /// The key was there: what was paid is given back.
    pub(crate) fn found(&self) {
        self.lock().asked = None;
    }

    /// The key was not there.
    pub(crate) fn absent(&self, kid: &str, now: UnixTime) {
        let mut state = self.lock();
        state.absent.retain(|_, absent| within(absent.since, 2 * LONGEST, now));
        let kid = self.hasher.hash_one(kid);
        let pause = state
            .absent
            .get(&kid)
            .map_or(INTERVAL, |absent| (absent.pause * 2).min(LONGEST));
        if state.absent.len() < MOST || state.absent.contains_key(&kid) {
            state.absent.insert(kid, Absent { since: now, pause });
        }
    }

    /// The keys are other ones: what was absent may be there.
    pub(crate) fn forget(&self) {
        self.lock().absent.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn allows(&self, kid: u64, now: UnixTime) -> bool {
        let in_vain = self.absent.get(&kid);
        !self.asked.is_some_and(|asked| within(asked, INTERVAL, now))
            && !in_vain.is_some_and(|absent| within(absent.since, absent.pause, now))
    }
}

/// A clock that was set back must not stop the fetches until it has caught up.
fn within(since: UnixTime, seconds: i64, now: UnixTime) -> bool {
    (0..seconds).contains(&now.since(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn one_in_vain_in_an_interval_whatever_its_name() {
        let kids = UnknownKids::default();
        assert!(kids.ask("a", at(100)));
        kids.absent("a", at(100));
        for (kid, now) in [("a", 100), ("b", 100), ("b", 129)] {
            assert!(
                !kids.is_worth_asking(kid, at(now)) && !kids.ask(kid, at(now)),
                "{kid} {now}"
            );
        }
        assert!(kids.ask("b", at(130)));
        assert!(!kids.ask("c", at(130)));
    }

    #[test]
    fn a_kid_that_stays_absent_leaves_every_other_fetch_to_others() {
        let kids = UnknownKids::default();
        let asked: Vec<i64> = (0..300)
            .filter(|now| {
                let asked = kids.ask("a", at(*now));
                if asked {
                    kids.absent("a", at(*now));
                }
                asked
            })
            .collect();
        assert_eq!(asked, [0, 30, 90, 150, 210, 270]);
        assert!(kids.ask("b", at(300)), "others are not held up");
    }

    #[test]
    fn what_found_its_key_is_free_and_new_keys_begin_anew() {
        let kids = UnknownKids::default();
        for kid in ["a", "b", "c"] {
            assert!(kids.ask(kid, at(100)), "{kid}");
            kids.found();
        }
        for now in [100, 130] {
            assert!(kids.ask("d", at(now)));
            kids.absent("d", at(now));
        }
        assert!(!kids.ask("d", at(160)));
        kids.forget();
        assert!(kids.ask("d", at(160)));
    }

    #[test]
    fn a_clock_that_goes_back_stops_nothing_and_memory_is_bounded() {
        let kids = UnknownKids::default();
        assert!(kids.ask("a", at(10_000)));
        kids.absent("a", at(10_000));
        assert!(kids.ask("a", at(50)) && !kids.ask("b", at(51)));
        for kid in 0..2 * MOST {
            kids.absent(&kid.to_string(), at(60));
        }
        assert_eq!(kids.lock().absent.len(), MOST);
    }
}
