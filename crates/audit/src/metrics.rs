//! Counters that cost a few atomic additions, and their Prometheus text.

mod encode;
mod names;
mod route;
mod tally;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_jose::{Clock, UnixTime};
use prometheus_client::registry::Registry;

use self::encode::Exposition;
use self::names::Names;
pub use self::route::RouteMetrics;
use self::route::Series;
use self::tally::Tally;
use crate::catalogue;
use crate::event::Event;

/// No time has this value: the keys were never fetched.
const NEVER: i64 = i64::MIN;

/// What the program counts, and its text for Prometheus.
///
/// Labels come from the configuration (routes, frontends, providers) and from fixed lists (codes, events, credentials,
/// statuses), so that nobody can make the number of series grow from outside. No label holds a subject, an address
/// or a key's id.
///
/// Events count themselves when they are emitted. Only what has no event is counted by hand: requests, with the handle of
/// [`Metrics::route`], and the fetches of keys.
#[derive(Debug)]
pub struct Metrics {
    data: Arc<Data>,
    registry: Registry,
}

/// Counts at one moment, for a page.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Answers with a status below 400.
    pub answered: u64,
    /// Answers with a status of 400 to 499.
    pub refused: u64,
    /// Answers with a status from 500.
    pub failed: u64,
    /// Lines that nobody will read.
    pub lines_dropped: u64,
    /// How often each event happened; only those that did.
    pub events: Vec<(&'static str, u64)>,
    /// How often each code was the reason, the most frequent first; only those that were.
    pub refusals: Vec<(&'static str, u64)>,
}

#[derive(Debug)]
struct Data {
    clock: Arc<dyn Clock>,
    started: UnixTime,
    routes: Names<Series>,
    frontends: Names<Frontend>,
    providers: Names<Provider>,
    clients: Names<Client>,
    events: Tally,
    refusals: Tally,
    dropped_routine: AtomicU64,
    dropped_security: AtomicU64,
    lost_in_write: AtomicU64,
    revocations: AtomicU64,
    /// When the list of revocations was read, or [`NEVER`].
    revocations_read: AtomicI64,
    served_stale: AtomicU64,
}

#[derive(Debug, Default)]
struct Frontend {
    started: AtomicU64,
    ended: AtomicU64,
    from_copy: AtomicU64,
}

#[derive(Debug)]
struct Provider {
    /// When the keys were fetched, or [`NEVER`].
    keys_fetched: AtomicI64,
    keys: AtomicU64,
    failures: AtomicU64,
}

#[derive(Debug, Default)]
struct Client {
    refused: AtomicU64,
    /// When each of its credentials expires, by its name.
    expiries: Mutex<BTreeMap<String, UnixTime>>,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            keys_fetched: AtomicI64::new(NEVER),
            keys: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// The `Content-Type` of [`Metrics::render`].
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let data = Arc::new(Data {
            started: clock.now(),
            clock,
            routes: Names::default(),
            frontends: Names::default(),
            providers: Names::default(),
            clients: Names::default(),
            events: Tally::new(Event::NAMES.iter().copied()),
            refusals: Tally::new(catalogue::entries().iter().map(|entry| entry.code)),
            dropped_routine: AtomicU64::new(0),
            dropped_security: AtomicU64::new(0),
            lost_in_write: AtomicU64::new(0),
            revocations: AtomicU64::new(0),
            revocations_read: AtomicI64::new(NEVER),
            served_stale: AtomicU64::new(0),
        });
        let mut registry = Registry::with_prefix("portcullis");
        registry.register_collector(Box::new(Exposition(Arc::clone(&data))));
        Self { data, registry }
    }

    /// The handle of a route, to be kept for as long as the route is: counting with it takes no lock.
    #[must_use]
    pub fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics(self.data.routes.get(name))
    }

    /// Counts a request that was served with a copy of its session, since the store did not answer.
    pub fn session_from_copy(&self, frontend: &str) {
        add_one(&self.data.frontends.get(frontend).from_copy);
    }

    /// Says how many revocations are in force, and that the list was read just now.
    pub fn revocations_read(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.data.revocations.store(count, Ordering::Relaxed);
        self.data
            .revocations_read
            .store(self.data.clock.now().as_secs(), Ordering::Relaxed);
    }

    /// Counts a call that was judged by a list of revocations older than its API allows.
    pub fn served_with_stale_revocations(&self) {
        add_one(&self.data.served_stale);
    }

    /// Says that a provider's keys were fetched just now, and how many can be used. Most fetches bring what is known,
    /// and are no event.
    pub fn keys_fetched(&self, provider: &str, keys: usize) {
        let provider = self.data.providers.get(provider);
        let now = self.data.clock.now();
        provider.keys_fetched.store(now.as_secs(), Ordering::Relaxed);
        let keys = u64::try_from(keys).unwrap_or(u64::MAX);
        provider.keys.store(keys, Ordering::Relaxed);
    }

    /// Says when a secret or key of a client expires.
    pub fn client_credential_expires(&self, client: &str, credential: &str, at: UnixTime) {
        let client = self.data.clients.get(client);
        let mut expiries = client.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        expiries.insert(credential.to_owned(), at);
    }

    /// Counts a request to a provider that failed and is no event, since the outage is known.
    pub fn provider_failed(&self, provider: &str) {
        add_one(&self.data.providers.get(provider).failures);
    }

    /// Everything as OpenMetrics text, which Prometheus reads.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// The most telling counts, for a page.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (mut answered, mut refused, mut failed) = (0, 0, 0);
        for (_, series) in self.data.routes.all() {
            series.each_status(|_, status, count| match status {
                ..400 => answered += count,
                400..500 => refused += count,
                _ => failed += count,
            });
        }
        let mut refusals = self.data.refusals.counted();
        refusals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let lines_dropped = [
            &self.data.dropped_routine,
            &self.data.dropped_security,
            &self.data.lost_in_write,
        ]
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .sum();
        Counts {
            answered,
            refused,
            failed,
            lines_dropped,
            events: self.data.events.counted(),
            refusals,
        }
    }

    /// How often a code was the reason for a refusal.
    #[must_use]
    pub fn refusals(&self, code: &str) -> u64 {
        self.data.refusals.get(code)
    }

    /// How often an event happened.
    #[must_use]
    pub fn events(&self, name: &str) -> u64 {
        self.data.events.get(name)
    }

    pub(crate) fn observe(&self, event: &Event) {
        let data = &*self.data;
        data.events.add(event.name());
        if let Some(refused) = event.refused() {
            data.refusals.add(refused.code);
        }
        match event {
            Event::LoginSucceeded { frontend, .. } => add_one(&data.frontends.get(frontend).started),
            Event::LoggedOut { frontend, .. }
            | Event::SessionExpired { frontend, .. }
            | Event::RefreshFailed {
                frontend,
                session_ended: true,
                ..
            } => add_one(&data.frontends.get(frontend).ended),
            Event::UpstreamFailed { route, refused } => data.routes.get(route).upstream_failed(refused.code),
            Event::ClientCredentialRefused { client, .. } => add_one(&data.clients.get(client).refused),
            Event::ProviderUnavailable { provider, .. } => self.provider_failed(provider),
            _ => {}
        }
    }

    pub(crate) fn line_dropped(&self, security: bool) {
        add_one(if security {
            &self.data.dropped_security
        } else {
            &self.data.dropped_routine
        });
    }

    pub(crate) fn write_failed(&self, lines: usize) {
        self.data
            .lost_in_write
            .fetch_add(u64::try_from(lines).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_jose::ManualClock;

    use super::*;
    use crate::event::Credential;
    use crate::refused::Refused;

    fn metrics() -> (Arc<ManualClock>, Metrics) {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(1_000)));
        let metrics = Metrics::new(clock.clone());
        (clock, metrics)
    }

    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|have| have == line), "no line {line:?} in\n{text}");
    }

    #[test]
    fn requests_are_counted_by_route_credential_and_status() {
        let (_, metrics) = metrics();
        let orders = metrics.route("orders");
        orders.request_finished(Credential::Session, 200, Duration::from_micros(700));
        orders.request_finished(Credential::Session, 200, Duration::from_millis(30));
        metrics
            .route("orders")
            .request_finished(Credential::Bearer, 401, Duration::from_micros(20));
        metrics
            .route("spa")
            .request_finished(Credential::None, 503, Duration::from_secs(60));
        let text = metrics.render();
        has(&text, "# TYPE portcullis_requests counter");
        has(
            &text,
            r#"portcullis_requests_total{route="orders",credential="session",status="200"} 2"#,
        );
        has(
            &text,
            r#"portcullis_requests_total{route="orders",credential="bearer",status="401"} 1"#,
        );
        has(
            &text,
            r#"portcullis_requests_total{route="spa",credential="none",status="503"} 1"#,
        );
        has(
            &text,
            r#"portcullis_request_duration_seconds_bucket{le="0.0005",route="orders"} 1"#,
        );
        has(
            &text,
            r#"portcullis_request_duration_seconds_bucket{le="0.001",route="orders"} 2"#,
        );
        has(
            &text,
            r#"portcullis_request_duration_seconds_bucket{le="+Inf",route="orders"} 3"#,
        );
        has(&text, r#"portcullis_request_duration_seconds_count{route="orders"} 3"#);
        has(
            &text,
            r#"portcullis_request_duration_seconds_sum{route="orders"} 0.03072"#,
        );
        has(
            &text,
            r#"portcullis_request_duration_seconds_bucket{le="10.0",route="spa"} 0"#,
        );
        has(
            &text,
            r#"portcullis_request_duration_seconds_bucket{le="+Inf",route="spa"} 1"#,
        );
        has(&text, "portcullis_start_time_seconds 1000");
        assert!(text.ends_with("# EOF\n"));
        let counts = metrics.counts();
        assert_eq!((counts.answered, counts.refused, counts.failed), (2, 1, 1));
    }

    #[test]
    fn an_odd_status_is_counted_at_the_edge() {
        let (_, metrics) = metrics();
        let route = metrics.route("odd");
        for status in [0, 99, 600, 999, u16::MAX] {
            route.request_finished(Credential::None, status, Duration::ZERO);
        }
        let text = metrics.render();
        has(
            &text,
            r#"portcullis_requests_total{route="odd",credential="none",status="100"} 2"#,
        );
        has(
            &text,
            r#"portcullis_requests_total{route="odd",credential="none",status="599"} 3"#,
        );
    }

    #[test]
    fn events_count_themselves() {
        let (clock, metrics) = metrics();
        let events = [
            Event::LoginSucceeded {
                frontend: "shop".into(),
                subject: "alice".into(),
                client_id: None,
            },
            Event::LoginSucceeded {
                frontend: "shop".into(),
                subject: "bob".into(),
                client_id: None,
            },
            Event::LoggedOut {
                frontend: "shop".into(),
                subject: "alice".into(),
                how: "local",
            },
            Event::ProviderUnavailable {
                provider: "entra".into(),
                operation: "token",
                refused: Refused::new("provider.unreachable"),
            },
            Event::UpstreamFailed {
                route: "orders".into(),
                refused: Refused::new("upstream.timeout"),
            },
            Event::ClientCredentialRefused {
                client: "web".into(),
                credential: "secret".into(),
                next: None,
            },
        ];
        for event in &events {
            metrics.observe(event);
        }
        metrics.session_from_copy("shop");
        metrics.revocations_read(12);
        metrics.served_with_stale_revocations();
        metrics.keys_fetched("entra", 3);
        metrics.client_credential_expires("web", "secret", clock.now().plus(80));
        metrics.provider_failed("entra");
        clock.advance(90);
        let text = metrics.render();
        has(&text, r#"portcullis_events_total{event="login_succeeded"} 2"#);
        has(&text, r#"portcullis_refusals_total{code="upstream.timeout"} 1"#);
        has(
            &text,
            r#"portcullis_upstream_errors_total{route="orders",code="upstream.timeout"} 1"#,
        );
        has(&text, r#"portcullis_sessions_started_total{frontend="shop"} 2"#);
        has(&text, r#"portcullis_sessions_ended_total{frontend="shop"} 1"#);
        has(&text, r#"portcullis_sessions_from_copy_total{frontend="shop"} 1"#);
        has(&text, r#"portcullis_provider_key_age_seconds{provider="entra"} 90"#);
        has(&text, r#"portcullis_provider_keys{provider="entra"} 3"#);
        has(&text, r#"portcullis_provider_errors_total{provider="entra"} 2"#);
        has(&text, r#"portcullis_client_credentials_refused_total{client="web"} 1"#);
        has(
            &text,
            r#"portcullis_client_credential_expires_seconds{client="web",credential="secret"} -10"#,
        );
        has(&text, "portcullis_revocations 12");
        has(&text, "portcullis_revocations_age_seconds 90");
        has(&text, "portcullis_stale_revocations_served_total 1");
        assert!(!text.contains("alice"), "a subject is no label");
        assert_eq!(metrics.events("login_succeeded"), 2);
        assert_eq!(metrics.refusals("provider.unreachable"), 1);
        assert_eq!(metrics.refusals("no.such_code"), 0);
    }

    #[test]
    fn what_was_never_set_is_not_shown() {
        let (_, metrics) = metrics();
        metrics.observe(&Event::LoginSucceeded {
            frontend: "shop".into(),
            subject: "a".into(),
            client_id: None,
        });
        metrics.provider_failed("entra");
        let text = metrics.render();
        assert!(!text.contains("key_age_seconds{"), "{text}");
        assert!(!text.contains("revocations_age_seconds "), "{text}");
    }
}
