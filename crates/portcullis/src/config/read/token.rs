//! `token` of `[api.NAME]`.

use portcullis_oidc::TokenTarget;

use super::api::Around;
use crate::config::faults::FaultKind;
use crate::config::kinds::{reference, scopes, text, word};
use crate::config::reader::{Reader, listed};
use crate::config::schema::API_TOKEN;
use crate::config::settings::{AskedToken, UpstreamToken};
use crate::config::urls::{PlainHttp, url};

/// What is asked for, where something is.
const ASKED: [&str; 4] = ["client", "scopes", "resource", "audience"];

/// Which token the upstream gets. The client of the frontend asks where none is named.
pub(super) fn token(api: &Reader<'_>, around: &Around<'_>, public: bool) -> Option<UpstreamToken> {
    if !api.has("token") {
        return Some(UpstreamToken::Caller);
    }
    let reader = api.table("token", &API_TOKEN)?;
    let from = reader.get("from", word);
    let needed = from
        .as_ref()
        .map(|from| matches!(from.value, "exchange" | "client" | "caller_or_client"));
    let asked = asked(&reader, around.session_client, needed);
    let from = from?;
    let misplaced = match from.value {
        "caller_or_client" | "caller_or_none" if !public => {
            Some("is for public routes: here nothing passes without a token of the caller's")
        }
        "caller_or_client" | "caller_or_none" if !around.has_frontend => {
            Some("needs a [frontend.NAME], which has the sessions")
        }
        "exchange" if public => Some("needs a token of the caller's, which nobody looks at on a public route"),
        _ => None,
    };
    if let Some(why) = misplaced {
        let fault = FaultKind::Contradiction.says(format!("{} cannot be {:?}", reader.title(), from.value));
        reader.cx.push(fault.at(from.span, why));
        return None;
    }
    Some(match from.value {
        "exchange" => UpstreamToken::Exchanged(asked?),
        "client" => UpstreamToken::Client(asked?),
        "caller_or_client" => UpstreamToken::CallerOrClient(asked?),
        "caller_or_none" => UpstreamToken::CallerOrNone,
        "none" => UpstreamToken::None,
        _ => UpstreamToken::Caller,
    })
}

/// `None` where nothing is to be asked for, or it is wrong, which is then told.
fn asked(reader: &Reader<'_>, of_frontend: Option<&str>, needed: Option<bool>) -> Option<AskedToken> {
    let client = reader.get("client", reference);
    let scopes = reader.get("scopes", scopes);
    let resource = reader.get("resource", |cx, item| url(cx, item, PlainHttp::Anywhere));
    let audience = reader.get("audience", text);
    // Without a way nobody knows what is needed; that is told already.
    let given: Vec<&str> = ASKED.into_iter().filter(|key| reader.has(key)).collect();
    if !needed? {
        if !given.is_empty() {
            let message = format!("{} asks for no token, but has {}", reader.title(), listed(&given));
            let fault = FaultKind::Contradiction.says(message).at(reader.place(), "");
            let fault = given.iter().fold(fault, |fault, key| {
                fault.related(reader.key_span(key), "never looked at")
            });
            reader
                .cx
                .push(fault.help("leave them out, or write from = \"client\" or \"exchange\""));
        }
        return None;
    }
    let read = [
        client.is_some(),
        scopes.is_some(),
        resource.is_some(),
        audience.is_some(),
    ];
    if ASKED.iter().zip(read).any(|(key, read)| reader.has(key) && !read) {
        return None;
    }
    let client = client.map(|client| client.value).or(of_frontend.map(str::to_owned));
    if client.is_none() {
        reader.missing("client");
    }
    let mut target = TokenTarget::default();
    target.scopes = scopes.map(|scopes| scopes.value).unwrap_or_default();
    // RFC 8707 s2: sent as it was written.
    target.resource = resource.map(|resource| resource.value.0);
    target.audience = audience.map(|audience| audience.value);
    Some(AskedToken {
        client: client?,
        target,
    })
}
