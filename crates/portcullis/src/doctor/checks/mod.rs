//! The checks, area by area.

mod address;
mod apis;
mod certificate;
mod clients;
mod connection;
mod discovery;
mod gateway;
mod keys;
mod provider;
mod store;

pub(crate) use address::{ask, parse};
pub(super) use apis::api;
pub(super) use clients::{client, login};
pub(super) use gateway::gateway;
pub(super) use provider::provider;
pub(super) use store::store;
