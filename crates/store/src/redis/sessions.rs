//! Sessions in Redis.

use portcullis_jose::UnixTime;

use super::RedisStore;
use crate::session::check_size;
use crate::{
    BoxFuture, Glance, IndexKey, LeaseName, SessionKey, SessionRecord, SessionStore, StoreError, Version, Versioned,
};

/// How long a deleted session's key stays unusable: longer than any request runs.
const TOMBSTONE_SECS: i64 = 3_600;

/// The fields of a session that is there.
type Fields = (
    Option<u64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

impl SessionStore for RedisStore {
    fn create(&self, key: SessionKey, record: SessionRecord) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(async move {
            check_size(&record)?;
            self.remember(key, &record).await?;
            let session = self.session(&key);
            let answer: String = self
                .link
                .script(|attempt| {
                    let mut call = self.scripts.create.key(&session);
                    call.arg(self.now())
                        .arg(&record.sealed)
                        .arg(index(record.subject_index.as_ref()));
                    call.arg(index(record.sid_index.as_ref())).arg(record.created.as_secs());
                    call.arg(record.idle_expires.as_secs())
                        .arg(record.expires.as_secs())
                        .arg(attempt);
                    call
                })
                .await?;
            version(&answer)
        })
    }

    fn get(&self, key: SessionKey) -> BoxFuture<'_, Result<Option<Versioned<SessionRecord>>, StoreError>> {
        Box::pin(async move {
            let mut command = redis::cmd("HMGET");
            command.arg(self.session(&key));
            for field in ["version", "sealed", "subject", "sid", "created", "idle", "expires"] {
                command.arg(field);
            }
            let fields: Fields = self.link.command(&command).await?;
            self.read(fields)
        })
    }

    fn glance(&self, key: SessionKey) -> BoxFuture<'_, Result<Option<Glance>, StoreError>> {
        Box::pin(async move {
            let mut command = redis::cmd("HMGET");
            command.arg(self.session(&key)).arg("version").arg("idle");
            // What has ended has no version.
            let (version, idle): (Option<u64>, Option<i64>) = self.link.command(&command).await?;
            let found = version.zip(idle.map(UnixTime::from_secs));
            Ok(found
                .filter(|(_, idle_expires)| *idle_expires > self.clock.now())
                .map(|(version, idle_expires)| Glance {
                    version: Version::from_u64(version),
                    idle_expires,
                }))
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
            let session = self.session(&key);
            self.link
                .script(|_| {
                    let mut call = self.scripts.touch.key(&session);
                    call.arg(self.now()).arg(idle_expires.as_secs());
                    call
                })
                .await
        })
    }

    fn delete(&self, key: SessionKey) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.finish(key, "", &[]))
    }

    fn delete_by_subject(&self, subject: IndexKey) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.finish_all("subject", subject))
    }

    fn delete_by_sid(&self, sid: IndexKey) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.finish_all("sid", sid))
    }

    fn keys_by_subject(&self, subject: IndexKey) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for key in self.indexed("subject", subject).await? {
                // The index may name what is over, or what has moved to another subject.
                if let Some(session) = self.get(key).await?
                    && session.value.subject_index == Some(subject)
                {
                    found.push((session.value.created, *key.as_bytes()));
                }
            }
            found.sort_unstable();
            Ok(found.into_iter().map(|(_, key)| SessionKey::from_bytes(key)).collect())
        })
    }
}

impl RedisStore {
    /// A session lies where its lease does, since one script looks at both.
    fn session(&self, key: &SessionKey) -> String {
        self.names.key(LeaseName::session(key).as_bytes(), "session")
    }

    async fn replace(
        &self,
        key: SessionKey,
        version_read: Version,
        fencing: Option<u64>,
        record: SessionRecord,
    ) -> Result<Version, StoreError> {
        check_size(&record)?;
        self.remember(key, &record).await?;
        let (session, lease) = (self.session(&key), self.lease(&LeaseName::session(&key)));
        let fencing = fencing.map(|fencing| fencing.to_string()).unwrap_or_default();
        let answer: String = self
            .link
            .script(|attempt| {
                let mut call = self.scripts.update.key(&session);
                call.key(&lease)
                    .arg(self.now())
                    .arg(version_read.as_u64())
                    .arg(&fencing)
                    .arg(&record.sealed);
                call.arg(index(record.subject_index.as_ref()))
                    .arg(index(record.sid_index.as_ref()));
                call.arg(record.idle_expires.as_secs())
                    .arg(record.expires.as_secs())
                    .arg(attempt);
                call
            })
            .await?;
        version(&answer)
    }

