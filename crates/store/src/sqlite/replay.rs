//! Replay marks in SQLite.

use portcullis_jose::UnixTime;
use rusqlite::Connection;

use super::SqliteStore;
use super::writer::Durability::PowerCut;
use crate::key::labelled_hash;
use crate::{BoxFuture, REPLAY_MARGIN_SECS, ReplayStore, StoreError};

impl ReplayStore for SqliteStore {
    fn mark(&self, purpose: &str, id: &[u8], expires: UnixTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        let id = labelled_hash("portcullis replay mark", &[purpose.as_bytes(), id]);
        Box::pin(self.write(PowerCut, move |connection, now| {
            // A mark for a thing that has expired already is kept for the margin all the same.
            let until = expires.max(now).plus(REPLAY_MARGIN_SECS);
            let first = connection
                .prepare_cached(
                    "INSERT INTO replay_marks (id, expires) VALUES (?1, ?2)
                     ON CONFLICT (id) DO UPDATE SET expires = excluded.expires WHERE replay_marks.expires <= ?3",
                )?
                .execute((id, until.as_secs(), now.as_secs()))?;
            Ok(first > 0)
        }))
    }
}

/// Removes marks whose time is over.
pub(super) fn purge(connection: &Connection, now: UnixTime, limit: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM replay_marks WHERE id IN (SELECT id FROM replay_marks WHERE expires <= ?1 LIMIT ?2)",
        )?
        .execute((now.as_secs(), limit))
}
