//! What a configuration can do wrong, and the list of all that one did.

use std::fmt;

use serde_json::json;

use crate::diagnostic::{Diagnostic, SourceText, Style, render};

/// Everything that is wrong with a configuration, in the order of the file. Never empty.
#[derive(Clone, Debug)]
pub struct Faults {
    diagnostics: Vec<Diagnostic>,
    source: SourceText,
}

/// The kinds of fault; each has a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The file cannot be read.
    Unreadable,
    /// The file is not TOML.
    Syntax,
    /// A key that does not exist.
    UnknownKey,
    /// A value of another type than the key has.
    WrongType,
    /// A key that must be there is not.
    MissingKey,
    /// A value outside of what the key takes.
    InvalidValue,
    /// A name of a table that is not plain.
    InvalidName,
    /// A text that is no duration, or one out of range.
    InvalidDuration,
    /// A text that is no URL, or one with parts that do not belong there.
    InvalidUrl,
    /// Plain `http://` to a host that is not loopback.
    InsecureUrl,
    /// A list or table that must hold something is empty.
    Empty,
    /// A name that no table has.
    DanglingReference,
    /// An API whose tokens' audience would not be checked.
    MissingAudience,
    /// Two settings that cannot both be meant.
    Contradiction,
    /// Two APIs or routes that would answer the same request.
    OverlappingPaths,
    /// A secret written into the configuration.
    SecretInline,
    /// A secret whose file, variable or command gives nothing.
    SecretUnavailable,
    /// A secret file that other users can read.
    SecretPermissions,
    /// A file or directory that is not there.
    MissingFile,
    /// A certificate, key or authority that TLS cannot use.
    TlsUnusable,
    /// Something that this version does not have.
    NotAvailable,
    /// A table that nothing refers to: a warning.
    Unused,
    /// A scope that sessions need and no login asks for: a warning.
    ScopeNotRequested,
}

/// Every kind, for the manual and for `explain`.
pub(crate) const KINDS: [FaultKind; 23] = [
    FaultKind::Unreadable,
    FaultKind::Syntax,
    FaultKind::UnknownKey,
    FaultKind::WrongType,
    FaultKind::MissingKey,
    FaultKind::InvalidValue,
    FaultKind::InvalidName,
    FaultKind::InvalidDuration,
    FaultKind::InvalidUrl,
    FaultKind::InsecureUrl,
    FaultKind::Empty,
    FaultKind::DanglingReference,
    FaultKind::MissingAudience,
    FaultKind::Contradiction,
    FaultKind::OverlappingPaths,
    FaultKind::SecretInline,
    FaultKind::SecretUnavailable,
    FaultKind::SecretPermissions,
    FaultKind::MissingFile,
    FaultKind::TlsUnusable,
    FaultKind::NotAvailable,
    FaultKind::Unused,
    FaultKind::ScopeNotRequested,
];

// === impl FaultKind ===

