//! The corpus as it is written down: see `rules` in `tests/data/token_attacks.json`.

use serde::Deserialize;
use serde_json::{Map, Value};

const FIRST: &str = include_str!("../../../data/token_attacks.json");
const MORE: &str = include_str!("../../../data/more_token_attacks.json");

/// One attack, or one request that is as good as it gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) group: String,
    #[serde(rename = "description")]
    _description: String,
    #[serde(default)]
    pub(super) header: Map<String, Value>,
    pub(super) header_raw: Option<String>,
    #[serde(default)]
    pub(super) payload_mutation: PayloadMutation,
    pub(super) payload_raw: Option<String>,
    pub(super) signing: String,
    pub(super) key: Option<String>,
    pub(super) token_mutation: Option<TokenMutation>,
    #[serde(default)]
    pub(super) request: Shape,
    #[serde(rename = "context")]
    _context: Option<String>,
    pub(super) expected: Expected,
    #[serde(rename = "refs", default)]
    _refs: Vec<String>,
    #[serde(rename = "note")]
    _note: Option<String>,
    /// Which route it is sent to, where it is not the usual one.
    pub(super) profile: Option<String>,
    /// How it is put right, where that is not the plain good request.
    pub(super) twin: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayloadMutation {
    pub(super) replace: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) set: Map<String, Value>,
    #[serde(default)]
    pub(super) remove: Vec<String>,
    #[serde(default)]
    pub(super) set_after_sign: Map<String, Value>,
}

/// What is done to the text of a token.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TokenMutation {
    #[serde(flatten)]
    pub(super) op: Op,
    /// Whether the signature is made over the changed text.
    #[serde(default)]
    pub(super) resign: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub(super) enum Op {
    Replace {
        value: String,
    },
    DropPart {
        index: usize,
    },
    Append {
        value: String,
    },
    Prepend {
        value: String,
    },
    /// -1 is the end of the part.
    Insert {
        part: usize,
        pos: isize,
        value: String,
    },
    ReplaceChar {
        from: String,
        to: String,
    },
    ToStandardB64,
    SetTrailingBits {
        part: usize,
    },
    /// As many `=` as ordinary base64 has.
    Pad {
        part: usize,
    },
    SwapParts {
        a: usize,
        b: usize,
    },
    /// Drops so many characters of the end of the part.
    Shorten {
        part: usize,
        by: usize,
    },
}

/// How the request carries the token.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    pub(super) authorization: Option<OneOrMore>,
    pub(super) query: Option<String>,
    pub(super) dpop_lines: Option<usize>,
    pub(super) body: Option<String>,
    pub(super) method: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    pub(super) status: u16,
    pub(super) error: Option<String>,
    pub(super) reason: String,
}

/// All entries of both files; a variant is an entry of its own.
pub(super) fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    for text in [FIRST, MORE] {
        let corpus: Value = serde_json::from_str(text).unwrap();
        for attack in corpus["attacks"].as_array().unwrap() {
            let mut attack = attack.clone();
            let variants = attack.as_object_mut().unwrap().remove("variants");
            entries.push(read(&attack));
            for (at, variant) in variants.iter().flat_map(|list| list.as_array().unwrap()).enumerate() {
                let mut one = attack.clone();
                merge(&mut one, variant);
                one["name"] = format!("{}#{}", attack["name"].as_str().unwrap(), at + 2).into();
                entries.push(read(&one));
            }
        }
    }
    entries
}

fn read(entry: &Value) -> Entry {
    Entry::deserialize(entry).unwrap_or_else(|error| panic!("{}: {error}", entry["name"]))
}

/// Objects are merged, everything else is replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn passes(&self) -> bool {
        self.expected.status == 200
    }

    /// Whether the token is the body of a logout request.
    pub(super) fn is_logout(&self) -> bool {
        self.group == "logout-token"
    }

    /// Whether what the entry builds is a proof beside a good token.
    pub(super) fn is_proof(&self) -> bool {
        self.group == "dpop" && self.header.get("typ").is_none_or(|typ| typ != "at+jwt")
    }

    /// The same request put right: as the entry says, or without what is wrong with it.
    pub(super) fn twin(&self, good: &[Entry]) -> Entry {
        let mut twin = match (self.is_proof(), self.is_logout()) {
            (true, _) => named(good, "dpop-control"),
            (_, true) => named(good, "logout-control"),
            _ => match self.header.get("alg").and_then(Value::as_str) {
                Some("ES256") => named(good, "control-es256"),
                Some("EdDSA") => named(good, "control-eddsa"),
                _ => named(good, "control-rs256"),
            },
        };
        if let Some(right) = &self.twin {
            twin.apply(right);
        }
        twin.name = format!("twin of {}", self.name);
        twin.profile.clone_from(&self.profile);
        twin
    }

    /// Members of an entry that are laid over this one.
    fn apply(&mut self, right: &Value) {
        for (name, value) in right.as_object().unwrap() {
            match name.as_str() {
                "header" => self.header = Map::deserialize(value).unwrap(),
                "key" => self.key = value.as_str().map(str::to_owned),
                "signing" => value.as_str().unwrap().clone_into(&mut self.signing),
                "payload_mutation" => self.payload_mutation = PayloadMutation::deserialize(value).unwrap(),
                "set" => self.payload_mutation.set = Map::deserialize(value).unwrap(),
                "payload_raw" => self.payload_raw = value.as_str().map(str::to_owned),
                "header_raw" => self.header_raw = value.as_str().map(str::to_owned),
                "request" => self.request = Shape::deserialize(value).unwrap(),
                other => panic!("a twin has no {other}"),
            }
        }
    }
}

pub(super) fn named(entries: &[Entry], name: &str) -> Entry {
    let found = entries.iter().find(|entry| entry.name == name);
    found.unwrap_or_else(|| panic!("no entry {name}")).clone()
}
