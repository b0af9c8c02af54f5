//! The discovery document: there, the provider's own, and with all that the configuration needs.

use http::StatusCode;
use http::header::{CONTENT_TYPE, LOCATION};
use portcullis_oidc::{HttpsUrl, HyperClient};
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

use crate::config::{Keys, ProviderSettings, Settings};
use crate::doctor::finding::Area;
use crate::doctor::words::tidy;
use crate::doctor::{asking, problems};

/// An answer that takes longer is worth a word.
const SLOW: Duration = Duration::from_secs(1);

/// A discovery document.
pub(super) struct Document(Map<String, Value>);

/// What the configuration needs of a provider.
#[derive(Default)]
pub(super) struct Needs {
    login: bool,
    tokens: bool,
    introspection: bool,
    keys: bool,
}

// === impl Needs ===

impl Needs {
    pub(super) fn of(settings: &Settings, name: &str) -> Needs {
        let uses = |client: &str| {
            settings
                .clients
                .get(client)
                .is_some_and(|client| client.provider == name)
        };
        let provider = settings.providers.get(name);
        Needs {
            login: settings.frontends.values().any(|frontend| uses(&frontend.client)),
            tokens: settings.clients.values().any(|client| client.provider == name),
            introspection: provider
                .and_then(|provider| provider.introspection.as_ref())
                .is_some_and(|introspection| introspection.url.is_none()),
            keys: provider.is_some_and(|provider| matches!(provider.keys, Keys::Discovered)),
        }
    }

    /// Whether the keys are where the document says.
    pub(super) fn keys_by_discovery(&self) -> bool {
        self.keys
    }

    /// Whether anything is looked up in the discovery document.
    pub(super) fn discovery(&self) -> bool {
        self.login || self.tokens || self.introspection || self.keys
    }
}

/// Fetches the document.
pub(super) async fn discovery(
    area: &mut Area,
    name: &str,
    provider: &ProviderSettings,
    client: &HyperClient,
    url: &HttpsUrl,
) -> Option<Document> {
    let at = [
        "provider",
        name,
        if provider.discovery.is_some() {
            "discovery"
        } else {
            "issuer"
        },
    ];
    let begun = Instant::now();
    let answer = match asking::get(client, url).await {
        Ok(answer) => answer,
        Err(why) => {
            area.broken("discovery", &problems::DISCOVERY_MISSING, format!("{url}: {why}"))
                .at(at);
            return None;
        }
    };
    let took = begun.elapsed();
    if answer.status().is_redirection() {
        let target = answer
            .headers()
            .get(LOCATION)
            .and_then(|target| target.to_str().ok())
            .unwrap_or("nowhere");
        let found = format!("{url} leads to {}", tidy(target));
        area.broken("discovery", &problems::DISCOVERY_REDIRECTED, found).at(at);
        return None;
    }
    if answer.status() != StatusCode::OK {
        let found = format!("{url}: status {}", answer.status().as_u16());
        area.broken("discovery", &problems::DISCOVERY_MISSING, found).at(at);
        return None;
    }
    let Ok(Value::Object(document)) = serde_json::from_slice(answer.body()) else {
        let kind = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or("unknown");
        let found = format!("{url}: no JSON object, but {}", tidy(kind));
        area.broken("discovery", &problems::DISCOVERY_MISSING, found).at(at);
        return None;
    };
    let document = Document(document);
    let issuer = document.text("issuer").unwrap_or_default();
    if issuer != provider.issuer {
        let found = format!("{}{}", tidy(issuer), difference(issuer, &provider.issuer));
        area.broken("issuer", &problems::DISCOVERY_ISSUER, found)
            .expected(&*provider.issuer)
            .at(["provider", name, "issuer"]);
        return None;
    }
    match took > SLOW {
        true => drop(
            area.warning(
                "discovery",
                &problems::SLOW,
                format!("{url} in {} ms", took.as_millis()),
            )
            .at(at),
        ),
        false => area.fine("discovery", format!("{url} in {} ms", took.as_millis())),
    }
    area.fine("issuer", format!("{issuer}, as configured"));
    Some(document)
}

