//! The two bodies: what the upstream reads, and what the client reads. Neither is ever collected.

mod request;
mod response;

pub(crate) use request::{RequestBody, Upload};
pub use response::{BodyError, ProxyBody};
