//! What is refused although it would be valid: in memory for every request, in the store for the next start.

mod durable;
mod kind;
mod list;
mod stale;

pub use durable::Revocations;
pub(crate) use durable::unavailable;
pub(crate) use list::Handles;
#[cfg(test)]
pub(crate) use list::RevocationList;
pub(crate) use stale::Stale;
pub use stale::StaleRevocations;
