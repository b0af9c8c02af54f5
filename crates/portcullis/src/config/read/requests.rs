//! How a client of `[client.NAME]` sends people to the provider, and what FAPI 2.0 makes of that.

use portcullis_jose::Algorithm;
use portcullis_oidc::client_auth::AssertionAudience;
use toml::de::DeValue;

use super::secret::{DevOnly, key};
use crate::client_key;
use crate::config::faults::FaultKind;
use crate::config::kinds::{only_true, text, word};
use crate::config::reader::{Context, Item, Reader, shown};
use crate::config::schema::LOGIN;
use crate::config::settings::{ClientAuth, ClientSettings, ProviderSettings};

/// Parameters that are ours to set.
const OURS: [&str; 20] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "resource",
    "prompt",
    "max_age",
    "acr_values",
    "login_hint",
    "ui_locales",
    "dpop_jkt",
    "client_secret",
    "client_assertion",
];
/// FAPI 2.0 Security Profile s5.4.1.
const FAPI: [Algorithm; 4] = [Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::Ed25519];

/// The settings of requests; what is not about them is left empty.
pub(super) fn requests(
    reader: &Reader<'_>,
    auth: Option<&ClientAuth>,
    public_is_https: Option<bool>,
    dev_only: DevOnly,
) -> Option<ClientSettings> {
    let profile = reader.get("profile", word);
    let dpop_key = reader.get("dpop_key", |cx, item| {
        let secret = key(cx, item, dev_only)?;
        match client_key::parse(&secret, None) {
            Ok(_) => Some(secret),
            Err(error) => {
                let fault = FaultKind::InvalidValue.says(format!("{} cannot sign", item.what));
                cx.push(fault.at(item.span.clone(), error.to_string()));
                None
            }
        }
    });
    let pushed = reader.get("pushed_requests", only_true);
    let signed = reader.get("signed_requests", only_true);
    let mode = reader.get("response_mode", word);
    let parameters = reader.get("authorization_parameters", parameters);
    for (key, read) in [
        ("profile", profile.is_some()),
        ("dpop_key", dpop_key.is_some()),
        ("pushed_requests", pushed.is_some()),
        ("signed_requests", signed.is_some()),
        ("authorization_parameters", parameters.is_some()),
    ] {
        // What is there and wrong must not become what is absent.
        if reader.has(key) && !read {
            return None;
        }
    }
    if let Some(signed) = signed.as_ref()
        && auth.is_some_and(|auth| !matches!(auth, ClientAuth::PrivateKeyJwt { .. } | ClientAuth::OwnKeys(_)))
    {
        let message = format!("{} has `signed_requests`, and no `private_key`", reader.title());
        let fault = FaultKind::Contradiction.says(message);
        reader.cx.push(fault.at(signed.span.clone(), "with what?"));
        return None;
    }
    let mode = mode?;
    if mode.value == "form_post" && public_is_https == Some(false) {
        let message = format!(
            "{} has `response_mode = \"form_post\"`, and `public_url` is not https",
            reader.title()
        );
        let fault = FaultKind::Contradiction.says(message);
        let fault = fault.at(mode.span, "browsers send no cookie with such an answer");
        reader.cx.push(fault.help("use \"query\" on http, or serve https"));
        return None;
    }
    Some(ClientSettings {
        provider: String::new(),
        client_id: String::new(),
        auth: ClientAuth::None,
        registration: None,
        assertion_audience: AssertionAudience::Issuer,
        fapi2: profile.is_some(),
        dpop_key: dpop_key.map(|key| key.value),
        pushed_requests: pushed.is_some(),
        signed_requests: signed.is_some(),
        form_post: mode.value == "form_post",
        authorization_parameters: parameters.map(|parameters| parameters.value).unwrap_or_default(),
    })
}

