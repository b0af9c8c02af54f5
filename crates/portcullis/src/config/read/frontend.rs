//! `[frontend.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::HeaderValue;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::login::login;
use crate::config::faults::FaultKind;
use crate::config::kinds::{distinct, duration, list, path, reference, scopes, text, word};
use crate::config::reader::{Context, Item, Reader, shown};
use crate::config::schema::{ASSETS, HEADERS, Kind, SESSION};
use crate::config::settings::{
    Assets, ContentSecurityPolicy, FrontendSettings, HeaderSettings, LogoutHint, SameSite, SessionSettings,
};
use crate::config::urls::{PlainHttp, origin, upstream, url};

pub(super) fn frontend(reader: &Reader<'_>, server: Option<&Url>) -> Option<FrontendSettings> {
    let public_url = public_url(reader, server);
    let path = reader.get("path", base_path);
    let headers = headers(reader);
    let cors = reader.get("cors", |cx, item| {
        let origins = list(cx, item, &Kind::Url, |cx, item| {
            Some(origin(cx, item)?.origin().ascii_serialization())
        })?;
        distinct(cx, item, origins)
    });
    let client = reader.get("client", reference);
    let scopes = reader.get("scopes", scopes_with_openid);
    let assets = reader.table("assets", &ASSETS).map(|assets| read_assets(&assets));
    let session = session(reader);
    let resource = reader.get("resource", |cx, item| url(cx, item, PlainHttp::Anywhere));
    let login = login(reader);
    let refresh_before = reader.get("refresh_before", duration);
    let return_to = reader.get("return_to", |cx, item| {
        let urls = list(cx, item, &Kind::Url, |cx, item| {
            Some(url(cx, item, PlainHttp::Loopback)?.0)
        })?;
        distinct(cx, item, urls)
    });
    let same_site = reader.get("same_site", word);
    let logout_hint = reader.get("logout_hint", word);
    let frontchannel_logout = reader.get("frontchannel_logout", word);
    Some(FrontendSettings {
        public_url: public_url?,
        path: path?.value,
        headers: headers?,
        cors: cors.map(|origins| origins.value).unwrap_or_default(),
        client: client?.value,
        scopes: scopes?.value,
        assets: match assets {
            Some(assets) => Some(assets?),
            None => None,
        },
        session: session?,
        // RFC 8707 s2: the resource is sent as it was written.
        resource: resource.map(|resource| resource.value.0),
        login: login?,
        refresh_before: refresh_before?.value,
        return_to: return_to.map(|urls| urls.value).unwrap_or_default(),
        same_site: match same_site?.value {
            "strict" => SameSite::Strict,
            _ => SameSite::Lax,
        },
        logout_hint: match logout_hint?.value {
            "session" => LogoutHint::Session,
            _ => LogoutHint::IdToken,
        },
        frontchannel_logout: frontchannel_logout?.value == "on",
    })
}

/// Each frontend has a place of its own, and a name from which no other's can be mistaken.
pub(super) fn check_places(cx: &Context<'_>, tree: &DeTable<'_>, frontends: &BTreeMap<String, FrontendSettings>) {
    let Some(DeValue::Table(tables)) = tree.get("frontend").map(|value| value.get_ref()) else {
        return;
    };
    let mut all: Vec<_> = tables
        .iter()
        .filter_map(|(key, value)| {
            let settings = frontends.get(key.get_ref().as_ref())?;
            Some((
                cx.place_of(&key.span(), &value.span()),
                key.get_ref().as_ref(),
                settings,
            ))
        })
        .collect();
    all.sort_by_key(|(place, ..)| place.start);
    for (at, (place, name, settings)) in all.iter().enumerate() {
        for (other_place, other, others) in all.iter().take(at) {
            let related = format!("[frontend.{}] is here", shown(other));
            if settings.public_url.origin() == others.public_url.origin()
                && settings.path.eq_ignore_ascii_case(&others.path)
            {
                let fault = FaultKind::Contradiction
                    .says(format!(
                        "[frontend.{}] has the place of [frontend.{}]",
                        shown(name),
                        shown(other)
                    ))
                    .at(place.clone(), "whose login, and whose pages?")
                    .related(other_place.clone(), related.clone())
                    .expected("a `public_url` or a `path` of its own for each");
                cx.push(fault);
            }
            // The names of a frontend's cookies begin with its own.
            let begins = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'));
            if begins(name, other) || begins(other, name) {
                let fault = FaultKind::InvalidName
                    .says(format!(
                        "the names of [frontend.{}] and [frontend.{}] begin alike",
                        shown(name),
                        shown(other)
                    ))
                    .at(place.clone(), "their cookies could be mistaken for each other")
                    .related(other_place.clone(), related);
                cx.push(fault.expected("a name that is not another one with `-` and more behind it"));
            }
        }
    }
}

