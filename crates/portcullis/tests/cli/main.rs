//! The command as a person runs it: real processes, their output, their exit status.
#![cfg(test)]

mod call;
mod check;
mod demo;
mod doctor;
mod explain;
mod explain_token;
mod failures;
mod fake;
mod fixed;
mod flat;
mod inspect;
mod keys;
mod login;
mod manual;
mod process;
mod revocations;
mod revoke;
mod secret;
mod serve;
mod shell;
mod words;
mod world;
