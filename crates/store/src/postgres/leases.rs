//! Leases in PostgreSQL.

use super::{PostgresStore, number, unsigned};
use crate::{BoxFuture, Lease, LeaseName, LeaseStore, StoreError};

/// How long an expired lease's number is remembered; a holder that comes later than this is refused as well.
pub(super) const REMEMBERED_SECS: i64 = 3_600;

/// Removes leases that ran out long ago.
pub(super) const PURGE: &str = "DELETE FROM portcullis_leases WHERE name IN
    (SELECT name FROM portcullis_leases WHERE expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

impl LeaseStore for PostgresStore {
    fn acquire(
        &self,
        name: LeaseName,
        holder: &str,
        ttl_secs: u32,
    ) -> BoxFuture<'_, Result<Option<Lease>, StoreError>> {
        let holder = holder.to_owned();
        Box::pin(async move {
            let now = self.clock.now();
            let expires = now.plus(i64::from(ttl_secs));
            // The number of a lease that is taken over is drawn when its row is locked, so it is greater than the last.
            let rows = self
                .pool
                .query(
                    "INSERT INTO portcullis_leases AS held (name, fencing, holder, expires)
                     VALUES ($1, nextval('portcullis_fencing'), $2, $3)
                     ON CONFLICT (name) DO UPDATE
                     SET fencing = nextval('portcullis_fencing'), holder = excluded.holder, expires = excluded.expires
                     WHERE held.expires <= $4
                     RETURNING fencing",
                    &[&name.as_bytes().as_slice(), &holder, &expires.as_secs(), &now.as_secs()],
                )
                .await?;
            let Some(row) = rows.first() else { return Ok(None) };
            let fencing: i64 = row
                .try_get(0)
                .map_err(|_| StoreError::corrupt("a row of portcullis_leases is not what it must be"))?;
            Ok(Some(Lease {
                name,
                fencing: unsigned(fencing)?,
                expires,
            }))
        })
    }

    fn release(&self, lease: Lease) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            // The row stays: its number is still needed to know a latecomer.
            let released = self
                .pool
                .execute(
                    "UPDATE portcullis_leases SET expires = $3 WHERE name = $1 AND fencing = $2 AND expires > $3",
                    &[&lease.name.as_bytes().as_slice(), &number(lease.fencing), &self.now()],
                )
                .await?;
            Ok(released > 0)
        })
    }
}
