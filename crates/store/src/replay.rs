//! Replay marks: a thing that may be used once is remembered until it would be refused anyway.

use std::fmt::Debug;

use portcullis_jose::UnixTime;

use crate::{BoxFuture, StoreError};

/// How much longer than `expires` a mark is kept: whoever checks the lifetime allows for clocks that
/// differ, and a thing accepted just after its time must not be accepted twice.
pub const REPLAY_MARGIN_SECS: i64 = 300;

/// Remembers what was used.
pub trait ReplayStore: Send + Sync + Debug {
    /// Marks `id` as used for `purpose`: `true` for the first one who asks, `false` for all others.
    ///
    /// Only a hash of the two is stored. An error means *unknown*: refuse the thing, do not accept it.
    fn mark(&self, purpose: &str, id: &[u8], expires: UnixTime) -> BoxFuture<'_, Result<bool, StoreError>>;
}
