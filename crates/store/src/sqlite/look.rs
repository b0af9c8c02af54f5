//! What somebody who looks after the store wants to know of it.

use rusqlite::named_params;

use super::SqliteStore;
use super::number::Number;
use crate::{KeyId, Sealer, StoreError};

impl SqliteStore {
    /// The version of the file's schema.
    ///
    /// # Errors
    /// [`StoreError`], where the file cannot be read.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        self.read(|connection, _| Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?))
            .await
    }

    /// Which keys sealed the sessions that are alive, and how many each.
    ///
    /// # Errors
    /// [`StoreError`], where the file cannot be read.
    pub async fn sealing_keys(&self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        self.read(|connection, now| {
            let mut statement = connection.prepare(
                "SELECT substr(sealed, 1, 5), count(*) FROM sessions
                 WHERE sealed IS NOT NULL AND idle_expires > :now GROUP BY 1 ORDER BY 1",
            )?;
            let rows = statement.query_map(named_params! { ":now": now.as_secs() }, |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Number>(1)?.0))
            })?;
            let mut keys = Vec::new();
            for row in rows {
                let (opening, sessions) = row?;
                let id =
                    Sealer::key_of(&opening).ok_or_else(|| StoreError::corrupt("a session was not sealed by us"))?;
                keys.push((id, sessions));
            }
            Ok(keys)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_jose::{Clock, ManualClock, UnixTime};

    use super::*;
    use crate::{KeyRing, SealingKey, SessionKey, SessionRecord, SessionStore};

    #[tokio::test]
    async fn the_keys_of_sessions_that_are_alive_are_counted() {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(1_000)));
        let store = SqliteStore::in_memory(clock.clone()).unwrap();
        assert_eq!(store.schema_version().await.unwrap(), 2);
        assert_eq!(store.sealing_keys().await.unwrap(), []);
        let keys = [SealingKey::generate(), SealingKey::generate()];
        let mut expected = Vec::new();
        for (index, key) in keys.into_iter().enumerate() {
            let id = key.id();
            let sealer = Sealer::new(&KeyRing::from_keys(vec![key]).unwrap(), "session").unwrap();
            for number in 0..=index {
                let session = SessionKey::from_cookie(&format!("{index} {number}"));
                let now = clock.now();
                let record = SessionRecord {
                    sealed: sealer.seal(session.as_bytes(), b"tokens").unwrap(),
                    subject_index: None,
                    sid_index: None,
                    created: now,
                    idle_expires: now.plus(60),
                    expires: now.plus(60),
                };
                store.create(session, record).await.unwrap();
            }
            expected.push((id, index as u64 + 1));
        }
        expected.sort_by_key(|(id, _)| *id.as_bytes());
        assert_eq!(store.sealing_keys().await.unwrap(), expected);
        clock.advance(61);
        assert_eq!(store.sealing_keys().await.unwrap(), []);
    }
}