/// In which way two issuers differ, where that is easily overlooked.
fn difference(found: &str, expected: &str) -> &'static str {
    let rest = |issuer: &str| issuer.split_once("://").map(|(_, rest)| rest.to_owned());
    if found.trim_end_matches('/') == expected.trim_end_matches('/') {
        ": they differ by the slash at the end"
    } else if rest(found).is_some() && rest(found) == rest(expected) {
        ": they differ by http and https"
    } else if found.eq_ignore_ascii_case(expected) {
        ": they differ by upper and lower case"
    } else {
        ""
    }
}

/// Endpoints, PKCE, algorithms: what the document says against what the configuration needs.
pub(super) fn features(area: &mut Area, name: &str, provider: &ProviderSettings, document: &Document, needs: &Needs) {
    let at = ["provider", name, "issuer"];
    let needed = [
        ("authorization_endpoint", needs.login),
        ("token_endpoint", needs.tokens),
        ("introspection_endpoint", needs.introspection),
        ("jwks_uri", needs.keys),
    ];
    let mut there = Vec::new();
    for (endpoint, _) in needed.into_iter().filter(|(_, needed)| *needed) {
        match document.text(endpoint).map(HttpsUrl::parse) {
            Some(Ok(_)) => there.push(endpoint),
            Some(Err(error)) => {
                area.broken(
                    "endpoints",
                    &problems::ENDPOINT_INSECURE,
                    format!("{endpoint}: {error}"),
                )
                .at(at);
            }
            None => {
                area.broken("endpoints", &problems::ENDPOINT_MISSING, format!("no {endpoint}"))
                    .at(at);
            }
        }
    }
    if !there.is_empty() {
        area.fine("endpoints", there.join(", "));
    }
    if needs.login {
        let wished = ["end_session_endpoint", "revocation_endpoint"];
        let missing: Vec<&str> = wished
            .into_iter()
            .filter(|endpoint| document.text(endpoint).is_none())
            .collect();
        match missing.is_empty() {
            true => area.fine("logout", wished.join(", ")),
            false => drop(
                area.warning(
                    "logout",
                    &problems::ENDPOINT_WISHED,
                    format!("no {}", missing.join(", ")),
                )
                .at(at),
            ),
        }
        match document.list("code_challenge_methods_supported").contains(&"S256") {
            true => area.fine("pkce", "S256"),
            false => {
                let found = match document.list("code_challenge_methods_supported").join(", ") {
                    none if none.is_empty() => "it says nothing of it".to_owned(),
                    some => format!("it says {some}"),
                };
                area.warning("pkce", &problems::PKCE_NOT_ANNOUNCED, found).at(at);
            }
        }
        let offered = document.list("id_token_signing_alg_values_supported");
        let wanted = provider.id_token_algorithm.name();
        if !offered.is_empty() && !offered.contains(&wanted) {
            area.broken(
                "id tokens",
                &problems::ALGORITHM_OFFERED,
                format!("offered {}", tidy(&offered.join(", "))),
            )
            .expected(wanted)
            .at(["provider", name, "id_token_algorithm"]);
        } else {
            area.fine("id tokens", format!("signed with {wanted}"));
        }
    }
}

// === impl Document ===

impl Document {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the provider is ours for laptops and tests.
    pub(super) fn is_development(&self) -> bool {
        self.0.get("portcullis_development_provider") == Some(&Value::Bool(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_that_is_easily_overlooked_is_named() {
        assert!(difference("https://a/", "https://a").contains("slash"));
        assert!(difference("http://a", "https://a").contains("https"));
        assert!(difference("https://a/B", "https://a/b").contains("case"));
        assert_eq!(difference("https://b", "https://a"), "");
    }
}
