//! A token as somebody has it: the text, what it decodes to, and what kind of token it is. Nothing here is verified.

mod decoded;
mod kind;
mod personal;
mod written;

pub(crate) use decoded::{Decoded, Form};
pub(crate) use kind::Kind;
pub(crate) use personal::{MASK, is_personal, masked};
pub(crate) use written::{Slip, Written};
