//! `[store]`: where state lives, how to get in, and what seals it.

use std::path::PathBuf;
use std::time::Duration;

use portcullis_jose::{Secret, base64url_decode};
use portcullis_store::{LocationError, PostgresSettings, RedisLayout, RedisSettings};

use super::secret::{DevOnly, secret, with_source};
use super::server::existing_file;
use crate::config::faults::FaultKind;
use crate::config::kinds::{duration, list, text};
use crate::config::reader::{Context, Item, Reader};
use crate::config::schema::Kind;
use crate::config::settings::{SecretSource, StorePlace, StoreSettings};
use crate::secret_source::Shape;

const PLACES: &str = "\"sqlite:PATH\", \"redis://HOST:6379\", \"postgres://HOST:5432/DATABASE\" or \"cookie\"";

/// Reads `[store]`, or what holds without it.
pub(super) fn store(cx: &Context<'_>, reader: Option<&Reader<'_>>, dev_only: DevOnly) -> Option<StoreSettings> {
    let Some(reader) = reader else {
        return Some(StoreSettings {
            place: StorePlace::Sqlite(cx.base_dir.join("portcullis.db")),
            keys: Vec::new(),
            key_sources: Vec::new(),
            grace: Duration::from_secs(30),
        });
    };
    let place = reader.get("url", place);
    let password = reader.get("password", |cx, item| secret(cx, item, dev_only));
    let sentinel_password = reader.get("sentinel_password", |cx, item| secret(cx, item, dev_only));
    let ca = reader.get("ca_file", |cx, item| {
        let file = existing_file(cx, item)?;
        std::fs::read(file).ok()
    });
    let keys = reader.get("keys", |cx, item| {
        list(cx, item, &Kind::Secret, |cx, item| {
            let (text, source) = with_source(cx, item, dev_only, Shape::Key)?;
            if !is_empty(&text) && lines(&text).all(is_sealing_key) {
                return Some((source, text));
            }
            let fault = item.fault(
                FaultKind::InvalidValue,
                format!("{} is no sealing key", item.what),
                "not 32 bytes",
            );
            cx.push(fault.help("make one:  openssl rand -hex 32 > seal.key && chmod 600 seal.key"));
            None
        })
    });
    let grace = reader.get("grace", duration);
    let mut place = place?.value;
    enter(
        reader,
        &mut place,
        Entry {
            password: password.map(|password| password.value),
            sentinel_password: sentinel_password.map(|password| password.value),
            ca: ca.map(|ca| ca.value),
        },
    )?;
    if !matches!(place, StorePlace::Sqlite(_)) && !reader.has("keys") {
        let fault = FaultKind::MissingKey
            .says(format!("missing key `keys` in {}", reader.title()))
            .at(
                reader.place(),
                "whoever opens what was sealed needs the same keys: other replicas, and this one after a restart",
            )
            .expected("at least one secret");
        reader.cx.push(fault.help(
            "make one:  openssl rand -hex 32 > seal.key && chmod 600 seal.key, and add:  keys = [{ file = \"seal.key\" }]",
        ));
        return None;
    }
    let keys = match keys {
        Some(keys) => keys.value,
        None if reader.has("keys") => return None,
        None => Vec::new(),
    };
    let key_sources: Vec<(SecretSource, Secret)> = keys.into_iter().map(|key| key.value).collect();
    Some(StoreSettings {
        place,
        keys: key_sources
            .iter()
            .flat_map(|(_, text)| lines(text))
            .map(Secret::new)
            .collect(),
        key_sources,
        grace: grace?.value,
    })
}

