//! The list of revocations of a running gateway: kept up with the store, and told about.

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Audit, Event, Refused};
use portcullis_console::Check;
use portcullis_guard::{Revocations, StaleRevocations};
use portcullis_jose::{Clock, UnixTime};

use crate::config::{RevocationSettings, WhenStale};

/// What other replicas revoke is seen after so long.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Keeps up with what other replicas revoke and take back.
pub(super) async fn keep_up(revocations: Revocations, store: &'static str, audit: Audit, clock: Arc<dyn Clock>) {
    let mut failing = false;
    loop {
        let result = revocations.sync(clock.now()).await;
        match &result {
            Err(error) if !failing => {
                let refused = Refused::new(error.code()).found(error.to_string());
                let event = Event::StoreUnavailable {
                    store,
                    operation: "revocations",
                    refused,
                };
                audit.emit(None, event);
            }
            Ok(Some(entries)) => audit.emit(None, Event::RevocationsLoaded { entries: *entries }),
            _ => {}
        }
        if result.is_ok() {
            audit.metrics().revocations_read(revocations.len());
            if failing {
                audit.emit(None, Event::StoreRecovered { store });
            }
        }
        failing = result.is_err();
        tokio::time::sleep(SYNC_EVERY).await;
    }
}

/// Ready as soon as the list was read once; how old it may be is for each API to say.
pub(super) fn check(revocations: &Revocations, now: UnixTime) -> Check {
    let Some(age) = revocations.age(now) else {
        return Check::failed("revocations", "not read yet; the event store_unavailable says why");
    };
    let mut check = Check::ready("revocations");
    check.detail = format!("{} in the list, read {age} s ago", revocations.len());
    check
}

pub(super) fn when_stale(settings: RevocationSettings) -> StaleRevocations {
    let after = i64::try_from(settings.max_age.as_secs()).unwrap_or(i64::MAX);
    match settings.when_stale {
        WhenStale::Refuse => StaleRevocations::Refuse { after },
        WhenStale::Serve => StaleRevocations::Serve { after },
    }
}
