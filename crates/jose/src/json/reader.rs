//! The reader. One of our own, since the common ones pass over repeated members, and since this is on the way of every
//! token: it reads the text once and copies nothing but strings with escapes. A test compares it with `serde_json`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::usual::{USUAL, usual};
use super::{FAR, Node, Number, Object, Span};
use crate::{Limits, Refusal};

/// Room is made for one node for so many bytes of text: what claims have.
const BYTES_PER_NODE: usize = 14;

/// Names of an object that are compared one by one; beyond that a set keeps a hostile object from costing squares.
const FEW: usize = 24;

/// Why a text is not the JSON that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonFault {
    Syntax,
    NotAnObject,
    RepeatedMember(String),
    TooDeep,
    NumberRange,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    nodes: Vec<Node>,
    places: [u8; USUAL.len()],
    /// Strings without their escapes. They are kept behind the text.
    unescaped: String,
}

/// The names of an object so far.
#[derive(Default)]
struct Names<'t> {
    /// A bit for each of [`USUAL`].
    usual: u32,
    few: Vec<Cow<'t, str>>,
    many: HashSet<Cow<'t, str>>,
}

/// Reads `text` as one JSON object of at most `max_depth` levels (RFC 8259).
pub(crate) fn parse_object(text: Vec<u8>, max_depth: usize) -> Result<Object, JsonFault> {
    let mut text = String::from_utf8(text).map_err(|_| JsonFault::Syntax)?;
    // Places in the text, also in what is put behind it, are 32 bits wide.
    if text.len() > (u32::MAX / 2) as usize {
        return Err(JsonFault::Syntax);
    }
    let mut reader = Reader {
        text: &text,
        at: 0,
        nodes: Vec::with_capacity(text.len() / BYTES_PER_NODE + 2),
        places: [0; USUAL.len()],
        unescaped: String::new(),
    };
    reader.skip_space();
    if reader.peek() != Some(b'{') {
        return Err(JsonFault::NotAnObject);
    }
    reader.object(max_depth)?;
    reader.skip_space();
    if reader.at != text.len() {
        return Err(JsonFault::Syntax);
    }
    let Reader {
        nodes,
        places,
        unescaped,
        ..
    } = reader;
    text.push_str(&unescaped);
    Ok(Object { text, nodes, places })
}

// === impl JsonFault ===

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

// === impl Reader ===

impl<'t> Reader<'t> {
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

