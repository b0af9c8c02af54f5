//! Revocations in Redis: all of them in one slot, since their order matters.

use super::RedisStore;
use crate::key::labelled_hash;
use crate::{BoxFuture, Revocation, RevocationStore, StoreError};

/// Entries that one script removes at most, so that others get their turn.
const CHUNK: u64 = 1_000;

impl RevocationStore for RedisStore {
    fn add(&self, revocation: Revocation) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let body = serde_json::to_string(&revocation)
                .map_err(|error| StoreError::corrupt(format!("the revocation cannot be written: {error}")))?;
            let (list, ends, sequence) = (self.part("list"), self.part("ends"), self.part("sequence"));
            // Sent twice, it may be entered twice, which means the same.
            self.link
                .script(|_| {
                    let mut call = self.scripts.revoke.key(&list);
                    call.key(&ends)
                        .key(&sequence)
                        .arg(revocation.expires.as_secs())
                        .arg(&body);
                    call
                })
                .await
        })
    }

    fn list_after(&self, sequence: u64) -> BoxFuture<'_, Result<Vec<(u64, Revocation)>, StoreError>> {
        Box::pin(async move {
            let mut command = redis::cmd("ZRANGEBYSCORE");
            command.arg(self.part("list")).arg(format!("({sequence}")).arg("+inf");
            let entries: Vec<String> = self.link.command(&command).await?;
            let now = self.now();
            let mut list = Vec::new();
            for entry in entries {
                let (number, expires, body) = split(&entry)
                    .ok_or_else(|| StoreError::corrupt("an entry of the list of revocations cannot be read"))?;
                if expires <= now {
                    continue;
                }
                // The parser's message would quote the entry.
                let revocation = serde_json::from_str(body).map_err(|_| {
                    StoreError::corrupt(format!(
                        "revocation {number} cannot be read; a newer version may have written it"
                    ))
                })?;
                list.push((number, revocation));
            }
            Ok(list)
        })
    }

    fn remove(&self, sequence: u64) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let (list, ends, removals) = (self.part("list"), self.part("ends"), self.part("removals"));
            self.link
                .script(|_| {
                    let mut call = self.scripts.unrevoke.key(&list);
                    call.key(&ends).key(&removals).arg(self.now()).arg(sequence);
                    call
                })
                .await
        })
    }

    fn removals(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut command = redis::cmd("GET");
            command.arg(self.part("removals"));
            let count: Option<u64> = self.link.command(&command).await?;
            Ok(count.unwrap_or_default())
        })
    }
}

impl RedisStore {
    pub(super) async fn forget_revocations(&self) -> Result<u64, StoreError> {
        let (list, ends) = (self.part("list"), self.part("ends"));
        let mut total = 0;
        loop {
            let removed: u64 = self
                .link
                .script(|_| {
                    let mut call = self.scripts.forget.key(&list);
                    call.key(&ends).arg(self.now()).arg(CHUNK);
                    call
                })
                .await?;
            total += removed;
            if removed < CHUNK {
                return Ok(total);
            }
        }
    }

    fn part(&self, kind: &str) -> String {
        self.names.key(&labelled_hash("portcullis revocations", &[]), kind)
    }
}

/// `NUMBER EXPIRES BODY`
fn split(entry: &str) -> Option<(u64, i64, &str)> {
    let (number, rest) = entry.split_once(' ')?;
    let (expires, body) = rest.split_once(' ')?;
    Some((number.parse().ok()?, expires.parse().ok()?, body))
}
