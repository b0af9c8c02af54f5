//! A secret is named, never written: from a file, a variable or a command.

use std::io::Read;
use std::path::Path;

use portcullis_jose::{Secret, UnixTime};
use toml::de::DeValue;

use crate::config::faults::FaultKind;
use crate::config::kinds::{list, path, text};
use crate::config::reader::{Context, Item, Reader, shown};
use crate::config::schema::{CLIENT_SECRET, Kind, SECRET};
use crate::config::settings::ClientSecret;
use crate::diagnostic::Diagnostic;
use crate::secret_source::{MAX_BYTES, SecretSource, Shape, mode_of, run};

/// Whether `dev_only` may be used here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DevOnly {
    Allowed,
    /// Not, and what is not loopback.
    Refused(&'static str),
    /// What decides is itself wrong, and reported.
    Unknown,
}

/// Reads a secret reference and what it leads to.
pub(crate) fn secret(cx: &Context<'_>, item: &Item<'_>, dev_only: DevOnly) -> Option<Secret> {
    with_source(cx, item, dev_only, Shape::Line).map(|(secret, _)| secret)
}

/// The same, and where it came from.
pub(super) fn with_source(
    cx: &Context<'_>,
    item: &Item<'_>,
    dev_only: DevOnly,
    shape: Shape,
) -> Option<(Secret, SecretSource)> {
    let table = match item.value {
        DeValue::Table(table) => table,
        DeValue::String(_) => {
            let message = format!("{} is written into the configuration", item.what);
            let fault = item.fault(FaultKind::SecretInline, message, "whoever reads this file has it");
            let fault = fault.help("move it to a file of its own, `chmod 600` it, and name that: { file = \"PATH\" }");
            cx.push(fault.help("then change it at the provider: it may be in backups and in version control"));
            return None;
        }
        _ => {
            cx.push(item.wrong_type());
            return None;
        }
    };
    let reader = Reader::new(cx, &SECRET, item.what.clone(), table, item.span.clone());
    read_one(&reader, dev_only, shape)
}

/// A key, as PEM or JWK.
pub(super) fn key(cx: &Context<'_>, item: &Item<'_>, dev_only: DevOnly) -> Option<Secret> {
    let DeValue::Table(table) = item.value else {
        // It says what is wrong with it.
        return secret(cx, item, dev_only).and(None);
    };
    let reader = Reader::new(cx, &SECRET, item.what.clone(), table, item.span.clone());
    read_one(&reader, dev_only, Shape::Key).map(|(secret, _)| secret)
}

/// The secrets of a client: one or a list, each perhaps with the times between which it is valid.
pub(super) fn of_client(
    cx: &Context<'_>,
    item: &Item<'_>,
    dev_only: DevOnly,
    shape: Shape,
) -> Option<Vec<ClientSecret>> {
    static ONE: Kind = Kind::Secret;
    let one = |cx: &Context<'_>, item: &Item<'_>| match item.value {
        DeValue::Table(table) => {
            let reader = Reader::new(cx, &CLIENT_SECRET, item.what.clone(), table, item.span.clone());
            dated(&reader, dev_only, shape)
        }
        // It says what is wrong with it.
        _ => secret(cx, item, dev_only).and(None),
    };
    match item.value {
        DeValue::Array(_) => {
            let all = list(cx, item, &ONE, one)?;
            Some(all.into_iter().map(|secret| secret.value).collect())
        }
        _ => Some(vec![one(cx, &item.of_kind(&ONE))?]),
    }
}

fn dated(reader: &Reader<'_>, dev_only: DevOnly, shape: Shape) -> Option<ClientSecret> {
    let not_before = reader.get("not_before", date);
    let expires = reader.get("expires", date);
    let (value, source) = read_one(reader, dev_only, shape)?;
    let wrong = |name: &str, read: bool| reader.has(name) && !read;
    if wrong("not_before", not_before.is_some()) || wrong("expires", expires.is_some()) {
        return None;
    }
    if let (Some(from), Some(until)) = (&not_before, &expires)
        && from.value >= until.value
    {
        let fault = FaultKind::Contradiction.says(format!("{} expires before it begins", reader.title()));
        let fault = fault.at(until.span.clone(), "not later than `not_before`");
        reader.cx.push(fault.related(from.span.clone(), "begins here"));
        return None;
    }
    Some(ClientSecret {
        value,
        source,
        not_before: not_before.map(|at| at.value),
        expires: expires.map(|at| at.value),
    })
}

fn date(cx: &Context<'_>, item: &Item<'_>) -> Option<UnixTime> {
    let given = text(cx, item)?;
    let parsed = crate::dates::parse(&given);
    if parsed.is_none() {
        let message = format!("{} is no date", item.what);
        let fault = item.fault(FaultKind::InvalidValue, message, "not understood");
        cx.push(fault.help("a day in quotes, \"2027-05-01\", or a time in UTC, \"2027-05-01T12:00:00Z\""));
    }
    parsed
}

