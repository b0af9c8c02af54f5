//! The whole system on free loopback ports: real servers, real requests, other people's programs.
#![cfg(test)]

mod corpus;
mod demo;
mod examples;
mod gateway;
mod guard_examples;
mod interop;
mod reqwest_tokens;
mod userinfo;
