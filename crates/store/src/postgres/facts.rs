//! What somebody who looks after the store wants to know of it.

use portcullis_jose::UnixTime;

use super::{PostgresStore, unsigned};
use crate::{Sealer, ServerFacts, StoreError};

impl PostgresStore {
    /// What the server says of itself.
    ///
    /// # Errors
    /// [`StoreError`], where it does not answer or may not be asked.
    pub async fn facts(&self) -> Result<ServerFacts, StoreError> {
        let rows = self
            .pool
            .query(
                "SELECT current_setting('server_version'), floor(extract(epoch FROM clock_timestamp()))::bigint,
                        pg_database_size(current_database())",
                &[],
            )
            .await?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::corrupt("the server says nothing of itself"))?;
        let unreadable = |error: tokio_postgres::Error| StoreError::corrupt(error.to_string());
        let (version, now): (String, i64) = (row.try_get(0).map_err(unreadable)?, row.try_get(1).map_err(unreadable)?);
        let used = unsigned(row.try_get(2).map_err(unreadable)?)?;
        let rows = self
            .pool
            .query(
                "SELECT substring(sealed FROM 1 FOR 5), count(*) FROM portcullis_sessions
                 WHERE sealed IS NOT NULL AND idle_expires > $1 GROUP BY 1 ORDER BY 1",
                &[&self.now()],
            )
            .await?;
        let mut sealing_keys = Vec::new();
        for row in &rows {
            let opening: Vec<u8> = row.try_get(0).map_err(unreadable)?;
            let id = Sealer::key_of(&opening).ok_or_else(|| StoreError::corrupt("a session was not sealed by us"))?;
            sealing_keys.push((id, unsigned(row.try_get(1).map_err(unreadable)?)?));
        }
        Ok(ServerFacts {
            version,
            now: UnixTime::from_secs(now),
            used,
            limit: None,
            evicts: None,
            sealing_keys,
            all_sessions: true,
        })
    }
}
