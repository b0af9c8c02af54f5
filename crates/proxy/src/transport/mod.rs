//! Connections to upstreams.

mod connect;
mod connection;
mod deadline;
mod pool;
mod tls;

pub(crate) use connect::connect;
pub(crate) use connection::{Connection, SendError, judge, within};
pub(crate) use deadline::Deadline;
pub(crate) use pool::{Keep, Pool};
pub(crate) use tls::Tls;
