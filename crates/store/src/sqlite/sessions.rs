//! Sessions in SQLite.

use portcullis_jose::UnixTime;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use super::number::Number;
use super::writer::Durability::{PowerCut, Relaxed};
use super::{SqliteStore, leases};
use crate::session::check_size;
use crate::{
    BoxFuture, Glance, IndexKey, LeaseName, SessionKey, SessionRecord, SessionStore, StoreError, Version, Versioned,
};

/// How long a deleted session's key stays unusable: longer than any request runs.
const TOMBSTONE_SECS: i64 = 3_600;

impl SessionStore for SqliteStore {
    fn create(&self, key: SessionKey, record: SessionRecord) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(async move {
            check_size(&record)?;
            self.write(PowerCut, move |connection, now| create(connection, now, key, &record))
                .await
        })
    }

    fn get(&self, key: SessionKey) -> BoxFuture<'_, Result<Option<Versioned<SessionRecord>>, StoreError>> {
        Box::pin(self.read(move |connection, now| get(connection, now, key)))
    }

    fn glance(&self, key: SessionKey) -> BoxFuture<'_, Result<Option<Glance>, StoreError>> {
        Box::pin(self.read_at_once(move |connection, now| glance(connection, now, key)))
    }

    fn update(
        &self,
        key: SessionKey,
        version: Version,
        record: SessionRecord,
    ) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(async move {
            check_size(&record)?;
            self.write(PowerCut, move |connection, now| {
                update(connection, now, key, version, &record)
            })
            .await
        })
    }

    fn update_fenced(
        &self,
        key: SessionKey,
        version: Version,
        fencing: u64,
        record: SessionRecord,
    ) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(async move {
            check_size(&record)?;
            self.write(PowerCut, move |connection, now| {
                // The same transaction: nobody can take the lease between the check and the write.
                let last = leases::last_fencing(connection, LeaseName::session(&key))?;
                if last != Some(fencing) {
                    return Err(absent_or(connection, now, key, StoreError::LeaseLost)?);
                }
                update(connection, now, key, version, &record)
            })
            .await
        })
    }

    fn touch(&self, key: SessionKey, idle_expires: UnixTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.write(Relaxed, move |connection, now| {
            touch(connection, now, key, idle_expires)
        }))
    }

    fn delete(&self, key: SessionKey) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let ended = self
                .write(PowerCut, move |connection, now| {
                    end(connection, now, "key = :key", key.as_bytes())
                })
                .await?;
            Ok(ended > 0)
        })
    }

    fn delete_by_subject(&self, subject: IndexKey) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write(PowerCut, move |connection, now| {
            end(connection, now, "subject_index = :key", subject.as_bytes())
        }))
    }

    fn delete_by_sid(&self, sid: IndexKey) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write(PowerCut, move |connection, now| {
            end(connection, now, "sid_index = :key", sid.as_bytes())
        }))
    }

    fn keys_by_subject(&self, subject: IndexKey) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        Box::pin(self.read(move |connection, now| {
            let mut statement = connection.prepare_cached(
                "SELECT key FROM sessions
                 WHERE subject_index = ?1 AND sealed IS NOT NULL AND idle_expires > ?2
                 ORDER BY created, key",
            )?;
            let keys = statement.query_map((subject.as_bytes(), now.as_secs()), |row| {
                row.get(0).map(SessionKey::from_bytes)
            })?;
            Ok(keys.collect::<Result<_, _>>()?)
        }))
    }
}

/// Removes sessions and tombstones whose time is over.
pub(super) fn purge(connection: &Connection, now: UnixTime, limit: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE idle_expires <= ?1 LIMIT ?2)",
        )?
        .execute((now.as_secs(), limit))
}

fn create(
    connection: &Connection,
    now: UnixTime,
    key: SessionKey,
    record: &SessionRecord,
) -> Result<Version, StoreError> {
    let created = connection
        .prepare_cached(
            "INSERT INTO sessions (key, version, sealed, subject_index, sid_index, created, idle_expires, expires)
             VALUES (:key, 1, :sealed, :subject, :sid, :created, min(:idle_expires, :expires), :expires)
             ON CONFLICT (key) DO NOTHING
             RETURNING version",
        )?
        .query_row(
            named_params! {
                ":key": key.as_bytes(),
                ":sealed": record.sealed,
                ":subject": record.subject_index.as_ref().map(IndexKey::as_bytes),
                ":sid": record.sid_index.as_ref().map(IndexKey::as_bytes),
                ":created": record.created.as_secs(),
                ":idle_expires": record.idle_expires.as_secs(),
                ":expires": record.expires.as_secs(),
            },
            version_of,
        )
        .optional()?;
    match created {
        Some(version) => Ok(version),
        None => Err(absent_or(connection, now, key, StoreError::Conflict)?),
    }
}

