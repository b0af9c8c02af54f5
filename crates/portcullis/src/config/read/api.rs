//! `[api.NAME]`.

use std::collections::BTreeMap;

use portcullis_guard::SenderConstraint;
use portcullis_oidc::IssuerRule;
use toml::de::DeValue;
use url::Url;

use super::overlap::Paths;
use super::revocations::revocations;
use super::routes::{self, by_method};
use super::sessions;
use super::token;
use crate::config::faults::FaultKind;
use crate::config::kinds::{distinct, duration, list, one_or_more, only_true, reference, text, word};
use crate::config::reader::{At, Context, Item, Reader, listed};
use crate::config::schema::{AUTHENTICATED, Kind};
use crate::config::settings::{
    Access, ApiSettings, ClientSettings, DangerSettings, FrontendSettings, Guarded, ProviderSettings,
};
use crate::config::urls::{PlainHttp, resource_within, upstream};
use crate::diagnostic::Diagnostic;

/// What an API needs to know of the rest.
pub(super) struct Around<'a> {
    pub(super) danger: &'a DangerSettings,
    pub(super) public_url: Option<&'a Url>,
    pub(super) providers: &'a BTreeMap<String, ProviderSettings>,
    pub(super) has_frontend: bool,
    /// The client that sessions are made with, where it is the same everywhere.
    pub(super) session_client: Option<&'a str>,
    pub(super) frontends: &'a BTreeMap<String, FrontendSettings>,
    pub(super) clients: &'a BTreeMap<String, ClientSettings>,
    /// Whether a client's certificate can be known.
    pub(super) certificates: bool,
}

static PROVIDER_NAME: Kind = Kind::Reference("provider");
static FRONTEND_NAME: Kind = Kind::Reference("frontend");

pub(super) fn api(reader: &Reader<'_>, name: &str, around: &Around<'_>, paths: &mut Paths) -> Option<ApiSettings> {
    let path = reader.get("path", api_path);
    if let Some(path) = &path {
        paths.add(name, path);
    }
    let plain = PlainHttp::Hosts(&around.danger.plain_http_upstream_hosts);
    let upstream = reader.get("upstream", |cx, item| upstream(cx, item, plain));
    let upstream_path = reader.get("upstream_path", api_path);
    if let (Some(upstream), Some(path)) = (&upstream, &upstream_path)
        && upstream.value.path() != "/"
    {
        let fault = FaultKind::Contradiction
            .says(format!(
                "{} has an `upstream` with a path, and `upstream_path`",
                reader.title()
            ))
            .at(path.span.clone(), "which of the two is put in front?")
            .related(upstream.span.clone(), format!("has the path {}", upstream.value.path()));
        reader
            .cx
            .push(fault.help("leave the path of `upstream` out, and write all of it as `upstream_path`"));
    }
    let access = access(reader, around, path.as_ref());
    let timeout = reader.get("timeout", duration);
    let realm = reader.get("realm", realm);
    let public = matches!(access, Some(Access::Anyone));
    let token = token::token(reader, around, public);
    Some(ApiSettings {
        token: token?,
        path: path?.value,
        upstream: upstream?.value,
        upstream_path: upstream_path.map(|path| path.value),
        access: access?,
        timeout: timeout?.value,
        realm: realm.map(|realm| realm.value),
    })
}

