//! What a configuration may hold, declared once: the reader checks by it and the manual is made from it.

mod access;
mod client;
mod frontend;
mod tables;

pub(crate) use access::*;
pub(crate) use client::*;
pub(crate) use frontend::*;
pub(crate) use tables::*;

/// A table: `[server]`, every `[api.NAME]`, or one written in line.
#[derive(Debug)]
pub(crate) struct Table {
    /// `server`, `api.NAME`, or for one in line `tls of [server]`.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
    pub(crate) about: &'static str,
    /// A value as one writes it.
    pub(crate) example: &'static str,
    /// What other programs call it.
    pub(crate) also: &'static [&'static str],
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Presence {
    Required,
    Optional,
    /// In TOML; it is read as if it stood in the file.
    Default(&'static str),
    /// It depends, in the manual's words; the code that reads the table decides.
    Depends(&'static str),
}

/// What a value must be.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    Url,
    Address,
    Path,
    /// From and to, in seconds.
    Duration(u64, u64),
    Count(u64, u64),
    OneOf(&'static [&'static str]),
    /// A list; the words say of what.
    List(&'static str),
    /// One text or a list; the words say of what.
    OneOrMore(&'static str),
    /// The NAME of a table of this section.
    Reference(&'static str),
    Secret,
    /// The same, or a list of them with dates.
    Secrets,
    /// A table; the words say which.
    Table(&'static str),
    /// Only `true`.
    True,
    /// `true` or `false`.
    Switch,
    /// Anything that a sentence describes.
    Other(&'static str),
}

/// A section whose tables have names, or one table.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) named: bool,
    pub(crate) also: &'static [&'static str],
}

// === impl Key ===

impl Key {
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        presence: Presence,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            presence,
            about,
            example,
            also: &[],
        }
    }

    pub(crate) const fn also(mut self, also: &'static [&'static str]) -> Self {
        self.also = also;
        self
    }
}

// === impl Table ===

impl Table {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }

    /// The key that somebody who comes from another program means.
    pub(crate) fn known_as(&self, name: &str) -> Option<&'static str> {
        self.keys
            .iter()
            .find(|key| key.also.contains(&name))
            .map(|key| key.name)
    }
}

// === impl Kind ===

impl Kind {
    /// The words after "expected".
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Text => "a text in quotes".to_owned(),
            Self::Url => "an absolute URL such as \"https://host.example\"".to_owned(),
            Self::Address => "an IP address and a port in quotes, such as \"127.0.0.1:8080\"".to_owned(),
            Self::Path => "a path in quotes".to_owned(),
            Self::Duration(from, to) => {
                format!(
                    "a duration such as \"30s\", \"5m\" or \"12h\", {} to {}",
                    seconds(*from),
                    seconds(*to)
                )
            }
            Self::Count(from, to) => format!("a whole number from {from} to {to}"),
            Self::OneOf(words) => quoted(words),
            Self::List(of) => format!("a list of {of}"),
            Self::OneOrMore(of) => format!("{of}, one or a list"),
            Self::Reference(section) => format!("the NAME of a [{section}.NAME] table"),
            Self::Secret => {
                "{ file = \"PATH\" }, { env = \"VARIABLE\" } or { command = [\"PROGRAM\", \"ARGUMENT\"] }".to_owned()
            }
            Self::Secrets => format!("{}, or a list of them", Self::Secret.expected()),
            Self::Table(what) => (*what).to_owned(),
            Self::True => "true".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

/// `"a", "b" or "c"`.
pub(crate) fn quoted(words: &[&str]) -> String {
    let mut out = String::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            out.push_str(if at + 1 == words.len() { " or " } else { ", " });
        }
        out.push_str(&format!("{word:?}"));
    }
    out
}

/// A round number of seconds in its largest unit.
pub(crate) fn seconds(seconds: u64) -> String {
    match seconds {
        0 => "0s".to_owned(),
        s if s.is_multiple_of(86_400) => format!("{}d", s / 86_400),
        s if s.is_multiple_of(3_600) => format!("{}h", s / 3_600),
        s if s.is_multiple_of(60) => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_aliases_do_not_hide_keys() {
        for table in TABLES {
            let mut names: Vec<_> = table.names().collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.keys.len(), "{}", table.name);
            for alias in table.keys.iter().flat_map(|key| key.also) {
                assert!(table.key(alias).is_none(), "{alias} in {}", table.name);
            }
        }
    }

    #[test]
    fn defaults_and_examples_are_toml() {
        for key in TABLES.iter().flat_map(|table| table.keys) {
            let parse = |text: &str| toml::de::DeValue::parse(text).map(|_| ());
            if let Presence::Default(text) = key.presence {
                assert!(parse(text).is_ok(), "default of {}: {text}", key.name);
            }
            assert!(parse(key.example).is_ok(), "example of {}: {}", key.name, key.example);
        }
    }

    #[test]
    fn durations_are_told_in_their_largest_unit() {
        assert_eq!(seconds(0), "0s");
        assert_eq!(seconds(90), "90s");
        assert_eq!(seconds(300), "5m");
        assert_eq!(seconds(7_200), "2h");
        assert_eq!(seconds(172_800), "2d");
    }
}
