//! A strict reading of JSON: one value, no repeated member at any depth, bounded depth, UTF-8 throughout.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// A JSON value whose objects have no repeated member.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number
    Number(serde_json::Number),
    /// A string
    String(String),
    /// An array
    Array(Vec<Value>),
    /// An object
    Object(Object),
}

impl Value {
    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The items of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Value::Array(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// The members of an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        if let Value::Object(object) = self {
            Some(object)
        } else {
            None
        }
    }

    /// The value of `true` or `false`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    /// The kind, in the words of RFC 8259: `null`, `boolean`, `number`, `string`, `array` or `object`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
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
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::String(text) => text.as_str().into(),
            Value::Array(items) => items.iter().map(Value::to_json).collect::<Vec<_>>().into(),
            Value::Object(object) => object.to_json(),
        }
    }
}

/// The members of a JSON object, in the order of the text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// The member of exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The same as a [`serde_json::Value`].
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::Value::Object(
            self.iter()
                .map(|(key, value)| (key.to_owned(), value.to_json()))
                .collect(),
        )
    }
}

/// Why a text is not the JSON that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonFault {
    Syntax,
    NotAnObject,
    RepeatedMember(String),
    TooDeep,
    NumberRange,
}

/// Reads `text` as one JSON object of at most `max_depth` levels.
pub(crate) fn parse_object(text: &[u8], max_depth: usize) -> Result<Object, JsonFault> {
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Reader {
        depth_left: max_depth,
        fault: &fault,
    }
    .deserialize(&mut reader)
    .and_then(|value| reader.end().map(|()| value))
    .map_err(|error| fault.take().unwrap_or_else(|| classify(&error)))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(JsonFault::NotAnObject),
    }
}

fn classify(error: &serde_json::Error) -> JsonFault {
    // serde_json has no kind of its own for a number such as 1e400; its text is stable.
    if error.to_string().starts_with("number out of range") {
        JsonFault::NumberRange
    } else {
        JsonFault::Syntax
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    depth_left: usize,
    fault: &'a Cell<Option<JsonFault>>,
}

impl Reader<'_> {
    fn fail<E: de::Error>(&self, fault: JsonFault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Reader { depth_left, ..self }),
            None => Err(self.fail(JsonFault::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| self.fail(JsonFault::NumberRange))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        // Few members are compared one by one; beyond that a set keeps a hostile object from costing squares.
        const FEW: usize = 24;
        let inner = self.deeper()?;
        let mut members: Vec<(String, Value)> = Vec::with_capacity(8);
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let repeated = if members.len() < FEW {
                members.iter().any(|(key, _)| *key == name)
            } else {
                if seen.is_empty() {
                    seen.extend(members.iter().map(|(key, _)| key.clone()));
                }
                !seen.insert(name.clone())
            };
            if repeated {
                return Err(self.fail(JsonFault::RepeatedMember(name)));
            }
            let value = map.next_value_seed(inner)?;
            members.push((name, value));
        }
        Ok(Value::Object(Object(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &[u8]) -> JsonFault {
        parse_object(text, 4).unwrap_err()
    }

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#"{"a":[1,-2,3.5,true,null,{"b":"\u00e9"}],"c":""}"#;
        let ours = parse_object(text.as_bytes(), 4).unwrap();
        assert_eq!(ours.to_json(), serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert_eq!(ours.get("c").and_then(Value::as_str), Some(""));
    }

    #[test]
    fn refuses_repeated_members_at_any_depth_however_spelled() {
        assert_eq!(fault(br#"{"a":1,"a":2}"#), JsonFault::RepeatedMember("a".into()));
        assert_eq!(fault(br#"{"a":1,"\u0061":2}"#), JsonFault::RepeatedMember("a".into()));
        assert_eq!(fault(br#"{"x":{"a":1,"a":2}}"#), JsonFault::RepeatedMember("a".into()));
        let many = (0..100).map(|i| format!("\"m{i}\":0")).collect::<Vec<_>>().join(",");
        assert!(parse_object(format!("{{{many}}}").as_bytes(), 4).is_ok());
        assert_eq!(
            fault(format!("{{{many},\"m0\":1}}").as_bytes()),
            JsonFault::RepeatedMember("m0".into())
        );
        assert_eq!(
            fault(format!("{{{many},\"m99\":1}}").as_bytes()),
            JsonFault::RepeatedMember("m99".into())
        );
    }

    #[test]
    fn refuses_what_is_not_one_object_of_utf8() {
        for text in [
            &b""[..],
            b"null",
            b"[]",
            b"1",
            b"{\"a\":1}x",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\\ud800\"}",
            b"{/**/}",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"{\"a\":\"\x01\"}",
            b"{\"a\":\"\xc0\xae\"}",
        ] {
            assert!(
                matches!(fault(text), JsonFault::Syntax | JsonFault::NotAnObject),
                "{text:?}"
            );
        }
        assert_eq!(fault(br#"{"a":1e400}"#), JsonFault::NumberRange);
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse_object(br#"{"a":{"b":{"c":[]}}}"#, 4).is_ok());
        assert_eq!(fault(br#"{"a":{"b":{"c":[[]]}}}"#), JsonFault::TooDeep);
    }
}
