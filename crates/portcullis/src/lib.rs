//! The parts of the command `portcullis`: configuration, gateway, servers and the demo.
//!
//! The rooms that do the work are crates of their own; here they are put together. See the manual in `docs/`.

#[macro_use]
mod print;

pub mod admin;
pub mod cli;
mod client_certificate;
mod client_key;
pub mod config;
mod dates;
pub mod demo;
pub mod diagnostic;
mod doctor;
pub mod gateway;
mod login;
mod own_keys;
mod rotation;
mod secret_source;
pub mod serve;
pub mod server;
