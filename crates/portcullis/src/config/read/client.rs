//! `[client.NAME]`.

use std::collections::BTreeMap;

use portcullis_jose::Algorithm;
use portcullis_oidc::client_auth::AssertionAudience;
use url::Url;

use super::provider::{algorithm, dev_only};
use super::requests;
use super::secret::{DevOnly, of_client};
use super::server::{existing_file, private_file};
use crate::client_key;
use crate::config::faults::FaultKind;
use crate::config::kinds::{duration, path, reference, text, word};
use crate::config::reader::{At, Context, Item, Reader, listed};
use crate::config::schema::{CLIENT_CERTIFICATE, OWN_KEYS, REGISTRATION};
use crate::config::settings::{
    ClientAuth, ClientSecret, ClientSettings, Keys, OwnKeySettings, ProviderSettings, RegistrationSettings,
};
use crate::config::urls::{PlainHttp, is_loopback, url};
use crate::secret_source::Shape;

/// What a client may prove itself with, and the method where none is named.
const MEANS: [(&str, &str); 5] = [
    ("secret", "client_secret_basic"),
    ("private_key", "private_key_jwt"),
    ("own_keys", "private_key_jwt"),
    ("certificate", "tls_client_auth"),
    ("assertion_file", "private_key_jwt"),
];

pub(super) fn client(
    reader: &Reader<'_>,
    providers: &BTreeMap<String, ProviderSettings>,
    public_is_loopback: Option<bool>,
    public_is_https: Option<bool>,
) -> Option<ClientSettings> {
    let provider = reader.get("provider", reference);
    let client_id = reader.get("client_id", client_id);
    let known = provider.as_ref().and_then(|name| providers.get(&name.value));
    if let (Some(name), Some(Keys::Shared(_))) = (&provider, known.map(|provider| &provider.keys)) {
        let message = format!("{} is of a provider with a shared secret", reader.title());
        let fault = FaultKind::Contradiction.says(message);
        let fault = fault.at(name.span.clone(), "it has no endpoints");
        reader
            .cx
            .push(fault.help("nobody can sign in there; it can only be the `provider` of an API"));
    }
    let issuer_is_loopback = known
        .and_then(|provider| Url::parse(&provider.issuer).ok())
        .map(|issuer| is_loopback(&issuer));
    let dev_only = dev_only(public_is_loopback, issuer_is_loopback);
    let auth = auth(reader, dev_only);
    let registration = registration(reader, auth.as_ref());
    let audience = audience(reader, auth.as_ref(), known);
    let requests = requests::requests(reader, auth.as_ref(), public_is_https, dev_only);
    let settings = ClientSettings {
        provider: provider?.value,
        client_id: client_id?.value,
        auth: auth?,
        registration: registration?,
        assertion_audience: audience?,
        ..requests?
    };
    (!settings.fapi2 || requests::keeps_fapi2(reader, &settings, known)).then_some(settings)
}

/// How it proves itself: what is there, by the method that is named or that goes with it.
fn auth(reader: &Reader<'_>, dev_only: DevOnly) -> Option<ClientAuth> {
    let method = reader.get("auth", word);
    let secrets = reader.get("secret", |cx, item| of_client(cx, item, dev_only, Shape::Line));
    let sign_with = reader.get("algorithm", algorithm);
    let keys = reader.get("private_key", |cx, item| {
        let keys = of_client(cx, item, dev_only, Shape::Key)?;
        all_sign(cx, item, &keys, sign_with.as_ref().map(|at| at.value)).then_some(keys)
    });
    let certificate = reader
        .table("certificate", &CLIENT_CERTIFICATE)
        .map(|table| (table.get("cert", existing_file), table.get("key", private_file)));
    let own = reader.table("own_keys", &OWN_KEYS).map(|table| own_keys(&table));
    let assertion_file = reader.get("assertion_file", path);
    let given: Vec<&str> = MEANS
        .iter()
        .map(|(key, _)| *key)
        .filter(|key| reader.has(key))
        .collect();
    if given.len() > 1 {
        let message = format!(
            "{} proves itself in more than one way: {}",
            reader.title(),
            listed(&given)
        );
        let fault = FaultKind::Contradiction.says(message).at(reader.place(), "");
        let fault = given
            .iter()
            .fold(fault, |fault, key| fault.related(reader.key_span(key), ""));
        reader.cx.push(fault.help("leave out all but one"));
        return None;
    }
    if reader.has("algorithm") && !given.is_empty() && !reader.has("private_key") {
        let fault = FaultKind::Contradiction.says(format!("{} has `algorithm`, and no `private_key`", reader.title()));
        let fault = fault.at(reader.key_span("algorithm"), "nothing would be signed with it");
        reader.cx.push(fault.help("leave it out"));
    }
    // What is there and wrong must not become what is absent.
    if (reader.has("auth") && method.is_none()) || (reader.has("algorithm") && sign_with.is_none()) {
        return None;
    }
    let given = given.first().copied();
    let default = MEANS
        .iter()
        .find(|(key, _)| Some(*key) == given)
        .map(|(_, method)| *method);
    let wanted = method.as_ref().map(|method| method.value).or(default);
    match (wanted, given) {
        (None, _) => {
            reader.missing("secret");
            None
        }
        (Some("none"), None) => Some(ClientAuth::None),
        (Some(wanted), None) => {
            reader.missing(means_of(wanted).first().copied().unwrap_or("secret"));
            None
        }
        (Some(wanted), Some(given)) if !means_of(wanted).contains(&given) => {
            does_not_fit(reader, method.as_ref(), wanted, given);
            None
        }
        (Some("client_secret_post"), _) => Some(ClientAuth::Post(secrets?.value)),
        (Some("client_secret_basic"), _) => Some(ClientAuth::Basic(secrets?.value)),
        (Some("private_key_jwt"), Some("private_key")) => Some(ClientAuth::PrivateKeyJwt {
            keys: keys?.value,
            algorithm: sign_with.map(|at| at.value),
        }),
        (Some("private_key_jwt"), Some("own_keys")) => own?.map(ClientAuth::OwnKeys),
        (Some("private_key_jwt"), _) => Some(ClientAuth::AssertionFile(assertion_file?.value)),
        (Some(method), _) => {
            let (cert, key) = certificate?;
            Some(ClientAuth::Tls {
                cert: cert?.value,
                key: key?.value,
                self_signed: method == "self_signed_tls_client_auth",
            })
        }
    }
}

