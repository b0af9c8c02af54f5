//! Leases in SQLite.

use portcullis_jose::UnixTime;
use rusqlite::{Connection, OptionalExtension as _};

use super::SqliteStore;
use super::number::Number;
use super::writer::Durability::Relaxed;
use crate::{BoxFuture, Lease, LeaseName, LeaseStore, StoreError};

/// How long an expired lease's number is remembered; a holder that comes later than this is refused as well.
const REMEMBERED_SECS: i64 = 3_600;

// A power cut ends all holders together with the store (the file is on this machine), so leases need no flush.
impl LeaseStore for SqliteStore {
    fn acquire(
        &self,
        name: LeaseName,
        holder: &str,
        ttl_secs: u32,
    ) -> BoxFuture<'_, Result<Option<Lease>, StoreError>> {
        let holder = holder.to_owned();
        Box::pin(self.write(Relaxed, move |connection, now| {
            acquire(connection, now, name, &holder, now.plus(i64::from(ttl_secs)))
        }))
    }

    fn extend(&self, lease: &Lease, ttl_secs: u32) -> BoxFuture<'_, Result<bool, StoreError>> {
        let (name, fencing) = (lease.name, lease.fencing);
        Box::pin(self.write(Relaxed, move |connection, now| {
            let expires = now.plus(i64::from(ttl_secs));
            let extended = connection
                .prepare_cached("UPDATE leases SET expires = ?3 WHERE name = ?1 AND fencing = ?2 AND holder <> ''")?
                .execute((name.as_bytes(), Number(fencing), expires.as_secs()))?;
            Ok(extended > 0)
        }))
    }

    fn release(&self, lease: Lease) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.write(Relaxed, move |connection, now| {
            // The row stays: its number is still needed to know a latecomer.
            let released = connection
                .prepare_cached(
                    "UPDATE leases SET expires = ?3, holder = '' WHERE name = ?1 AND fencing = ?2 AND expires > ?3",
                )?
                .execute((lease.name.as_bytes(), Number(lease.fencing), now.as_secs()))?;
            Ok(released > 0)
        }))
    }
}

/// The last number that was issued for this name.
pub(super) fn last_fencing(connection: &Connection, name: LeaseName) -> rusqlite::Result<Option<u64>> {
    connection
        .prepare_cached("SELECT fencing FROM leases WHERE name = ?1")?
        .query_row([name.as_bytes()], |row| row.get(0))
        .optional()
        .map(|found| found.map(|Number(fencing)| fencing))
}

/// Removes leases that ran out long ago.
pub(super) fn purge(connection: &Connection, now: UnixTime, limit: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM leases WHERE name IN (SELECT name FROM leases WHERE expires <= ?1 LIMIT ?2)")?
        .execute((now.plus(-REMEMBERED_SECS).as_secs(), limit))
}

fn acquire(
    connection: &Connection,
    now: UnixTime,
    name: LeaseName,
    holder: &str,
    expires: UnixTime,
) -> Result<Option<Lease>, StoreError> {
    let before: Option<(i64, String)> = connection
        .prepare_cached("SELECT expires, holder FROM leases WHERE name = ?1")?
        .query_row([name.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if before.as_ref().is_some_and(|(expires, _)| *expires > now.as_secs()) {
        return Ok(None);
    }
    // One counter for all names: the number of a name grows even if its row was purged in between.
    let fencing: Number = connection
        .prepare_cached("UPDATE counters SET value = value + 1 WHERE name = 'fencing' RETURNING value")?
        .query_row([], |row| row.get(0))?;
    connection
        .prepare_cached(
            "INSERT INTO leases (name, fencing, holder, expires) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE
             SET fencing = excluded.fencing, holder = excluded.holder, expires = excluded.expires",
        )?
        .execute((name.as_bytes(), fencing, holder, expires.as_secs()))?;
    Ok(Some(Lease {
        name,
        fencing: fencing.0,
        expires,
        lapsed: before.is_some_and(|(_, holder)| !holder.is_empty()),
    }))
}
