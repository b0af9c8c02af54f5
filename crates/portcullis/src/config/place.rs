//! Where a key stands in the file, for whoever has something to say about a configuration that is valid.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::mask;
use crate::diagnostic::SourceText;

/// The way to a key: `provider`, `entra`, `issuer`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(Vec<String>);

/// The places of a configuration's keys, and its text with secrets masked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    source: SourceText,
    spans: BTreeMap<Key, Range<usize>>,
}

// === impl Key ===

impl Key {
    pub(crate) fn of<const N: usize>(steps: [&str; N]) -> Key {
        Key(steps.map(str::to_owned).to_vec())
    }
}

// === impl Places ===

impl Places {
    /// Reads the file once more. A file that is gone or broken meanwhile has no places.
    pub(crate) fn load(path: &Path) -> Places {
        match std::fs::read_to_string(path) {
            Ok(text) => Places::read(&text, &path.display().to_string()),
            Err(_) => Places::default(),
        }
    }

    pub(crate) fn read(text: &str, name: &str) -> Places {
        let Ok(tree) = DeTable::parse(text) else {
            return Places::default();
        };
        let tree = tree.get_ref();
        let mut spans = BTreeMap::new();
        walk(tree, &mut Vec::new(), &mut spans);
        Places {
            source: SourceText::new(name, mask::values(text, tree)),
            spans,
        }
    }

    pub(crate) fn source(&self) -> &SourceText {
        &self.source
    }

    /// Where the key is, or what is nearest around it: a key that is not written has its table.
    pub(crate) fn find(&self, key: &Key) -> Option<Range<usize>> {
        let mut steps = key.0.as_slice();
        while let Some((_, outer)) = steps.split_last() {
            if let Some(span) = self.spans.get(&Key(steps.to_vec())) {
                return Some(span.clone());
            }
            steps = outer;
        }
        None
    }
}

fn walk(table: &DeTable<'_>, way: &mut Vec<String>, spans: &mut BTreeMap<Key, Range<usize>>) {
    for (name, value) in table {
        way.push(name.get_ref().to_string());
        let span = match value.get_ref() {
            // Of a table its name: what is in it has places of its own.
            DeValue::Table(_) => name.span(),
            _ => value.span(),
        };
        spans.insert(Key(way.clone()), span);
        if let DeValue::Table(inner) = value.get_ref() {
            walk(inner, way, spans);
        }
        way.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_and_one_that_is_not_written_has_its_table() {
        let text = "server.public_url = \"x\"\n[provider.entra]\nissuer = \"https://a\"\n";
        let places = Places::read(text, "f.toml");
        let line = |steps: Key| {
            let span = places.find(&steps).unwrap();
            let line = places.source().position(span.start).line;
            (line, text.get(span).unwrap())
        };
        assert_eq!(line(Key::of(["provider", "entra", "issuer"])), (3, "\"https://a\""));
        assert_eq!(line(Key::of(["provider", "entra", "leeway"])), (2, "entra"));
        assert_eq!(line(Key::of(["server", "public_url"])), (1, "\"x\""));
        assert_eq!(places.find(&Key::of(["store", "sqlite"])), None);
        assert_eq!(Places::read("= broken", "f").find(&Key::of(["server"])), None);
    }
}