/// Where the registration can be changed; `None` where it is there and wrong.
fn registration(reader: &Reader<'_>, auth: Option<&ClientAuth>) -> Option<Option<RegistrationSettings>> {
    if !reader.has("registration") {
        return Some(None);
    }
    let table = reader.table("registration", &REGISTRATION)?;
    let uri = table.get("uri", |cx, item| url(cx, item, PlainHttp::Loopback));
    let token_file = table.get("token_file", path);
    if auth.is_some_and(|auth| !matches!(auth, ClientAuth::Basic(_) | ClientAuth::Post(_))) {
        let message = format!("{} has a `registration`, and no `secret`", reader.title());
        let fault = FaultKind::Contradiction.says(message);
        let fault = fault.at(reader.key_span("registration"), "it is there to replace secrets");
        reader.cx.push(fault.help("leave it out"));
        return None;
    }
    let (_, uri) = uri?.value;
    Some(Some(RegistrationSettings {
        uri,
        token_file: token_file?.value,
    }))
}

fn own_keys(reader: &Reader<'_>) -> Option<OwnKeySettings> {
    let file = reader.get("file", path);
    let rotate = reader.get("rotate", duration);
    let overlap = reader.get("overlap", duration);
    let sign_with = reader.get("algorithm", algorithm);
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Some(OwnKeySettings {
        file: file?.value,
        rotate: seconds(rotate?.value),
        overlap: seconds(overlap?.value),
        algorithm: sign_with?.value,
    })
}

/// The keys that a method can be used with.
fn means_of(method: &str) -> &'static [&'static str] {
    match method {
        "client_secret_basic" | "client_secret_post" => &["secret"],
        "private_key_jwt" => &["private_key", "own_keys", "assertion_file"],
        "tls_client_auth" | "self_signed_tls_client_auth" => &["certificate"],
        _ => &[],
    }
}

fn does_not_fit(reader: &Reader<'_>, method: Option<&At<&'static str>>, wanted: &str, given: &str) {
    let message = format!("{} has a `{given}`, but `auth` is {wanted:?}", reader.title());
    let place = method.map_or_else(|| reader.place(), |method| method.span.clone());
    let label = match means_of(wanted) {
        [] => "a public client has no secret".to_owned(),
        means => format!("needs {}", listed(means)),
    };
    let fault = FaultKind::Contradiction.says(message).at(place, label);
    let fault = fault.related(reader.key_span(given), "it would never be used");
    reader.cx.push(fault.help("leave out one of them"));
}

/// Whether each of the keys can sign.
fn all_sign(cx: &Context<'_>, item: &Item<'_>, keys: &[ClientSecret], algorithm: Option<Algorithm>) -> bool {
    let wrong = keys
        .iter()
        .find_map(|key| client_key::parse(&key.value, algorithm).err());
    if let Some(error) = &wrong {
        let fault = FaultKind::InvalidValue.says(format!("{} cannot sign", item.what));
        let fault = fault.at(item.span.clone(), error.to_string());
        cx.push(fault.expected("a private key as PEM or JWK, for `algorithm` where that is named"));
    }
    wrong.is_none()
}

/// The audience of assertions that are our own.
fn audience(
    reader: &Reader<'_>,
    auth: Option<&ClientAuth>,
    provider: Option<&ProviderSettings>,
) -> Option<AssertionAudience> {
    let audience = reader.get("assertion_audience", word)?;
    let ours = matches!(auth, Some(ClientAuth::PrivateKeyJwt { .. } | ClientAuth::OwnKeys(_)));
    if reader.has("assertion_audience") && auth.is_some() && !ours {
        let message = format!("{} has `assertion_audience`, and no `private_key`", reader.title());
        let fault = FaultKind::Contradiction.says(message);
        let fault = fault.at(audience.span.clone(), "no assertion would be signed");
        reader.cx.push(fault.help("leave it out"));
    }
    if audience.value == "token_endpoint" {
        return Some(AssertionAudience::TokenEndpoint);
    }
    if ours && provider.is_some_and(|provider| !provider.tenants.is_empty()) {
        let message = format!(
            "{} signs assertions for a provider whose issuer is a template",
            reader.title()
        );
        let fault = FaultKind::Contradiction.says(message);
        let fault = fault.at(reader.key_span("private_key"), "they could name no issuer");
        reader
            .cx
            .push(fault.expected("assertion_audience = \"token_endpoint\""));
    }
    Some(AssertionAudience::Issuer)
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
