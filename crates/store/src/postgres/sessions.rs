//! Sessions in PostgreSQL.

use portcullis_jose::UnixTime;
use tokio_postgres::Row;

use super::{PostgresStore, number, unsigned};
use crate::session::check_size;
use crate::{
    BoxFuture, Glance, IndexKey, LeaseName, SessionKey, SessionRecord, SessionStore, StoreError, Version, Versioned,
};

/// How long a deleted session's key stays unusable: longer than any request runs.
const TOMBSTONE_SECS: i64 = 3_600;

const ALIVE: &str = "SELECT 1 FROM portcullis_sessions WHERE key = $1 AND sealed IS NOT NULL AND idle_expires > $2";

/// Removes sessions and tombstones whose time is over.
pub(super) const PURGE: &str = "DELETE FROM portcullis_sessions WHERE key IN
    (SELECT key FROM portcullis_sessions WHERE idle_expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

impl SessionStore for PostgresStore {
    fn create(&self, key: SessionKey, record: SessionRecord) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(async move {
            check_size(&record)?;
            let rows = self
                .pool
                .query(
                    "INSERT INTO portcullis_sessions
                         (key, version, sealed, subject_index, sid_index, created, idle_expires, expires)
                     VALUES ($1, 1, $2, $3, $4, $5, least($6::bigint, $7::bigint), $7)
                     ON CONFLICT (key) DO NOTHING
                     RETURNING version",
                    &[
                        &key.as_bytes().as_slice(),
                        &record.sealed,
                        &index(record.subject_index.as_ref()),
                        &index(record.sid_index.as_ref()),
                        &record.created.as_secs(),
                        &record.idle_expires.as_secs(),
                        &record.expires.as_secs(),
                    ],
                )
                .await?;
            match rows.first() {
                Some(row) => version(row),
                None => Err(self.absent_or(key, StoreError::Conflict).await?),
            }
        })
    }

    fn get(&self, key: SessionKey) -> BoxFuture<'_, Result<Option<Versioned<SessionRecord>>, StoreError>> {
        Box::pin(async move {
            let rows = self
                .pool
                .read(
                    "SELECT version, sealed, subject_index, sid_index, created, idle_expires, expires
                     FROM portcullis_sessions WHERE key = $1 AND sealed IS NOT NULL AND idle_expires > $2",
                    &[&key.as_bytes().as_slice(), &self.now()],
                )
                .await?;
            rows.first().map(versioned_record).transpose()
        })
    }

    fn glance(&self, key: SessionKey) -> BoxFuture<'_, Result<Option<Glance>, StoreError>> {
        Box::pin(async move {
            let rows = self
                .pool
                .read(
                    "SELECT version, idle_expires FROM portcullis_sessions
                     WHERE key = $1 AND sealed IS NOT NULL AND idle_expires > $2",
                    &[&key.as_bytes().as_slice(), &self.now()],
                )
                .await?;
            let glance = |row: &Row| {
                Ok(Glance {
                    version: version(row)?,
                    idle_expires: UnixTime::from_secs(field(row, 1)?),
                })
            };
            rows.first().map(glance).transpose()
        })
    }

    fn update(
        &self,
        key: SessionKey,
        version: Version,
        record: SessionRecord,
    ) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(self.replace(key, version, None, record))
    }

    fn update_fenced(
        &self,
        key: SessionKey,
        version: Version,
        fencing: u64,
        record: SessionRecord,
    ) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(self.replace(key, version, Some(fencing), record))
    }

    fn touch(&self, key: SessionKey, idle_expires: UnixTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let touched = self
                .pool
                .execute(
                    "UPDATE portcullis_sessions SET idle_expires = greatest(idle_expires, least($2::bigint, expires))
                     WHERE key = $1 AND sealed IS NOT NULL AND idle_expires > $3",
                    &[&key.as_bytes().as_slice(), &idle_expires.as_secs(), &self.now()],
                )
                .await?;
            Ok(touched > 0)
        })
    }

    fn delete(&self, key: SessionKey) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let ended = self.finish(
                "UPDATE portcullis_sessions SET version = version + 1, sealed = NULL, subject_index = NULL,
                     sid_index = NULL, idle_expires = $3, expires = $3
                 WHERE key = $1 AND sealed IS NOT NULL AND idle_expires > $2",
                key.as_bytes(),
            );
            Ok(ended.await? > 0)
        })
    }

    fn delete_by_subject(&self, subject: IndexKey) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            self.finish(
                "UPDATE portcullis_sessions SET version = version + 1, sealed = NULL, subject_index = NULL,
                     sid_index = NULL, idle_expires = $3, expires = $3
                 WHERE subject_index = $1 AND sealed IS NOT NULL AND idle_expires > $2",
                subject.as_bytes(),
            )
            .await
        })
    }

    fn delete_by_sid(&self, sid: IndexKey) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            self.finish(
                "UPDATE portcullis_sessions SET version = version + 1, sealed = NULL, subject_index = NULL,
                     sid_index = NULL, idle_expires = $3, expires = $3
                 WHERE sid_index = $1 AND sealed IS NOT NULL AND idle_expires > $2",
                sid.as_bytes(),
            )
            .await
        })
    }

    fn keys_by_subject(&self, subject: IndexKey) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        Box::pin(async move {
            let rows = self
                .pool
                .read(
                    "SELECT key FROM portcullis_sessions
                     WHERE subject_index = $1 AND sealed IS NOT NULL AND idle_expires > $2
                     ORDER BY created, key",
                    &[&subject.as_bytes().as_slice(), &self.now()],
                )
                .await?;
            let keys = rows
                .iter()
                .map(|row| hash(row.try_get(0).ok()).map(SessionKey::from_bytes));
            keys.collect()
        })
    }
}