fn public_url(reader: &Reader<'_>, server: Option<&Url>) -> Option<Url> {
    if !reader.has("public_url") {
        return server.cloned();
    }
    let own = reader.get("public_url", origin)?;
    if let Some(server) = server.filter(|server| server.scheme() != own.value.scheme()) {
        let fault = FaultKind::Contradiction
            .says(format!(
                "`public_url` of {} and of [server] differ in their scheme",
                reader.title()
            ))
            .at(own.span, format!("that of [server] is {server}"));
        reader
            .cx
            .push(fault.expected("https for both, or http on loopback for both"));
        return None;
    }
    Some(own.value)
}

/// `/` is the whole origin, and told by an empty path.
fn base_path(cx: &Context<'_>, item: &Item<'_>) -> Option<String> {
    let given = text(cx, item)?;
    let plain = |segment: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(known)
    };
    let path = given.trim_end_matches('/');
    let good = given.starts_with('/') && path.split('/').skip(1).all(plain);
    if good {
        return Some(path.to_owned());
    }
    let fault = FaultKind::InvalidValue
        .says(format!("{} is no path of a frontend", item.what))
        .at(item.span.clone(), "");
    cx.push(fault.expected("a path such as \"/shop\", of letters, digits, `-`, `_`, `.` and `~`"));
    None
}

fn headers(frontend: &Reader<'_>) -> Option<HeaderSettings> {
    let none = DeTable::new();
    let given = frontend.table("headers", &HEADERS);
    if given.is_none() && frontend.has("headers") {
        return None;
    }
    let reader = given.unwrap_or_else(|| Reader::new(frontend.cx, &HEADERS, String::new(), &none, frontend.place()));
    let policy = reader.get("content_security_policy", header);
    let ancestors = reader.get("frame_ancestors", |cx, item| {
        let origins = list(cx, item, &Kind::Url, |cx, item| {
            Some(origin(cx, item)?.origin().ascii_serialization())
        })?;
        distinct(cx, item, origins)
    });
    if let (Some(policy), Some(ancestors)) = (&policy, &ancestors) {
        let fault = FaultKind::Contradiction
            .says(format!(
                "{} has both `content_security_policy` and `frame_ancestors`",
                reader.title()
            ))
            .at(ancestors.span.clone(), "one too many")
            .related(policy.span.clone(), "the policy says it itself");
        reader
            .cx
            .push(fault.help("write `frame-ancestors ORIGIN` into the policy"));
    }
    let [transport, referrer, permissions, opener] = [
        "strict_transport_security",
        "referrer_policy",
        "permissions_policy",
        "cross_origin_opener_policy",
    ]
    .map(|key| reader.get(key, header).map(|header| header.value));
    Some(HeaderSettings {
        content_security_policy: match policy.map(|policy| policy.value) {
            None if reader.has("content_security_policy") => return None,
            None => ContentSecurityPolicy::Own,
            Some(None) => ContentSecurityPolicy::Off,
            Some(Some(policy)) => ContentSecurityPolicy::Text(policy),
        },
        frame_ancestors: ancestors.map(|origins| origins.value).unwrap_or_default(),
        strict_transport_security: transport?,
        referrer_policy: referrer?,
        permissions_policy: permissions?,
        cross_origin_opener_policy: opener?,
    })
}

/// A header's value; `None` for `off`.
#[expect(clippy::option_option, reason = "the outer one is a fault, as for every key")]
fn header(cx: &Context<'_>, item: &Item<'_>) -> Option<Option<HeaderValue>> {
    let given = text(cx, item)?;
    if given == "off" {
        return Some(None);
    }
    if let Some(value) = HeaderValue::from_str(&given).ok().filter(|_| given.is_ascii()) {
        return Some(Some(value));
    }
    let fault = FaultKind::InvalidValue
        .says(format!("{} is no value of a header", item.what))
        .at(item.span.clone(), "");
    cx.push(fault.expected("one line of ASCII characters, or \"off\""));
    None
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
    let immutable = reader.get("immutable", |cx, item| {
        let paths = list(cx, item, &Kind::Text, base_path)?;
        distinct(cx, item, paths)
    });
    match reader.exactly_one(&["dir", "upstream"], None)? {
        "dir" => {
            let dir = reader.get("dir", directory)?.value;
            if immutable.is_none() && reader.has("immutable") {
                return None;
            }
            let immutable = immutable.map(|paths| paths.value).unwrap_or_default();
            Some(Assets::Dir { dir, immutable })
        }
        _ => {
            if let Some(immutable) = immutable {
                let fault = FaultKind::Contradiction
                    .says(format!("{} has `immutable`, and no files of ours", reader.title()))
                    .at(immutable.span, "the upstream says how long its answers are kept");
                reader.cx.push(fault.help("leave `immutable` out, or write `dir`"));
            }
            let url = reader.get("upstream", |cx, item| upstream(cx, item, PlainHttp::Anywhere));
            Some(Assets::Upstream(url?.value))
        }
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
