//! Reads a table by its schema. Faults are collected, never returned: the reading goes on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::faults::FaultKind;
use super::nearest::nearest;
use super::schema::{Key, Kind, Presence, TABLES, Table};
use super::{Env, schema};
use crate::diagnostic::Diagnostic;

/// What all readers of one configuration share.
pub(crate) struct Context<'a> {
    text: &'a str,
    pub(crate) base_dir: &'a Path,
    pub(crate) env: &'a dyn Env,
    /// The names in each section, whether their tables are right or not.
    names: BTreeMap<&'static str, Vec<&'a str>>,
    faults: RefCell<Vec<Diagnostic>>,
}

/// A value, where it stands and what it is called.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    pub(crate) value: &'a DeValue<'a>,
    pub(crate) span: Range<usize>,
    /// "`timeout` in [api.orders]".
    pub(crate) what: String,
    pub(crate) kind: &'static Kind,
}

/// A value that was read, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// Reads one table.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    pub(crate) cx: &'a Context<'a>,
    schema: &'static Table,
    /// "[api.orders]".
    title: String,
    table: &'a DeTable<'a>,
    place: Range<usize>,
    /// Keys that an unknown one was taken for: they are misspelt, not missing.
    meant: Vec<&'static str>,
    has_unknown: bool,
}

// === impl Context ===

impl<'a> Context<'a> {
    pub(crate) fn new(
        text: &'a str,
        base_dir: &'a Path,
        env: &'a dyn Env,
        names: BTreeMap<&'static str, Vec<&'a str>>,
    ) -> Self {
        Self {
            text,
            base_dir,
            env,
            names,
            faults: RefCell::default(),
        }
    }

    pub(crate) fn push(&self, fault: Diagnostic) {
        self.faults.borrow_mut().push(fault);
    }

    pub(crate) fn into_faults(self) -> Vec<Diagnostic> {
        self.faults.into_inner()
    }

    pub(crate) fn names(&self, section: &str) -> &[&'a str] {
        self.names.get(section).map_or(&[], Vec::as_slice)
    }

    /// Where to point for a table as a whole: at its `[header]`, or at its key where it is written in line.
    pub(crate) fn place_of(&self, key: &Range<usize>, value: &Range<usize>) -> Range<usize> {
        match self.text.as_bytes().get(value.start) {
            Some(b'[') => value.clone(),
            _ => key.clone(),
        }
    }
}

// === impl Item ===