impl FaultKind {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.entry().0
    }

    /// One line for the manual.
    pub(crate) fn about(self) -> &'static str {
        self.entry().1
    }

    pub(crate) fn says(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.code(), message)
    }

    /// What to do about it, in general; each fault says more.
    pub(crate) fn fix(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Unreadable => (
                "config.unreadable",
                "the file cannot be read, or is not UTF-8",
                "Name a file that is there and that the user of the gateway may read, and save it as UTF-8.",
            ),
            Self::Syntax => (
                "config.syntax",
                "the file is not TOML; nothing else is looked at",
                "Correct the line that is shown. Texts stand in quotes, tables in brackets; the first fault may cause the next.",
            ),
            Self::UnknownKey => (
                "config.unknown_key",
                "a key or table that does not exist",
                "Spell it as the manual's page on the configuration does, or leave it out: nothing is passed over in silence.",
            ),
            Self::WrongType => (
                "config.wrong_type",
                "a value of another type than the key has",
                "Write it as the fault says after `expected`. Durations and addresses are texts, in quotes.",
            ),
            Self::MissingKey => (
                "config.missing_key",
                "a key that must be there is not",
                "Add it to the table that is shown.",
            ),
            Self::InvalidValue => (
                "config.invalid_value",
                "a value outside of what the key takes",
                "Write one of the values that the fault names after `expected`.",
            ),
            Self::InvalidName => (
                "config.invalid_name",
                "a table's NAME with other characters than letters, digits, `_` and `-`",
                "Give the table another name, and the same to all that refer to it.",
            ),
            Self::InvalidDuration => (
                "config.invalid_duration",
                "no duration, or one out of the key's range",
                "Write numbers with units, the largest first, in quotes: \"30s\", \"1h30m\".",
            ),
            Self::InvalidUrl => (
                "config.invalid_url",
                "no URL, or one with parts that do not belong there",
                "Write an absolute URL with its scheme, and without user name, password and fragment.",
            ),
            Self::InsecureUrl => (
                "config.insecure_url",
                "plain `http://` to a host that is not loopback",
                "Write `https://`. Tokens and keys travel there, and whoever listens on the way could take or change them.",
            ),
            Self::Empty => (
                "config.empty",
                "a list or table that must hold something is empty",
                "Put something into it, or leave the key out.",
            ),
            Self::DanglingReference => (
                "config.dangling_reference",
                "a name that no table has",
                "Spell the name as in the header of its table, or add the table.",
            ),
            Self::MissingAudience => (
                "config.missing_audience",
                "an API that takes tokens and does not say which audience they must have",
                "Add `audience`: the text that the provider puts into `aud` for this API. Without it, a token for any other API would be taken.",
            ),
            Self::Contradiction => (
                "config.contradiction",
                "two settings that cannot both be meant",
                "Decide for one of the two, and leave the other out.",
            ),
            Self::OverlappingPaths => (
                "config.overlapping_paths",
                "two APIs, or two routes of one, that would answer the same request",
                "Give each a path of its own. For a stricter policy on a part of an API there are `routes`.",
            ),
            Self::SecretInline => (
                "config.secret_inline",
                "a secret written into the configuration",
                "Move it to a file that its owner alone can read, and name that: { file = \"PATH\" }. Then change it at the provider, as it may be in backups and in version control.",
            ),
            Self::SecretUnavailable => (
                "config.secret_unavailable",
                "a secret's file, variable or command gives nothing usable",
                "Look at the file, the variable or the command's output as the user of the gateway: it is one line of text without a space at its ends, or a key.",
            ),
            Self::SecretPermissions => (
                "config.secret_permissions",
                "a secret file that other users of the machine can read",
                "`chmod 600` the file, and let it belong to the user of the gateway.",
            ),
            Self::MissingFile => (
                "config.missing_file",
                "a file or directory that is not there or cannot be read",
                "Correct the path, which starts at the directory of the configuration, or let the user of the gateway read it.",
            ),
            Self::TlsUnusable => (
                "config.tls_unusable",
                "a certificate, its key or a list of authorities that TLS cannot use",
                "Look at the PEM files of `tls` of [server]: the certificate with its chain, the key that belongs to it, and authorities that are certificates.",
            ),
            Self::NotAvailable => (
                "config.not_available",
                "something that this version does not have",
                "Leave it out, or use a version that has it.",
            ),
            Self::Unused => (
                "config.unused",
                "a table that nothing refers to (a warning)",
                "Refer to it, or leave it out.",
            ),
            Self::ScopeNotRequested => (
                "config.scope_not_requested",
                "a scope that a policy demands of sessions, and that no login asks for (a warning)",
                "Add it to `scopes` of the frontend, or let the policy demand what its tokens have. Where the provider gives it without being asked, nothing is wrong.",
            ),
        }
    }
}

// === impl Faults ===

impl Faults {
    pub(crate) fn new(mut diagnostics: Vec<Diagnostic>, source: SourceText) -> Self {
        diagnostics.sort_by_key(Diagnostic::order);
        Self { diagnostics, source }
    }

    /// The faults, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter()
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.diagnostics.len()
    }

    /// The text that they point into, secrets masked.
    #[must_use]
    pub fn source(&self) -> &SourceText {
        &self.source
    }

    /// All of them as a person reads them, and how many there are.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut out = render(&self.diagnostics, &self.source, style);
        let plural = if self.count() == 1 { "" } else { "s" };
        out.push_str(&format!("{}: {} fault{plural}\n", self.source.name(), self.count()));
        out
    }

    /// All of them as a program reads them.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let faults: Vec<_> = self.iter().map(|fault| fault.to_json(&self.source)).collect();
        json!({ "file": self.source.name(), "valid": false, "faults": faults })
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::Plain))
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_all_are_listed() {
        let mut codes: Vec<_> = KINDS.iter().map(|kind| kind.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), KINDS.len());
        assert!(codes.iter().all(|code| code.starts_with("config.")));
        for kind in KINDS {
            assert!(
                !kind.about().ends_with('.') && kind.fix().ends_with('.'),
                "{}",
                kind.code()
            );
        }
    }

    #[test]
    fn the_file_order_is_the_order() {
        let source = SourceText::new("f", "a\nb\n");
        let faults = Faults::new(
            vec![
                FaultKind::UnknownKey.says("second").at(2..3, ""),
                FaultKind::UnknownKey.says("first").at(0..1, ""),
                FaultKind::MissingKey.says("absent").in_file(),
            ],
            source,
        );
        let order: Vec<_> = faults.iter().map(Diagnostic::message).collect();
        assert_eq!(order, ["absent", "first", "second"]);
        assert!(faults.to_string().ends_with("f: 3 faults\n"));
        assert_eq!(faults.to_json()["faults"][2]["line"], 2);
    }
}
