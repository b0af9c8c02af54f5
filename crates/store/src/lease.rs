//! Leases: who may do a thing now, and a number by which a latecomer is known.

use std::fmt::Debug;

use portcullis_jose::UnixTime;

use crate::{BoxFuture, LeaseName, StoreError};

/// The right to do something alone until `expires`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What the lease is for.
    pub name: LeaseName,
    /// Greater than every number that was issued for this name before.
    pub fencing: u64,
    /// From then on somebody else can have the lease.
    pub expires: UnixTime,
    /// Whether the one before it ran out and was not given back: its holder may still be at work.
    pub lapsed: bool,
}

/// Hands out leases.
///
/// A holder can be paused for longer than its lease lasts, so a lease alone protects nothing: what is
/// written under it must be guarded by its number too
/// ([`SessionStore::update_fenced`](crate::SessionStore::update_fenced)).
pub trait LeaseStore: Send + Sync + Debug {
    /// The lease, or `None` while it is held, also when `holder` itself holds it.
    ///
    /// `holder` is for people who look into the store: the replica and what it does.
    fn acquire(&self, name: LeaseName, holder: &str, ttl_secs: u32)
    -> BoxFuture<'_, Result<Option<Lease>, StoreError>>;

    /// Lets the lease last for so long from now on. Returns `false`, and changes nothing, if somebody else has had it since;
    /// one that has only run out lasts again.
    fn extend(&self, lease: &Lease, ttl_secs: u32) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Gives the lease back. Returns `false`, and changes nothing, if it was no longer ours.
    fn release(&self, lease: Lease) -> BoxFuture<'_, Result<bool, StoreError>>;
}