impl PostgresStore {
    /// Compare and swap. Idle time and end move one way only, whatever the caller had read.
    async fn replace(
        &self,
        key: SessionKey,
        version_read: Version,
        fencing: Option<u64>,
        record: SessionRecord,
    ) -> Result<Version, StoreError> {
        check_size(&record)?;
        let lease = LeaseName::session(&key);
        // The lease's row stays locked until this is written: nobody takes it over in between.
        let rows = self
            .pool
            .query(
                "WITH lease AS MATERIALIZED
                     (SELECT fencing FROM portcullis_leases WHERE name = $1 FOR SHARE),
                 found AS MATERIALIZED
                     (SELECT version FROM portcullis_sessions
                      WHERE key = $2 AND sealed IS NOT NULL AND idle_expires > $3 FOR UPDATE),
                 held AS
                     (SELECT $4::bigint IS NULL OR EXISTS (SELECT FROM lease WHERE fencing = $4::bigint) AS yes),
                 changed AS
                     (UPDATE portcullis_sessions SET
                          version = version + 1,
                          sealed = $6,
                          subject_index = $7,
                          sid_index = $8,
                          idle_expires = least(greatest(idle_expires, $9::bigint), expires, $10::bigint),
                          expires = least(expires, $10::bigint)
                      WHERE key = $2 AND version = $5 AND sealed IS NOT NULL AND idle_expires > $3
                            AND (SELECT yes FROM held)
                      RETURNING version)
                 SELECT (SELECT version FROM changed), EXISTS (SELECT FROM found), (SELECT yes FROM held)",
                &[
                    &lease.as_bytes().as_slice(),
                    &key.as_bytes().as_slice(),
                    &self.now(),
                    &fencing.map(number),
                    &number(version_read.as_u64()),
                    &record.sealed,
                    &index(record.subject_index.as_ref()),
                    &index(record.sid_index.as_ref()),
                    &record.idle_expires.as_secs(),
                    &record.expires.as_secs(),
                ],
            )
            .await?;
        let row = rows.first().ok_or_else(broken)?;
        match (
            field::<Option<i64>>(row, 0)?,
            field::<bool>(row, 1)?,
            field::<bool>(row, 2)?,
        ) {
            (Some(version), ..) => Ok(Version::from_u64(unsigned(version)?)),
            (None, false, _) => Err(StoreError::Gone),
            (None, true, false) => Err(StoreError::LeaseLost),
            (None, true, true) => Err(StoreError::Conflict),
        }
    }

    /// Ends the sessions that a statement selects: their rows become tombstones.
    async fn finish(&self, sql: &'static str, key: &[u8; 32]) -> Result<u64, StoreError> {
        let now = self.now();
        self.pool
            .execute(sql, &[&key.as_slice(), &now, &(now + TOMBSTONE_SECS)])
            .await
    }

    /// Why nothing was written: [`StoreError::Gone`] if there is no session, else `otherwise`.
    async fn absent_or(&self, key: SessionKey, otherwise: StoreError) -> Result<StoreError, StoreError> {
        let alive = self
            .pool
            .read(ALIVE, &[&key.as_bytes().as_slice(), &self.now()])
            .await?;
        Ok(if alive.is_empty() { StoreError::Gone } else { otherwise })
    }
}

fn index(key: Option<&IndexKey>) -> Option<&[u8]> {
    key.map(|key| key.as_bytes().as_slice())
}

fn version(row: &Row) -> Result<Version, StoreError> {
    unsigned(field(row, 0)?).map(Version::from_u64)
}

fn versioned_record(row: &Row) -> Result<Versioned<SessionRecord>, StoreError> {
    let index = |column| -> Result<Option<IndexKey>, StoreError> {
        let stored: Option<&[u8]> = field(row, column)?;
        stored
            .map(|stored| hash(Some(stored)).map(IndexKey::from_bytes))
            .transpose()
    };
    Ok(Versioned {
        version: version(row)?,
        value: SessionRecord {
            sealed: field(row, 1)?,
            subject_index: index(2)?,
            sid_index: index(3)?,
            created: UnixTime::from_secs(field(row, 4)?),
            idle_expires: UnixTime::from_secs(field(row, 5)?),
            expires: UnixTime::from_secs(field(row, 6)?),
        },
    })
}

fn hash(stored: Option<&[u8]>) -> Result<[u8; 32], StoreError> {
    stored.and_then(|bytes| bytes.try_into().ok()).ok_or_else(broken)
}

fn field<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(|_| broken())
}

fn broken() -> StoreError {
    StoreError::corrupt("a row of portcullis_sessions is not what it must be")
}
