//! The command as a person runs it: real processes, their output, their exit status.
#![cfg(test)]

mod check;
mod demo;
mod explain_token;
mod inspect;
mod process;
mod revocations;
mod serve;
mod shell;
mod words;
