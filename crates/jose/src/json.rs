//! A strict reading of JSON: one value, no repeated member at any depth, bounded depth, UTF-8 throughout.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Number;
use zeroize::Zeroize as _;

use crate::{Limits, Refusal};

/// A JSON value whose objects have no repeated member.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number
    Number(Number),
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
pub struct Object(Vec<(Cow<'static, str>, Value)>);

impl Object {
    /// For so many members an object that is read by itself has room from the start; one inside of another has none to
    /// spare.
    pub const ROOM: usize = 16;

    /// Reads one JSON object strictly (RFC 8259): no repeated member at any depth, nesting up to `limits.depth`,
    /// nothing after it. `part` is what a refusal calls the text.
    ///
    /// # Errors
    /// [`Refusal::BadJson`], [`Refusal::DuplicateMember`], [`Refusal::TooDeep`] or [`Refusal::ClaimRange`].
    pub fn parse(text: &[u8], part: &'static str, limits: &Limits) -> Result<Object, Refusal> {
        parse_object(text, limits.depth).map_err(|fault| fault.refusal(part, limits))
    }

    /// The member of exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The member at this place in the order of the text.
    pub(crate) fn at(&self, place: usize) -> Option<&Value> {
        self.0.get(place).map(|(_, value)| value)
    }

    /// All members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// Overwrites every text in it, after a private key was read.
    pub(crate) fn zeroize(&mut self) {
        for (_, value) in &mut self.0 {
            match value {
                Value::String(text) => text.zeroize(),
                Value::Object(inner) => inner.zeroize(),
                _ => {}
            }
        }
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

impl JsonFault {
    pub(crate) fn refusal(self, part: &'static str, limits: &Limits) -> Refusal {
        match self {
            JsonFault::Syntax | JsonFault::NotAnObject => Refusal::BadJson { part },
            JsonFault::RepeatedMember(name) => Refusal::DuplicateMember { part, name },
            JsonFault::TooDeep => Refusal::TooDeep {
                part,
                limit: limits.depth,
            },
            JsonFault::NumberRange => Refusal::ClaimRange {
                claim: "(a number)".into(),
                found: "no finite number".into(),
            },
        }
    }
}

/// Reads `text` as one JSON object of at most `max_depth` levels (RFC 8259).
///
/// A reader of our own, since the common ones pass over repeated members, and since this is on the way of every
/// token: it reads the text once and copies what has to be kept. A test compares it with `serde_json`.
pub(crate) fn parse_object(text: &[u8], max_depth: usize) -> Result<Object, JsonFault> {
    let text = std::str::from_utf8(text).map_err(|_| JsonFault::Syntax)?;
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    if reader.peek() != Some(b'{') {
        return Err(JsonFault::NotAnObject);
    }
    let object = reader.object(max_depth, Object::ROOM)?;
    reader.skip_space();
    if reader.at == text.len() {
        Ok(object)
    } else {
        Err(JsonFault::Syntax)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(JsonFault::Syntax)
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// `depth` is how many levels may be opened, this one included; `room` for how many members to make room at once.
    fn object(&mut self, depth: usize, room: usize) -> Result<Object, JsonFault> {
        let inner = depth.checked_sub(1).ok_or(JsonFault::TooDeep)?;
        self.expect(b'{')?;
        self.skip_space();
        if self.take(b'}') {
            return Ok(Object(Vec::new()));
        }
        let mut members: Vec<(Cow<'static, str>, Value)> = Vec::with_capacity(room);
        let mut names = Names::default();
        loop {
            let name = names.take(self.string()?)?;
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            let value = self.value(inner)?;
            members.push((name, value));
            self.skip_space();
            if self.take(b'}') {
                members.shrink_to(room);
                return Ok(Object(members));
            }
            self.expect(b',')?;
            self.skip_space();
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, JsonFault> {
        let inner = depth.checked_sub(1).ok_or(JsonFault::TooDeep)?;
        self.expect(b'[')?;
        self.skip_space();
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(inner)?);
            self.skip_space();
            if self.take(b']') {
                items.shrink_to_fit();
                return Ok(items);
            }
            self.expect(b',')?;
            self.skip_space();
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonFault> {
        match self.peek() {
            Some(b'"') => self.string().map(|text| Value::String(text.into_owned())),
            Some(b'{') => self.object(depth, 0).map(Value::Object),
            Some(b'[') => self.array(depth).map(Value::Array),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Result<Value, JsonFault> {
        for (word, value) in [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
        ] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(JsonFault::Syntax)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonFault> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = self.rest();
        // RFC 8259 s7: quote, backslash and control characters are all that cannot stand for themselves.
        let plain = rest
            .bytes()
            .position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20);
        let end = start + plain.ok_or(JsonFault::Syntax)?;
        self.at = end;
        let text = self.text.get(start..end).ok_or(JsonFault::Syntax)?;
        if self.take(b'"') {
            Ok(Cow::Borrowed(text))
        } else {
            self.string_with_escapes(text).map(Cow::Owned)
        }
    }

    fn string_with_escapes(&mut self, begun: &str) -> Result<String, JsonFault> {
        let mut text = begun.to_owned();
        loop {
            let mut rest = self.rest().chars();
            match rest.next().ok_or(JsonFault::Syntax)? {
                '"' => {
                    self.at += 1;
                    return Ok(text);
                }
                '\\' => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                control if control < ' ' => return Err(JsonFault::Syntax),
                plain => {
                    self.at += plain.len_utf8();
                    text.push(plain);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonFault> {
        let kind = self.peek().ok_or(JsonFault::Syntax)?;
        self.at += 1;
        Ok(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                // RFC 8259 s7: beyond the basic plane two escapes are one character; half of one is none.
                let code = if (0xd800..0xdc00).contains(&first) {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    let second = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(JsonFault::Syntax);
                    }
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                char::from_u32(code).ok_or(JsonFault::Syntax)?
            }
            _ => return Err(JsonFault::Syntax),
        })
    }

    fn hex4(&mut self) -> Result<u32, JsonFault> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(JsonFault::Syntax)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(JsonFault::Syntax);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| JsonFault::Syntax)
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            Err(JsonFault::Syntax)
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<Number, JsonFault> {
        let start = self.at;
        self.take(b'-');
        // RFC 8259 s6: no zero before other digits.
        if !self.take(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.take(b'.') {
            whole = false;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = self.text.get(start..self.at).ok_or(JsonFault::Syntax)?;
        if whole && text != "-0" {
            if let Ok(number) = text.parse::<i64>() {
                return Ok(number.into());
            }
            if let Ok(number) = text.parse::<u64>() {
                return Ok(number.into());
            }
        }
        let number = text.parse::<f64>().map_err(|_| JsonFault::Syntax)?;
        Number::from_f64(number).ok_or(JsonFault::NumberRange)
    }
}

/// The names that tokens have and that are asked for; they are not copied.
pub(crate) const USUAL: [&str; 31] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "azp",
    "sid",
    "alg",
    "typ",
    "kid",
    "acr",
    "amr",
    "scp",
    "tid",
    "oid",
    "ver",
    "name",
    "scope",
    "roles",
    "email",
    "client_id",
    "auth_time",
    "groups",
    "cnf",
    "idtyp",
    "gty",
    "nonce",
    "at_hash",
    "events",
];

/// The place of a name in [`USUAL`].
pub(crate) fn usual(name: &str) -> Option<usize> {
    Some(match name {
        "iss" => 0,
        "sub" => 1,
        "aud" => 2,
        "exp" => 3,
        "iat" => 4,
        "nbf" => 5,
        "jti" => 6,
        "azp" => 7,
        "sid" => 8,
        "alg" => 9,
        "typ" => 10,
        "kid" => 11,
        "acr" => 12,
        "amr" => 13,
        "scp" => 14,
        "tid" => 15,
        "oid" => 16,
        "ver" => 17,
        "name" => 18,
        "scope" => 19,
        "roles" => 20,
        "email" => 21,
        "client_id" => 22,
        "auth_time" => 23,
        "groups" => 24,
        "cnf" => 25,
        "idtyp" => 26,
        "gty" => 27,
        "nonce" => 28,
        "at_hash" => 29,
        "events" => 30,
        _ => return None,
    })
}

/// The names of an object so far.
#[derive(Default)]
struct Names<'a> {
    /// A bit for each of [`USUAL`].
    usual: u32,
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// Takes a name in and gives it back in the form in which it is kept; one that was there before is a fault.
    fn take(&mut self, name: Cow<'a, str>) -> Result<Cow<'static, str>, JsonFault> {
        // Few names are compared one by one; beyond that a set keeps a hostile object from costing squares.
        const FEW: usize = 24;
        if let Some((place, known)) = usual(&name).and_then(|place| Some((place, *USUAL.get(place)?))) {
            let bit = 1 << place;
            if self.usual & bit != 0 {
                return Err(JsonFault::RepeatedMember(name.into_owned()));
            }
            self.usual |= bit;
            return Ok(Cow::Borrowed(known));
        }
        let repeated = if self.few.len() < FEW {
            self.few.contains(&name)
        } else {
            if self.many.is_empty() {
                self.many.extend(self.few.iter().cloned());
            }
            !self.many.insert(name.clone())
        };
        if repeated {
            return Err(JsonFault::RepeatedMember(name.into_owned()));
        }
        let kept = Cow::Owned(name.to_string());
        if self.few.len() < FEW {
            self.few.push(name);
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &[u8]) -> JsonFault {
        parse_object(text, 4).unwrap_err()
    }

    #[test]
    fn usual_names_are_found_at_their_places() {
        for (place, name) in USUAL.into_iter().enumerate() {
            assert_eq!(usual(name), Some(place));
            let text = format!("{{\"{name}\":1,\"x\":2,\"{name}\":3}}");
            assert_eq!(
                parse_object(text.as_bytes(), 2),
                Err(JsonFault::RepeatedMember(name.to_owned()))
            );
        }
        assert_eq!(usual("Scope"), None);
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
    fn reads_numbers_and_strings_as_serde_json_does() {
        for value in [
            "0",
            "-0",
            "7",
            "-12",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "1.5",
            "-1.25e-3",
            "1E+2",
            "123456789012345678901234567890",
            "0.1",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "0x1",
            "1_0",
            "NaN",
            "Infinity",
            "1e400",
            "-1e400",
            "1e-400",
            "true",
            "false",
            "null",
            "tru",
            r#""""#,
            r#""\u00e9\ud83d\ude00\n\/\b\f\r\t\"\\""#,
            r#""\ud83d""#,
            r#""\ude00\ud83d""#,
            r#""\u12g4""#,
            r#""\x""#,
            "\"\u{7f}\u{e9}\"",
            "\"\t\"",
            "\"unended",
            "[]",
            "[1,]",
            "[ 1 , 2 ]",
            "[1 2]",
            "{\"b\":{}}",
            "{,}",
            "{\"b\"}",
        ] {
            let text = format!("{{ \"a\" : {value} }}");
            let ours = parse_object(text.as_bytes(), 4).ok().map(|object| object.to_json());
            assert_eq!(ours, serde_json::from_str::<serde_json::Value>(&text).ok(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_serde_json_on_texts_near_json(text in "[{}\\[\\]\",:0-9eE.+\\-a\\\\u \n]{0,24}") {
            let text = format!("{{\"x\":{text}}}");
            if let Ok(ours) = parse_object(text.as_bytes(), 64) {
                proptest::prop_assert_eq!(Some(ours.to_json()), serde_json::from_str(&text).ok());
            } else if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
                // What we refuse and they read has a member twice.
                let names = text.matches(':').count();
                proptest::prop_assert!(count_members(&theirs) < names, "{}", text);
            }
        }
    }

    fn count_members(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Object(members) => members.len() + members.values().map(count_members).sum::<usize>(),
            serde_json::Value::Array(items) => items.iter().map(count_members).sum(),
            _ => 0,
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse_object(br#"{"a":{"b":{"c":[]}}}"#, 4).is_ok());
        assert_eq!(fault(br#"{"a":{"b":{"c":[[]]}}}"#), JsonFault::TooDeep);
    }

    /// What is kept of a token is counted by its members, so nothing may keep more.
    #[test]
    fn small_parts_take_little_memory() {
        let text = br#"{"none":{},"one":{"a":1},"list":[{},1],"empty":[]}"#;
        let object = parse_object(text, 4).unwrap();
        let inner = |name: &str| match object.get(name) {
            Some(Value::Object(inner)) => inner.0.capacity(),
            Some(Value::Array(items)) => items.capacity(),
            _ => panic!("{name}"),
        };
        assert_eq!(["none", "one", "list", "empty"].map(inner), [0, 1, 2, 0]);
        assert_eq!(object.0.capacity(), Object::ROOM);
        assert_eq!(parse_object(b"{}", 4).unwrap().0.capacity(), 0);
    }
}
