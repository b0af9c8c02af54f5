//! What is done to the text of a token.

use super::entry::Op;

/// The 64 characters in the order of their values (RFC 4648 s5).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn mutate(token: &str, op: &Op, fill: impl Fn(&str) -> String) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    match op {
        Op::Replace { value } => return fill(value),
        Op::Append { value } => return token.to_owned() + &fill(value),
        Op::Prepend { value } => return fill(value) + token,
        Op::ReplaceChar { from, to } => return token.replace(from.as_str(), to),
        Op::ToStandardB64 => {
            assert!(token.contains(['-', '_']), "the alphabets differ");
            return standard(token);
        }
        Op::DropPart { index } => drop(parts.remove(*index)),
        Op::Insert { part, pos, value } => {
            let text = &mut parts[*part];
            let at = usize::try_from(*pos).unwrap_or(text.len());
            text.insert_str(at, &fill(value));
        }
        Op::SetTrailingBits { part } => {
            let text = &mut parts[*part];
            assert_ne!(text.len() % 4, 0, "the part has bits to spare");
            let last = text.pop().unwrap();
            let value = ALPHABET.iter().position(|c| char::from(*c) == last).unwrap();
            text.push(char::from(ALPHABET[value | 1]));
        }
        Op::Pad { part } => {
            let text = &mut parts[*part];
            assert_ne!(text.len() % 4, 0, "the part needs padding");
            text.push_str(&"=".repeat(4 - text.len() % 4));
        }
        Op::SwapParts { a, b } => parts.swap(*a, *b),
        Op::Shorten { part, by } => {
            let text = &mut parts[*part];
            text.truncate(text.len() - by);
        }
    }
    parts.join(".")
}

/// The part whose length must not be a multiple of three bytes for the change to be one.
pub(super) fn needs_spare_bits(op: &Op) -> Option<usize> {
    match op {
        Op::SetTrailingBits { part } | Op::Pad { part } => Some(*part),
        _ => None,
    }
}

/// The signature in the alphabet of the rest.
pub(super) fn alphabet_of(signature: &str, op: Option<&Op>) -> String {
    match op {
        Some(Op::ToStandardB64) => standard(signature),
        _ => signature.to_owned(),
    }
}

fn standard(text: &str) -> String {
    text.replace('-', "+").replace('_', "/")
}
