//! What a command prints, without what differs from run to run.

use serde_json::Value;

/// Replaces these texts, then ports, times, and whatever is long and looks drawn at random. Columns are two spaces apart.
pub(crate) fn fixed(text: &str, known: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in known {
        text = text.replace(from, to);
    }
    let mut fixed = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        match end {
            0 => {
                if !(first == ' ' && fixed.ends_with("  ")) {
                    fixed.push(first);
                }
                rest = &rest[first.len_utf8()..];
            }
            _ => {
                fixed.push_str(&fixed_word(&rest[..end]));
                rest = &rest[end..];
            }
        }
    }
    fixed
}

/// The same for an answer in JSON, whose numbers are all 0.
pub(crate) fn fixed_json(text: &str, known: &[(&str, &str)]) -> String {
    let answer: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    serde_json::to_string_pretty(&fixed_value(answer, known)).unwrap()
}

fn fixed_value(value: Value, known: &[(&str, &str)]) -> Value {
    match value {
        Value::Number(_) => 0.into(),
        Value::String(text) => fixed(&text, known).into(),
        Value::Array(items) => items.into_iter().map(|item| fixed_value(item, known)).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            members.map(|(name, value)| (name, fixed_value(value, known))).collect()
        }
        other => other,
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.')
}

fn fixed_word(word: &str) -> String {
    let bare = word.trim_end_matches(['.', ':']);
    let after = &word[bare.len()..];
    let has = |of: fn(&char) -> bool| bare.chars().any(|c| of(&c));
    let time = bare.len() >= 19 && bare.as_bytes().get(10) == Some(&b'T') && bare.starts_with("20");
    let (upper, lower) = (has(char::is_ascii_uppercase), has(char::is_ascii_lowercase));
    let hex = bare.chars().all(|c| c.is_ascii_hexdigit());
    let drawn = (upper && lower) || (has(char::is_ascii_digit) && (upper || hex));
    let opaque = bare.len() >= 16 && !bare.contains([':', '.']) && drawn;
    let seconds = bare.len() == 10 && bare.bytes().all(|byte| byte.is_ascii_digit());
    let told = match bare.rsplit_once(':') {
        _ if time || seconds => "TIME".to_owned(),
        _ if opaque => "OPAQUE".to_owned(),
        Some((host, port)) if port.len() >= 4 && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{host}:PORT")
        }
        _ => bare.to_owned(),
    };
    told + after
}

#[test]
fn what_differs_is_replaced_and_nothing_else() {
    for (text, expected) in [
        (
            "at http://127.0.0.1:43111/login now",
            "at http://127.0.0.1:PORT/login now",
        ),
        ("until 2026-11-26T19:11:26Z, or", "until TIME, or"),
        ("exp 1795722380", "exp TIME"),
        ("\"sid\":\"b2fQ81x0aP_-9kLmNoPq\"}", "\"sid\":\"OPAQUE\"}"),
        ("8f1d0c5b7a3e49621f0e", "OPAQUE"),
        ("aBcDeFgHiJkLmNoP", "OPAQUE"),
        (
            "cause.certificate_token_without_certificate",
            "cause.certificate_token_without_certificate",
        ),
        (
            "token.audience_mismatch: 401 api://orders",
            "token.audience_mismatch: 401 api://orders",
        ),
        ("A  B     C", "A  B  C"),
    ] {
        assert_eq!(fixed(text, &[]), expected);
    }
    assert_eq!(fixed("http://x:1 of it", &[("http://x:1", "ISSUER")]), "ISSUER of it");
}
