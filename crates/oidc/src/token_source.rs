use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use portcullis_jose::{Secret, UnixTime, random_array};

use crate::flight::Flight;
use crate::{Client, ProviderError, TokenTarget};

/// A token without a stated lifetime is used for so long, in seconds.
const UNSTATED_LIFETIME: i64 = 60;
/// After a failure the provider is left alone for a second, then for twice as long each time, up to this.
const LONGEST_PAUSE: i64 = 60;
/// A token that an API refuses although it came within so many seconds is not replaced: the next would be refused too.
const SETTLED: i64 = 10;
/// How often a source that is kept fresh looks at its token.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Tokens of a service (RFC 6749 s4.4): cached, renewed ahead of their expiry, fetched once however many ask.
///
/// Cheap to clone; the clones share one token. In the last fifth of its lifetime, and not at the same moment in every
/// process, a token is renewed in the background while it is used on. While the provider is down the old one is handed
/// out as long as it lives, and the provider is asked less and less often.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    client: Client,
    target: TokenTarget,
    cached: ArcSwapOption<Cached>,
    flight: Flight<Result<Arc<Cached>, ProviderError>>,
    outage: Mutex<Option<Outage>>,
}

struct Cached {
    token: Secret,
    fetched: UnixTime,
    renew: UnixTime,
    expires: UnixTime,
}

/// Failures in a row.
struct Outage {
    last: ProviderError,
    pause: i64,
    until: UnixTime,
}

/// Keeps a source's token fresh also while nobody asks for it. Dropping it ends that.
#[derive(Debug)]
pub struct RenewalTask(tokio::task::JoinHandle<()>);

// === impl TokenSource ===

impl TokenSource {
    /// Bearer tokens by the Client Credentials grant of `client`.
    #[must_use]
    pub fn client_credentials(client: Client) -> TokenSource {
        TokenSource::with(client.without_dpop(), TokenTarget::default())
    }

    /// The same, bound to the client's DPoP key where it has one (RFC 9449 s5): whoever presents such a token proves the
    /// key.
    #[must_use]
    pub fn bound_client_credentials(client: Client) -> TokenSource {
        TokenSource::with(client, TokenTarget::default())
    }

    /// The same for this target, and with an empty cache.
    #[must_use]
    pub fn target(&self, target: TokenTarget) -> TokenSource {
        TokenSource::with(self.0.client.clone(), target)
    }

    fn with(client: Client, target: TokenTarget) -> TokenSource {
        TokenSource(Arc::new(Inner {
            client,
            target,
            cached: ArcSwapOption::empty(),
            flight: Flight::default(),
            outage: Mutex::default(),
        }))
    }

    /// The same with one more scope, and an empty cache.
    #[must_use]
    pub fn scope(&self, scope: impl Into<String>) -> TokenSource {
        let mut target = self.0.target.clone();
        target.scopes.push(scope.into());
        self.target(target)
    }

    /// The same for one API (RFC 8707), and an empty cache.
    #[must_use]
    pub fn resource(&self, resource: impl Into<String>) -> TokenSource {
        let mut target = self.0.target.clone();
        target.resource = Some(resource.into());
        self.target(target)
    }

    /// The same for one API by its name, and an empty cache.
    #[must_use]
    pub fn audience(&self, audience: impl Into<String>) -> TokenSource {
        let mut target = self.0.target.clone();
        target.audience = Some(audience.into());
        self.target(target)
    }

    /// A token that is alive.
    ///
    /// # Errors
    /// When there is none alive and none can be had. While the provider is down, most calls learn that from the call
    /// that has asked it.
    pub async fn token(&self) -> Result<Secret, ProviderError> {
        let now = self.now();
        let known = self.0.cached.load();
        if let Some(cached) = known.as_ref().filter(|cached| now < cached.expires) {
            if now >= cached.renew && !self.0.flight.is_under_way() && self.outage(now).is_none() {
                // Whoever asks now gets the token that there is.
                drop(self.0.flight.join_or(self.clone().fetch(Some(Arc::clone(cached)))));
            }
            return Ok(cached.token.clone());
        }
        let seen = known.as_ref().map(Arc::clone);
        drop(known);
        if let Some(error) = self.outage(now) {
            return Err(error);
        }
        self.fetched(seen).await.map(|cached| cached.token.clone())
    }

