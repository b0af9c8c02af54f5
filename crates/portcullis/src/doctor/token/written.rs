//! How a token is written where it was copied from, and the slips that travel along.

use portcullis_jose::Secret;

/// Something around or in the token's text that is not the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slip {
    /// `Bearer Bearer eyJ...`
    BearerTwice,
    /// Quotes around it.
    Quoted,
    /// `%2E`, `%3D`, ...
    PercentEncoded,
    /// A line break or a space inside.
    Broken,
    /// The JSON of the token endpoint's answer.
    WholeAnswer,
    /// A byte order mark or a zero-width character.
    Invisible,
    /// `undefined`, `null`, `$TOKEN`, `{{token}}`: the name of the place, not what belongs there.
    Placeholder,
    /// `Basic ...`: a name and a password.
    Basic,
    /// Base64 with padding, or of the standard alphabet.
    StandardBase64,
}

/// A text that holds a token.
pub(crate) struct Written {
    /// What a caller would send: without the header's name, one scheme, and the space around.
    pub(crate) sent: Secret,
    /// What the token is once the slips are taken out.
    pub(crate) token: Secret,
    pub(crate) slips: Vec<Slip>,
}

// === impl Written ===

impl Written {
    /// Reads what somebody pasted: a token, or a header with one.
    pub(crate) fn read(text: &str) -> Written {
        let mut sent = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if let Some(value) = without_prefix(sent, "authorization:") {
            sent = value;
        }
        let mut slips = Vec::new();
        let mut token = match without_prefix(sent, "basic ") {
            Some(value) => {
                slips.push(Slip::Basic);
                value
            }
            None => without_scheme(sent).unwrap_or(sent),
        }
        .to_owned();
        let sent = token.clone();
        while let Some(again) = without_scheme(&token) {
            slips.push(Slip::BearerTwice);
            token = again.to_owned();
        }
        if let Some(found) = access_token_of(&token) {
            slips.push(Slip::WholeAnswer);
            token = found;
        }
        let quotes = ['"', '\'', '`', '\u{201c}', '\u{201d}'];
        if token.len() > 1 && token.starts_with(quotes) && token.ends_with(quotes) {
            slips.push(Slip::Quoted);
            token = token.trim_matches(quotes).to_owned();
        }
        if token.contains(is_invisible) {
            slips.push(Slip::Invisible);
            token.retain(|character| !is_invisible(character));
        }
        if is_placeholder(&token) {
            slips.push(Slip::Placeholder);
        } else if token.contains(|c: char| c.is_whitespace()) {
            slips.push(Slip::Broken);
            token.retain(|c: char| !c.is_whitespace());
        }
        if let Some(decoded) = percent_decoded(&token) {
            slips.push(Slip::PercentEncoded);
            token = decoded;
        }
        if token.matches('.').count() == 2 && token.contains(['=', '+', '/']) {
            slips.push(Slip::StandardBase64);
            token = token.replace('+', "-").replace('/', "_").replace('=', "");
        }
        slips.dedup();
        Written {
            sent: Secret::new(sent),
            token: Secret::new(token),
            slips,
        }
    }
}

fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let start = text.get(..prefix.len())?;
    start
        .eq_ignore_ascii_case(prefix)
        .then(|| text.get(prefix.len()..).unwrap_or_default().trim_start())
}

fn without_scheme(text: &str) -> Option<&str> {
    without_prefix(text, "bearer ").or_else(|| without_prefix(text, "dpop "))
}

/// RFC 6749 s5.1: the answer of the token endpoint.
fn access_token_of(text: &str) -> Option<String> {
    if !text.starts_with('{') {
        return None;
    }
    let answer: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(answer.get("access_token")?.as_str()?.to_owned())
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
}

fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 8] = [
        "undefined",
        "null",
        "none",
        "nil",
        "token",
        "access_token",
        "[object object]",
        "[object promise]",
    ];
    let wrapped = |start, end| text.starts_with(start) && text.ends_with(end);
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        || text.starts_with('$')
        || wrapped("{{", "}}")
        || wrapped("${", "}")
        || wrapped("<", ">")
}

/// Percent-decoded, where that changes it; a token has no `%`.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    // A plus stays a plus here: a form's would be a space, which no token has.
    let escaped = text.replace('+', "%2B");
    let pair = format!("t={escaped}");
    let (_, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
    (value != text).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slip_is_seen_and_taken_out() {
        let json = r#"{"access_token":"a.b.c","token_type":"Bearer"}"#;
        for (text, token, slips) in [
            ("a.b.c", "a.b.c", &[][..]),
            ("  a.b.c\r\n", "a.b.c", &[]),
            ("Authorization: Bearer a.b.c\n", "a.b.c", &[]),
            ("bearer a.b.c", "a.b.c", &[]),
            ("DPoP a.b.c", "a.b.c", &[]),
            ("Bearer Bearer a.b.c", "a.b.c", &[Slip::BearerTwice]),
            ("\"a.b.c\"", "a.b.c", &[Slip::Quoted]),
            ("a.b\n.c", "a.b.c", &[Slip::Broken]),
            ("a%2Eb%2ec", "a.b.c", &[Slip::PercentEncoded]),
            ("\u{feff}a.b.c", "a.b.c", &[Slip::Invisible]),
            (json, "a.b.c", &[Slip::WholeAnswer]),
            ("a.b.c+/==", "a.b.c-_", &[Slip::StandardBase64]),
            ("undefined", "undefined", &[Slip::Placeholder]),
            ("[object Object]", "[object Object]", &[Slip::Placeholder]),
            ("{{access_token}}", "{{access_token}}", &[Slip::Placeholder]),
            ("Basic dTpw", "dTpw", &[Slip::Basic]),
            ("", "", &[]),
        ] {
            let written = Written::read(text);
            assert_eq!(written.slips, slips, "{text:?}");
            assert_eq!(written.token.expose(), token, "{text:?}");
        }
    }

    #[test]
    fn what_is_sent_keeps_the_slips() {
        assert_eq!(Written::read("Bearer \"a.b.c\"\n").sent.expose(), "\"a.b.c\"");
        assert_eq!(Written::read("Bearer Bearer a.b.c").sent.expose(), "Bearer a.b.c");
    }
}
