//! Faults show lines of the file. Nothing secret may be on them, also where it was put by mistake: what is shown are the
//! values of keys that are known to be public, and of those that look like a slip of one.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::schema::{SECTIONS, TABLES};

/// Parts of key names whose values are secrets, wherever somebody may write them.
const SECRET_WORDS: [&str; 8] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "private_key",
    "dev_only",
    "credential",
    "sealing",
];

/// Keys of this configuration whose values are secrets or lead to them.
const SECRET_KEYS: [&str; 3] = ["secret", "keys", "dev_only"];

/// The text with secret values as asterisks. Every byte stays where it is.
pub(crate) fn values(text: &str, tree: &DeTable<'_>) -> String {
    let mut spans = Vec::new();
    in_table(text, tree, false, &mut spans);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        // A line that was commented out may stand between two that are shown.
        if line.trim_start().starts_with('#') {
            spans.extend(
                in_line(line)
                    .into_iter()
                    .map(|span| start + span.start..start + span.end),
            );
        }
        start += line.len();
    }
    covered(text, &spans)
}

/// The same for a text that is no TOML, where the key itself may be damaged.
pub(crate) fn lines(text: &str) -> String {
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    let mut inside: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let hidden = match inside {
            Some(_) => std::iter::once(0..line.len()).collect(),
            None => in_line(line),
        };
        inside = match inside {
            Some(quotes) => (!line.contains(quotes)).then_some(quotes),
            None => ["\"\"\"", "'''"]
                .into_iter()
                .find(|quotes| line.matches(quotes).count() == 1),
        };
        spans.extend(hidden.into_iter().map(|span| start + span.start..start + span.end));
        start += line.len();
    }
    covered(text, &spans)
}

fn in_table(text: &str, table: &DeTable<'_>, secret: bool, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let name = key.get_ref().to_ascii_lowercase();
        // A reference to a secret is no secret; where it leads is what a reader wants to see.
        let reference = secret && matches!(name.as_str(), "file" | "env");
        match value.get_ref() {
            DeValue::Array(arguments) if secret && name == "command" => {
                spans.extend(arguments.iter().skip(1).map(|argument| argument.span()));
            }
            DeValue::Table(table) => in_table(text, table, secret || is_secret(&name), spans),
            leaf => {
                let secret = !reference && (secret || is_secret(&name));
                let hidden = secret || !reference && !is_known(&name) && !is_slip(&name);
                in_value(text, leaf, value.span(), (secret, hidden), spans);
            }
        }
    }
}

/// `secret` is what holds for tables inside, `hidden` for the value itself.
fn in_value(
    text: &str,
    value: &DeValue<'_>,
    span: Range<usize>,
    (secret, hidden): (bool, bool),
    spans: &mut Vec<Range<usize>>,
) {
    match value {
        DeValue::Table(table) => in_table(text, table, secret, spans),
        DeValue::Array(array) => {
            for entry in array {
                in_value(text, entry.get_ref(), entry.span(), (secret, hidden), spans);
            }
        }
        DeValue::String(_) if hidden => spans.push(span),
        _ if secret => spans.push(span),
        DeValue::String(_) => {
            let written = text.get(span.clone()).unwrap_or_default();
            spans.extend(
                user_infos(written)
                    .into_iter()
                    .map(|part| span.start + part.start..span.start + part.end),
            );
        }
        _ => {}
    }
}

/// What to hide of a line that may be anything.
fn in_line(line: &str) -> Vec<Range<usize>> {
    let equals: Vec<_> = line.match_indices('=').map(|(at, _)| at).collect();
    let bare = line.trim_start().trim_start_matches(['#', ' ']);
    let Some(first) = equals.first() else {
        // A header, or the rest of something from the line before.
        return match bare.starts_with('[') || bare.trim_end() == "]" {
            true => line.find(['"', '\'']).map(|at| at..line.len()).into_iter().collect(),
            false => std::iter::once(0..line.len())
                .filter(|_| !bare.trim().is_empty())
                .collect(),
        };
    };
    let mut spans = Vec::new();
    let mut secret = false;
    let mut key = word_before(line, *first);
    let before = line
        .get(..key.start)
        .unwrap_or_default()
        .trim_start_matches(['#', ' ', '{']);
    if before.contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-')) {
        // No dotted key: the end of a value from the line before.
        spans.push(0..key.start);
    }
    for (at, position) in equals.iter().enumerate() {
        let next = equals.get(at + 1).map(|next| word_before(line, *next));
        // A word before `=` that is no key of ours may be a piece of the value.
        let is_key = |word: &Range<usize>| is_known(&line.get(word.clone()).unwrap_or_default().to_ascii_lowercase());
        let end = match (&next, equals.get(at + 1)) {
            (Some(word), _) if is_key(word) => word.start,
            (_, Some(next)) => *next,
            _ => line.len(),
        };
        let end = end.max(position + 1);
        let name = line.get(key).unwrap_or_default().to_ascii_lowercase();
        let reference = secret && matches!(name.as_str(), "file" | "env");
        secret |= is_secret(&name);
        if !reference && (secret || !is_known(&name)) {
            let rest = line.get(position + 1..end).unwrap_or_default();
            let value = position + 1 + (rest.len() - rest.trim_start().len());
            let opens = line.get(value..).is_some_and(|value| value.starts_with(['{', '[']));
            let from = (value + usize::from(opens)).min(end);
            spans.push(from..end);
        }
        key = next.unwrap_or_default();
    }
    spans.extend(user_infos(line));
    spans
}

