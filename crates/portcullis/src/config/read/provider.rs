//! `[provider.NAME]`.

use std::collections::BTreeMap;

use portcullis_jose::{Algorithm, SharedSecret};
use toml::de::DeValue;
use url::Url;

use super::secret::{DevOnly, secret};
use super::server::{existing_file, host_names};
use crate::config::faults::FaultKind;
use crate::config::kinds::{distinct, duration, list, not_one_of, only_true, reference, text, word};
use crate::config::reader::{At, Context, Item, Reader, listed, shown};
use crate::config::schema::{ALGORITHMS, INTROSPECTION, Kind, SHARED_ALGORITHMS, quoted};
use crate::config::settings::{
    AccessTokenType, ClientAuth, ClientSettings, IntrospectionSettings, Keys, ProviderSettings,
};
use crate::config::urls::{PlainHttp, TENANT, is_loopback, issuer, url};

pub(super) fn provider(reader: &Reader<'_>, public_is_loopback: Option<bool>) -> Option<ProviderSettings> {
    let issuer = reader.get("issuer", issuer);
    let tenants = reader.get("tenants", tenants);
    let discovery = reader.get("discovery", |cx, item| url(cx, item, PlainHttp::Loopback));
    let issuer_is_loopback = issuer.as_ref().map(|issuer| is_loopback(&issuer.value.1));
    let internal_hosts = reader.get("internal_hosts", host_names);
    let keys_on_demand = reader.get("keys_on_demand", only_true);
    let keys = keys(reader, dev_only(public_is_loopback, issuer_is_loopback));
    let id_token_algorithm = reader.get("id_token_algorithm", algorithm);
    let access_token_type = reader.get("access_token_type", word);
    let algorithms = match reader.has("shared_secret") {
        true => shared_algorithms(reader),
        false => reader.get("algorithms", algorithms).map(|algorithms| algorithms.value),
    };
    let leeway = reader.get("leeway", duration);
    let max_token_lifetime = reader.get("max_token_lifetime", duration);
    let ca_file = reader.get("ca_file", existing_file);
    let introspection = reader.get("introspection", introspection);
    let (issuer, keys, algorithms) = (issuer?, keys?, algorithms?);
    if !template_fits(reader, &issuer) || !is_an_issuer(reader, &issuer) || !secret_fits(reader, &keys, &algorithms) {
        return None;
    }
    // What is there and wrong must not become what is absent.
    for (key, read) in [
        ("tenants", tenants.is_some()),
        ("discovery", discovery.is_some()),
        ("introspection", introspection.is_some()),
        ("internal_hosts", internal_hosts.is_some()),
        ("keys_on_demand", keys_on_demand.is_some()),
    ] {
        if reader.has(key) && !read {
            return None;
        }
    }
    Some(ProviderSettings {
        issuer: issuer.value.0,
        tenants: tenants.map(|tenants| tenants.value).unwrap_or_default(),
        discovery: discovery.map(|url| url.value.1),
        internal_hosts: internal_hosts.map(|hosts| hosts.value).unwrap_or_default(),
        keys_on_demand: keys_on_demand.is_some(),
        keys,
        introspection: introspection.map(|introspection| introspection.value),
        id_token_algorithm: id_token_algorithm?.value,
        access_token_type: match access_token_type?.value {
            "any" => AccessTokenType::Any,
            _ => AccessTokenType::AtJwt,
        },
        algorithms,
        leeway: leeway?.value,
        max_token_lifetime: max_token_lifetime?.value,
        ca_file: ca_file.map(|file| file.value),
    })
}

