//! Key pairs of our own: what signs, what is published, and when they are replaced.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use portcullis_audit::{Audit, Event};
use portcullis_jose::Clock;
use portcullis_oidc::client_auth::{Credential, CredentialSource, Proof};
use portcullis_oidc::{BoxFuture, ProviderError};

use super::build::{BuildError, failed};
use super::sealing;
use crate::config::{ClientAuth, OwnKeySettings, Settings};
use crate::own_keys::OwnKeys;

/// Where the public keys are.
pub(super) const PATH: &str = "/.well-known/portcullis/jwks.json";
/// Keys are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The keys of every client that has its own.
pub(super) type Own = Vec<(String, Arc<OwnKeys>)>;

/// Keys of a client, as what proves it.
#[derive(Debug)]
pub(super) struct OwnSource {
    pub(super) keys: OwnKeys,
    pub(super) clock: Arc<dyn Clock>,
}

pub(crate) fn own_keys(settings: &Settings, name: &str, own: &OwnKeySettings) -> Result<OwnKeys, String> {
    let ring = sealing::key_ring(settings)?;
    let settings = settings.clone();
    OwnKeys::new(name, own, &ring, Box::new(move || sealing::look(&settings)))
}

pub(super) fn all(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Own, BuildError> {
    let mut all = Vec::new();
    for (name, client) in &settings.clients {
        if let ClientAuth::OwnKeys(own) = &client.auth {
            let keys = own_keys(settings, name, own).map_err(failed(format!("the own_keys of client {name}")))?;
            // The first one is made before somebody asks for it.
            keys.all(clock.now())
                .map_err(failed(format!("the own_keys of client {name}")))?;
            all.push((name.clone(), Arc::new(keys)));
        }
    }
    Ok(all)
}

/// The public keys of all clients (RFC 7517 s5).
pub(super) fn published(own: &Own, method: &Method, clock: &Arc<dyn Clock>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    if !matches!(*method, Method::GET | Method::HEAD) {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    let keys: Vec<_> = own
        .iter()
        .filter_map(|(_, keys)| keys.all(clock.now()).ok())
        .flatten()
        .map(|key| key.key.public_jwk())
        .collect();
    if *method == Method::GET {
        *response.body_mut() = Body::from(serde_json::json!({ "keys": keys }).to_string());
    }
    response
}

/// Replaces keys on their schedule.
pub(super) async fn keep_rotating(own: Own, audit: Audit, clock: Arc<dyn Clock>) {
    let mut told = vec![None; own.len()];
    loop {
        for ((client, keys), told) in own.iter().zip(&mut told) {
            let (keys, now) = (keys.clone(), clock.now());
            // An RSA key takes a moment.
            let rotated = tokio::task::spawn_blocking(move || keys.rotate_if_due(now)).await;
            let Ok(rotated) = rotated else { continue };
            let why = rotated.err();
            // Once, and not each time.
            if let (Some(reason), true) = (&why, why != *told) {
                let event = Event::ClientCredentialUnreadable {
                    client: client.clone(),
                    credential: "own_keys".into(),
                    reason: reason.clone(),
                };
                audit.emit(None, event);
            }
            *told = why;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl CredentialSource for OwnSource {
    fn load(&self, _: bool) -> BoxFuture<'_, Result<Vec<Credential>, ProviderError>> {
        Box::pin(async move {
            let keys = self.keys.signing(self.clock.now());
            let keys = keys.map_err(|why| ProviderError::Credential { why })?;
            let label = |kid: &str| format!("own key {kid}");
            Ok(keys
                .into_iter()
                .map(|key| Credential::new(label(key.key.kid()), Proof::Key(key.key)))
                .collect())
        })
    }
}
