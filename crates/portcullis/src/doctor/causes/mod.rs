//! The likely causes of a refused token: a catalogue, and for each entry a pure function that recognises it.
//!
//! The order is that of what explains most: the first cause that fits is the one to try. What a cause says about a case
//! (`found`) may name claims that decide (issuer, audience, scopes, times), and never who somebody is.

mod audience;
mod case;
mod issuer;
mod keys;
mod kinds;
mod permission;
mod proof;
mod time;
mod writing;

#[cfg(test)]
mod tests;

use std::fmt::Write;

pub(crate) use case::{Answer, Case, Judged};

use crate::config::Key;

/// What there is to know about one cause.
pub(crate) struct Entry {
    /// The stable name, with its family: `cause.id_token_sent`.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) fix: &'static str,
    /// Whether the token alone shows it, and is wrong for it wherever it is sent.
    pub(crate) on_its_face: bool,
    recognise: fn(&Case<'_>) -> Option<Sign>,
}

/// By what a cause was recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sign {
    /// This case's own values.
    pub(crate) found: String,
    /// The key of the configuration that has to do with it.
    pub(crate) key: Option<Key>,
}

/// A cause that fits, and its sign.
#[derive(Clone)]
pub(crate) struct Likely {
    pub(crate) entry: &'static Entry,
    pub(crate) sign: Sign,
}

/// A part of the catalogue.
struct Family {
    title: &'static str,
    entries: &'static [Entry],
}

/// What is said first explains what comes after it: a text in quotes has no audience, and an ID token the wrong one.
const FAMILIES: [Family; 8] = [
    Family {
        title: "How the token was sent",
        entries: writing::ENTRIES,
    },
    Family {
        title: "Another kind of token",
        entries: kinds::ENTRIES,
    },
    Family {
        title: "The issuer",
        entries: issuer::ENTRIES,
    },
    Family {
        title: "Algorithm, keys and signature",
        entries: keys::ENTRIES,
    },
    Family {
        title: "Times and clocks",
        entries: time::ENTRIES,
    },
    Family {
        title: "The audience",
        entries: audience::ENTRIES,
    },
    Family {
        title: "Proof and revocation",
        entries: proof::ENTRIES,
    },
    Family {
        title: "Scopes, roles and policies",
        entries: permission::ENTRIES,
    },
];

/// Every cause, in the order in which they are tried.
pub(crate) fn entries() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().flat_map(|family| family.entries)
}

/// The entry of this name, with or without its family.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.name == name || entry.name.strip_prefix("cause.") == Some(name))
}

/// The causes that fit, the likeliest first.
pub(crate) fn likely(case: &Case<'_>) -> Vec<Likely> {
    let fits = |entry: &'static Entry| {
        let sign = (entry.recognise)(case)?;
        Some(Likely { entry, sign })
    };
    entries().filter_map(fits).collect()
}

/// The page of the manual that lists them.
pub(crate) fn markdown() -> String {
    let mut out = String::from(
        "# Likely causes\n\n<!-- Generated from the catalogue in crates/portcullis/src/doctor/causes. Change the texts \
         there, then run `cargo xtask docs`. -->\n\nAn [error code](error-codes.md) says which check refused a token; a \
         cause says what probably led to it. `inspect`, `explain-token`\nand `doctor` look for them, and `portcullis explain \
         NAME` tells one. The order is that in which they are tried: what is\nfound first explains most.\n",
    );
    for family in &FAMILIES {
        let _ = write!(
            out,
            "\n## {}\n\n| name | what happened | what to do |\n| --- | --- | --- |\n",
            family.title
        );
        for entry in family.entries {
            let cell = |text: &str| text.replace('|', "\\|");
            let name = entry.name.strip_prefix("cause.").unwrap_or(entry.name);
            let _ = writeln!(
                out,
                "| `{name}` | **{}.** {} | {} |",
                cell(entry.title),
                cell(entry.cause),
                cell(entry.fix)
            );
        }
    }
    out
}

// === impl Sign ===

impl Sign {
    fn found(text: impl Into<String>) -> Option<Sign> {
        Some(Sign {
            found: text.into(),
            key: None,
        })
    }

    fn at<const N: usize>(text: impl Into<String>, key: [&str; N]) -> Option<Sign> {
        Some(Sign {
            found: text.into(),
            key: Some(Key::of(key)),
        })
    }
}
