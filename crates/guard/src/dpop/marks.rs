//! Which proofs were used (RFC 9449 s11.1).

use std::collections::HashSet;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_jose::UnixTime;
use portcullis_oidc::dpop::Proof;
use portcullis_store::{ReplayStore, StoreError};

const PURPOSE: &str = "dpop";

/// At most so many in one generation, about 20 MiB. Without room a proof is refused: forgetting would let one pass twice.
const MAX_MARKS: usize = 262_144;

pub(super) enum Marks {
    Store(Arc<dyn ReplayStore>),
    Memory {
        generations: Mutex<Generations>,
        /// The longest time from a proof's first use to its last, in seconds.
        lifetime: i64,
    },
}

/// Two generations: a mark is forgotten with all of its generation, at least one whole lifetime after it was made.
pub(super) struct Generations {
    began: UnixTime,
    current: HashSet<[u8; 32]>,
    previous: HashSet<[u8; 32]>,
}

// === impl Marks ===

impl Marks {
    /// `window` is how far a proof's time may be from now, on both sides.
    pub(super) fn new(store: Option<Arc<dyn ReplayStore>>, window: i64) -> Marks {
        match store {
            Some(store) => Marks::Store(store),
            None => Marks::Memory {
                generations: Mutex::new(Generations {
                    began: UnixTime::from_secs(0),
                    current: HashSet::new(),
                    previous: HashSet::new(),
                }),
                lifetime: window.saturating_mul(2).saturating_add(1),
            },
        }
    }

    /// Whether this is the first use.
    pub(super) async fn mark(&self, proof: &Proof, now: UnixTime) -> Result<bool, StoreError> {
        let id = proof.id();
        match self {
            Marks::Store(store) => store.mark(PURPOSE, &id, proof.expires).await,
            Marks::Memory { generations, lifetime } => {
                let mut generations = generations.lock().unwrap_or_else(PoisonError::into_inner);
                generations.mark(id, now, *lifetime, MAX_MARKS)
            }
        }
    }
}

// === impl Generations ===

impl Generations {
    fn mark(&mut self, id: [u8; 32], now: UnixTime, lifetime: i64, most: usize) -> Result<bool, StoreError> {
        if now.since(self.began) >= lifetime {
            self.previous = mem::take(&mut self.current);
            self.began = now;
        }
        if self.previous.contains(&id) || self.current.contains(&id) {
            return Ok(false);
        }
        if self.current.len() >= most {
            return Err(StoreError::Unavailable {
                cause: format!(
                    "more than {most} DPoP proofs in {lifetime} s, which is all that is remembered without a store"
                ),
            });
        }
        Ok(self.current.insert(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + seconds)
    }

    fn generations() -> Generations {
        Generations {
            began: UnixTime::from_secs(0),
            current: HashSet::new(),
            previous: HashSet::new(),
        }
    }

    #[test]
    fn a_mark_is_kept_for_at_least_a_lifetime_and_not_forever() {
        for begun in [0, 1, 60, 120] {
            let mut marks = generations();
            assert!(marks.mark([0; 32], at(0), 121, 10).unwrap());
            assert!(marks.mark([1; 32], at(begun), 121, 10).unwrap());
            for later in 0..=121 {
                assert!(
                    !marks.mark([1; 32], at(begun + later), 121, 10).unwrap(),
                    "{begun} {later}"
                );
            }
        }
        let mut marks = generations();
        assert!(marks.mark([1; 32], at(0), 121, 10).unwrap());
        assert!(marks.mark([2; 32], at(121), 121, 10).unwrap());
        assert!(marks.mark([3; 32], at(242), 121, 10).unwrap());
        assert_eq!(marks.previous.len() + marks.current.len(), 2);
    }

    #[test]
    fn without_room_nothing_passes_and_nothing_is_forgotten() {
        let mut marks = generations();
        assert!(marks.mark([1; 32], at(0), 121, 2).unwrap());
        assert!(marks.mark([2; 32], at(0), 121, 2).unwrap());
        assert!(marks.mark([3; 32], at(0), 121, 2).is_err());
        assert!(!marks.mark([1; 32], at(0), 121, 2).unwrap());
        assert!(marks.mark([3; 32], at(121), 121, 2).unwrap());
    }
}
