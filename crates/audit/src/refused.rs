use serde::Serialize;

use crate::catalogue;
use crate::text;

/// Why something was refused: the code, and for those who run the system the cause and the fix.
///
/// Cause and fix come from the [catalogue]; `expected` and `found` are this case's own values. They are
/// capped at 256 bytes and their control characters are escaped. They never hold a token, a secret, a cookie or a code.
///
/// ```
/// use portcullis_audit::Refused;
///
/// let refused = Refused::new("token.audience_mismatch").expected("api://orders").found("api://billing");
/// assert_eq!(refused.code, "token.audience_mismatch");
/// assert_eq!(refused.reason, "aud_mismatch");
/// assert_eq!(refused.status(), 401);
/// assert!(refused.fix.contains("audience"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// The stable code, for example `token.audience_mismatch`.
    pub code: &'static str,
    /// The short name, for example `aud_mismatch`.
    pub reason: &'static str,
    /// What was wrong.
    pub cause: String,
    /// What to change, and where.
    pub fix: String,
    /// What would have been accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What came instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

impl Refused {
    /// Looks the code up in the catalogue.
    ///
    /// A code that the catalogue does not know is a fault of the program, so it becomes `internal.error` and names
    /// the code in `found`.
    #[must_use]
    pub fn new(code: &str) -> Self {
        let (entry, found) = match catalogue::find(code) {
            Some(entry) => (entry, None),
            None => (catalogue::internal_error(), Some(text::tidied(code))),
        };
        Self {
            code: entry.code,
            reason: entry.reason,
            cause: entry.cause.to_owned(),
            fix: entry.fix.to_owned(),
            expected: None,
            found,
        }
    }

    /// Says what would have been accepted.
    #[must_use]
    pub fn expected(mut self, value: impl AsRef<str>) -> Self {
        self.expected = Some(text::tidied(value.as_ref()));
        self
    }

    /// Says what came instead.
    #[must_use]
    pub fn found(mut self, value: impl AsRef<str>) -> Self {
        self.found = Some(text::tidied(value.as_ref()));
        self
    }

    /// As [`Refused::expected`], for a value that may be absent.
    #[must_use]
    pub fn expected_if(mut self, value: Option<impl AsRef<str>>) -> Self {
        self.expected = value.map(|value| text::tidied(value.as_ref()));
        self
    }

    /// As [`Refused::found`], for a value that may be absent.
    #[must_use]
    pub fn found_if(mut self, value: Option<impl AsRef<str>>) -> Self {
        self.found = value.map(|value| text::tidied(value.as_ref()));
        self
    }

    /// The HTTP status of the public answer, as the catalogue has it.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.entry().status
    }

    /// The catalogue's entry.
    #[must_use]
    pub fn entry(&self) -> &'static catalogue::Entry {
        catalogue::find(self.code).unwrap_or_else(catalogue::internal_error)
    }

    /// Fields are public, so what was written into them by hand is made fit once more when the event is emitted.
    pub(crate) fn tidy(&mut self) {
        text::tidy_option(&mut self.expected);
        text::tidy_option(&mut self.found);
        text::tidy_sentence(&mut self.cause);
        text::tidy_sentence(&mut self.fix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_come_from_the_catalogue() {
        let refused = Refused::new("policy.scope_insufficient")
            .expected("orders.write")
            .found("orders.read");
        let entry = catalogue::find("policy.scope_insufficient").unwrap();
        assert_eq!((refused.cause.as_str(), refused.fix.as_str()), (entry.cause, entry.fix));
        assert_eq!(refused.status(), 403);
        assert_eq!(
            (refused.expected.as_deref(), refused.found.as_deref()),
            (Some("orders.write"), Some("orders.read"))
        );
    }

    #[test]
    fn an_unknown_code_is_our_own_fault_and_says_so() {
        let refused = Refused::new("token.no_such\r\ncode");
        assert_eq!(refused.code, "internal.error");
        assert_eq!(refused.status(), 500);
        assert_eq!(refused.found.as_deref(), Some("token.no_such\\r\\ncode"));
    }

    #[test]
    fn values_are_capped_and_escaped() {
        let refused = Refused::new("token.kid_invalid")
            .expected_if(None::<&str>)
            .found_if(Some("k\u{1b}[2J".repeat(100)));
        let found = refused.found.unwrap();
        assert!(found.len() <= 256 && !found.contains('\u{1b}'), "{found}");
        assert_eq!(refused.expected, None);
    }
}