fn get(
    connection: &Connection,
    now: UnixTime,
    key: SessionKey,
) -> Result<Option<Versioned<SessionRecord>>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT version, sealed, subject_index, sid_index, created, idle_expires, expires FROM sessions
             WHERE key = ?1 AND sealed IS NOT NULL AND idle_expires > ?2",
        )?
        .query_row((key.as_bytes(), now.as_secs()), versioned_record)
        .optional()?;
    Ok(found)
}

fn glance(connection: &Connection, now: UnixTime, key: SessionKey) -> Result<Option<Glance>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT version, idle_expires FROM sessions INDEXED BY sessions_at_a_glance
             WHERE key = ?1 AND sealed IS NOT NULL AND idle_expires > ?2",
        )?
        .query_row((key.as_bytes(), now.as_secs()), |row| {
            Ok(Glance {
                version: version_of(row)?,
                idle_expires: UnixTime::from_secs(row.get(1)?),
            })
        })
        .optional()?;
    Ok(found)
}

/// Compare and swap. Idle time and end move one way only, whatever the caller had read.
fn update(
    connection: &Connection,
    now: UnixTime,
    key: SessionKey,
    version: Version,
    record: &SessionRecord,
) -> Result<Version, StoreError> {
    let updated = connection
        .prepare_cached(
            "UPDATE sessions SET
                 version = version + 1,
                 sealed = :sealed,
                 subject_index = :subject,
                 sid_index = :sid,
                 idle_expires = min(max(idle_expires, :idle_expires), expires, :expires),
                 expires = min(expires, :expires)
             WHERE key = :key AND version = :version AND sealed IS NOT NULL AND idle_expires > :now
             RETURNING version",
        )?
        .query_row(
            named_params! {
                ":key": key.as_bytes(),
                ":version": Number(version.as_u64()),
                ":now": now.as_secs(),
                ":sealed": record.sealed,
                ":subject": record.subject_index.as_ref().map(IndexKey::as_bytes),
                ":sid": record.sid_index.as_ref().map(IndexKey::as_bytes),
                ":idle_expires": record.idle_expires.as_secs(),
                ":expires": record.expires.as_secs(),
            },
            version_of,
        )
        .optional()?;
    match updated {
        Some(version) => Ok(version),
        None => Err(absent_or(connection, now, key, StoreError::Conflict)?),
    }
}

fn touch(connection: &Connection, now: UnixTime, key: SessionKey, idle_expires: UnixTime) -> Result<bool, StoreError> {
    let touched = connection
        .prepare_cached(
            "UPDATE sessions SET idle_expires = min(?2, expires)
             WHERE key = ?1 AND sealed IS NOT NULL AND idle_expires > ?3 AND idle_expires < min(?2, expires)",
        )?
        .execute((key.as_bytes(), idle_expires.as_secs(), now.as_secs()))?;
    Ok(touched > 0 || is_alive(connection, now, key)?)
}

/// Ends the sessions that `condition` selects: their rows become tombstones. Returns how many there were.
fn end(connection: &Connection, now: UnixTime, condition: &'static str, key: &[u8; 32]) -> Result<u64, StoreError> {
    let sql = format!(
        "UPDATE sessions SET
             version = version + 1, sealed = NULL, subject_index = NULL, sid_index = NULL,
             idle_expires = :until, expires = :until
         WHERE {condition} AND sealed IS NOT NULL AND idle_expires > :now"
    );
    let ended = connection.prepare_cached(&sql)?.execute(named_params! {
        ":key": key,
        ":now": now.as_secs(),
        ":until": now.plus(TOMBSTONE_SECS).as_secs(),
    })?;
    Ok(ended as u64)
}

/// Why nothing was written: [`StoreError::Gone`] if there is no session, else `otherwise`.
fn absent_or(
    connection: &Connection,
    now: UnixTime,
    key: SessionKey,
    otherwise: StoreError,
) -> Result<StoreError, StoreError> {
    Ok(if is_alive(connection, now, key)? {
        otherwise
    } else {
        StoreError::Gone
    })
}

fn is_alive(connection: &Connection, now: UnixTime, key: SessionKey) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sessions WHERE key = ?1 AND sealed IS NOT NULL AND idle_expires > ?2")?
        .exists((key.as_bytes(), now.as_secs()))
}

fn version_of(row: &Row<'_>) -> rusqlite::Result<Version> {
    let Number(number) = row.get("version")?;
    Ok(Version::from_u64(number))
}

fn versioned_record(row: &Row<'_>) -> rusqlite::Result<Versioned<SessionRecord>> {
    Ok(Versioned {
        version: version_of(row)?,
        value: SessionRecord {
            sealed: row.get(1)?,
            subject_index: row.get::<_, Option<[u8; 32]>>(2)?.map(IndexKey::from_bytes),
            sid_index: row.get::<_, Option<[u8; 32]>>(3)?.map(IndexKey::from_bytes),
            created: UnixTime::from_secs(row.get(4)?),
            idle_expires: UnixTime::from_secs(row.get(5)?),
            expires: UnixTime::from_secs(row.get(6)?),
        },
    })
}
