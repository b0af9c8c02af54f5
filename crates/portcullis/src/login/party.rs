//! At which provider a person is signed in, and as which client: all that a later refresh needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_jose::{Algorithm, Secret, SystemClock};
use portcullis_oidc::{Client, ClientAuth, HttpClient, HttpsUrl, HyperClient, IssuerRule, Provider, ProviderSettings};
use serde::{Deserialize, Serialize};

use super::Problem;
use super::kept::exposed_option;
use crate::config::{self, Keys, Settings};

/// A client of a provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Party {
    pub(crate) issuer: String,
    #[serde(default)]
    tenants: Vec<String>,
    discovery: Option<String>,
    jwks_url: Option<String>,
    jwks_file: Option<PathBuf>,
    /// Absent in what an earlier version kept.
    #[serde(default)]
    internal_hosts: Vec<String>,
    ca_file: Option<PathBuf>,
    id_token_algorithm: String,
    pub(crate) client_id: String,
    /// Of an application that is public all the same (RFC 8252 s8.5): some providers give one out.
    #[serde(serialize_with = "exposed_option")]
    client_secret: Option<Secret>,
}

impl Party {
    /// What the command line names.
    pub(crate) fn named(
        issuer: &str,
        client_id: &str,
        client_secret: Option<Secret>,
        algorithm: Algorithm,
        ca_file: Option<&Path>,
    ) -> Result<Party, Problem> {
        HttpsUrl::parse(issuer).map_err(|error| Problem::usage(format!("--issuer: {error}")))?;
        Ok(Party {
            issuer: issuer.to_owned(),
            tenants: Vec::new(),
            discovery: None,
            jwks_url: None,
            jwks_file: None,
            internal_hosts: Vec::new(),
            ca_file: ca_file.map(absolute).transpose()?,
            id_token_algorithm: algorithm.name().to_owned(),
            client_id: client_id.to_owned(),
            client_secret,
        })
    }

    /// A provider of a configuration, and a public client of its.
    pub(crate) fn configured(
        settings: &Settings,
        provider: &str,
        client: Option<&str>,
        client_id: Option<&str>,
    ) -> Result<Party, Problem> {
        let known = |names: Vec<&String>| {
            let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        let configured = settings.providers.get(provider).ok_or_else(|| {
            Problem::usage(format!(
                "there is no provider {provider}; there are: {}",
                known(settings.providers.keys().collect())
            ))
        })?;
        let (jwks_url, jwks_file) = match &configured.keys {
            Keys::Discovered => (None, None),
            Keys::Url(url) => (Some(url.to_string()), None),
            Keys::File(path) => (None, Some(absolute(path)?)),
            Keys::Shared(_) => {
                return Err(Problem::usage(format!(
                    "provider {provider} has a shared secret and no endpoints: nobody can sign in there"
                )));
            }
        };
        let client_id = match client_id {
            Some(id) => id.to_owned(),
            None => public_client(settings, provider, client)?,
        };
        Ok(Party {
            issuer: configured.issuer.clone(),
            tenants: configured.tenants.clone(),
            discovery: configured.discovery.as_ref().map(ToString::to_string),
            jwks_url,
            jwks_file,
            internal_hosts: configured.internal_hosts.clone(),
            ca_file: configured.ca_file.as_deref().map(absolute).transpose()?,
            id_token_algorithm: configured.id_token_algorithm.name().to_owned(),
            client_id,
            client_secret: None,
        })
    }

    /// The client, ready to ask.
    pub(crate) fn client(&self) -> Result<Client, Problem> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Problem::new(format!("{what}: {error}"));
        let issuer = match self.tenants.as_slice() {
            [] => IssuerRule::exactly(&*self.issuer),
            tenants => IssuerRule::tenants(&*self.issuer, tenants).map_err(|error| failed("issuer", &error))?,
        };
        let url = |what: &str, text: &Option<String>| {
            let url = text.as_deref().map(HttpsUrl::parse);
            url.transpose().map_err(|error| failed(what, &error))
        };
        let mut settings = ProviderSettings::new("login", issuer);
        settings.discovery = url("discovery", &self.discovery)?;
        settings.jwks_uri = url("jwks_url", &self.jwks_url)?;
        settings.jwks_file.clone_from(&self.jwks_file);
        settings.internal_hosts.clone_from(&self.internal_hosts);
        let algorithm = Algorithm::from_name(&self.id_token_algorithm);
        settings.id_token_algorithm = algorithm.ok_or_else(|| {
            Problem::new(format!(
                "{} is no algorithm of ID tokens: sign in again",
                self.id_token_algorithm
            ))
        })?;
        let http = match &self.ca_file {
            None => HyperClient::new().map_err(|error| failed("HTTP client", &error))?,
            Some(path) => {
                let path_text = path.display().to_string();
                let pem = std::fs::read(path).map_err(|error| failed(&path_text, &error))?;
                HyperClient::with_ca(&pem).map_err(|error| failed(&path_text, &error))?
            }
        };
        let http: Arc<dyn HttpClient> = Arc::new(http.beside(&settings.hosts()));
        let provider = Provider::new(settings, http, Arc::new(SystemClock), Arc::new(|_, _| {}));
        let auth = match &self.client_secret {
            None => ClientAuth::None,
            Some(secret) => ClientAuth::Post(secret.clone()),
        };
        Ok(Client::new(provider, &*self.client_id, auth))
    }
}

/// The client of this name, or the only one of the provider's that proves itself by nothing. RFC 8252 s8.4: what is on
/// everybody's machine keeps no secret, and a web application's secret has no business there.
fn public_client(settings: &Settings, provider: &str, name: Option<&str>) -> Result<String, Problem> {
    let is_public = |client: &config::ClientSettings| matches!(client.auth, config::ClientAuth::None);
    if let Some(name) = name {
        let client = settings
            .clients
            .get(name)
            .ok_or_else(|| Problem::usage(format!("there is no client {name}")))?;
        if client.provider != provider {
            return Err(Problem::usage(format!(
                "client {name} is of provider {}",
                client.provider
            )));
        }
        if !is_public(client) {
            return Err(Problem::usage(format!(
                "client {name} is confidential: register a public one for the command line (auth = \"none\"), with the \
                 redirect URI http://127.0.0.1/callback"
            )));
        }
        return Ok(client.client_id.clone());
    }
    let of_provider = settings.clients.values().filter(|client| client.provider == provider);
    let public: Vec<_> = of_provider.filter(|client| is_public(client)).collect();
    match public.as_slice() {
        [one] => Ok(one.client_id.clone()),
        [] => Err(Problem::usage(format!(
            "provider {provider} has no public client (auth = \"none\") in the configuration: name one with --client-id"
        ))),
        _ => Err(Problem::usage(format!(
            "provider {provider} has several public clients: name one with --client or --client-id"
        ))),
    }
}

fn absolute(path: impl AsRef<Path>) -> Result<PathBuf, Problem> {
    let path = path.as_ref();
    std::path::absolute(path).map_err(|error| Problem::usage(format!("{}: {error}", path.display())))
}
