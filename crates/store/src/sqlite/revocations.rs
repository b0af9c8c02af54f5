//! Revocations in SQLite.

use portcullis_jose::UnixTime;
use rusqlite::Connection;

use super::SqliteStore;
use super::number::Number;
use super::writer::Durability::PowerCut;
use crate::{BoxFuture, Revocation, RevocationStore, StoreError};

impl RevocationStore for SqliteStore {
    fn add(&self, revocation: Revocation) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let body = serde_json::to_string(&revocation)
                .map_err(|error| StoreError::corrupt(format!("the revocation cannot be written: {error}")))?;
            self.write(PowerCut, move |connection, _| {
                let Number(sequence) = connection
                    .prepare_cached("INSERT INTO revocations (body, expires) VALUES (?1, ?2) RETURNING sequence")?
                    .query_row((&body, revocation.expires.as_secs()), |row| row.get(0))?;
                Ok(sequence)
            })
            .await
        })
    }

    fn list_after(&self, sequence: u64) -> BoxFuture<'_, Result<Vec<(u64, Revocation)>, StoreError>> {
        Box::pin(self.read(move |connection, now| list_after(connection, now, sequence)))
    }

    fn remove(&self, sequence: u64) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.write(PowerCut, move |connection, now| {
            let removed = connection
                .prepare_cached("DELETE FROM revocations WHERE sequence = ?1 AND expires > ?2")?
                .execute((Number(sequence), now.as_secs()))?;
            if removed > 0 {
                connection
                    .prepare_cached("UPDATE counters SET value = value + 1 WHERE name = 'removals'")?
                    .execute([])?;
            }
            Ok(removed > 0)
        }))
    }

    fn removals(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.read(|connection, _| {
            let Number(count) = connection
                .prepare_cached("SELECT value FROM counters WHERE name = 'removals'")?
                .query_row([], |row| row.get(0))?;
            Ok(count)
        }))
    }
}

/// Removes revocations whose time is over.
pub(super) fn purge(connection: &Connection, now: UnixTime, limit: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM revocations
             WHERE sequence IN (SELECT sequence FROM revocations WHERE expires <= ?1 LIMIT ?2)",
        )?
        .execute((now.as_secs(), limit))
}

fn list_after(connection: &Connection, now: UnixTime, sequence: u64) -> Result<Vec<(u64, Revocation)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, body FROM revocations WHERE sequence > ?1 AND expires > ?2 ORDER BY sequence",
    )?;
    let rows = statement.query_map((Number(sequence), now.as_secs()), |row| {
        Ok((row.get::<_, Number>(0)?.0, row.get::<_, String>(1)?))
    })?;
    let mut list = Vec::new();
    for row in rows {
        let (sequence, body) = row?;
        // The parser's message would quote the entry.
        let revocation = serde_json::from_str(&body).map_err(|_| {
            StoreError::corrupt(format!(
                "revocation {sequence} cannot be read; a newer version may have written it"
            ))
        })?;
        list.push((sequence, revocation));
    }
    Ok(list)
}