/// The keys of a text: one in a line, empty lines and those that begin with `#` left out.
pub(crate) fn lines(text: &Secret) -> impl Iterator<Item = &str> {
    text.expose()
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn is_empty(text: &Secret) -> bool {
    lines(text).next().is_none()
}

/// How to get in.
struct Entry {
    password: Option<Secret>,
    sentinel_password: Option<Secret>,
    ca: Option<Vec<u8>>,
}

/// Puts how to get in where it belongs, and says what has no place there.
fn enter(reader: &Reader<'_>, place: &mut StorePlace, entry: Entry) -> Option<()> {
    let idle: &[&str] = match place {
        StorePlace::Sqlite(_) => &["password", "sentinel_password", "ca_file"],
        StorePlace::Cookie => &["password", "sentinel_password", "ca_file", "grace"],
        StorePlace::Redis(redis) => {
            (redis.password, redis.sentinel_password) = (entry.password, entry.sentinel_password);
            redis.ca = entry.ca;
            match (matches!(redis.layout, RedisLayout::Sentinel(_)), redis.tls) {
                (true, true) => &[],
                (true, false) => &["ca_file"],
                (false, true) => &["sentinel_password"],
                (false, false) => &["sentinel_password", "ca_file"],
            }
        }
        StorePlace::Postgres(postgres) => {
            (postgres.password, postgres.ca) = (entry.password, entry.ca);
            match postgres.tls {
                true => &["sentinel_password"],
                false => &["sentinel_password", "ca_file"],
            }
        }
    };
    let mut good = true;
    for key in idle.iter().filter(|key| reader.has(key)) {
        let fault = FaultKind::Contradiction
            .says(format!("`{key}` in {} means nothing for this `url`", reader.title()))
            .at(reader.key_span(key), "nothing there asks for it");
        let fault = match *key {
            "ca_file" if !matches!(place, StorePlace::Cookie | StorePlace::Sqlite(_)) => {
                fault.help("the connection is not TLS: write rediss://, or a host that is not loopback")
            }
            _ => fault,
        };
        reader.cx.push(fault.expected("leave it out, or name another store"));
        good = false;
    }
    good.then_some(())
}

/// Where state lives.
fn place(cx: &Context<'_>, item: &Item<'_>) -> Option<StorePlace> {
    let given = text(cx, item)?;
    let scheme = given.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let located = match scheme.as_str() {
        "sqlite" => return sqlite(cx, item, &given).map(StorePlace::Sqlite),
        "postgres" | "postgresql" => PostgresSettings::parse(&given).map(StorePlace::Postgres),
        name if name.starts_with("redis") => RedisSettings::parse(&given).map(StorePlace::Redis),
        "cookie" if given == "cookie" => return Some(StorePlace::Cookie),
        _ => {
            let fault = FaultKind::InvalidValue
                .says(format!("{} names no store", item.what))
                .at(item.span.clone(), "");
            cx.push(fault.expected(PLACES));
            return None;
        }
    };
    located.map_err(|error| cx.push(no_place(item, &error))).ok()
}

fn no_place(item: &Item<'_>, error: &LocationError) -> crate::diagnostic::Diagnostic {
    FaultKind::InvalidValue
        .says(format!("{}: {}", item.what, error.problem))
        .at(item.span.clone(), "")
        .help(&error.fix)
}

fn sqlite(cx: &Context<'_>, item: &Item<'_>, given: &str) -> Option<PathBuf> {
    let Some(path) = given.strip_prefix("sqlite:").filter(|path| !path.is_empty()) else {
        let fault = FaultKind::InvalidValue
            .says(format!("{} names no store", item.what))
            .at(item.span.clone(), "");
        cx.push(fault.expected(PLACES));
        return None;
    };
    let path = cx.base_dir.join(path.strip_prefix("//").unwrap_or(path));
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    if directory.is_some_and(|directory| !directory.is_dir()) {
        let fault = FaultKind::MissingFile.says(format!("the directory of {} does not exist", item.what));
        let fault = fault
            .at(item.span.clone(), "not there")
            .expected("a path in a directory that exists");
        cx.push(fault.help(format!("the path is {}", path.display())));
        return None;
    }
    Some(path)
}

/// 32 bytes, base64url or hex.
fn is_sealing_key(text: &str) -> bool {
    let hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex || base64url_decode(text).is_some_and(|bytes| bytes.len() == 32)
}