fn access(reader: &Reader<'_>, around: &Around<'_>, path: Option<&At<String>>) -> Option<Access> {
    let accept = reader.get("accept", |cx, item| accept(cx, item, around.has_frontend));
    let providers = reader.get("provider", |cx, item| names(cx, item, &PROVIDER_NAME));
    let frontends = reader.get("frontend", |cx, item| names(cx, item, &FRONTEND_NAME));
    let audience = reader.get("audience", one_or_more);
    let policy = reader.get("policy", by_method);
    let routes = reader.get("routes", |cx, item| routes::routes(cx, item, path));
    let resource = resource(reader, around, path);
    let constraint = reader.get("sender_constrained", word);
    let revocations = revocations(reader);
    let pages = reader.get("pages", only_true);
    if let Some(item) = reader.item("accept").filter(says_anyone) {
        accept?;
        return nothing_is_checked(reader, &item).then_some(Access::Anyone);
    }
    reader.missing("provider");
    if reader.lacks("audience") {
        reader.cx.push(missing_audience(reader));
    }
    if reader.lacks("policy") && reader.lacks("routes") {
        reader.cx.push(missing_policy(reader));
    }
    let accepted = match &accept {
        Some(accept) => accept.value.iter().map(String::as_str).collect(),
        None if reader.has("accept") => return None,
        None if around.has_frontend => vec!["session", "bearer"],
        None => vec!["bearer"],
    };
    let session = accepted.contains(&"session");
    if pages.is_some() && !session && providers.is_some() {
        let fault = FaultKind::Contradiction.says(format!("{} has `pages`, and accepts no sessions", reader.title()));
        let fault = fault.at(reader.key_span("pages"), "who follows a link brings a session");
        reader
            .cx
            .push(fault.help("write accept = [\"session\"], or leave `pages` out"));
    }
    if let Some(constraint) = constraint.as_ref().filter(|_| session) {
        let fault = FaultKind::Contradiction.says(format!(
            "{} has `sender_constrained`, and accepts sessions, whose tokens are bound to no key",
            reader.title()
        ));
        let fault = fault.at(constraint.span.clone(), "no call with a session would pass");
        reader
            .cx
            .push(fault.help("write accept = [\"bearer\"], or make an [api.NAME] for each of the two"));
    }
    if let Some(constraint) = constraint
        .as_ref()
        .filter(|word| word.value == "mtls" && !around.certificates)
    {
        let fault = FaultKind::Contradiction.says(format!(
            "{} wants tokens that are bound to a certificate, and nobody is asked for one",
            reader.title()
        ));
        let fault = fault.at(constraint.span.clone(), "no call would pass");
        let help = "add `client_certificates = true` to `tls` of [server], or `client_certificate_header` to [server]";
        reader.cx.push(fault.help(help));
    }
    if let Some(frontends) = frontends.as_ref().filter(|_| !session && providers.is_some()) {
        let fault =
            FaultKind::Contradiction.says(format!("{} has `frontend`, and accepts no sessions", reader.title()));
        let fault = fault.at(frontends.span.clone(), "whose sessions?");
        reader
            .cx
            .push(fault.help("write accept = [\"session\"], or leave `frontend` out"));
    }
    if let (true, Some(path)) = (session, path) {
        let named = frontends
            .as_ref()
            .map(|named| named.value.as_slice())
            .unwrap_or_default();
        sessions::check(reader, around, &path.value, named, providers.as_ref());
    }
    if let Some(providers) = &providers {
        one_is_asked(reader, providers, around);
        no_issuer_is_named_twice(reader, providers, around);
    }
    // What is there and wrong must not become what is absent.
    if (reader.has("policy") && policy.is_none())
        || (reader.has("routes") && routes.is_none())
        || (reader.has("sender_constrained") && constraint.is_none())
        || (reader.has("frontend") && frontends.is_none())
    {
        return None;
    }
    if !reader.has("policy") && !reader.has("routes") {
        return None;
    }
    let routes = routes.map(|routes| routes.value).unwrap_or_default();
    let table = routes::table(reader, path?, routes, policy.map(|policy| policy.value).as_ref())?;
    Some(Access::Guarded(Guarded {
        session,
        bearer: accepted.contains(&"bearer"),
        frontends: frontends.map(|frontends| frontends.value).unwrap_or_default(),
        pages: pages.is_some(),
        providers: providers?.value,
        audience: audience?.value,
        routes: table,
        resource: resource?,
        sender_constrained: constraint.map(|word| match word.value {
            "dpop" => SenderConstraint::Dpop,
            "mtls" => SenderConstraint::MutualTls,
            _ => SenderConstraint::Any,
        }),
        revocations: revocations?,
    }))
}

