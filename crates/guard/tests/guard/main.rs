//! What whoever calls an API behind the guard sees, and what the operator is told.

mod answers;
mod axum;
mod builder;
mod cache;
mod dpop;
mod explain;
mod introspection;
mod keys;
mod memory;
mod revocation;
mod support;
