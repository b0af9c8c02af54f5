//! What a guard does when it cannot learn for some time what other replicas have revoked.

use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_audit::{Audit, Event};
use portcullis_jose::UnixTime;
use portcullis_store::StoreError;

use crate::answer::Realm;
use crate::error::GuardError;
use crate::revocation::Revocations;

/// What happens to calls when the list of revocations could not be read for longer than `after` seconds.
///
/// What was revoked through this very list holds in any case; it is the revocations of others that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StaleRevocations {
    /// They are refused with 503 until it can be read.
    Refuse {
        /// Seconds since the last reading that are not too many yet.
        after: i64,
    },
    /// They are judged by the list as it is. Each is counted, and an event tells when it begins.
    Serve {
        /// Seconds since the last reading that are not too many yet.
        after: i64,
    },
}

/// The same, and whether the event was emitted.
#[derive(Debug)]
pub(crate) struct Stale {
    rule: StaleRevocations,
    told: AtomicBool,
}

// === impl StaleRevocations ===

impl StaleRevocations {
    fn after(self) -> i64 {
        match self {
            StaleRevocations::Refuse { after } | StaleRevocations::Serve { after } => after,
        }
    }
}

// === impl Stale ===

impl Stale {
    pub(crate) fn new(rule: StaleRevocations) -> Stale {
        Stale {
            rule,
            told: AtomicBool::new(false),
        }
    }

    /// Whether the list is too old.
    pub(crate) fn is_over(&self, revocations: &Revocations, now: UnixTime) -> bool {
        !is_fresh(revocations.age(now), self.rule.after())
    }

    pub(crate) fn is_refusing(&self, revocations: &Revocations, now: UnixTime) -> bool {
        matches!(self.rule, StaleRevocations::Refuse { .. }) && self.is_over(revocations, now)
    }

    /// Asked for every call.
    pub(crate) fn check(
        &self,
        revocations: &Revocations,
        now: UnixTime,
        audit: &Audit,
        realm: &Realm,
    ) -> Result<(), GuardError> {
        let (after, refusing) = (self.rule.after(), matches!(self.rule, StaleRevocations::Refuse { .. }));
        let age = revocations.age(now);
        if is_fresh(age, after) {
            if self.told.load(Ordering::Relaxed) {
                self.told.store(false, Ordering::Relaxed);
            }
            return Ok(());
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            let event = Event::RevocationsStale {
                realm: realm.as_str().to_owned(),
                age_seconds: age,
                refusing,
            };
            audit.emit(None, event);
        }
        if refusing {
            let age = age.unwrap_or_default();
            let cause = format!("the list of revocations was last read {age} s ago, and {after} s are allowed");
            return Err(GuardError::RevocationsUnavailable(StoreError::Unavailable { cause }));
        }
        audit.metrics().served_with_stale_revocations();
        Ok(())
    }
}

fn is_fresh(age: Option<i64>, after: i64) -> bool {
    age.is_some_and(|age| age <= after)
}