fn names(cx: &Context<'_>, item: &Item<'_>, kind: &'static Kind) -> Option<Vec<String>> {
    match item.value {
        DeValue::Array(_) => {
            let names = list(cx, item, kind, reference)?;
            distinct(cx, item, names)
        }
        DeValue::String(_) => Some(vec![reference(cx, &item.of_kind(kind))?]),
        _ => {
            cx.push(item.wrong_type());
            None
        }
    }
}

/// An opaque token does not say whose it is: asking one provider after the other would show each the others' tokens.
fn one_is_asked(reader: &Reader<'_>, providers: &At<Vec<String>>, around: &Around<'_>) {
    let asked = |name: &&String| {
        around
            .providers
            .get(*name)
            .is_some_and(|provider| provider.introspection.is_some())
    };
    let asked: Vec<&str> = providers.value.iter().filter(asked).map(String::as_str).collect();
    if asked.len() > 1 {
        let message = format!("{} could ask several providers about a token", reader.title());
        let fault = FaultKind::Contradiction.says(message);
        let fault = fault.at(
            providers.span.clone(),
            format!("{} have `introspection`", listed(&asked)),
        );
        let help = "an opaque token does not say whose it is; make an API for each, or leave `introspection` to one";
        reader.cx.push(fault.help(help));
    }
}

/// A token names its issuer, and that has to pick one provider.
fn no_issuer_is_named_twice(reader: &Reader<'_>, providers: &At<Vec<String>>, around: &Around<'_>) {
    let rules = providers.value.iter().filter_map(|name| {
        let provider = around.providers.get(name)?;
        let rule = match provider.tenants.as_slice() {
            [] => IssuerRule::exactly(&*provider.issuer),
            tenants => IssuerRule::tenants(&*provider.issuer, tenants).ok()?,
        };
        Some((name, rule))
    });
    let rules: Vec<_> = rules.collect();
    for (index, (name, rule)) in rules.iter().enumerate() {
        let Some((other, _)) = rules.iter().skip(index + 1).find(|(_, other)| rule.overlaps(other)) else {
            continue;
        };
        let message = format!("{} names two providers of one issuer", reader.title());
        let fault = FaultKind::Contradiction.says(message);
        let fault = fault.at(
            providers.span.clone(),
            format!("which of `{name}` and `{other}` is to judge its tokens?"),
        );
        reader
            .cx
            .push(fault.help("name one of them, or make an [api.NAME] for each of the two"));
    }
}

fn accept(cx: &Context<'_>, item: &Item<'_>, has_frontend: bool) -> Option<Vec<String>> {
    let words = list(cx, item, &Kind::OneOf(&["session", "bearer", "anyone"]), word)?;
    let words: Vec<_> = words
        .into_iter()
        .map(|At { value, span }| At {
            value: value.to_owned(),
            span,
        })
        .collect();
    if let Some(anyone) = words.iter().find(|word| word.value == "anyone" && words.len() > 1) {
        let message = format!("{} has \"anyone\" beside others", item.what);
        let fault = FaultKind::Contradiction
            .says(message)
            .at(anyone.span.clone(), "anyone needs no credential");
        cx.push(fault.expected("[\"anyone\"] alone, or \"session\" and \"bearer\""));
        return None;
    }
    if let Some(session) = words.iter().find(|word| word.value == "session" && !has_frontend) {
        let message = format!("{} has \"session\", but there is no [frontend.NAME]", item.what);
        let fault = FaultKind::Contradiction
            .says(message)
            .at(session.span.clone(), "nobody could have a session");
        cx.push(fault.help("add a [frontend.NAME], or write accept = [\"bearer\"]"));
        return None;
    }
    distinct(cx, item, words)
}

/// Whether it is meant to be a public route, also where the list has faults.
fn says_anyone(item: &Item<'_>) -> bool {
    match item.value {
        DeValue::Array(words) => words.iter().any(|word| word.get_ref().as_str() == Some("anyone")),
        other => other.as_str() == Some("anyone"),
    }
}

fn missing_audience(reader: &Reader<'_>) -> Diagnostic {
    FaultKind::MissingAudience
        .says(format!("{} has no `audience`", reader.title()))
        .at(reader.place(), "add `audience = \"...\"`")
        .expected("the text that the provider puts into `aud` for this API")
        // RFC 9068 s4: the resource server must validate `aud`.
        .help("without it, a token that was issued for any other API would be accepted here")
}

