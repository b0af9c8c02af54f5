//! `[provider.NAME]` and `[client.NAME]`.

use std::collections::BTreeMap;

use portcullis_jose::Algorithm;
use url::Url;

use super::secret::{DevOnly, secret};
use super::server::existing_file;
use crate::config::faults::FaultKind;
use crate::config::kinds::{distinct, duration, list, not_one_of, reference, text, word};
use crate::config::reader::{Context, Item, Reader, shown};
use crate::config::schema::{ALGORITHMS, Kind, quoted};
use crate::config::settings::{AccessTokenType, ClientAuth, ClientSettings, ProviderSettings};
use crate::config::urls::{PlainHttp, is_loopback, issuer, url};

pub(super) fn provider(reader: &Reader<'_>) -> Option<ProviderSettings> {
    let issuer = reader.get("issuer", issuer);
    let jwks_url = reader.get("jwks_url", |cx, item| url(cx, item, PlainHttp::Loopback));
    let id_token_algorithm = reader.get("id_token_algorithm", algorithm);
    let access_token_type = reader.get("access_token_type", word);
    let algorithms = reader.get("algorithms", algorithms);
    let leeway = reader.get("leeway", duration);
    let ca_file = reader.get("ca_file", existing_file);
    Some(ProviderSettings {
        issuer: issuer?.value.0,
        jwks_url: jwks_url.map(|url| url.value.1),
        id_token_algorithm: id_token_algorithm?.value,
        access_token_type: match access_token_type?.value {
            "any" => AccessTokenType::Any,
            _ => AccessTokenType::AtJwt,
        },
        algorithms: algorithms?.value,
        leeway: leeway?.value,
        ca_file: ca_file.map(|file| file.value),
    })
}

pub(super) fn client(
    reader: &Reader<'_>,
    providers: &BTreeMap<String, ProviderSettings>,
    public_is_loopback: Option<bool>,
) -> Option<ClientSettings> {
    let provider = reader.get("provider", reference);
    let client_id = reader.get("client_id", client_id);
    let auth = reader.get("auth", word);
    let issuer_is_loopback = provider
        .as_ref()
        .and_then(|name| providers.get(&name.value))
        .and_then(|provider| Url::parse(&provider.issuer).ok())
        .map(|issuer| is_loopback(&issuer));
    let dev_only = match (public_is_loopback, issuer_is_loopback) {
        (Some(false), _) => DevOnly::Refused("`public_url`"),
        (_, Some(false)) => DevOnly::Refused("the provider's issuer"),
        (Some(true), Some(true)) => DevOnly::Allowed,
        _ => DevOnly::Unknown,
    };
    let secret = reader.get("secret", |cx, item| secret(cx, item, dev_only));
    let auth = auth?;
    let auth = if auth.value == "none" {
        if reader.has("secret") {
            let fault = FaultKind::Contradiction
                .says(format!("{} has a `secret`, but `auth` is \"none\"", reader.title()))
                .at(auth.span, "a public client has no secret")
                .related(reader.key_span("secret"), "it would never be used");
            reader.cx.push(fault.help("leave out one of them"));
        }
        ClientAuth::None
    } else {
        reader.missing("secret");
        match auth.value {
            "client_secret_post" => ClientAuth::Post(secret?.value),
            _ => ClientAuth::Basic(secret?.value),
        }
    };
    Some(ClientSettings {
        provider: provider?.value,
        client_id: client_id?.value,
        auth,
    })
}

/// RFC 6749 A.1: `client-id = *VSCHAR`.
fn client_id(cx: &Context<'_>, item: &Item<'_>) -> Option<String> {
    let given = text(cx, item)?;
    if given.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Some(given);
    }
    let fault = FaultKind::InvalidValue.says(format!("{} is no client identifier", item.what));
    cx.push(
        fault
            .at(item.span.clone(), "")
            .expected("visible ASCII characters (RFC 6749 A.1)"),
    );
    None
}

fn algorithm(cx: &Context<'_>, item: &Item<'_>) -> Option<Algorithm> {
    let given = text(cx, item)?;
    if let Some(algorithm) = Algorithm::from_name(&given).filter(|algorithm| !algorithm.is_symmetric()) {
        return Some(algorithm);
    }
    let symmetric = given.starts_with("HS") || given.eq_ignore_ascii_case("none");
    cx.push(if symmetric {
        let fault = FaultKind::InvalidValue.says(format!("{} cannot be `{}`", item.what, shown(&given)));
        let fault = fault
            .at(item.span.clone(), "anybody who can check it could make it")
            .expected(quoted(&ALGORITHMS));
        fault.help("sign with a private key at the provider")
    } else {
        not_one_of(item, &given, &ALGORITHMS)
    });
    None
}

fn algorithms(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<Algorithm>> {
    let entries = list(cx, item, &Kind::OneOf(&ALGORITHMS), |cx, item| {
        algorithm(cx, item).and_then(|_| text(cx, item))
    })?;
    Some(
        distinct(cx, item, entries)?
            .iter()
            .filter_map(|name| Algorithm::from_name(name))
            .collect(),
    )
}
