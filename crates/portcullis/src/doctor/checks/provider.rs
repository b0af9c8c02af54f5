//! A provider: the way to it, its metadata, its keys, its clock.

use portcullis_jose::Clock;
use portcullis_oidc::HttpsUrl;
use url::Url;

use super::connection::connection;
use super::discovery::{Document, Needs, discovery, features};
use super::keys::keys;
use crate::config::{Keys, ProviderSettings, Settings};
use crate::doctor::finding::{Area, Finding};
use crate::doctor::words::duration;
use crate::doctor::{asking, problems};

/// A difference that the whole seconds of a `Date` header make by themselves.
const NOISE: i64 = 2;

/// What was found, and what the clients' checks need of it.
pub(crate) struct Provider {
    pub(crate) findings: Vec<Finding>,
    /// `token_endpoint_auth_methods_supported`, where the document could be read.
    pub(crate) auth_methods: Option<Vec<String>>,
}

pub(crate) async fn provider(
    settings: &Settings,
    name: &str,
    configured: &ProviderSettings,
    clock: &dyn Clock,
) -> Provider {
    let mut area = Area::new(format!("provider {name}"));
    let needs = Needs::of(settings, name);
    let document = match target(configured, &needs) {
        None => {
            area.skipped("discovery", "nothing is asked of this provider");
            None
        }
        Some(Err(why)) => {
            area.broken("discovery", &problems::DISCOVERY_MISSING, why)
                .at(["provider", name, "issuer"]);
            None
        }
        Some(Ok(url)) => {
            let reachable = connection(&mut area, name, configured, url.as_url(), clock).await;
            match (reachable, asking::client(configured)) {
                (true, Ok(client)) => ask(&mut area, settings, name, configured, &client, &url, &needs, clock).await,
                (true, Err(why)) => {
                    area.broken("tls", &problems::TLS_UNTRUSTED, why)
                        .at(["provider", name, "ca_file"]);
                    None
                }
                (false, _) => None,
            }
        }
    };
    if document.is_none() {
        // Keys in a file can be looked at all the same.
        if let (Keys::File(_) | Keys::Shared(_), Ok(client)) = (&configured.keys, asking::client(configured)) {
            keys(&mut area, name, configured, &client, None).await;
        }
    }
    Provider {
        findings: area.into_findings(),
        auth_methods: document.map(|document| auth_methods(&document)),
    }
}

/// What is asked first: the discovery document, or where the keys have an address and nothing else is needed, that.
fn target(configured: &ProviderSettings, needs: &Needs) -> Option<Result<HttpsUrl, String>> {
    if needs.discovery() {
        return Some(asking::discovery(configured));
    }
    match &configured.keys {
        Keys::Url(url) => Some(HttpsUrl::parse(url.as_str()).map_err(|error| error.to_string())),
        _ => None,
    }
}

#[expect(clippy::too_many_arguments, reason = "one step of a walk, with all that it needs")]
async fn ask(
    area: &mut Area,
    settings: &Settings,
    name: &str,
    configured: &ProviderSettings,
    client: &portcullis_oidc::HyperClient,
    url: &HttpsUrl,
    needs: &Needs,
    clock: &dyn Clock,
) -> Option<Document> {
    let document = match needs.discovery() {
        true => discovery(area, name, configured, client, url).await,
        false => None,
    };
    if let Some(document) = &document {
        features(area, name, configured, document, needs);
        if document.is_development() && !is_loopback(&settings.server.public_url) {
            area.warning("kind", &problems::DEVELOPMENT_PROVIDER, "portcullis idp")
                .at(["provider", name, "issuer"]);
        }
    }
    if document.is_some() || !needs.keys_by_discovery() {
        keys(area, name, configured, client, document.as_ref()).await;
    }
    if document.is_some() {
        clocks(area, name, configured, clock).await;
    }
    document
}

async fn clocks(area: &mut Area, name: &str, configured: &ProviderSettings, clock: &dyn Clock) {
    let at = ["provider", name, "leeway"];
    let leeway = i64::try_from(configured.leeway.as_secs()).unwrap_or(i64::MAX);
    match asking::clock_ahead(configured, clock).await {
        None => area.skipped("clock", "its answers have no date"),
        Some(ahead) if ahead.abs() <= NOISE => area.fine("clock", "as this machine's, to a second or two"),
        Some(ahead) => {
            let word = if ahead > 0 { "ahead of" } else { "behind" };
            let found = format!("this machine is {} {word} it", duration(ahead));
            let expected = format!("at most {} (leeway)", duration(leeway));
            match ahead.abs() > leeway {
                true => area.broken("clock", &problems::CLOCK_DIFFERS, found),
                false => area.warning("clock", &problems::CLOCK_DIFFERS, found),
            }
            .expected(expected)
            .at(at);
        }
    }
}

fn auth_methods(document: &Document) -> Vec<String> {
    let listed = document.list("token_endpoint_auth_methods_supported");
    match listed.is_empty() {
        // OpenID Connect Discovery 1.0 s3: the default.
        true => vec!["client_secret_basic".to_owned()],
        false => listed.into_iter().map(str::to_owned).collect(),
    }
}

fn is_loopback(url: &Url) -> bool {
    HttpsUrl::parse(&format!("http://{}", url.host_str().unwrap_or_default())).is_ok()
}