/// The default is to refuse, and nobody configures an API to refuse everything.
fn missing_policy(reader: &Reader<'_>) -> Diagnostic {
    FaultKind::MissingKey
        .says(format!("{} has neither `policy` nor `routes`", reader.title()))
        .at(reader.place(), "who may call?")
        .expected("the NAME of a [policy.NAME] table, or a table { GET = \"NAME\", default = \"NAME\" }")
        .help(format!(
            "where every valid token for this audience may pass, say so: policy = \"{AUTHENTICATED}\""
        ))
}

/// What identifies the API: the address that clients call. `None` where it is wrong, or what it depends on is missing.
fn resource(reader: &Reader<'_>, around: &Around<'_>, path: Option<&At<String>>) -> Option<String> {
    let place = around.public_url.zip(path.map(|path| path.value.as_str()));
    if reader.has("resource") {
        return reader
            .get("resource", |cx, item| resource_within(cx, item, place))
            .map(|resource| resource.value);
    }
    let (public_url, path) = place?;
    let origin = public_url.origin().ascii_serialization();
    Some(format!("{origin}{}", path.trim_end_matches('/')))
}

/// A public route that names a policy was not meant to be public.
fn nothing_is_checked(reader: &Reader<'_>, accept: &Item<'_>) -> bool {
    let idle: Vec<_> = [
        "provider",
        "audience",
        "policy",
        "routes",
        "resource",
        "sender_constrained",
        "pages",
        "frontend",
        "revocations",
    ]
    .into_iter()
    .filter(|key| reader.has(key))
    .collect();
    if idle.is_empty() {
        return true;
    }
    let message = format!("{} accepts \"anyone\", but also has {}", reader.title(), listed(&idle));
    let fault = FaultKind::Contradiction
        .says(message)
        .at(accept.span.clone(), "makes it public");
    let fault = idle.iter().fold(fault, |fault, key| {
        fault.related(reader.key_span(key), "never looked at on a public route")
    });
    reader
        .cx
        .push(fault.help("leave them out, or accept \"session\" or \"bearer\" instead of \"anyone\""));
    false
}

/// A path that is its own normal form, so that it is the one that requests are compared with.
fn api_path(cx: &Context<'_>, item: &Item<'_>) -> Option<String> {
    let given = text(cx, item)?;
    let segments = || given.split('/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()+,=:@".contains(c);
    let problem = if !given.starts_with('/') {
        Some("must begin with `/`")
    } else if given == "/" {
        None
    } else if given.ends_with("/*") || given.ends_with("/**") {
        Some("leave out the `*`: everything below is included")
    } else if given.ends_with('/') {
        Some("leave out the `/` at the end: everything below is included")
    } else if given.contains(['{', '}']) {
        Some("has braces, which are for `routes`")
    } else if segments().skip(1).any(str::is_empty) {
        Some("has `//`, which no request has")
    } else if segments().any(|segment| matches!(segment, "." | "..")) {
        Some("has `.` or `..`, which no request has")
    } else if !given.chars().all(allowed) {
        Some("has a character that has a meaning of its own, or must be encoded")
    } else {
        None
    };
    let Some(problem) = problem else { return Some(given) };
    let fault = FaultKind::InvalidValue
        .says(format!("{} is no plain path", item.what))
        .at(item.span.clone(), problem);
    cx.push(fault.expected("a path such as \"/api/orders\", compared whole, segment by segment"));
    None
}

/// RFC 9110 s5.6.4: a quoted string, as it stands.
fn realm(cx: &Context<'_>, item: &Item<'_>) -> Option<String> {
    let given = text(cx, item)?;
    if given
        .bytes()
        .all(|byte| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    {
        return Some(given);
    }
    let fault = FaultKind::InvalidValue.says(format!("{} cannot stand in a header", item.what));
    cx.push(
        fault
            .at(item.span.clone(), "")
            .expected("visible ASCII characters without quote and backslash"),
    );
    None
}