/// Where the keys are: in one place. A secret beside published keys would let whoever knows a public key make tokens.
fn keys(reader: &Reader<'_>, dev_only: DevOnly) -> Option<Keys> {
    let places = ["jwks_url", "jwks_file", "shared_secret"];
    let mut idle: Vec<&str> = places.into_iter().filter(|key| reader.has(key)).collect();
    if reader.has("shared_secret") {
        idle.extend(
            ["discovery", "tenants", "introspection"]
                .into_iter()
                .filter(|key| reader.has(key)),
        );
    }
    if idle.len() > 1 {
        let message = format!(
            "{} has its keys in more than one way: {}",
            reader.title(),
            listed(&idle)
        );
        let fault = FaultKind::Contradiction.says(message).at(reader.place(), "");
        let fault = idle
            .iter()
            .fold(fault, |fault, key| fault.related(reader.key_span(key), ""));
        reader.cx.push(fault.help(
            "leave out all but one; a shared secret is never beside published keys, and its provider has no endpoints",
        ));
        return None;
    }
    match idle.first() {
        None => Some(Keys::Discovered),
        Some(&"jwks_url") => {
            let url = reader.get("jwks_url", |cx, item| url(cx, item, PlainHttp::Loopback))?;
            Some(Keys::Url(url.value.1))
        }
        Some(&"jwks_file") => reader
            .get("jwks_file", existing_file)
            .map(|file| Keys::File(file.value)),
        Some(_) => {
            let secret = reader.get("shared_secret", |cx, item| secret(cx, item, dev_only))?;
            Some(Keys::Shared(secret.value))
        }
    }
}

/// RFC 7518 s3.2: a secret is at least as long as the hash of each of its algorithms.
fn secret_fits(reader: &Reader<'_>, keys: &Keys, algorithms: &[Algorithm]) -> bool {
    let Keys::Shared(secret) = keys else { return true };
    let wrong = algorithms
        .iter()
        .find_map(|algorithm| SharedSecret::new(secret.expose().as_bytes(), *algorithm).err());
    if let Some(error) = &wrong {
        let message = format!("the shared secret of {} cannot be used", reader.title());
        let fault = FaultKind::InvalidValue.says(message);
        let fault = fault.at(reader.key_span("shared_secret"), error.to_string());
        reader.cx.push(fault.help("make one: openssl rand -base64 48"));
    }
    wrong.is_none()
}

/// A template is of no use without tenants, and they without one.
fn template_fits(reader: &Reader<'_>, issuer: &At<(String, Url)>) -> bool {
    let template = issuer.value.0.contains(TENANT);
    if template && reader.lacks("tenants") {
        let message = format!("{} is a template for all tenants, and has no `tenants`", reader.title());
        let fault = FaultKind::MissingKey
            .says(message)
            .at(issuer.span.clone(), "whose tokens count?");
        let fault = fault.expected("tenants = [\"...\"]: the `tid` of each tenant whose tokens are taken");
        reader
            .cx
            .push(fault.help("without it, anybody who can create a tenant could sign in"));
        return false;
    }
    if template && reader.lacks("discovery") && !reader.has("jwks_url") && !reader.has("jwks_file") {
        let message = format!("{} is a template, and has no `discovery`", reader.title());
        let fault = FaultKind::MissingKey
            .says(message)
            .at(issuer.span.clone(), "is no address");
        let fault = fault.expected("discovery = \"https://login.microsoftonline.com/organizations/v2.0\" or the like");
        reader.cx.push(fault);
        return false;
    }
    if !template && reader.has("tenants") {
        let message = format!("{} has `tenants`, but its `issuer` is no template", reader.title());
        let fault = FaultKind::Contradiction.says(message);
        let fault = fault.at(reader.key_span("tenants"), "would never be looked at");
        let fault = fault.related(issuer.span.clone(), "has no {tenantid}");
        reader
            .cx
            .push(fault.help("leave it out, or put {tenantid} in the place of the tenant"));
        return false;
    }
    true
}

/// Entra's addresses for several tenants are where people sign in; the `iss` of a token always names one tenant.
fn is_an_issuer(reader: &Reader<'_>, issuer: &At<(String, Url)>) -> bool {
    let url = &issuer.value.1;
    let of_entra = url
        .host_str()
        .is_some_and(|host| host.starts_with("login.microsoftonline.") || host == "login.partner.microsoftonline.cn");
    let first = url.path_segments().and_then(|mut segments| segments.next());
    let Some(word) = first.filter(|word| of_entra && ["common", "organizations", "consumers"].contains(word)) else {
        return true;
    };
    let message = format!("{} has an `issuer` that no token names", reader.title());
    let fault = FaultKind::InvalidValue.says(message);
    let fault = fault.at(
        issuer.span.clone(),
        format!("`{word}` is where people of several tenants sign in"),
    );
    let fault =
        fault.expected("the issuer of one tenant, or the template https://login.microsoftonline.com/{tenantid}/v2.0");
    let help = format!(
        "with the template, name `tenants`, and let `discovery` be {}",
        issuer.value.0
    );
    reader.cx.push(fault.help(help));
    false
}

