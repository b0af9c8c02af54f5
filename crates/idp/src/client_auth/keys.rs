use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use portcullis_jose::JwkSet;
use portcullis_oidc::{HttpClient as _, HttpsUrl, HyperClient};

use crate::config::Client;
use crate::provider::Provider;

const LIMIT: usize = 64 * 1024;

/// Fetches and keeps the keys of clients that publish them.
#[derive(Debug, Default)]
pub(crate) struct JwksFetcher {
    http: tokio::sync::OnceCell<HyperClient>,
    known: Mutex<HashMap<String, Bytes>>,
}

/// The keys of a client; `again` fetches them also where some are known.
pub(crate) async fn keys_of(provider: &Provider, client: &Client, again: bool) -> Option<JwkSet> {
    let text = match (&client.jwks, &client.jwks_uri) {
        (Some(jwks), _) => Bytes::from(jwks.to_string()),
        (None, Some(uri)) => provider.jwks_fetcher.fetch(uri, again).await?,
        (None, None) => return None,
    };
    JwkSet::parse(&text).ok().map(|(keys, _)| keys)
}

impl JwksFetcher {
    async fn fetch(&self, uri: &str, again: bool) -> Option<Bytes> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(uri).filter(|_| !again) {
            return Some(known.clone());
        }
        let url = HttpsUrl::parse(uri).ok()?;
        let http = self.http.get_or_try_init(async || HyperClient::new()).await.ok()?;
        let request = http::Request::get(url.as_str()).body(Bytes::new()).ok()?;
        let response = http.send(request, LIMIT).await.ok()?;
        if response.status() != http::StatusCode::OK {
            return None;
        }
        let body = response.into_body();
        lock().insert(uri.to_owned(), body.clone());
        Some(body)
    }
}
