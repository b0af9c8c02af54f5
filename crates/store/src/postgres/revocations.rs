//! Revocations in PostgreSQL.

use super::{PostgresStore, number, unsigned};
use crate::{BoxFuture, Revocation, RevocationStore, StoreError};

/// Removes revocations whose time is over.
pub(super) const PURGE: &str = "DELETE FROM portcullis_revocations WHERE sequence IN
    (SELECT sequence FROM portcullis_revocations WHERE expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

impl RevocationStore for PostgresStore {
    fn add(&self, revocation: Revocation) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            // JSON text, and not PostgreSQL's own type: that refuses \u0000, which an identifier may hold.
            let body = serde_json::to_string(&revocation)
                .map_err(|error| StoreError::corrupt(format!("the revocation cannot be written: {error}")))?;
            // The counter's row is locked until the entry is written: none appears below one that was seen.
            let rows = self
                .pool
                .query(
                    "WITH next AS
                         (UPDATE portcullis_counters SET value = value + 1 WHERE name = 'revocations' RETURNING value)
                     INSERT INTO portcullis_revocations (sequence, body, expires)
                     SELECT value, $1, $2 FROM next
                     RETURNING sequence",
                    &[&body, &revocation.expires.as_secs()],
                )
                .await?;
            let row = rows.first().ok_or_else(broken)?;
            unsigned(row.try_get(0).map_err(|_| broken())?)
        })
    }

    fn list_after(&self, sequence: u64) -> BoxFuture<'_, Result<Vec<(u64, Revocation)>, StoreError>> {
        Box::pin(async move {
            let rows = self
                .pool
                .read(
                    "SELECT sequence, body FROM portcullis_revocations
                     WHERE sequence > $1 AND expires > $2 ORDER BY sequence",
                    &[&number(sequence), &self.now()],
                )
                .await?;
            let mut list = Vec::with_capacity(rows.len());
            for row in rows {
                let sequence = unsigned(row.try_get(0).map_err(|_| broken())?)?;
                let body: &str = row.try_get(1).map_err(|_| broken())?;
                // The parser's message would quote the entry.
                let revocation = serde_json::from_str(body).map_err(|_| {
                    StoreError::corrupt(format!(
                        "revocation {sequence} cannot be read; a newer version may have written it"
                    ))
                })?;
                list.push((sequence, revocation));
            }
            Ok(list)
        })
    }

    fn remove(&self, sequence: u64) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let changed = self
                .pool
                .execute(
                    "WITH removed AS
                         (DELETE FROM portcullis_revocations WHERE sequence = $1 AND expires > $2 RETURNING 1)
                     UPDATE portcullis_counters SET value = value + 1
                     WHERE name = 'removals' AND EXISTS (SELECT FROM removed)",
                    &[&number(sequence), &self.now()],
                )
                .await?;
            Ok(changed > 0)
        })
    }

    fn removals(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let rows = self
                .pool
                .read("SELECT value FROM portcullis_counters WHERE name = 'removals'", &[])
                .await?;
            let row = rows.first().ok_or_else(broken)?;
            unsigned(row.try_get(0).map_err(|_| broken())?)
        })
    }
}

fn broken() -> StoreError {
    StoreError::corrupt("a row of portcullis_revocations or portcullis_counters is not what it must be")
}