fn tenants(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<String>> {
    let entries = list(cx, item, &Kind::Text, |cx, item| {
        let given = text(cx, item)?;
        if given.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Some(given);
        }
        let fault = FaultKind::InvalidValue.says(format!("{} is no tenant", item.what));
        let fault = fault
            .at(item.span.clone(), "")
            .expected("letters, digits and `-`, as the claim `tid` has it");
        cx.push(fault.help("there is no wildcard: name each tenant"));
        None
    })?;
    distinct(cx, item, entries)
}

fn introspection(cx: &Context<'_>, item: &Item<'_>) -> Option<IntrospectionSettings> {
    let DeValue::Table(table) = item.value else {
        cx.push(item.wrong_type());
        return None;
    };
    let reader = Reader::new(cx, &INTROSPECTION, item.what.clone(), table, item.span.clone());
    let client = reader.get("client", reference);
    let cache = reader.get("cache", duration);
    let endpoint = reader.get("url", |cx, item| url(cx, item, PlainHttp::Loopback));
    if reader.has("url") && endpoint.is_none() {
        return None;
    }
    Some(IntrospectionSettings {
        client: client?.value,
        cache: cache?.value,
        url: endpoint.map(|url| url.value.1),
    })
}

/// Who asks a provider is known there, and can prove it (RFC 7662 s2.1).
pub(super) fn check_introspection(
    cx: &Context<'_>,
    providers: &BTreeMap<String, ProviderSettings>,
    clients: &BTreeMap<String, ClientSettings>,
) {
    let asking = providers
        .iter()
        .filter_map(|(name, provider)| Some((name, provider.introspection.as_ref()?)));
    for (name, introspection) in asking {
        let Some(client) = clients.get(&introspection.client) else {
            continue;
        };
        let why = match (&client.auth, &client.provider == name) {
            (_, false) => format!("it is a client of provider `{}`", client.provider),
            (ClientAuth::None, true) => "it has no secret, and nobody may ask without".to_owned(),
            _ => continue,
        };
        let message = format!(
            "client `{}` cannot ask provider `{name}` about tokens: {why}",
            introspection.client
        );
        let fault = FaultKind::Contradiction.says(message).in_file();
        cx.push(fault.expected(format!("a [client.NAME] with provider = {name:?} and a secret")));
    }
}

/// Whether a secret may be written in line: where everything is on this machine.
pub(super) fn dev_only(public_is_loopback: Option<bool>, issuer_is_loopback: Option<bool>) -> DevOnly {
    match (public_is_loopback, issuer_is_loopback) {
        (Some(false), _) => DevOnly::Refused("`public_url`"),
        (_, Some(false)) => DevOnly::Refused("the provider's issuer"),
        (Some(true), Some(true)) => DevOnly::Allowed,
        _ => DevOnly::Unknown,
    }
}

pub(super) fn algorithm(cx: &Context<'_>, item: &Item<'_>) -> Option<Algorithm> {
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

/// The algorithms of a shared secret, which have no default.
fn shared_algorithms(reader: &Reader<'_>) -> Option<Vec<Algorithm>> {
    static ONE: Kind = Kind::OneOf(&SHARED_ALGORITHMS);
    if !reader.has("algorithms") {
        let message = format!("{} has a shared secret, and no `algorithms`", reader.title());
        let fault = FaultKind::MissingKey.says(message);
        let fault = fault.at(reader.key_span("shared_secret"), "for which of them?");
        reader
            .cx
            .push(fault.expected("algorithms = [\"HS256\"], or \"HS384\" or \"HS512\""));
        return None;
    }
    let names = reader.get("algorithms", |cx, item| {
        let entries = list(cx, item, &ONE, |cx, item| word(cx, item).map(str::to_owned))?;
        distinct(cx, item, entries)
    })?;
    Some(
        names
            .value
            .iter()
            .filter_map(|name| Algorithm::from_name(name))
            .collect(),
    )
}
