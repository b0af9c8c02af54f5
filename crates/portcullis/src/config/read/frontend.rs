//! `[frontend.NAME]`.

use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use crate::config::faults::FaultKind;
use crate::config::kinds::{distinct, duration, list, path, reference, scopes, word};
use crate::config::reader::{Context, Item, Reader, shown};
use crate::config::schema::{ASSETS, Kind, SESSION};
use crate::config::settings::{Assets, FrontendSettings, LogoutHint, SameSite, SessionSettings};
use crate::config::urls::{PlainHttp, upstream, url};

pub(super) fn frontend(reader: &Reader<'_>) -> Option<FrontendSettings> {
    let client = reader.get("client", reference);
    let scopes = reader.get("scopes", scopes_with_openid);
    let assets = reader.table("assets", &ASSETS).map(|assets| read_assets(&assets));
    let session = session(reader);
    let resource = reader.get("resource", |cx, item| url(cx, item, PlainHttp::Anywhere));
    let refresh_before = reader.get("refresh_before", duration);
    let return_to = reader.get("return_to", |cx, item| {
        let urls = list(cx, item, &Kind::Url, |cx, item| {
            Some(url(cx, item, PlainHttp::Loopback)?.0)
        })?;
        distinct(cx, item, urls)
    });
    let same_site = reader.get("same_site", word);
    let logout_hint = reader.get("logout_hint", word);
    Some(FrontendSettings {
        client: client?.value,
        scopes: scopes?.value,
        assets: match assets {
            Some(assets) => Some(assets?),
            None => None,
        },
        session: session?,
        // RFC 8707 s2: the resource is sent as it was written.
        resource: resource.map(|resource| resource.value.0),
        refresh_before: refresh_before?.value,
        return_to: return_to.map(|urls| urls.value).unwrap_or_default(),
        same_site: match same_site?.value {
            "strict" => SameSite::Strict,
            _ => SameSite::Lax,
        },
        logout_hint: match logout_hint?.value {
            "id_token" => LogoutHint::IdToken,
            _ => LogoutHint::Session,
        },
    })
}

/// All frontends would share `public_url`, its cookies and `/bff/`.
pub(super) fn only_one(cx: &Context<'_>, tree: &DeTable<'_>) {
    let Some(DeValue::Table(tables)) = tree.get("frontend").map(|value| value.get_ref()) else {
        return;
    };
    let mut places: Vec<_> = tables
        .iter()
        .filter(|(_, value)| matches!(value.get_ref(), DeValue::Table(_)))
        .map(|(key, value)| (cx.place_of(&key.span(), &value.span()), key.get_ref()))
        .collect();
    places.sort_by_key(|(place, _)| place.start);
    let mut places = places.into_iter();
    let Some((first, first_name)) = places.next() else {
        return;
    };
    for (place, name) in places {
        let fault = FaultKind::Contradiction
            .says(format!(
                "[frontend.{}] is a second frontend on the same `public_url`",
                shown(name)
            ))
            .at(place, "one too many")
            .related(first.clone(), format!("[frontend.{}] has it", shown(first_name)))
            .expected("one [frontend.NAME] in this version");
        cx.push(fault.help("run a second portcullis with a public_url of its own"));
    }
}

fn scopes_with_openid(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<String>> {
    let scopes = scopes(cx, item)?;
    if scopes.iter().any(|scope| scope == "openid") {
        return Some(scopes);
    }
    // OpenID Connect Core 1.0 s3.1.2.1: without it there is no ID token, so nobody is logged in.
    let message = format!("{} lacks \"openid\"", item.what);
    let fault = FaultKind::InvalidValue
        .says(message)
        .at(item.span.clone(), "nobody would be logged in");
    cx.push(fault.expected("a list of scopes with \"openid\" (OpenID Connect Core s3.1.2.1)"));
    None
}

fn read_assets(reader: &Reader<'_>) -> Option<Assets> {
    match reader.exactly_one(&["dir", "upstream"], None)? {
        "dir" => Some(Assets::Dir(reader.get("dir", directory)?.value)),
        _ => Some(Assets::Upstream(
            reader
                .get("upstream", |cx, item| upstream(cx, item, PlainHttp::Anywhere))?
                .value,
        )),
    }
}

fn directory(cx: &Context<'_>, item: &Item<'_>) -> Option<PathBuf> {
    let directory = path(cx, item)?;
    if directory.is_dir() {
        return Some(directory);
    }
    let fault = item.fault(
        FaultKind::MissingFile,
        format!("{} is no directory", item.what),
        "not there, or not a directory",
    );
    cx.push(fault.help(format!("the path is {}", directory.display())));
    None
}

fn session(frontend: &Reader<'_>) -> Option<SessionSettings> {
    let none = DeTable::new();
    let given = frontend.table("session", &SESSION);
    if given.is_none() && frontend.has("session") {
        return None;
    }
    // Without the table, the defaults of its keys hold.
    let reader = given.unwrap_or_else(|| Reader::new(frontend.cx, &SESSION, String::new(), &none, frontend.place()));
    let idle = reader.get("idle", duration);
    let lifetime = reader.get("lifetime", duration);
    let (idle, lifetime) = (idle?, lifetime?);
    if idle.value > lifetime.value {
        let given = if reader.has("idle") { idle.span } else { lifetime.span };
        let fault = FaultKind::Contradiction
            .says(format!("{}: `idle` is longer than `lifetime`", reader.title()))
            .at(given, "the session would end before it is idle");
        reader
            .cx
            .push(fault.expected("idle <= lifetime; their defaults are 30m and 12h"));
    }
    Some(SessionSettings {
        idle: idle.value,
        lifetime: lifetime.value,
    })
}
