//! Durable state for Portcullis, and sealing of what must not be read at rest.
//!
//! # What this crate promises
//!
//! - Three answers, never two: *found*, *absent*, and an error. A store that cannot be reached is
//!   [`StoreError::Unavailable`], never "no session", so nobody is signed out by a full disk.
//! - A session that was deleted stays deleted. [`SessionStore::update`] compares a version and is
//!   never an upsert; a deleted key cannot be created again; a slow request that writes late gets
//!   [`StoreError::Gone`].
//! - A deletion that was answered survives a killed process and a power cut.
//! - Two replicas cannot renew the same session at once: a lease with a fencing number guards it,
//!   and a holder that comes late is refused ([`SessionStore::update_fenced`]).
//! - Who reads the store can neither take a session over nor read a token. A session's key is the
//!   SHA-256 of the cookie's value; its content is sealed ([`Sealer`]) and bound to that key.
//! - Time is injected: an entry is expired exactly when the [`Clock`](portcullis_jose::Clock) says so.
//!
//! The traits ([`SessionStore`], [`LeaseStore`], [`ReplayStore`], [`RevocationStore`]) hold nothing
//! that is one engine's own. Each engine is a feature, and without it nothing of it is compiled: [`SqliteStore`]
//! (`sqlite`, on by default: one file, nothing to run beside it), `RedisStore` (`redis`: one server, Sentinel or a
//! cluster) and `PostgresStore` (`postgres`).
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use portcullis_jose::{Clock, SystemClock, random_token};
//! use portcullis_store::{KeyRing, Sealer, SealingKey, SessionKey, SessionRecord, SessionStore, SqliteStore};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock);
//! let store = SqliteStore::in_memory(clock.clone())?;
//! let sealer = Sealer::new(&KeyRing::from_keys(vec![SealingKey::generate()])?, "session")?;
//!
//! let cookie = random_token(32);
//! let key = SessionKey::from_cookie(&cookie);
//! let now = clock.now();
//! let record = SessionRecord {
//!     sealed: sealer.seal(key.as_bytes(), b"tokens")?, // bound to this session's key
//!     subject_index: None,
//!     sid_index: None,
//!     created: now,
//!     idle_expires: now.plus(1_800),
//!     expires: now.plus(43_200),
//! };
//! store.create(key, record).await?;
//!
//! let found = store.get(key).await?.ok_or("no session")?;
//! let opened = sealer.open(key.as_bytes(), &found.value.sealed)?;
//! assert_eq!(opened.plaintext.as_slice(), b"tokens");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod facts;
mod key;
mod lease;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod location;
#[cfg(feature = "postgres")]
mod postgres;
mod private_file;
#[cfg(feature = "redis")]
mod redis;
mod replay;
mod revocation;
mod seal;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite;

#[doc(hidden)]
pub mod contract;

use std::fmt::Debug;
use std::pin::Pin;

pub use error::StoreError;
#[cfg(any(feature = "redis", feature = "postgres"))]
pub use facts::ServerFacts;
pub use key::{IndexKey, LeaseName, SessionKey};
pub use lease::{Lease, LeaseStore};
#[cfg(any(feature = "redis", feature = "postgres"))]
pub use location::{Address, LocationError};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresSettings, PostgresStore};
#[cfg(feature = "redis")]
pub use redis::{RedisLayout, RedisSettings, RedisStore};
pub use replay::{REPLAY_MARGIN_SECS, ReplayStore};
pub use revocation::{Revocation, RevocationStore, RevocationTarget, TokenId};
pub use seal::{KeyId, KeyRing, KeyRingError, Opened, SealError, Sealer, SealingKey};
pub use session::{Glance, MAX_SEALED_BYTES, SessionRecord, SessionStore, Version, Versioned};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// What the stores' methods return: a boxed future, so that the traits can be used as `dyn`.
///
/// A write that an engine has taken over is finished even if the caller stops waiting for it
/// (a browser that goes away cannot leave a refreshed token unsaved).
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything that Portcullis keeps, behind one handle.
pub trait Store: SessionStore + LeaseStore + ReplayStore + RevocationStore + Send + Sync + Debug {
    /// Whether the store can be read and written at this moment; for readiness.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Removes what has expired and returns how many entries that were.
    ///
    /// Nothing depends on when this runs: an expired entry is never returned anyway.
    fn purge_expired(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
}
