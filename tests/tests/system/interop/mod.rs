//! A provider that we did not write: people log in, call, are refreshed and log out; a service calls as itself.

mod app;
mod browser;
mod keycloak;
mod people;
mod protocol;
mod provider;
mod service;

pub(crate) use browser::Browser;
