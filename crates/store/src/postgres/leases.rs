//! Leases in PostgreSQL, by the server's clock: replicas whose clocks differ agree on who has one.

use super::{PostgresStore, number, unsigned};
use crate::{BoxFuture, Lease, LeaseName, LeaseStore, StoreError};

/// How long an expired lease's number is remembered; a holder that comes later than this is refused as well.
pub(super) const REMEMBERED_SECS: i64 = 3_600;

/// Removes leases that ran out long ago.
pub(super) const PURGE: &str = "DELETE FROM portcullis_leases WHERE name IN
    (SELECT name FROM portcullis_leases WHERE expires <= floor(extract(epoch FROM clock_timestamp()))::bigint - $1
     LIMIT $2 FOR UPDATE SKIP LOCKED)";

impl LeaseStore for PostgresStore {
    fn acquire(
        &self,
        name: LeaseName,
        holder: &str,
        ttl_secs: u32,
    ) -> BoxFuture<'_, Result<Option<Lease>, StoreError>> {
        let holder = holder.to_owned();
        Box::pin(async move {
            let expires = self.clock.now().plus(i64::from(ttl_secs));
            // The number of a lease that is taken over is drawn when its row is locked, so it is greater than the last.
            let rows = self
                .pool
                .query(
                    "WITH before AS (SELECT holder FROM portcullis_leases WHERE name = $1),
                          time AS (SELECT floor(extract(epoch FROM clock_timestamp()))::bigint AS now)
                     INSERT INTO portcullis_leases AS held (name, fencing, holder, expires)
                     SELECT $1, nextval('portcullis_fencing'), $2, now + $3 FROM time
                     ON CONFLICT (name) DO UPDATE
                     SET fencing = nextval('portcullis_fencing'), holder = excluded.holder, expires = excluded.expires
                     WHERE held.expires <= (SELECT now FROM time)
                     RETURNING fencing, coalesce((SELECT holder <> '' FROM before), false)",
                    &[&name.as_bytes().as_slice(), &holder, &i64::from(ttl_secs)],
                )
                .await?;
            let Some(row) = rows.first() else { return Ok(None) };
            let corrupt = |_| StoreError::corrupt("a row of portcullis_leases is not what it must be");
            let fencing: i64 = row.try_get(0).map_err(corrupt)?;
            let lapsed: bool = row.try_get(1).map_err(corrupt)?;
            Ok(Some(Lease {
                name,
                fencing: unsigned(fencing)?,
                expires,
                lapsed,
            }))
        })
    }

    fn extend(&self, lease: &Lease, ttl_secs: u32) -> BoxFuture<'_, Result<bool, StoreError>> {
        let (name, fencing) = (lease.name, lease.fencing);
        Box::pin(async move {
            let extended = self
                .pool
                .execute(
                    "UPDATE portcullis_leases SET expires = floor(extract(epoch FROM clock_timestamp()))::bigint + $3
                     WHERE name = $1 AND fencing = $2 AND holder <> ''",
                    &[&name.as_bytes().as_slice(), &number(fencing), &i64::from(ttl_secs)],
                )
                .await?;
            Ok(extended > 0)
        })
    }

    fn release(&self, lease: Lease) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            // The row stays: its number is still needed to know a latecomer.
            let released = self
                .pool
                .execute(
                    "WITH time AS (SELECT floor(extract(epoch FROM clock_timestamp()))::bigint AS now)
                     UPDATE portcullis_leases SET expires = now, holder = '' FROM time
                     WHERE name = $1 AND fencing = $2 AND expires > now",
                    &[&lease.name.as_bytes().as_slice(), &number(lease.fencing)],
                )
                .await?;
            Ok(released > 0)
        })
    }
}
