//! Logins of people at the command line: RFC 8252 on this machine, RFC 8628 on another device. What comes of one is
//! kept sealed in a file, and its access tokens are handed out to scripts.

mod kept;
mod key;
mod keyring;
mod party;
mod place;
mod problem;
mod sign_in;
mod tokens;

pub(crate) use kept::{Access, Kept, Target};
pub(crate) use key::{Key, Wanted};
pub(crate) use party::Party;
pub(crate) use place::Place;
pub(crate) use problem::Problem;
pub(crate) use sign_in::{Asked, Shown, on_another_device, on_this_machine};
pub(crate) use tokens::{Ask, Bearer, Revoked, Tokens};
