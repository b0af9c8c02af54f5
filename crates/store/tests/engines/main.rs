//! The contract, run by each engine against the real thing; and what is each engine's own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are outside a test for the lint"
)]

mod on_postgres;
mod on_redis;
mod sqlite;