fn read_one(reader: &Reader<'_>, dev_only: DevOnly, shape: Shape) -> Option<(Secret, SecretSource)> {
    match reader.exactly_one(&["file", "env", "command", "dev_only"], None)? {
        "file" => reader.get("file", |cx, item| from_file(cx, item, shape)),
        "env" => reader.get("env", |cx, item| from_env(cx, item, shape)),
        "command" => reader.get("command", |cx, item| from_command(cx, item, shape)),
        _ => reader.get("dev_only", |cx, item| from_text(cx, item, dev_only, shape)),
    }
    .map(|secret| secret.value)
}

/// Says that others can read a file, if so. Returns whether they cannot.
pub(crate) fn is_private(cx: &Context<'_>, item: &Item<'_>, file: &Path) -> bool {
    let Some(mode) = mode_of(file) else { return true };
    if mode & 0o077 == 0 {
        return true;
    }
    let message = format!("other users can read the file of {}", item.what);
    let fault = FaultKind::SecretPermissions
        .says(message)
        .at(item.span.clone(), format!("its mode is {:04o}", mode & 0o7777));
    let fault = fault.expected("a file that its owner alone can read: mode 0600 or 0400");
    cx.push(fault.help(format!("chmod 600 {}", file.display())));
    false
}

fn from_file(cx: &Context<'_>, item: &Item<'_>, shape: Shape) -> Option<(Secret, SecretSource)> {
    let file = path(cx, item)?;
    let unreadable = |why: String| unavailable(item, "the file cannot be read", why);
    let opened = match std::fs::File::open(&file) {
        Ok(opened) => opened,
        Err(error) => {
            cx.push(unreadable(error.to_string()).help(format!("the path is {}", file.display())));
            return None;
        }
    };
    if file.is_dir() {
        cx.push(unreadable("a directory".to_owned()));
        return None;
    }
    if !is_private(cx, item, &file) {
        return None;
    }
    let mut bytes = Vec::new();
    if let Err(error) = opened.take(MAX_BYTES + 1).read_to_end(&mut bytes) {
        cx.push(unreadable(error.to_string()));
        return None;
    }
    let secret = from_bytes(cx, item, bytes, shape)?;
    Some((secret, SecretSource::File(file)))
}

fn from_env(cx: &Context<'_>, item: &Item<'_>, shape: Shape) -> Option<(Secret, SecretSource)> {
    let name = text(cx, item)?;
    match cx.env.var(&name) {
        Some(value) => {
            let secret = from_bytes(cx, item, value.into_encoded_bytes(), shape)?;
            Some((secret, SecretSource::Env(name)))
        }
        None => {
            let fault = unavailable(item, "the variable is not set", "not set".to_owned());
            cx.push(fault.help(format!("set {} where portcullis is started", shown(&name))));
            None
        }
    }
}

fn from_command(cx: &Context<'_>, item: &Item<'_>, shape: Shape) -> Option<(Secret, SecretSource)> {
    let words = list(cx, item, &Kind::Text, |cx, item| match item.value.as_str() {
        Some(word) => Some(word.to_owned()),
        None => {
            cx.push(item.wrong_type());
            None
        }
    })?;
    let words: Vec<String> = words.into_iter().map(|word| word.value).collect();
    match run(&words, cx.base_dir) {
        Ok(bytes) => {
            let secret = from_bytes(cx, item, bytes, shape)?;
            let dir = cx.base_dir.to_owned();
            Some((secret, SecretSource::Command { words, dir }))
        }
        Err(why) => {
            let fault = unavailable(item, "the command failed", why);
            cx.push(fault.help("run it by hand, as the same user, to see its messages"));
            None
        }
    }
}

fn from_text(cx: &Context<'_>, item: &Item<'_>, dev_only: DevOnly, shape: Shape) -> Option<(Secret, SecretSource)> {
    // A key has several lines.
    let secret = match (shape, item.value.as_str()) {
        (Shape::Key, Some(given)) => given.to_owned(),
        _ => text(cx, item)?,
    };
    match dev_only {
        DevOnly::Allowed => Some((Secret::new(secret), SecretSource::Written)),
        DevOnly::Unknown => None,
        DevOnly::Refused(what) => {
            let message = format!("{} is not for this configuration: {what} is not loopback", item.what);
            let fault = item.fault(FaultKind::SecretInline, message, "whoever reads this file has it");
            cx.push(fault.help("move it to a file of its own, `chmod 600` it, and name that: { file = \"PATH\" }"));
            None
        }
    }
}

fn from_bytes(cx: &Context<'_>, item: &Item<'_>, bytes: Vec<u8>, shape: Shape) -> Option<Secret> {
    match shape.read(bytes) {
        Ok(secret) => Some(secret),
        Err(problem) => {
            cx.push(unavailable(item, "what it gives is no secret", problem.to_owned()));
            None
        }
    }
}

fn unavailable(item: &Item<'_>, what: &str, why: String) -> Diagnostic {
    FaultKind::SecretUnavailable
        .says(format!("{}: {what}", item.what))
        .at(item.span.clone(), why)
        .expected("one line of text")
}
