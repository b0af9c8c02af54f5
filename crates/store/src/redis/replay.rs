//! Replay marks in Redis.

use portcullis_jose::{UnixTime, random_token};

use super::RedisStore;
use crate::key::labelled_hash;
use crate::{BoxFuture, REPLAY_MARGIN_SECS, ReplayStore, StoreError};

impl ReplayStore for RedisStore {
    fn mark(&self, purpose: &str, id: &[u8], expires: UnixTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        let id = labelled_hash("portcullis replay mark", &[purpose.as_bytes(), id]);
        Box::pin(async move {
            let (key, asks) = (self.names.key(&id, "mark"), random_token(12));
            let now = self.clock.now();
            // A mark for a thing that has expired already is kept for the margin all the same.
            let until = expires.max(now).plus(REPLAY_MARGIN_SECS);
            self.link
                .script(|attempt| {
                    let mut call = self.scripts.mark.key(&key);
                    call.arg(now.as_secs()).arg(until.as_secs()).arg(&asks).arg(attempt);
                    call
                })
                .await
        })
    }
}
