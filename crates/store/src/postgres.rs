//! The PostgreSQL engine: each operation is one statement, and so one transaction.
//!
//! - A few connections are shared by all requests; statements are prepared once for each and pipelined.
//! - What must be seen together is locked in the statement itself: a late holder of a lease cannot slip in between the
//!   look at the lease and the write of the session.
//! - Times are the caller's clock, as everywhere; nothing depends on that of the server.
//! - The tables are made at the first use, under a lock of the server's, so that replicas may start at once.

mod facts;
mod leases;
mod migrations;
mod pool;
mod replay;
mod revocations;
mod sessions;
mod settings;
mod tls;

use std::fmt;
use std::sync::Arc;

use portcullis_jose::Clock;

use self::pool::Pool;
pub use self::settings::PostgresSettings;
use crate::{BoxFuture, Store, StoreError};

/// Rows that one purging statement removes at most, so that other writes get their turn.
const PURGE_CHUNK: i64 = 1_000;

/// State in PostgreSQL, shared by all replicas.
pub struct PostgresStore {
    pool: Pool,
    clock: Arc<dyn Clock>,
}

// === impl PostgresStore ===

impl PostgresStore {
    /// The store that `settings` name. Nothing is connected yet: the first use does it, and makes the tables.
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`] where the settings make no client, such as a certificate that is none.
    pub fn new(settings: &PostgresSettings, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Ok(Self {
            pool: Pool::new(settings)?,
            clock,
        })
    }

    fn now(&self) -> i64 {
        self.clock.now().as_secs()
    }

    async fn purge(&self, sql: &'static str, before: i64) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let removed = self.pool.execute(sql, &[&before, &PURGE_CHUNK]).await?;
            total += removed;
            if removed < PURGE_CHUNK.unsigned_abs() {
                return Ok(total);
            }
        }
    }
}

impl Store for PostgresStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            // A write, which a standby refuses.
            let touched = self
                .pool
                .execute(
                    "UPDATE portcullis_counters SET value = value WHERE name = 'removals'",
                    &[],
                )
                .await?;
            match touched {
                1 => Ok(()),
                _ => Err(StoreError::corrupt(
                    "the table portcullis_counters has no row `removals`",
                )),
            }
        })
    }

    fn purge_expired(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async {
            let now = self.now();
            let sessions = self.purge(sessions::PURGE, now).await?;
            let leases = self.purge(leases::PURGE, leases::REMEMBERED_SECS).await?;
            let marks = self.purge(replay::PURGE, now).await?;
            let revocations = self.purge(revocations::PURGE, now).await?;
            Ok(sessions + leases + marks + revocations)
        })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// A version or a number of ours in PostgreSQL, whose own are signed. No counter gets to the greatest number there is,
/// so one beyond it is equal to none as well.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::corrupt("a counter is below zero"))
}