/// The word of a key that ends before `at`.
fn word_before(line: &str, at: usize) -> Range<usize> {
    let before = line.get(..at).unwrap_or_default().trim_end();
    let end = before.trim_end_matches(['"', '\'']).len();
    let before = before.get(..end).unwrap_or_default();
    let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    start.map_or(0, |at| {
        at + before
            .get(at..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8)
    })..end
}

fn is_secret(name: &str) -> bool {
    let said = SECRET_KEYS.contains(&name) || SECRET_WORDS.iter().any(|word| name.contains(word));
    said || (!is_known(name) && nearest(name, SECRET_KEYS).is_some())
}

/// A key of this configuration, or another program's word for one.
fn is_known(name: &str) -> bool {
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    let keys = TABLES.iter().flat_map(|table| table.keys);
    let sections = SECTIONS.iter().map(|section| section.name);
    keys.flat_map(|key| key.also.iter().copied().chain([key.name]))
        .chain(sections)
        .any(|known| is(&known))
}

fn is_slip(name: &str) -> bool {
    TABLES.iter().any(|table| nearest(name, table.names()).is_some())
}

/// What stands between `://` and `@`, or before an `@` where a URL's scheme was forgotten.
fn user_infos(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    if let (None, Some(at)) = (text.find("://"), text.rfind('@')) {
        let start = text
            .get(..at)
            .and_then(|before| before.rfind(['"', '\'', ' ']))
            .map_or(0, |quote| quote + 1);
        spans.push(start..at);
    }
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let rest = text.get(start..).unwrap_or_default();
        let authority = rest
            .split(['/', '"', '\'', '\n', '?', '#', ' '])
            .next()
            .unwrap_or_default();
        if let Some(end) = authority.rfind('@') {
            spans.push(start..start + end);
        }
    }
    spans
}

fn covered(text: &str, spans: &[Range<usize>]) -> String {
    let mut hidden = vec![false; text.len()];
    for span in spans {
        hidden
            .get_mut(span.start..span.end.min(text.len()))
            .unwrap_or_default()
            .fill(true);
    }
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if hidden.get(at) == Some(&true) && !matches!(c, '\n' | '\r' | '"' | '\'') {
            out.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        values(text, DeTable::parse(text).unwrap().get_ref())
    }

    #[test]
    fn secrets_are_covered_wherever_they_are_written() {
        for (text, shown) in [
            (
                "[client.web]\nsecret = \"hünter2\"\n",
                "[client.web]\nsecret = \"********\"\n",
            ),
            (
                "c = { client_secret = 'x y', id = 'a' }",
                "c = { client_secret = '***', id = 'a' }",
            ),
            ("secret = { flie = \"abc\" }", "secret = { flie = \"***\" }"),
            ("secrt = \"abc\"\npwd = \"abc\"", "secrt = \"***\"\npwd = \"***\""),
            ("secret.dev_only = \"abc\"\n", "secret.dev_only = \"***\"\n"),
            ("secret = 1234\nworkers = 12", "secret = ****\nworkers = 12"),
            (
                "store.keys = [\n \"ab\",\n { env = \"K\" }]",
                "store.keys = [\n \"**\",\n { env = \"K\" }]",
            ),
            ("url = \"redis://:pa@ss@host/0\"", "url = \"redis://******@host/0\""),
            ("upstream = \"me:pw@host\"", "upstream = \"*****@host\""),
            ("secret = \"\"\"\nab\ncd\"\"\"", "secret = \"\"\"\n**\n**\"\"\""),
            (
                "secret = { command = [\"op\", \"-t=x\"] }",
                "secret = { command = [\"op\", \"****\"] }",
            ),
            ("# secret = \"abc\"\npath = \"/\"", "# secret = \"***\"\npath = \"/\""),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn what_is_public_stays_readable() {
        for text in [
            "secret = { file = \"/run/x\" }",
            "secret = { env = \"X\" }",
            "key = \"tls.key\"",
            "issuer = \"https://a/@b\"",
            "audiance = \"api://orders\"",
            "authority = \"https://a\"",
            "policy = { Get = \"Read\" }",
            "[api.orders]\npath = \"/x\" # why",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn a_broken_file_covers_more_rather_than_less() {
        for (text, shown) in [
            (
                "path = \"/a\nsecret = \"ab\nissuer = b\n",
                "path = \"/a\nsecret = \"**\nissuer = b\n",
            ),
            ("secret = abc\n", "secret = ***\n"),
            ("secret = { dev_only = ab\" }\n", "secret = {*dev_only = **\"**\n"),
            (
                "w = { client_id = \"x\", secret = \"ab }\n",
                "w = {*client_id = \"x\", secret = \"****\n",
            ),
            (
                "secret = \"\"\"\nab\nurl = \"cd\"\n\"\"\"\npath = 2\n",
                "secret = \"\"\"\n**\n******\"**\"\n\"\"\"\npath = 2\n",
            ),
            ("keys = [\n\"ab\n]\npath = 2\n", "keys = [\n\"**\n]\npath = 2\n"),
            ("v_only = \"ab\" }\n", "v_only = \"**\"**\n"),
            ("ab\" }\n", "**\"**\n"),
            ("issuer = \"https://me:pw@host\n", "issuer = \"https://*****@host\n"),
            ("path == \"ab\n", "path == \"**\n"),
        ] {
            assert_eq!(lines(text), shown);
        }
    }
}
