use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::event::Credential;

/// Counts for one route. A cheap handle; clones count into the same series.
///
/// ```
/// use std::time::Duration;
/// use portcullis_audit::{Audit, Credential};
///
/// let audit = Audit::for_tests();
/// let route = audit.metrics().route("orders"); // once, when the route is built
/// route.request_finished(Credential::Bearer, 200, Duration::from_millis(3)); // for each request
/// let text = audit.metrics().render();
/// assert!(text.contains(r#"portcullis_requests_total{route="orders",credential="bearer",status="200"} 1"#));
/// ```
#[derive(Clone)]
pub struct RouteMetrics(pub(super) Arc<Series>);

/// The upper ends of the histogram's buckets, in microseconds.
pub(super) const BUCKETS: [u64; 13] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
];

const CREDENTIALS: [Credential; 4] = [
    Credential::Session,
    Credential::Bearer,
    Credential::Dpop,
    Credential::None,
];
const UPSTREAM_CODES: [&str; 3] = ["upstream.unreachable", "upstream.timeout", "upstream.bad_response"];
/// Statuses run from 100 to 599; anything else is counted as 599.
const FIRST_STATUS: u16 = 100;
const STATUSES: usize = 500;

type ByStatus = Box<[AtomicU64; STATUSES]>;

#[derive(Debug, Default)]
pub(super) struct Series {
    /// One place for each credential and status, so that counting is one addition. 4 KiB for each credential in use.
    answers: [OnceLock<ByStatus>; CREDENTIALS.len()],
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
    upstream_failures: [AtomicU64; UPSTREAM_CODES.len()],
}

// === impl RouteMetrics ===

impl RouteMetrics {
    /// Counts an answered request: forwarded or refused, with the status that the caller saw.
    pub fn request_finished(&self, credential: Credential, status: u16, took: Duration) {
        self.0.answered(credential, status);
        self.0.took(took);
    }
}

impl fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteMetrics").finish_non_exhaustive()
    }
}

// === impl Series ===

impl Series {
    fn answered(&self, credential: Credential, status: u16) {
        let at = CREDENTIALS.iter().position(|known| *known == credential);
        let status = usize::from(status.saturating_sub(FIRST_STATUS)).min(STATUSES - 1);
        let counter = at
            .and_then(|at| self.answers.get(at))
            .map(|answers| answers.get_or_init(|| Box::new([const { AtomicU64::new(0) }; STATUSES])))
            .and_then(|answers| answers.get(status));
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|end| micros <= *end).unwrap_or(BUCKETS.len());
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn upstream_failed(&self, code: &str) {
        let at = UPSTREAM_CODES.iter().position(|known| *known == code);
        if let Some(counter) = at.and_then(|at| self.upstream_failures.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn each_status(&self, mut f: impl FnMut(Credential, u16, u64)) {
        for (credential, answers) in CREDENTIALS.iter().zip(&self.answers) {
            let Some(answers) = answers.get() else {
                continue;
            };
            for (status, counter) in (FIRST_STATUS..).zip(answers.iter()) {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    f(*credential, status, count);
                }
            }
        }
    }

    pub(super) fn each_upstream_failure(&self, mut f: impl FnMut(&'static str, u64)) {
        for (code, counter) in UPSTREAM_CODES.iter().zip(&self.upstream_failures) {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                f(code, count);
            }
        }
    }

    /// Sum in seconds, count, and the count of each bucket by its upper end in seconds.
    pub(super) fn durations(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let ends = BUCKETS.iter().map(|micros| seconds(*micros)).chain([f64::INFINITY]);
        let buckets: Vec<_> = ends
            .zip(self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        (seconds(self.micros.load(Ordering::Relaxed)), count, buckets)
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
