//! Which sessions' tokens are being renewed in this process, and what came of the last try.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_jose::UnixTime;
use portcullis_store::SessionKey;
use tokio::sync::Semaphore;

/// After a try that failed, the provider is left alone for so long, in seconds.
const BACK_OFF: i64 = 5;
/// So many sessions ask the provider at once.
const AT_ONCE: usize = 256;
/// With fewer entries nobody looks for those that are over.
const FEW: usize = 64;

#[derive(Debug)]
pub(crate) struct Flights {
    sessions: Mutex<Sessions>,
    /// When the provider last did not answer, for every few sessions: it need not be found out by each of them.
    unanswered: [AtomicI64; 256],
    pub(crate) slots: Semaphore,
}

#[derive(Debug)]
struct Sessions {
    flights: HashMap<SessionKey, Arc<Flight>>,
    /// The number of entries at which those that are over are taken out.
    prune_at: usize,
}

/// One session's.
#[derive(Debug)]
pub(crate) struct Flight {
    /// Held by whoever renews the token.
    pub(crate) lock: tokio::sync::Mutex<()>,
    /// When the provider last refused for a reason that is not the session's fault.
    refused: AtomicI64,
}

// === impl Flights ===

impl Default for Flights {
    fn default() -> Flights {
        Flights {
            sessions: Mutex::new(Sessions {
                flights: HashMap::new(),
                prune_at: FEW,
            }),
            unanswered: std::array::from_fn(|_| AtomicI64::new(i64::MIN)),
            slots: Semaphore::new(AT_ONCE),
        }
    }
}

impl Flights {
    pub(crate) fn of(&self, key: SessionKey, now: UnixTime) -> Arc<Flight> {
        let mut sessions = self.sessions();
        if let Some(flight) = sessions.flights.get(&key) {
            return Arc::clone(flight);
        }
        if sessions.flights.len() >= sessions.prune_at {
            let flights = &mut sessions.flights;
            flights.retain(|_, flight| Arc::strong_count(flight) > 1 || is_recent(&flight.refused, now));
            sessions.prune_at = FEW.max(2 * sessions.flights.len());
        }
        let flight = Arc::new(Flight {
            lock: tokio::sync::Mutex::new(()),
            refused: AtomicI64::new(i64::MIN),
        });
        sessions.flights.insert(key, Arc::clone(&flight));
        flight
    }

    /// Whether it is too early to ask the provider again for this session.
    pub(crate) fn failed_just_now(&self, key: SessionKey, now: UnixTime) -> bool {
        let refused = || {
            let sessions = self.sessions();
            let flight = sessions.flights.get(&key);
            flight.is_some_and(|flight| is_recent(&flight.refused, now))
        };
        is_recent(self.unanswered(key), now) || refused()
    }

    /// The provider did not answer.
    pub(crate) fn was_unanswered(&self, key: SessionKey, now: UnixTime) {
        self.unanswered(key).store(now.as_secs(), Ordering::Release);
    }

    /// The provider refused, which says nothing about other sessions.
    pub(crate) fn was_refused(&self, key: SessionKey, now: UnixTime) {
        self.of(key, now).refused.store(now.as_secs(), Ordering::Release);
    }

    #[expect(clippy::indexing_slicing, reason = "there are 256, and the index is a byte")]
    fn unanswered(&self, key: SessionKey) -> &AtomicI64 {
        let [first, ..] = *key.as_bytes();
        &self.unanswered[usize::from(first)]
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // What is done under the lock does not panic.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(at: &AtomicI64, now: UnixTime) -> bool {
    (0..BACK_OFF).contains(&now.since(UnixTime::from_secs(at.load(Ordering::Acquire))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + seconds)
    }

    /// Two sessions that share what is kept for every few of them.
    fn neighbours() -> (SessionKey, SessionKey) {
        let first = SessionKey::from_cookie("0");
        let same = |key: &SessionKey| key.as_bytes().first() == first.as_bytes().first();
        let mut others = (1..).map(|number: u32| SessionKey::from_cookie(&number.to_string()));
        (first, others.find(same).unwrap())
    }

    #[test]
    fn a_refusal_is_of_one_session_and_silence_of_the_provider_of_several() {
        let (flights, (one, other)) = (Flights::default(), neighbours());
        flights.was_refused(one, at(0));
        assert!(flights.failed_just_now(one, at(4)) && !flights.failed_just_now(one, at(5)));
        assert!(!flights.failed_just_now(other, at(0)));
        flights.was_unanswered(one, at(10));
        assert!(flights.failed_just_now(one, at(14)) && flights.failed_just_now(other, at(14)));
        assert!(!flights.failed_just_now(one, at(15)) && !flights.failed_just_now(other, at(15)));
    }

    #[test]
    fn one_waits_for_its_own_session_alone() {
        let (flights, (one, other)) = (Flights::default(), neighbours());
        let held = flights.of(one, at(0));
        let _turn = held.lock.try_lock().unwrap();
        assert!(flights.of(one, at(0)).lock.try_lock().is_err());
        assert!(flights.of(other, at(0)).lock.try_lock().is_ok());
    }

    #[test]
    fn what_is_over_goes_and_what_is_held_stays() {
        let flights = Flights::default();
        let (held, refused) = (SessionKey::from_cookie("held"), SessionKey::from_cookie("refused"));
        let flight = flights.of(held, at(0));
        let _turn = flight.lock.try_lock().unwrap();
        for number in 0..10_000 {
            flights.was_refused(refused, at(number));
            flights.of(SessionKey::from_cookie(&number.to_string()), at(number));
            assert!(flights.sessions().flights.len() <= 2 * FEW, "after {number}");
        }
        assert!(flights.of(held, at(0)).lock.try_lock().is_err());
        assert!(flights.failed_just_now(refused, at(10_000)));
    }
}
