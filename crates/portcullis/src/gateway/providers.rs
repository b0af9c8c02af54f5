//! The providers of a configuration, and their clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_audit::Audit;
use portcullis_guard::report_keys;
use portcullis_jose::{AlgorithmSet, Clock, JwkSet, Secret, SharedSecret};
use portcullis_oidc::client_auth::{AuthMethod, Credentials};
use portcullis_oidc::dpop::DpopKey;
use portcullis_oidc::token_rules::TokenType;
use portcullis_oidc::{
    Client, ClientAuth, ClientOptions, HttpClient, HttpsUrl, HyperClient, Introspection, IssuerRule, Provider,
    ProviderSettings,
};

use super::build::{BuildError, failed, seconds};
use super::{credentials, own};
use crate::client_key;
use crate::config::{self, AccessTokenType, Keys, Settings};

/// A provider, and how opaque tokens are asked about there, if they are.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) provider: Provider,
    pub(super) introspection: Option<Introspection>,
}

/// By the names of the configuration.
pub(crate) type Providers = BTreeMap<String, Trusted>;

pub(crate) fn providers(settings: &Settings, audit: &Audit, clock: &Arc<dyn Clock>) -> Result<Providers, BuildError> {
    let mut providers = BTreeMap::new();
    for (name, configured) in &settings.providers {
        let provider = provider(name, configured, audit, clock)?;
        let introspection = None;
        providers.insert(
            name.clone(),
            Trusted {
                provider,
                introspection,
            },
        );
    }
    // A client needs its provider first, and the introspection its client.
    for (name, configured) in &settings.providers {
        let Some(asking) = &configured.introspection else {
            continue;
        };
        let client = client(settings, &providers, &asking.client, audit)?;
        let mut introspection = Introspection::new(client).cache_for(seconds(asking.cache));
        if let Some(url) = &asking.url {
            introspection = introspection.at(https(name, url)?);
        }
        if let Some(trusted) = providers.get_mut(name) {
            trusted.introspection = Some(introspection);
        }
    }
    Ok(providers)
}

/// The provider of this name.
pub(super) fn trusted<'p>(providers: &'p Providers, name: &str) -> Result<&'p Trusted, BuildError> {
    let trusted = providers.get(name);
    trusted.ok_or_else(|| failed("the configuration")(format!("there is no provider {name}")))
}