impl Item<'_> {
    pub(crate) fn fault(&self, kind: FaultKind, message: String, label: impl Into<String>) -> Diagnostic {
        kind.says(message)
            .at(self.span.clone(), label)
            .expected(self.kind.expected())
    }

    pub(crate) fn wrong_type(&self) -> Diagnostic {
        let found = found(self.value);
        let fault = self.fault(
            FaultKind::WrongType,
            format!("{} has the wrong type", self.what),
            format!("found {found}"),
        );
        match (self.kind, self.value) {
            (Kind::Duration(..), DeValue::Integer(_)) => fault.help("give a unit and quotes: \"30s\""),
            (Kind::List(_), DeValue::String(_)) => {
                fault.help("put each entry in quotes of its own, and brackets around them")
            }
            _ => fault,
        }
    }

    /// The same value read as something else.
    pub(crate) fn of_kind(&self, kind: &'static Kind) -> Self {
        Self { kind, ..self.clone() }
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Reports the unknown keys at once.
    pub(crate) fn new(
        cx: &'a Context<'a>,
        schema: &'static Table,
        title: String,
        table: &'a DeTable<'a>,
        place: Range<usize>,
    ) -> Self {
        let mut reader = Self {
            cx,
            schema,
            title,
            table,
            place,
            meant: Vec::new(),
            has_unknown: false,
        };
        for (key, _) in table {
            if schema.key(key.get_ref()).is_none() {
                reader.unknown(key.get_ref(), key.span());
            }
        }
        reader
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Where to point for the table as a whole.
    pub(crate) fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Where the key stands.
    pub(crate) fn key_span(&self, name: &str) -> Range<usize> {
        let found = self.table.iter().find(|(key, _)| key.get_ref() == name);
        found.map_or_else(|| self.place(), |(key, _)| key.span())
    }

    pub(crate) fn item(&self, name: &str) -> Option<Item<'a>> {
        let (key, value) = self.table.iter().find(|(key, _)| key.get_ref() == name)?;
        Some(Item {
            value: value.get_ref(),
            span: match value.get_ref() {
                DeValue::Table(_) => self.cx.place_of(&key.span(), &value.span()),
                _ => value.span(),
            },
            what: within(name, &self.title),
            kind: &self.key(name).kind,
        })
    }

    /// The value of a key, or its default. Reports what is missing or wrong.
    pub(crate) fn get<T>(&self, name: &str, read: impl Fn(&Context<'_>, &Item<'_>) -> Option<T>) -> Option<At<T>> {
        if let Some(item) = self.item(name) {
            let value = read(self.cx, &item)?;
            return Some(At { value, span: item.span });
        }
        match self.key(name).presence {
            Presence::Optional | Presence::Depends(_) => None,
            Presence::Required => {
                self.missing(name);
                None
            }
            Presence::Default(text) => {
                let value = DeValue::parse(text).ok()?;
                let what = format!("the default of `{name}`");
                let item = Item {
                    value: value.get_ref(),
                    span: self.place(),
                    what,
                    kind: &self.key(name).kind,
                };
                Some(At {
                    value: read(self.cx, &item)?,
                    span: self.place(),
                })
            }
        }
    }

    /// A table inside this one.
    pub(crate) fn table(&self, name: &str, schema: &'static Table) -> Option<Reader<'a>> {
        let Some(item) = self.item(name) else {
            if matches!(self.key(name).presence, Presence::Required) {
                self.missing(name);
            }
            return None;
        };
        match item.value {
            DeValue::Table(table) => Some(Reader::new(self.cx, schema, item.what, table, item.span)),
            _ => {
                self.cx.push(item.wrong_type());
                None
            }
        }
    }

    /// Exactly one of the keys, or a fault.
    pub(crate) fn exactly_one(&self, names: &[&'static str], help: Option<&str>) -> Option<&'static str> {
        let given: Vec<_> = names.iter().copied().filter(|name| self.has(name)).collect();
        match given.as_slice() {
            // What was meant by an unknown key is known when it is corrected.
            [] if self.has_unknown => None,
            [] => {
                let fault = if self.table.is_empty() {
                    FaultKind::Empty
                        .says(format!("{} is empty", self.title))
                        .at(self.place(), "nothing in it")
                } else {
                    let message = format!("{} has none of {}", self.title, listed(names));
                    FaultKind::MissingKey
                        .says(message)
                        .at(self.place(), "one of them is needed")
                };
                self.cx
                    .push(fault.expected(format!("exactly one of {}", listed(names))));
                None
            }
            [one] => Some(one),
            [first, second, ..] => {
                let fault = FaultKind::Contradiction
                    .says(format!("{} has both `{first}` and `{second}`", self.title))
                    .at(self.key_span(second), "one too many")
                    .related(self.key_span(first), "this is there already")
                    .expected(format!("exactly one of {}", listed(names)));
                self.cx.push(match help {
                    Some(help) => fault.help(help),
                    None => fault,
                });
                None
            }
        }
    }

    /// Says that a key is missing, unless another was taken for it.
    pub(crate) fn missing(&self, name: &str) {
        if !self.lacks(name) {
            return;
        }
        let key = self.key(name);
        let fault = FaultKind::MissingKey
            .says(format!("missing key `{name}` in {}", self.title))
            .at(self.place(), format!("add `{name} = {}`", key.example))
            .expected(key.kind.expected())
            .help(key.about);
        self.cx.push(match key.presence {
            Presence::Depends(when) => fault.help(when.replace('`', "")),
            _ => fault,
        });
    }

    /// Whether a key is neither there nor misspelt.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        !self.has(name) && !self.meant.contains(&name)
    }

    fn key(&self, name: &str) -> &'static Key {
        static UNDECLARED: Key = Key::new("", Kind::Text, Presence::Optional, "", "");
        let key = self.schema.key(name);
        debug_assert!(key.is_some(), "`{name}` is not declared in {}", self.schema.name);
        key.unwrap_or(&UNDECLARED)
    }

    fn unknown(&mut self, given: &str, span: Range<usize>) {
        self.has_unknown = true;
        let meant = nearest(given, self.schema.names()).or_else(|| self.schema.known_as(given));
        let mut fault = FaultKind::UnknownKey
            .says(format!("unknown key `{}` in {}", shown(given), self.title))
            .expected(format!("one of {}", self.schema.names().collect::<Vec<_>>().join(", ")))
            .nearest(meant);
        if self.schema.name == "danger" {
            fault = fault.help("no setting turns off the check of a signature, an issuer, an audience or a lifetime");
        }
        fault = match self.schema.key(meant.unwrap_or_default()) {
            // A key that is there already was not misspelt a second time.
            Some(key) if !self.table.contains_key(key.name) => {
                self.meant.push(key.name);
                fault.at(span, format!("did you mean `{}`?", key.name))
            }
            Some(key) => fault.at(span, format!("did you mean `{}`? It is there already", key.name)),
            None => match TABLES.iter().find(|table| table.key(given).is_some()) {
                Some(table) => fault.at(span, format!("a key of {}", in_words(table))),
                None => fault.at(span, "not known here"),
            },
        };
        self.cx.push(fault);
    }
}

/// `[api.NAME]`, or the words for a table in line.
pub(crate) fn in_words(table: &Table) -> String {
    if table.name.contains(' ') {
        format!("`{}`", table.name)
    } else {
        format!("[{}]", table.name)
    }
}

/// "`timeout` in [api.orders]", "`session.idle` in [frontend.shop]".
fn within(name: &str, title: &str) -> String {
    match title.strip_prefix('`').and_then(|title| title.split_once('`')) {
        Some((outer, rest)) => format!("`{outer}.{name}`{rest}"),
        None => format!("`{name}` in {title}"),
    }
}

/// What a value is, with its article.
pub(crate) fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A word of the file as it may stand in a message: short, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().count() > 64 {
        out.push_str("...");
    }
    out
}

pub(crate) fn listed(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The schema of a section's tables.
pub(crate) fn schema_of(section: &str) -> Option<&'static Table> {
    schema::TABLES
        .iter()
        .copied()
        .find(|table| table.name.split('.').next() == Some(section))
}
