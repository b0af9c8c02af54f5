//! Whole flows against a provider on a real port. Each refusal stands beside the request that succeeds.
#![cfg(test)]

mod authorize;
mod client_auth;
mod client_credentials;
mod client_methods;
mod code;
mod config;
mod consent;
mod dev;
mod device;
mod discovery;
mod exchange;
mod forms;
mod introspect;
mod logout;
mod mint;
mod misbehaviour;
mod prompt;
mod refresh;
mod registration;
mod revoke;
mod scopes;
mod server;
mod support;
mod userinfo;
