//! Text that came from outside, made fit for one line of a log and for a terminal.

/// The most bytes that one value of an event may have.
pub(crate) const MAX_BYTES: usize = 256;

const CUT_MARK: &str = "...";

/// `{"` in base64url: every JWT begins with it.
const TOKEN_START: &str = "eyJ";
const TOKEN_MASK: &str = "[redacted]";

/// Escapes what could break or forge a line, caps the length, and masks what looks like a token.
///
/// Control characters (also DEL, C1 and the Unicode line separators) become `\r`, `\u{1b}` and the like, so that
/// neither a raw terminal nor a line reader is fooled; so do the marks that reverse the direction of writing.
///
/// No event has a member for a token. The mask is for the caller who puts one where it does not belong, such as into a
/// path or a key's identifier.
pub(crate) fn tidy(value: &mut String) {
    let harmless = value.len() <= MAX_BYTES && !value.chars().any(is_hostile) && !value.contains(TOKEN_START);
    if !harmless {
        *value = tidied(value);
    }
}

/// As [`tidy`], for a path: a query or a fragment does not belong to it and is cut off.
pub(crate) fn tidy_path(path: &mut String) {
    if let Some(end) = path.find(['?', '#']) {
        path.truncate(end);
    }
    tidy(path);
}

/// As [`tidy`], for a value that is there or not.
pub(crate) fn tidy_option(value: &mut Option<String>) {
    if let Some(value) = value {
        tidy(value);
    }
}

/// As [`tidy`], for a sentence that is ours: its length is what it is.
pub(crate) fn tidy_sentence(sentence: &mut String) {
    if sentence.contains(TOKEN_START) || sentence.chars().any(is_hostile) {
        *sentence = tidied(sentence);
    }
}

/// The fit form of a value.
pub(crate) fn tidied(value: &str) -> String {
    let masked;
    let value = if value.contains(TOKEN_START) {
        masked = mask_tokens(value);
        &masked
    } else {
        value
    };
    let mut out = String::with_capacity(value.len().min(MAX_BYTES));
    for c in value.chars() {
        let before = out.len();
        if is_hostile(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > MAX_BYTES {
            out.truncate(before);
            // Room for the mark, on a character's boundary.
            while out.len() + CUT_MARK.len() > MAX_BYTES {
                out.pop();
            }
            out.push_str(CUT_MARK);
            break;
        }
    }
    out
}

/// Replaces every run of base64url and dots that begins as the header of a JWT does and has three parts.
fn mask_tokens(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find(TOKEN_START) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        out.push_str(if run.matches('.').count() >= 2 { TOKEN_MASK } else { run });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        let mut value = String::from("/api/orders/caf\u{e9}?");
        tidy(&mut value);
        assert_eq!(value, "/api/orders/caf\u{e9}?");
    }

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(
            tidied("a\r\nb\u{1b}[31mc\u{7f}\u{9b}d\u{2028}\u{202e}\0"),
            "a\\r\\nb\\u{1b}[31mc\\u{7f}\\u{9b}d\\u{2028}\\u{202e}\\u{0}"
        );
    }

    #[test]
    fn a_long_value_is_cut_on_a_boundary() {
        for c in ["x", "\u{e9}", "\u{20ac}", "\u{1f512}", "\u{1b}"] {
            let cut = tidied(&c.repeat(400));
            assert!(
                cut.len() <= MAX_BYTES && cut.len() > MAX_BYTES - 16,
                "{} bytes",
                cut.len()
            );
            assert!(cut.ends_with(CUT_MARK));
        }
        let fits = "y".repeat(MAX_BYTES);
        assert_eq!(tidied(&fits), fits);
    }

    #[test]
    fn what_looks_like_a_token_is_masked() {
        assert_eq!(
            tidied("/a/eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln/b"),
            "/a/[redacted]/b"
        );
        assert_eq!(
            tidied("Bearer eyJhbGciOiJub25lIn0.e30. and eyJh.b."),
            "Bearer [redacted] and [redacted]"
        );
        assert_eq!(tidied("keyJar/eyJ.b/moneyJar.txt"), "keyJar/eyJ.b/moneyJar.txt");
    }

    #[test]
    fn a_path_has_no_query() {
        for path in ["/api/orders?access_token=s3cret", "/api/orders#s3cret", "/api/orders"] {
            let mut path = path.to_owned();
            tidy_path(&mut path);
            assert_eq!(path, "/api/orders");
        }
    }
}
