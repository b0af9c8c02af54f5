//! Leases in Redis, by the server's clock: replicas whose clocks differ agree on who has one.

use super::RedisStore;
use crate::{BoxFuture, Lease, LeaseName, LeaseStore, StoreError};

/// How long an expired lease's number is remembered; a holder that comes later than this is refused as well.
const REMEMBERED_SECS: i64 = 3_600;

impl LeaseStore for RedisStore {
    fn acquire(
        &self,
        name: LeaseName,
        holder: &str,
        ttl_secs: u32,
    ) -> BoxFuture<'_, Result<Option<Lease>, StoreError>> {
        let holder = holder.to_owned();
        Box::pin(async move {
            let key = self.lease(&name);
            let now = self.clock.now();
            let given: Option<(u64, bool)> = self
                .link
                .script(|attempt| {
                    let mut call = self.scripts.acquire.key(&key);
                    call.arg(&holder).arg(ttl_secs).arg(REMEMBERED_SECS).arg(attempt);
                    call
                })
                .await?;
            Ok(given.map(|(fencing, lapsed)| Lease {
                name,
                fencing,
                expires: now.plus(i64::from(ttl_secs)),
                lapsed,
            }))
        })
    }

    fn extend(&self, lease: &Lease, ttl_secs: u32) -> BoxFuture<'_, Result<bool, StoreError>> {
        let (key, fencing) = (self.lease(&lease.name), lease.fencing);
        Box::pin(async move {
            self.link
                .script(|_| {
                    let mut call = self.scripts.extend.key(&key);
                    call.arg(fencing).arg(ttl_secs).arg(REMEMBERED_SECS);
                    call
                })
                .await
        })
    }

    fn release(&self, lease: Lease) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let key = self.lease(&lease.name);
            self.link
                .script(|_| {
                    let mut call = self.scripts.release.key(&key);
                    call.arg(lease.fencing);
                    call
                })
                .await
        })
    }
}

impl RedisStore {
    pub(super) fn lease(&self, name: &LeaseName) -> String {
        self.names.key(name.as_bytes(), "lease")
    }
}
