//! The contract: what every engine must do, as tests that every engine runs.
//!
//! Not part of the stable interface. An engine's test hands in how to make a store:
//!
//! ```
//! # use std::sync::Arc;
//! # use portcullis_store::{SqliteStore, contract};
//! # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(
//! contract::run(async |clock| Arc::new(SqliteStore::in_memory(clock).unwrap()) as Arc<_>)
//! # );
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests; they are public so that other tests can run them"
)]

mod concurrency;
mod durable;
mod leases;
mod replay;
mod revocations;
pub mod servers;
mod sessions;

use std::sync::Arc;

use portcullis_jose::{Clock as _, ManualClock, UnixTime};

use crate::{IndexKey, SessionKey, SessionRecord, Store};

pub use durable::run_durable;

/// Makes a server's leases older by so many seconds.
pub type Ages = Arc<dyn Fn(u32) + Send + Sync>;

const ISSUER: &str = "https://id.example.test";

/// Runs the contract. `make` returns a new, empty store on the clock that it is given.
///
/// # Panics
/// Where the store breaks the contract.
pub async fn run(make: impl AsyncFn(Arc<ManualClock>) -> Arc<dyn Store>) {
    let ages: Ages = Arc::new(|_| ());
    let fresh = fresh_of(&make, &ages);
    all(&fresh).await;
    purging(&fresh).await;
}

/// The same for an engine with a server, whose leases go by the server's clock: `ages` makes all its leases older by so
/// many seconds.
///
/// # Panics
/// Where the store breaks the contract.
pub async fn run_on_server(make: impl AsyncFn(Arc<ManualClock>) -> Arc<dyn Store>, ages: Ages) {
    let fresh = fresh_of(&make, &ages);
    all(&fresh).await;
    leases::clocks_that_differ_agree(fresh().await).await;
    purging(&fresh).await;
}

/// The same for an engine whose server also removes what has expired by itself: there is nothing left to count.
///
/// # Panics
/// Where the store breaks the contract.
pub async fn run_without_purging(make: impl AsyncFn(Arc<ManualClock>) -> Arc<dyn Store>, ages: Ages) {
    let fresh = fresh_of(&make, &ages);
    all(&fresh).await;
    leases::clocks_that_differ_agree(fresh().await).await;
}

async fn all(fresh: &impl AsyncFn() -> Fixture) {
    sessions::all(&fresh).await;
    leases::all(&fresh).await;
    replay::all(&fresh).await;
    revocations::all(&fresh).await;
    concurrency::all(&fresh).await;

    let fixture = fresh().await;
    fixture.store.ping().await.unwrap();
    assert_eq!(
        fixture.store.purge_expired().await.unwrap(),
        0,
        "an empty store has nothing to purge"
    );
}

async fn purging(fresh: &impl AsyncFn() -> Fixture) {
    sessions::purging_removes_what_has_expired_and_nothing_else(fresh().await).await;
    replay::an_old_mark_is_removed(fresh().await).await;
}

fn fresh_of(make: &impl AsyncFn(Arc<ManualClock>) -> Arc<dyn Store>, ages: &Ages) -> impl AsyncFn() -> Fixture {
    async || {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)));
        Fixture {
            store: make(Arc::clone(&clock)).await,
            clock,
            ages: Arc::clone(ages),
        }
    }
}

/// A store, and the clock that it reads.
struct Fixture {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    ages: Ages,
}

impl Fixture {
    fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Lets so many seconds pass, for leases too.
    fn pass(&self, seconds: u32) {
        self.clock.advance(i64::from(seconds));
        (self.ages)(seconds);
    }

    /// A session that is idle after half an hour and over after twelve.
    fn record(&self, content: &str) -> SessionRecord {
        SessionRecord {
            sealed: content.as_bytes().to_vec(),
            subject_index: Some(IndexKey::subject(ISSUER, "alice")),
            sid_index: Some(IndexKey::sid(ISSUER, "sid-1")),
            created: self.now(),
            idle_expires: self.now().plus(1_800),
            expires: self.now().plus(43_200),
        }
    }

    /// What is stored under the key, if anything is.
    async fn content(&self, key: SessionKey) -> Option<String> {
        let found = self.store.get(key).await.unwrap();
        found.map(|session| String::from_utf8(session.value.sealed).unwrap())
    }
}

fn key(name: &str) -> SessionKey {
    SessionKey::from_cookie(name)
}
