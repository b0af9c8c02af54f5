//! What somebody who looks after the store wants to know of it.

use std::collections::BTreeMap;

use portcullis_jose::UnixTime;

use super::RedisStore;
use crate::{KeyId, Sealer, ServerFacts, StoreError};

/// So many keys are asked for at a time, so many times at most, and so many sessions are enough.
const SCAN: (usize, usize) = (500, 20);
const ENOUGH: u64 = 1_000;

impl RedisStore {
    /// What the server says of itself; of a cluster, nothing is known. Of many sessions, about a thousand are looked
    /// at.
    ///
    /// # Errors
    /// [`StoreError`], where it does not answer or may not be asked.
    pub async fn facts(&self) -> Result<ServerFacts, StoreError> {
        let told: String = self.link.command(&redis::cmd("INFO")).await?;
        let value = |name: &str| {
            let mut lines = told.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(found, _)| *found == name).map(|(_, value)| value.trim())
        };
        let number = |name: &str| value(name).and_then(|value| value.parse::<u64>().ok());
        let (now, _): (i64, i64) = self.link.command(&redis::cmd("TIME")).await?;
        let (sealing_keys, all_sessions) = self.sealing_keys().await?;
        let policy = value("maxmemory_policy").filter(|policy| *policy != "noeviction");
        Ok(ServerFacts {
            version: value("redis_version").unwrap_or("of an unknown version").to_owned(),
            now: UnixTime::from_secs(now),
            used: number("used_memory").unwrap_or_default(),
            limit: number("maxmemory").filter(|limit| *limit > 0),
            evicts: policy.map(str::to_owned),
            sealing_keys,
            all_sessions,
        })
    }

    /// The keys, and whether every session was looked at.
    async fn sealing_keys(&self) -> Result<(Vec<(KeyId, u64)>, bool), StoreError> {
        let mut found: BTreeMap<[u8; 4], (KeyId, u64)> = BTreeMap::new();
        let mut cursor = 0_u64;
        for _ in 0..SCAN.1 {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(self.names.sessions());
            let (next, keys): (u64, Vec<String>) = self.link.command(scan.arg("COUNT").arg(SCAN.0)).await?;
            for key in keys {
                let mut get = redis::cmd("HMGET");
                let fields: (Option<Vec<u8>>, Option<i64>) =
                    self.link.command(get.arg(key).arg("sealed").arg("idle")).await?;
                if let (Some(sealed), Some(idle)) = fields
                    && idle > self.now()
                    && let Some(id) = Sealer::key_of(&sealed)
                {
                    found.entry(*id.as_bytes()).or_insert((id, 0)).1 += 1;
                }
            }
            cursor = next;
            let sessions: u64 = found.values().map(|(_, sessions)| sessions).sum();
            if cursor == 0 || sessions >= ENOUGH {
                break;
            }
        }
        Ok((found.into_values().collect(), cursor == 0))
    }
}
