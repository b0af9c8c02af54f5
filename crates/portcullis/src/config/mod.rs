//! `portcullis.toml`: read into [`Settings`], or everything that is wrong with it in one run.
//!
//! A configuration is walked by a schema that also makes the manual's page ([`reference_markdown`]), so a key that the
//! manual shows is a key that is read. A value that is wrong does not stop the walk: [`Faults`] has all of them, each with
//! its line, what was expected and, where it looks like a slip, the name that was meant. What is secret is masked in
//! whatever is shown.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::path::Path;
//!
//! let text = r#"
//!     server = { public_url = "http://127.0.0.1:8080" }
//!     provider.local.issuer = "http://127.0.0.1:9000"
//!     [api.orders]
//!     path = "/api/orders"
//!     upstream = "http://127.0.0.1:5000"
//!     provider = "locla"
//!     audience = "api://orders"
//!     policy = "authenticated"
//! "#;
//! let env: BTreeMap<String, String> = BTreeMap::new();
//! let faults = portcullis::config::parse(text, "portcullis.toml", Path::new("."), &env).unwrap_err();
//! assert!(faults.to_string().contains("did you mean `local`?"));
//!
//! let settings = portcullis::config::parse(&text.replace("locla", "local"), "portcullis.toml", Path::new("."), &env)?;
//! assert_eq!(settings.server.listen.port(), 8080);
//! # Ok::<(), portcullis::config::Faults>(())
//! ```

mod faults;
mod kinds;
mod mask;
mod nearest;
mod network;
mod place;
mod read;
mod reader;
mod reference;
mod schema;
mod settings;
mod urls;
mod warnings;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use toml::de::{DeTable, DeValue};

pub(crate) use faults::KINDS;
pub use faults::{FaultKind, Faults};
pub(crate) use nearest::nearest_codes;
pub use network::Network;
pub(crate) use place::{Key, Places};
pub(crate) use read::{is_within, sealing_keys};
pub use reference::reference_markdown;
pub use settings::*;
pub(crate) use warnings::warnings;

use crate::diagnostic::{Diagnostic, SourceText};
use reader::Context;

/// Where `{ env = "NAME" }` looks: the process, or a map in tests.
pub trait Env {
    /// The value of a variable.
    fn var(&self, name: &str) -> Option<OsString>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

/// Reads a configuration file. Relative paths in it start at its directory.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn load(path: impl AsRef<Path>) -> Result<Settings, Faults> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let unreadable = |message: String, help: &str| {
        let fault = FaultKind::Unreadable.says(message).help(help);
        Faults::new(vec![fault], SourceText::new(name.as_str(), ""))
    };
    let bytes = std::fs::read(path).map_err(|error| {
        unreadable(
            format!("cannot read the configuration: {error}"),
            "name the file with --config FILE",
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        unreadable(
            format!("the configuration is not UTF-8 from byte {at} on"),
            "save it as UTF-8",
        )
    })?;
    parse(&text, &name, path.parent().unwrap_or(Path::new("")), &ProcessEnv)
}

/// Reads a configuration from text. `origin_name` is what faults call it; relative paths start at `base_dir`.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn parse(text: &str, origin_name: &str, base_dir: &Path, env: &dyn Env) -> Result<Settings, Faults> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let faults = syntax_faults(text, errors);
        return Err(Faults::new(faults, SourceText::new(origin_name, mask::lines(text))));
    }
    let tree = tree.get_ref();
    let cx = Context::new(text, base_dir, env, names(tree));
    let settings = read::settings(&cx, tree);
    let mut faults = cx.into_faults();
    match settings {
        Some(settings) if faults.is_empty() => Ok(settings),
        _ => {
            if faults.is_empty() {
                // Fail closed: what could not be read is never served, even if nobody knows why.
                faults.push(
                    FaultKind::InvalidValue
                        .says("the configuration could not be understood")
                        .in_file(),
                );
            }
            Err(Faults::new(
                faults,
                SourceText::new(origin_name, mask::values(text, tree)),
            ))
        }
    }
}

/// The answer of `check --json`, whether there are faults or not.
#[must_use]
pub fn check_json(file: &str, result: &Result<Settings, Faults>) -> serde_json::Value {
    match result {
        Ok(settings) => {
            let mut answer = serde_json::json!({ "file": file, "valid": true, "faults": [] });
            let limits = settings.store.limits();
            if let (Some(members), false) = (answer.as_object_mut(), limits.is_empty()) {
                members.insert("notes".to_owned(), limits.into());
            }
            answer
        }
        Err(faults) => faults.to_json(),
    }
}

/// The names in each section, so that a reference can be checked wherever it stands.
fn names<'a>(tree: &'a DeTable<'a>) -> BTreeMap<&'static str, Vec<&'a str>> {
    let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, value) in tree {
        let given = key.get_ref().as_ref();
        let section = schema::SECTIONS
            .iter()
            .map(|section| section.name)
            .find(|name| *name == given);
        // A misspelt section is one fault; the names in it are not missing besides.
        let section = section.or_else(|| read::meant_section(given));
        if let (Some(section), DeValue::Table(tables)) = (section, value.get_ref()) {
            let tables = tables
                .iter()
                .filter(|(_, value)| matches!(value.get_ref(), DeValue::Table(_)));
            names
                .entry(section)
                .or_default()
                .extend(tables.map(|(name, _)| name.get_ref().as_ref()));
        }
    }
    names
}

/// One for each line: what follows on a line is the parser finding its way back.
fn syntax_faults(text: &str, mut errors: Vec<toml::de::Error>) -> Vec<Diagnostic> {
    let source = SourceText::new("", text);
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    errors.sort_by_key(start);
    errors.dedup_by_key(|error| source.position(start(error)).line);
    let fault = |error: toml::de::Error| {
        let (what, expected) = match error.message().split_once(", expected ") {
            Some((what, expected)) => (what, Some(expected)),
            None => (error.message(), None),
        };
        let fault = FaultKind::Syntax
            .says(format!("not TOML: {what}"))
            .at(error.span().unwrap_or(0..0), "here");
        match expected {
            Some(expected) => fault.expected(expected),
            None => fault,
        }
    };
    errors.into_iter().map(fault).collect()
}

impl Env for ProcessEnv {
    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

impl Env for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Option<OsString> {
        self.get(name).map(OsString::from)
    }
}
