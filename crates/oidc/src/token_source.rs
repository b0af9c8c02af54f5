use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use portcullis_jose::{Secret, UnixTime};

use crate::{Client, ProviderError};

/// A token without a stated lifetime is used for so long, in seconds.
const UNSTATED_LIFETIME: i64 = 60;

/// Tokens of a service (RFC 6749 s4.4): cached, renewed ahead of their expiry, fetched once however many ask.
///
/// Cheap to clone; the clones share one token.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    client: Client,
    scopes: Vec<String>,
    resource: Option<String>,
    cached: ArcSwapOption<Cached>,
    flight: tokio::sync::Mutex<()>,
}

struct Cached {
    token: Secret,
    renew: UnixTime,
    expires: UnixTime,
}

impl TokenSource {
    /// Tokens by the Client Credentials grant of `client`.
    #[must_use]
    pub fn client_credentials(client: Client) -> TokenSource {
        TokenSource::with(client, Vec::new(), None)
    }

    fn with(client: Client, scopes: Vec<String>, resource: Option<String>) -> TokenSource {
        TokenSource(Arc::new(Inner {
            client,
            scopes,
            resource,
            cached: ArcSwapOption::empty(),
            flight: tokio::sync::Mutex::new(()),
        }))
    }

    /// The same with one more scope, and an empty cache.
    #[must_use]
    pub fn scope(&self, scope: impl Into<String>) -> TokenSource {
        let mut scopes = self.0.scopes.clone();
        scopes.push(scope.into());
        TokenSource::with(self.0.client.clone(), scopes, self.0.resource.clone())
    }

    /// The same for one API (RFC 8707), and an empty cache.
    #[must_use]
    pub fn resource(&self, resource: impl Into<String>) -> TokenSource {
        TokenSource::with(self.0.client.clone(), self.0.scopes.clone(), Some(resource.into()))
    }

    /// A token that is alive.
    ///
    /// In the last fifth of its lifetime it is renewed, and used on while that fails.
    ///
    /// # Errors
    /// When there is none alive and none can be had.
    pub async fn token(&self) -> Result<Secret, ProviderError> {
        let now = || self.0.client.provider().clock().now();
        if let Some(cached) = self.0.cached.load().as_ref().filter(|cached| now() < cached.renew) {
            return Ok(cached.token.clone());
        }
        let _flight = self.0.flight.lock().await;
        // Whoever held the lock before may have renewed it.
        let cached = self.0.cached.load_full();
        if let Some(cached) = cached.as_ref().filter(|cached| now() < cached.renew) {
            return Ok(cached.token.clone());
        }
        let asked = now();
        match self
            .0
            .client
            .client_credentials(&self.0.scopes, self.0.resource.as_deref())
            .await
        {
            Ok(response) => {
                let lifetime = response.expires_in.unwrap_or(UNSTATED_LIFETIME);
                let fresh = Cached {
                    token: response.access_token.clone(),
                    renew: asked.plus(lifetime * 4 / 5),
                    expires: asked.plus(lifetime),
                };
                self.0.cached.store(Some(Arc::new(fresh)));
                Ok(response.access_token)
            }
            Err(error) => match cached.filter(|cached| error.is_temporary() && now() < cached.expires) {
                Some(cached) => Ok(cached.token.clone()),
                None => Err(error),
            },
        }
    }

    /// Drops the cached token, for example after an API refused it.
    pub fn forget(&self) {
        self.0.cached.store(None);
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("client_id", &self.0.client.client_id())
            .field("scopes", &self.0.scopes)
            .field("resource", &self.0.resource)
            .finish_non_exhaustive()
    }
}
