//! What is wrong, and what to do: tokens laid open, likely causes of a refusal, and checks of what a configuration
//! depends on.
//!
//! What decides is pure: a cause is a function of the token, the guard's explanation, the configuration and the clocks.
//! What asks over the network stands apart.

mod asking;
pub(crate) mod call;
pub(crate) mod causes;
mod checks;
pub(crate) mod examine;
mod finding;
pub(crate) mod inspection;
pub(crate) mod problems;
mod report;
mod run;
pub(crate) mod screen;
pub(crate) mod target;
pub(crate) mod token;
pub(crate) mod words;

pub(crate) use finding::Outcome;
pub(crate) use run::{Run, address};