    /// Another token than this one, which an API has refused with 401. `None` where there is no point in another: this one
    /// has just been issued.
    ///
    /// # Errors
    /// When none can be had.
    pub async fn instead_of(&self, refused: &Secret) -> Result<Option<Secret>, ProviderError> {
        let now = self.now();
        let seen = self.0.cached.load_full();
        match &seen {
            // Somebody else has been here.
            Some(cached) if cached.token != *refused && now < cached.expires => {
                return Ok(Some(cached.token.clone()));
            }
            Some(cached) if cached.token == *refused && now.since(cached.fetched) < SETTLED => return Ok(None),
            _ => {}
        }
        if let Some(error) = self.outage(now) {
            return Err(error);
        }
        let fresh = self.fetched(seen).await?;
        Ok((fresh.token != *refused).then(|| fresh.token.clone()))
    }

    /// Drops the cached token.
    pub fn forget(&self) {
        self.0.cached.store(None);
    }

    /// Renews the token ahead of its expiry also while nobody asks for it. Needs a tokio runtime.
    #[must_use]
    pub fn keep_fresh(&self) -> RenewalTask {
        let source = self.clone();
        RenewalTask(tokio::spawn(async move {
            loop {
                // What fails is tried again, and whoever needs the token learns why there is none.
                drop(source.token().await);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }))
    }

    fn now(&self) -> UnixTime {
        self.0.client.provider().clock().now()
    }

    /// Why the provider is left alone now, if it is.
    fn outage(&self, now: UnixTime) -> Option<ProviderError> {
        let outage = self.0.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let outage = outage.as_ref().filter(|outage| now < outage.until)?;
        Some(outage.last.clone())
    }

    async fn fetched(&self, seen: Option<Arc<Cached>>) -> Result<Arc<Cached>, ProviderError> {
        let landing = self.0.flight.join_or(self.clone().fetch(seen));
        landing.wait().await.unwrap_or_else(|| {
            Err(ProviderError::BadAnswer {
                endpoint: "token endpoint",
                why: "the request was interrupted".into(),
            })
        })
    }

    /// A newer token than the one that was seen.
    async fn fetch(self, seen: Option<Arc<Cached>>) -> Result<Arc<Cached>, ProviderError> {
        let asked = self.now();
        if let Some(newer) = self.0.cached.load_full().filter(|cached| asked < cached.expires)
            && seen.is_none_or(|seen| !Arc::ptr_eq(&seen, &newer))
        {
            // Another flight ended between the look and this one,
            return Ok(newer);
        }
        if let Some(error) = self.outage(asked) {
            // also without a token.
            return Err(error);
        }
        let result = self.0.client.client_credentials_for(&self.0.target).await;
        let mut outage = self.0.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(response) => {
                *outage = None;
                let lifetime = response.expires_in.unwrap_or(UNSTATED_LIFETIME);
                let fresh = Arc::new(Cached {
                    token: response.access_token,
                    fetched: asked,
                    renew: asked.plus(lifetime * 4 / 5 - somewhere_in(lifetime / 10)),
                    expires: asked.plus(lifetime),
                });
                self.0.cached.store(Some(Arc::clone(&fresh)));
                Ok(fresh)
            }
            Err(error) => {
                let pause = outage.as_ref().map_or(1, |outage| outage.pause * 2).min(LONGEST_PAUSE);
                *outage = Some(Outage {
                    last: error.clone(),
                    pause,
                    // Not all processes come back at the same moment.
                    until: self.now().plus(pause + somewhere_in(pause / 2)),
                });
                Err(error)
            }
        }
    }
}

/// A random number from 0 to this.
fn somewhere_in(span: i64) -> i64 {
    let [byte] = random_array::<1>();
    span.max(0) * i64::from(byte) / 255
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("client_id", &self.0.client.client_id())
            .field("target", &self.0.target)
            .finish_non_exhaustive()
    }
}

// === impl RenewalTask ===

impl Drop for RenewalTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
#[path = "token_source_tests.rs"]
mod tests;