/// The provider of this name by itself, without anything around it.
pub(crate) fn provider_alone(
    settings: &Settings,
    name: &str,
    audit: &Audit,
    clock: &Arc<dyn Clock>,
) -> Result<Provider, BuildError> {
    let configured = settings.providers.get(name);
    let known = || {
        settings
            .providers
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let missing = || failed("the configuration")(format!("there is no provider {name}; there are: {}", known()));
    provider(name, configured.ok_or_else(missing)?, audit, clock)
}

/// The client of this name.
pub(crate) fn client(
    settings: &Settings,
    providers: &Providers,
    name: &str,
    audit: &Audit,
) -> Result<Client, BuildError> {
    let client = settings.clients.get(name);
    let client = client.ok_or_else(|| failed("the configuration")(format!("there is no client {name}")))?;
    let provider = trusted(providers, &client.provider)?.provider.clone();
    let ca_file = settings.providers.get(&client.provider);
    let ca_file = ca_file.and_then(|provider| provider.ca_file.as_deref());
    let auth = match &client.auth {
        config::ClientAuth::OwnKeys(own) => own::own_keys(settings, name, own).map(|keys| {
            let clock = provider.clock().clone();
            let source = own::OwnSource { keys, clock };
            let observer = credentials::observer(name, audit);
            ClientAuth::Rotating(Credentials::new(AuthMethod::PrivateKeyJwt, source, observer))
        }),
        other => credentials::client_auth(name, other, ca_file, audit, &provider),
    };
    let auth = auth.map_err(failed(format!("client {name}")))?;
    let mut options = ClientOptions::default();
    options.assertion_audience = client.assertion_audience;
    options.pushed_requests = client.pushed_requests;
    options.signed_requests = client.signed_requests;
    options.form_post = client.form_post;
    options.extra_parameters.clone_from(&client.authorization_parameters);
    options.fapi2 = client.fapi2;
    options.dpop = match &client.dpop_key {
        None => None,
        Some(key) => {
            let key = client_key::parse(key, None).map_err(failed(format!("the dpop_key of client {name}")))?;
            Some(DpopKey::new(key))
        }
    };
    Ok(Client::new(provider, &client.client_id, auth).with_options(options))
}

/// What the protocol's crate is told of a provider.
pub(crate) fn provider_settings(
    name: &str,
    configured: &config::ProviderSettings,
) -> Result<ProviderSettings, BuildError> {
    let issuer = match configured.tenants.as_slice() {
        [] => IssuerRule::exactly(&*configured.issuer),
        tenants => IssuerRule::tenants(&*configured.issuer, tenants).map_err(failed(format!("provider {name}")))?,
    };
    let mut provider = ProviderSettings::new(name, issuer);
    provider.id_token_algorithm = configured.id_token_algorithm;
    provider.algorithms = AlgorithmSet::of(&configured.algorithms);
    provider.leeway = seconds(configured.leeway);
    provider.max_lifetime = seconds(configured.max_token_lifetime);
    provider.token_type = match configured.access_token_type {
        AccessTokenType::AtJwt => TokenType::AtJwt,
        AccessTokenType::Any => TokenType::Any,
    };
    provider.discovery = match &configured.discovery {
        None => None,
        Some(url) => Some(https(name, url)?),
    };
    match &configured.keys {
        Keys::Discovered | Keys::Shared(_) => {}
        Keys::Url(url) => provider.jwks_uri = Some(https(name, url)?),
        Keys::File(path) => provider.jwks_file = Some(path.clone()),
    }
    let introspection = configured.introspection.as_ref();
    let introspection = introspection.and_then(|introspection| introspection.url.as_ref()?.host_str());
    provider.keys_on_demand = configured.keys_on_demand;
    provider.internal_hosts.clone_from(&configured.internal_hosts);
    provider.internal_hosts.extend(introspection.map(str::to_owned));
    Ok(provider)
}

fn provider(
    name: &str,
    configured: &config::ProviderSettings,
    audit: &Audit,
    clock: &Arc<dyn Clock>,
) -> Result<Provider, BuildError> {
    let what = || format!("provider {name}");
    let provider = provider_settings(name, configured)?;
    if let Keys::Shared(secret) = &configured.keys {
        let keys = shared(configured, secret).map_err(failed(what()))?;
        return Ok(Provider::with_keys(provider, keys, clock.clone()));
    }
    let http = match &configured.ca_file {
        None => HyperClient::new().map_err(failed(what()))?,
        Some(path) => {
            let pem = std::fs::read(path).map_err(failed(format!("{}: {}", what(), path.display())))?;
            HyperClient::with_ca(&pem).map_err(failed(format!("{}: {}", what(), path.display())))?
        }
    };
    let http: Arc<dyn HttpClient> = Arc::new(http.beside(&provider.hosts()));
    Ok(Provider::new(provider, http, clock.clone(), report_keys(audit.clone())))
}

fn shared(configured: &config::ProviderSettings, secret: &Secret) -> Result<JwkSet, portcullis_jose::KeyError> {
    let secrets: Result<Vec<SharedSecret>, _> = configured
        .algorithms
        .iter()
        .map(|algorithm| SharedSecret::new(secret.expose().as_bytes(), *algorithm))
        .collect();
    JwkSet::shared_secrets(secrets?)
}

fn https(name: &str, url: &url::Url) -> Result<HttpsUrl, BuildError> {
    HttpsUrl::parse(url.as_str()).map_err(failed(format!("provider {name}")))
}
