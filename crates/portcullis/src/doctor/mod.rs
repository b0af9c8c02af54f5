//! What is wrong, and what to do: tokens laid open, likely causes of a refusal, and checks of what a configuration
//! depends on.
//!
//! What decides is pure: a cause is a function of the token, the guard's explanation, the configuration and the clocks.
//! What asks over the network stands apart.

mod asking;
pub(crate) mod causes;
pub(crate) mod examine;
pub(crate) mod inspection;
pub(crate) mod screen;
pub(crate) mod target;
pub(crate) mod token;
pub(crate) mod words;