    /// Writes the session into its indexes, ahead of the session itself: none is ever there that is in no index.
    async fn remember(&self, key: SessionKey, record: &SessionRecord) -> Result<(), StoreError> {
        let indexes = [("subject", record.subject_index), ("sid", record.sid_index)];
        for (kind, value) in indexes {
            let Some(value) = value else { continue };
            let name = self.names.key(value.as_bytes(), kind);
            let _: bool = self
                .link
                .script(|_| {
                    let mut call = self.scripts.remember.key(&name);
                    call.arg(self.now())
                        .arg(key.as_bytes().as_slice())
                        .arg(record.expires.as_secs());
                    call
                })
                .await?;
        }
        Ok(())
    }

    /// Ends a session, if `field` still holds `value`. Returns whether there was one.
    async fn finish(&self, key: SessionKey, field: &str, value: &[u8]) -> Result<bool, StoreError> {
        let session = self.session(&key);
        let ended: Option<(Vec<u8>, Vec<u8>)> = self
            .link
            .script(|_| {
                let mut call = self.scripts.finish.key(&session);
                call.arg(self.now()).arg(TOMBSTONE_SECS).arg(field).arg(value);
                call
            })
            .await?;
        let Some((subject, sid)) = ended else { return Ok(false) };
        for (kind, value) in [("subject", subject), ("sid", sid)] {
            if let Ok(value) = <[u8; 32]>::try_from(value.as_slice()) {
                let mut command = redis::cmd("ZREM");
                command.arg(self.names.key(&value, kind)).arg(key.as_bytes().as_slice());
                // The session is over. An entry that stays in an index is found to be stale by whoever reads it.
                let _ = self.link.command::<u64>(&command).await;
            }
        }
        Ok(true)
    }

    async fn finish_all(&self, kind: &'static str, value: IndexKey) -> Result<u64, StoreError> {
        let mut ended = 0;
        for key in self.indexed(kind, value).await? {
            ended += u64::from(self.finish(key, kind, value.as_bytes()).await?);
        }
        Ok(ended)
    }

    async fn indexed(&self, kind: &str, value: IndexKey) -> Result<Vec<SessionKey>, StoreError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.names.key(value.as_bytes(), kind)).arg(0).arg(-1);
        let members: Vec<Vec<u8>> = self.link.command(&command).await?;
        members
            .iter()
            .map(|member| <[u8; 32]>::try_from(member.as_slice()).map(SessionKey::from_bytes))
            .collect::<Result<_, _>>()
            .map_err(|_| StoreError::corrupt("an index holds what is no session's key"))
    }

    fn read(&self, fields: Fields) -> Result<Option<Versioned<SessionRecord>>, StoreError> {
        let (Some(version), Some(sealed), subject, sid, Some(created), Some(idle), Some(expires)) = fields else {
            return Ok(None);
        };
        if idle <= self.now() {
            return Ok(None);
        }
        Ok(Some(Versioned {
            version: Version::from_u64(version),
            value: SessionRecord {
                sealed,
                subject_index: index_key(subject)?,
                sid_index: index_key(sid)?,
                created: UnixTime::from_secs(created),
                idle_expires: UnixTime::from_secs(idle),
                expires: UnixTime::from_secs(expires),
            },
        }))
    }
}

fn index(key: Option<&IndexKey>) -> &[u8] {
    key.map_or(&[], |key| key.as_bytes().as_slice())
}

fn index_key(stored: Option<Vec<u8>>) -> Result<Option<IndexKey>, StoreError> {
    let Some(stored) = stored else { return Ok(None) };
    let bytes =
        <[u8; 32]>::try_from(stored.as_slice()).map_err(|_| StoreError::corrupt("an index has another length"))?;
    Ok(Some(IndexKey::from_bytes(bytes)))
}

/// What a script answered: a version, or why there is none.
fn version(answer: &str) -> Result<Version, StoreError> {
    match answer {
        "GONE" => Err(StoreError::Gone),
        "CONFLICT" => Err(StoreError::Conflict),
        "LEASE_LOST" => Err(StoreError::LeaseLost),
        number => number
            .parse()
            .map(Version::from_u64)
            .map_err(|_| StoreError::corrupt("a session's version is no number")),
    }
}
