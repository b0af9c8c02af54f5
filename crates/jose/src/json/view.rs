//! What is handed out of an object: it borrows, and costs nothing to copy.

use std::fmt;

use super::{Node, Number, Object};

/// A JSON value whose objects have no repeated member. It borrows from the [`Object`] that it is in.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number
    Number(Number),
    /// A string
    String(&'a str),
    /// An array
    Array(Array<'a>),
    /// An object
    Object(Members<'a>),
}

/// The items of a JSON array.
#[derive(Clone, Copy)]
pub struct Array<'a> {
    object: &'a Object,
    place: usize,
}

/// The members of a JSON object, in the order of the text.
#[derive(Clone, Copy)]
pub struct Members<'a> {
    object: &'a Object,
    place: usize,
}

/// Goes through the items of an array.
#[derive(Debug, Clone)]
pub struct Items<'a>(Places<'a>);

/// Goes from value to value.
#[derive(Debug, Clone)]
struct Places<'a> {
    object: &'a Object,
    next: usize,
    end: usize,
}

// === impl Value ===

impl<'a> Value<'a> {
    /// The text of a string.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        if let Value::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The items of an array.
    #[must_use]
    pub fn as_array(self) -> Option<Array<'a>> {
        if let Value::Array(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// The members of an object.
    #[must_use]
    pub fn as_object(self) -> Option<Members<'a>> {
        if let Value::Object(members) = self {
            Some(members)
        } else {
            None
        }
    }

    /// The value of `true` or `false`.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        if let Value::Bool(value) = self {
            Some(value)
        } else {
            None
        }
    }

    /// The kind, in the words of RFC 8259: `null`, `boolean`, `number`, `string`, `array` or `object`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }
    }

    /// The same as a [`serde_json::Value`].
    #[must_use]
    pub fn to_json(self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => value.into(),
            Value::Number(number) => number.to_json(),
            Value::String(text) => text.into(),
            Value::Array(items) => items.iter().map(Value::to_json).collect::<Vec<_>>().into(),
            Value::Object(members) => members.to_json(),
        }
    }
}

// === impl Array ===

impl<'a> Array<'a> {
    pub(super) fn new(object: &'a Object, place: usize) -> Array<'a> {
        Array { object, place }
    }

    /// The items, in order.
    #[must_use]
    pub fn iter(self) -> Items<'a> {
        Items(Places::inside(self.object, self.place))
    }

    /// How many items there are.
    #[must_use]
    pub fn len(self) -> usize {
        match self.object.nodes.get(self.place) {
            Some(Node::Array { items, .. }) => *items as usize,
            _ => 0,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for Array<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

// === impl Members ===

impl<'a> Members<'a> {
    pub(super) fn new(object: &'a Object, place: usize) -> Members<'a> {
        Members { object, place }
    }

    /// The member of exactly this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        match self.place {
            0 => self.object.get(name),
            _ => self.iter().find(|(key, _)| *key == name).map(|(_, value)| value),
        }
    }

    /// All members, in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let mut places = Places::inside(self.object, self.place);
        std::iter::from_fn(move || {
            let name = places.object.name(places.next()?)?;
            Some((name, places.object.value(places.next()?)))
        })
    }

    /// How many members there are.
    #[must_use]
    pub fn len(self) -> usize {
        match self.object.nodes.get(self.place) {
            Some(Node::Object { members, .. }) => *members as usize,
            _ => 0,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The same as a [`serde_json::Value`].
    #[must_use]
    pub fn to_json(self) -> serde_json::Value {
        let members = self.iter().map(|(name, value)| (name.to_owned(), value.to_json()));
        serde_json::Value::Object(members.collect())
    }
}

impl PartialEq for Members<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

// === impl Items ===

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let place = self.0.next()?;
        Some(self.0.object.value(place))
    }
}

// === impl Places ===

impl<'a> Places<'a> {
    /// What is directly inside of an array or an object.
    fn inside(object: &'a Object, place: usize) -> Places<'a> {
        let inside = object.nodes.get(place).copied().map_or(0, Node::inside);
        Places {
            object,
            next: place + 1,
            end: place + 1 + inside,
        }
    }
}

impl Iterator for Places<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.next >= self.end {
            return None;
        }
        let place = self.next;
        self.next += 1 + self.object.nodes.get(place).copied().map_or(0, Node::inside);
        Some(place)
    }
}
