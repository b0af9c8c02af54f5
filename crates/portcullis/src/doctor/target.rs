//! Which API a call is for, and what is known to be revoked.

use std::sync::Arc;

use portcullis_guard::{Guard, GuardError, Revocations};
use portcullis_jose::{Clock, Refusal};
use portcullis_proxy::{PathError, normalise_path};
use portcullis_store::{PostgresStore, RedisStore, SqliteStore, Store, StoreError};
use url::Url;

use crate::config::{Access, Settings, StorePlace, is_within};

/// The API that is named, that has the path, or that is the only one with a guard.
pub(crate) fn api<'s>(settings: &'s Settings, named: Option<&str>, path: Option<&str>) -> Result<&'s str, String> {
    let names = || settings.apis.keys().map(String::as_str);
    let known = || names().collect::<Vec<_>>().join(", ");
    if let Some(name) = named {
        let (name, configured) = settings
            .apis
            .get_key_value(name)
            .ok_or_else(|| format!("there is no api {name}; there are: {}", known()))?;
        return match path {
            Some(path) if !is_within(path, &configured.path) => Err(format!(
                "{path} is not below {}, the path of api {name}",
                configured.path
            )),
            _ => Ok(name),
        };
    }
    if let Some(path) = path {
        let matching = settings.apis.iter().filter(|(_, api)| is_within(path, &api.path));
        let longest = matching.max_by_key(|(_, api)| api.path.len());
        return longest
            .map(|(name, _)| name.as_str())
            .ok_or_else(|| format!("no api has the path {path}"));
    }
    let mut guarded = settings
        .apis
        .iter()
        .filter(|(_, api)| matches!(api.access, Access::Guarded(_)));
    match (guarded.next(), guarded.next()) {
        (Some((name, _)), None) => Ok(name),
        _ => Err(format!(
            "say which api is called, with --api or --path; there are: {}",
            known()
        )),
    }
}

/// The path that a gateway judges when this is called: a path as it is sent, or a whole address, with a query or without.
///
/// # Errors
/// The gateway refuses such a call before it looks at a token.
pub(crate) fn path(called: &str) -> Result<String, String> {
    let sent = match called.split_once("://") {
        Some(("http" | "https", rest)) => rest.find('/').map_or("/", |start| rest.split_at(start).1),
        _ => called,
    };
    let raw = sent.split(['?', '#']).next().unwrap_or_default();
    let refused = |error: PathError| {
        format!(
            "{raw} is refused before a token is looked at: {}: {error}",
            error.code()
        )
    };
    Ok(normalise_path(raw).map_err(refused)?.as_str().to_owned())
}

/// Whether what is called has a token in its query, which a guard refuses whatever else is sent (RFC 6750 s2, s5.3).
pub(crate) fn has_token_in_query(called: &str) -> bool {
    let called = called.split('#').next().unwrap_or_default();
    let Some((_, query)) = called.split_once('?') else {
        return false;
    };
    let Ok(request) = http::Request::get(format!("/?{query}")).body(()) else {
        return false;
    };
    // The guard itself is asked, so that it is one rule.
    let (parts, ()) = request.into_parts();
    let refused = Guard::credential(&parts);
    matches!(refused, Err(GuardError::Token(Refusal::InQuery)))
}

/// Whether callers reach the gateway of this configuration at this address: at its own origin, or at a frontend's.
pub(crate) fn is_ours(settings: &Settings, url: &Url) -> bool {
    let frontends = settings.frontends.values().map(|frontend| &frontend.public_url);
    let mut own = std::iter::once(&settings.server.public_url).chain(frontends);
    own.any(|own| own.origin() == url.origin())
}

/// The revocations of the gateway's store, or why they cannot be looked at. A file is only read.
pub(crate) fn revocations(settings: &Settings, clock: &Arc<dyn Clock>) -> (Revocations, Option<String>) {
    let opened: Result<Arc<dyn Store>, StoreError> = match &settings.store.place {
        StorePlace::Sqlite(path) if !path.exists() => {
            let why = format!("not looked at: there is no store {}", path.display());
            return (Revocations::in_memory(), Some(why));
        }
        StorePlace::Sqlite(path) => {
            SqliteStore::open_read_only(path, clock.clone()).map(|store| Arc::new(store) as Arc<dyn Store>)
        }
        StorePlace::Redis(redis) => {
            RedisStore::new(redis, clock.clone()).map(|store| Arc::new(store) as Arc<dyn Store>)
        }
        StorePlace::Cookie => {
            let why = "not looked at: they are in the gateway's memory".to_owned();
            return (Revocations::in_memory(), Some(why));
        }
        StorePlace::Postgres(postgres) => {
            PostgresStore::new(postgres, clock.clone()).map(|store| Arc::new(store) as Arc<dyn Store>)
        }
    };
    match opened {
        Ok(store) => (Revocations::stored(store), None),
        Err(error) => (Revocations::in_memory(), Some(format!("not looked at: {error}"))),
    }
}