    /// `depth` is how many levels may be opened, this one included.
    fn object(&mut self, depth: usize) -> Result<(), JsonFault> {
        let inner = depth.checked_sub(1).ok_or(JsonFault::TooDeep)?;
        self.expect(b'{')?;
        let place = self.nodes.len();
        self.nodes.push(Node::Object { nodes: 0, members: 0 });
        self.skip_space();
        if self.take(b'}') {
            return Ok(());
        }
        let mut names = Names::default();
        let mut members = 0;
        loop {
            let name = self.string()?;
            self.nodes.push(Node::String(name));
            let known = names.take(self.name(name))?;
            if let Some(known) = known.filter(|_| place == 0)
                && let Some(noted) = self.places.get_mut(known)
            {
                *noted = u8::try_from(self.nodes.len()).unwrap_or(FAR);
            }
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            self.value(inner)?;
            members += 1;
            self.skip_space();
            if self.take(b'}') {
                let nodes = self.nodes_since(place);
                self.close(place, Node::Object { nodes, members });
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_space();
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonFault> {
        let inner = depth.checked_sub(1).ok_or(JsonFault::TooDeep)?;
        self.expect(b'[')?;
        let place = self.nodes.len();
        self.nodes.push(Node::Array { nodes: 0, items: 0 });
        self.skip_space();
        if self.take(b']') {
            return Ok(());
        }
        let mut items = 0;
        loop {
            self.value(inner)?;
            items += 1;
            self.skip_space();
            if self.take(b']') {
                let nodes = self.nodes_since(place);
                self.close(place, Node::Array { nodes, items });
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_space();
        }
    }

    /// Each node took a byte of the text at least, whose length fits.
    fn nodes_since(&self, place: usize) -> u32 {
        u32::try_from(self.nodes.len() - place - 1).unwrap_or(u32::MAX)
    }

    fn close(&mut self, place: usize, node: Node) {
        if let Some(opened) = self.nodes.get_mut(place) {
            *opened = node;
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), JsonFault> {
        let node = match self.peek() {
            Some(b'"') => Node::String(self.string()?),
            Some(b'{') => return self.object(depth),
            Some(b'[') => return self.array(depth),
            Some(b'-' | b'0'..=b'9') => Node::Number(self.number()?),
            _ => self.literal()?,
        };
        self.nodes.push(node);
        Ok(())
    }

    fn literal(&mut self) -> Result<Node, JsonFault> {
        for (word, node) in [
            ("true", Node::Bool(true)),
            ("false", Node::Bool(false)),
            ("null", Node::Null),
        ] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(node);
            }
        }
        Err(JsonFault::Syntax)
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn string(&mut self) -> Result<Span, JsonFault> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        self.at = start + plain(rest).ok_or(JsonFault::Syntax)?;
        let end = self.at;
        if self.take(b'"') {
            return span(start, end);
        }
        let begun = self.text.get(start..end).ok_or(JsonFault::Syntax)?;
        let from = self.text.len() + self.unescaped.len();
        self.unescaped.push_str(begun);
        self.unescape()?;
        span(from, self.text.len() + self.unescaped.len())
    }

    /// The rest of a string, from its first escape on.
    fn unescape(&mut self) -> Result<(), JsonFault> {
        loop {
            let mut rest = self.rest().chars();
            match rest.next().ok_or(JsonFault::Syntax)? {
                '"' => {
                    self.at += 1;
                    return Ok(());
                }
                '\\' => {
                    self.at += 1;
                    let character = self.escape()?;
                    self.unescaped.push(character);
                }
                control if control < ' ' => return Err(JsonFault::Syntax),
                plain => {
                    self.at += plain.len_utf8();
                    self.unescaped.push(plain);
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

    /// A name, which is compared with those before it; only one with escapes is copied for that.
    fn name(&self, span: Span) -> Cow<'t, str> {
        match self.text.get(span.range()) {
            Some(name) => Cow::Borrowed(name),
            None => {
                let from = (span.start as usize).saturating_sub(self.text.len());
                Cow::Owned(self.unescaped.get(from..).unwrap_or_default().to_owned())
            }
        }
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
                return Ok(Number::signed(number));
            }
            if let Ok(number) = text.parse::<u64>() {
                return Ok(Number::unsigned(number));
            }
        }
        let number = text.parse::<f64>().map_err(|_| JsonFault::Syntax)?;
        Number::double(number).ok_or(JsonFault::NumberRange)
    }
}

/// How many bytes stand for themselves in a string: up to the first quote, backslash or control character, which are all
/// that cannot (RFC 8259 s7). Eight bytes at a time.
fn plain(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    // The top bit of a byte is set where it is below `limit` (at most 0x80). A byte after such a one may have it as well, by the
    // borrow, but the first is exact.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & TOPS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special =
            below(word, 0x20) | below(word ^ (ONES * u64::from(b'"')), 1) | below(word ^ (ONES * u64::from(b'\\')), 1);
        if special != 0 {
            return Some(index * 8 + special.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20));
    found.map(|place| words.len() * 8 + place)
}

fn span(start: usize, end: usize) -> Result<Span, JsonFault> {
    match (u32::try_from(start), u32::try_from(end - start)) {
        (Ok(start), Ok(len)) => Ok(Span { start, len }),
        _ => Err(JsonFault::Syntax),
    }
}

// === impl Names ===

impl<'t> Names<'t> {
    /// Takes a name in and says which of [`USUAL`] it is; one that was there before is a fault.
    fn take(&mut self, name: Cow<'t, str>) -> Result<Option<usize>, JsonFault> {
        if let Some(place) = usual(&name) {
            let bit = 1 << place;
            if self.usual & bit != 0 {
                return Err(JsonFault::RepeatedMember(name.into_owned()));
            }
            self.usual |= bit;
            return Ok(Some(place));
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
        if self.few.len() < FEW {
            self.few.push(name);
        }
        Ok(None)
    }
}
