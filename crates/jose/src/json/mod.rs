//! JSON as tokens and keys need it: read once and strictly, then looked at often.
//!
//! An [`Object`] is two pieces of memory, its text and a list of places in it, however many members it has; what is handed
//! out borrows from it.

mod number;
mod reader;
mod usual;
mod view;

use std::fmt;

use zeroize::Zeroize as _;

pub use number::Number;
pub(crate) use reader::parse_object;
use usual::{USUAL, usual};
pub use view::{Array, Items, Members, Value};

use crate::{Limits, Refusal};

/// A place that is too far behind to be noted.
const FAR: u8 = u8::MAX;

/// A JSON object without repeated members at any depth, in the order of its text.
#[derive(Clone, Default)]
pub struct Object {
    /// The text that was read, and behind it the strings that were written with escapes, without them.
    text: String,
    nodes: Vec<Node>,
    /// The nodes of the members that are asked for on every request; 0 for absent. They are read far more often than they
    /// are parsed, and a look at each name costs a line of the processor's cache.
    places: [u8; USUAL.len()],
}

/// A value in the order of the text. A member is two: its name and its value. What is inside of a value follows it.
#[derive(Debug, Clone, Copy)]
enum Node {
    Null,
    Bool(bool),
    Number(Number),
    String(Span),
    /// `nodes` is how many nodes there are inside, `items` how many values.
    Array {
        nodes: u32,
        items: u32,
    },
    Object {
        nodes: u32,
        members: u32,
    },
}

/// A part of the text, in bytes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
}

// === impl Object ===

impl Object {
    /// Reads one JSON object strictly (RFC 8259): no repeated member at any depth, nesting up to `limits.depth`,
    /// nothing after it. `part` is what a refusal calls the text.
    ///
    /// # Errors
    /// [`Refusal::BadJson`], [`Refusal::DuplicateMember`], [`Refusal::TooDeep`] or [`Refusal::ClaimRange`].
    pub fn parse(text: &[u8], part: &'static str, limits: &Limits) -> Result<Object, Refusal> {
        Object::of(text.to_vec(), part, limits)
    }

    /// The same, of a text that need not be copied.
    pub(crate) fn of(text: Vec<u8>, part: &'static str, limits: &Limits) -> Result<Object, Refusal> {
        parse_object(text, limits.depth).map_err(|fault| fault.refusal(part, limits))
    }

    /// The member of exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'_>> {
        match usual(name).and_then(|usual| self.places.get(usual)) {
            Some(0) => None,
            Some(&place) if place < FAR => Some(self.value(usize::from(place))),
            _ => self
                .members()
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value),
        }
    }

    /// All members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.members().iter()
    }

    /// The members, as those of an object inside of another are handed out.
    #[must_use]
    pub fn members(&self) -> Members<'_> {
        Members::new(self, 0)
    }

    /// The same as a [`serde_json::Value`].
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.members().to_json()
    }

    /// The memory that it has beside its own size, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.nodes.capacity() * size_of::<Node>()
    }

    /// Overwrites the text, after a private key was read.
    pub(crate) fn zeroize(&mut self) {
        self.text.zeroize();
    }

    fn value(&self, place: usize) -> Value<'_> {
        match self.nodes.get(place) {
            Some(Node::Bool(value)) => Value::Bool(*value),
            Some(Node::Number(number)) => Value::Number(*number),
            Some(Node::String(span)) => Value::String(self.span(*span)),
            Some(Node::Array { .. }) => Value::Array(Array::new(self, place)),
            Some(Node::Object { .. }) => Value::Object(Members::new(self, place)),
            Some(Node::Null) | None => Value::Null,
        }
    }

    /// The name at this place.
    fn name(&self, place: usize) -> Option<&str> {
        match self.nodes.get(place)? {
            Node::String(span) => Some(self.span(*span)),
            _ => None,
        }
    }

    fn span(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.members().fmt(f)
    }
}

/// The same members with the same values, in the same order.
impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.members() == other.members()
    }
}

// === impl Node ===

impl Node {
    /// How many nodes are inside.
    fn inside(self) -> usize {
        match self {
            Node::Array { nodes, .. } | Node::Object { nodes, .. } => nodes as usize,
            _ => 0,
        }
    }
}

// === impl Span ===

impl Span {
    fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

#[cfg(test)]
mod tests;
