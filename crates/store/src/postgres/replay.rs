//! Replay marks in PostgreSQL.

use portcullis_jose::UnixTime;

use super::PostgresStore;
use crate::key::labelled_hash;
use crate::{BoxFuture, REPLAY_MARGIN_SECS, ReplayStore, StoreError};

/// Removes marks whose time is over.
pub(super) const PURGE: &str = "DELETE FROM portcullis_replay_marks WHERE id IN
    (SELECT id FROM portcullis_replay_marks WHERE expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

impl ReplayStore for PostgresStore {
    fn mark(&self, purpose: &str, id: &[u8], expires: UnixTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        let id = labelled_hash("portcullis replay mark", &[purpose.as_bytes(), id]);
        Box::pin(async move {
            let now = self.clock.now();
            // A mark for a thing that has expired already is kept for the margin all the same.
            let until = expires.max(now).plus(REPLAY_MARGIN_SECS);
            let first = self
                .pool
                .execute(
                    "INSERT INTO portcullis_replay_marks AS mark (id, expires) VALUES ($1, $2)
                     ON CONFLICT (id) DO UPDATE SET expires = excluded.expires WHERE mark.expires <= $3",
                    &[&id.as_slice(), &until.as_secs(), &now.as_secs()],
                )
                .await?;
            Ok(first > 0)
        })
    }
}