fn parameters(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<(String, String)>> {
    let DeValue::Table(table) = item.value else {
        cx.push(item.wrong_type());
        return None;
    };
    let mut all = Vec::new();
    for (name, value) in table {
        let given = name.get_ref();
        if OURS.contains(&given.as_ref()) {
            let message = format!("{} names `{}`, which is set here", item.what, shown(given));
            let fault = FaultKind::Contradiction.says(message);
            let fault = fault.at(name.span(), "would be there twice, or weaken the login");
            cx.push(match LOGIN.key(given) {
                Some(_) => fault.help(format!(
                    "write it into `login` of the [frontend.NAME]: login = {{ {given} = ... }}"
                )),
                None => fault,
            });
            return None;
        }
        let value = Item {
            value: value.get_ref(),
            span: value.span(),
            what: format!("`{}` of {}", shown(given), item.what),
            kind: item.kind,
        };
        all.push((given.to_string(), text(cx, &value)?));
    }
    Some(all)
}

/// FAPI 2.0 Security Profile s5.3.3: what a client must do, as far as the configuration decides it.
pub(super) fn keeps_fapi2(reader: &Reader<'_>, settings: &ClientSettings, provider: Option<&ProviderSettings>) -> bool {
    let wrong_algorithm = |keys: &[crate::config::ClientSecret], algorithm: Option<Algorithm>| {
        let signing = keys
            .iter()
            .filter_map(|key| client_key::parse(&key.value, algorithm).ok());
        let mut wrong = signing
            .map(|key| key.algorithm())
            .filter(|algorithm| !FAPI.contains(algorithm));
        wrong.next()
    };
    let problem = match &settings.auth {
        ClientAuth::PrivateKeyJwt { keys, algorithm } => match wrong_algorithm(keys, *algorithm) {
            Some(found) => Some((
                format!("its `private_key` signs with {found}"),
                "algorithm = \"PS256\" or \"ES256\"",
            )),
            None if settings.assertion_audience != AssertionAudience::Issuer => Some((
                "its assertions do not name the issuer".to_owned(),
                "assertion_audience = \"issuer\"",
            )),
            None if settings.dpop_key.is_none() => Some((
                "its tokens are bound to nothing".to_owned(),
                "dpop_key = { file = \"PATH\" }",
            )),
            None => None,
        },
        ClientAuth::OwnKeys(own) if !FAPI.contains(&own.algorithm) => {
            let found = format!("its `own_keys` sign with {}", own.algorithm);
            Some((found, "algorithm = \"PS256\" or \"ES256\""))
        }
        ClientAuth::OwnKeys(_) if settings.assertion_audience != AssertionAudience::Issuer => Some((
            "its assertions do not name the issuer".to_owned(),
            "assertion_audience = \"issuer\"",
        )),
        ClientAuth::OwnKeys(_) if settings.dpop_key.is_none() => Some((
            "its tokens are bound to nothing".to_owned(),
            "dpop_key = { file = \"PATH\" }",
        )),
        // A provider could bind the tokens to the certificate, but no upstream sees that one.
        ClientAuth::Tls { .. } if settings.dpop_key.is_none() => Some((
            "its tokens are bound to nothing that upstreams see".to_owned(),
            "dpop_key = { file = \"PATH\" }",
        )),
        ClientAuth::OwnKeys(_) | ClientAuth::Tls { .. } => None,
        _ => Some((
            "it proves itself by something that can be replayed".to_owned(),
            "`private_key` or `certificate`",
        )),
    };
    let problem = problem.or_else(|| {
        let key = client_key::parse(settings.dpop_key.as_ref()?, None).ok()?;
        (!FAPI.contains(&key.algorithm())).then(|| {
            let found = format!("its `dpop_key` signs with {}", key.algorithm());
            (found, "an EC key on P-256, an Ed25519 key, or a JWK with `alg` PS256")
        })
    });
    let problem = problem.or_else(|| {
        let algorithm = provider?.id_token_algorithm;
        (!FAPI.contains(&algorithm)).then(|| {
            let found = format!("the provider's ID tokens are signed with {algorithm}");
            (
                found,
                "id_token_algorithm = \"PS256\", \"ES256\" or \"EdDSA\" in [provider.NAME]",
            )
        })
    });
    let Some((why, expected)) = problem else { return true };
    let message = format!("{} does not keep the FAPI 2.0 Security Profile: {why}", reader.title());
    let fault = FaultKind::Contradiction.says(message);
    let fault = fault.at(reader.key_span("profile"), "asks for it");
    reader.cx.push(fault.expected(expected));
    false
}
