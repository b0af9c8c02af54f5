//! Placeholders: what an entry leaves to whoever builds it.

use std::net::SocketAddr;

use portcullis_jose::random_token;
use serde_json::{Map, Number, Value};

use super::keys::{Keys, keys};

/// The names that entries have for the issuers.
pub(super) const ISSUERS: [&str; 2] = ["https://issuer.test", "https://issuer-b.test"];
/// The thumbprint of a certificate that nobody presents.
const X5T: &str = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";

/// What is put in for the placeholders.
#[derive(Clone)]
pub(super) struct Fill {
    pub(super) now: i64,
    /// What the issuers are called where the entries run.
    pub(super) issuers: [String; 2],
    /// Where nobody must ever knock.
    pub(super) listener: SocketAddr,
    /// The access token that a proof goes with.
    pub(super) token: String,
}

impl Fill {
    pub(super) fn keys(&self) -> &'static Keys {
        keys()
    }

    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, here) in ISSUERS.iter().zip(&self.issuers) {
            text = text.replace(name, here);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = self.one(after, &mut out);
        }
        out + rest
    }

    /// Puts one placeholder in; what follows it is left.
    fn one<'t>(&self, text: &'t str, out: &mut String) -> &'t str {
        if let Some(rest) = text.strip_prefix("now") {
            let (base, rest) = match rest.strip_prefix("000") {
                Some(rest) => (self.now * 1000, rest),
                None => (self.now, rest),
            };
            let (offset, rest) = offset(rest);
            out.push_str(&(base + offset).to_string());
            return rest;
        }
        if let Some((arguments, rest)) = text.strip_prefix("repeat(").and_then(|rest| rest.split_once(')')) {
            let (what, count) = arguments.rsplit_once(',').unwrap();
            out.push_str(&what.repeat(count.parse().unwrap()));
            return rest;
        }
        let dpop = &self.keys().dpop;
        let words: [(&str, &dyn Fn() -> String); 7] = [
            ("uuid", &|| random_token(16)),
            ("random", &|| random_token(16)),
            ("listener", &|| self.listener.to_string()),
            ("token", &|| self.token.clone()),
            ("ath", &|| {
                portcullis_jose::base64url_encode(&portcullis_jose::sha256(self.token.as_bytes()))
            }),
            ("jkt", &|| dpop.thumbprint()),
            ("x5t", &|| X5T.to_owned()),
        ];
        for (word, value) in words {
            if let Some(rest) = text.strip_prefix(word) {
                out.push_str(&value());
                return rest;
            }
        }
        out.push('$');
        text
    }

    pub(super) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => Value::Object(self.object(members)),
            other => other.clone(),
        }
    }

    pub(super) fn object(&self, members: &Map<String, Value>) -> Map<String, Value> {
        let mut out = Map::new();
        for (name, value) in members {
            match (name.as_str(), value.as_u64()) {
                ("$many", Some(count)) => out.extend((0..count).map(|at| (format!("m{at}"), Value::from(0)))),
                _ => drop(out.insert(self.text(name), self.value(value))),
            }
        }
        out
    }

    /// A text that is a placeholder as a whole may stand for something that is no text.
    fn string(&self, text: &str) -> Value {
        let keys = self.keys();
        match text {
            "$attacker_jwk" => return keys.attacker("RS256").bare_jwk(),
            "$attacker_ec_jwk" => return keys.attacker("ES256").bare_jwk(),
            "$dpop_jwk" => return keys.dpop.bare_jwk(),
            "$dpop_private_jwk" => return keys.dpop.private_jwk(),
            _ => {}
        }
        if let Some(arguments) = text.strip_prefix("$nest(").and_then(|rest| rest.strip_suffix(')')) {
            let (kind, levels) = arguments.rsplit_once(',').unwrap();
            let levels: usize = levels.parse().unwrap();
            return (1..levels).fold(nested(kind, None), |inner, _| nested(kind, Some(inner)));
        }
        let filled = self.text(text);
        if text.starts_with("$now")
            && let Ok(number) = serde_json::from_str::<Number>(&filled)
        {
            return Value::Number(number);
        }
        Value::String(filled)
    }

    /// Bytes: the text, or what its prefix makes of it.
    pub(super) fn bytes(&self, text: &str) -> Vec<u8> {
        if let Some(hex) = text.strip_prefix("hex:") {
            return super::keys::hex(hex);
        }
        match text.strip_prefix("utf16le:") {
            Some(text) => self.text(text).encode_utf16().flat_map(u16::to_le_bytes).collect(),
            None => self.text(text).into_bytes(),
        }
    }
}

fn nested(kind: &str, inner: Option<Value>) -> Value {
    match kind {
        "{" => Value::Object(inner.into_iter().map(|inner| ("a".to_owned(), inner)).collect()),
        _ => Value::Array(inner.into_iter().collect()),
    }
}

/// `+300` or `-31`, where it is there.
fn offset(text: &str) -> (i64, &str) {
    let Some(digits) = text.strip_prefix(['+', '-']) else {
        return (0, text);
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    match text[..=end].parse() {
        Ok(offset) => (offset, &digits[end..]),
        Err(_) => (0, text),
    }
}

#[test]
fn placeholders_are_filled() {
    let fill = Fill {
        now: 1_000,
        issuers: ["http://a".to_owned(), "http://b".to_owned()],
        listener: "127.0.0.1:9".parse().unwrap(),
        token: "t".to_owned(),
    };
    for (text, filled) in [
        ("$now", "1000"),
        ("{\"exp\":$now+300.5,\"iat\":$now-1}", "{\"exp\":1300.5,\"iat\":999}"),
        ("$now000+300000", "1300000"),
        ("$repeat(ab,3)c", "abababc"),
        ("$repeat(.,2)", ".."),
        ("https://issuer.test/x https://issuer-b.test", "http://a/x http://b"),
        ("{\"$ne\":1}", "{\"$ne\":1}"),
        ("http://$listener/k", "http://127.0.0.1:9/k"),
        ("Bearer $token, Bearer $token", "Bearer t, Bearer t"),
    ] {
        assert_eq!(fill.text(text), filled, "{text}");
    }
    let value = |text: &str| fill.value(&Value::from(text));
    assert_eq!(value("$now+300"), 1300);
    assert_eq!(value("$nest([,3)").to_string(), "[[[]]]");
    assert_eq!(value("$nest({,3)").to_string(), "{\"a\":{\"a\":{}}}");
    assert_eq!(value("$jkt").as_str().unwrap().len(), 43);
    assert_eq!(fill.bytes("hex:22ff"), [0x22, 0xff]);
    assert_eq!(fill.bytes("utf16le:{"), [b'{', 0]);
}
