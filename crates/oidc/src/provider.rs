use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use portcullis_jose::{Algorithm, AlgorithmSet, Clock, JwkSet, SystemClock, UnixTime, random_array};

use crate::key_cache::KeyCache;
use crate::{HttpClient, HttpsUrl, HyperClient, KeySnapshot, Metadata, ProviderError};

const JWKS_LIMIT: usize = 512 * 1024;
/// How long keys are fresh where the provider does not say, and the bounds on what it may say, in seconds.
const FRESH_DEFAULT: i64 = 600;
const FRESH_BOUNDS: (i64, i64) = (60, 3600);
/// The metadata is read again with the keys when it is older than this.
const METADATA_AGE: i64 = 3600;

/// What is configured of a provider.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProviderSettings {
    /// The name in configuration, metrics and events.
    pub name: String,
    /// The issuer, byte for byte as tokens carry it.
    pub issuer: String,
    /// The algorithm of ID tokens; pinned, since the metadata may list anything.
    pub id_token_algorithm: Algorithm,
    /// The algorithms of access tokens.
    pub algorithms: AlgorithmSet,
    /// Where the keys are, instead of where the metadata says.
    pub jwks_uri: Option<HttpsUrl>,
}

impl ProviderSettings {
    /// A provider with the defaults: RS256 for ID tokens; RS256, PS256, ES256 and EdDSA for access tokens.
    #[must_use]
    pub fn new(name: impl Into<String>, issuer: impl Into<String>) -> ProviderSettings {
        use Algorithm::{ES256, Ed25519, EdDSA, PS256, RS256};
        ProviderSettings {
            name: name.into(),
            issuer: issuer.into(),
            id_token_algorithm: RS256,
            algorithms: AlgorithmSet::of(&[RS256, PS256, ES256, EdDSA, Ed25519]),
            jwks_uri: None,
        }
    }
}

/// Something that happened to a provider's keys, for whoever keeps events and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderEvent {
    /// The keys were fetched.
    KeysRefreshed {
        /// How many can be used.
        keys: usize,
        /// What cannot be used, and why.
        ignored: Vec<String>,
        /// Whether the keys are other ones than before.
        changed: bool,
    },
    /// The keys could not be fetched; the last good ones are used on, if there are any.
    KeysUnavailable {
        /// The age of the keys in use, in seconds; `None` if there are none.
        age: Option<i64>,
        /// Why.
        error: ProviderError,
    },
}

/// Is told of each [`ProviderEvent`], with the provider's name.
pub type Observer = Arc<dyn Fn(&str, &ProviderEvent) + Send + Sync>;

/// A provider: its metadata and its keys, fetched when first needed, then kept fresh. Cheap to clone.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    settings: ProviderSettings,
    http: Arc<dyn HttpClient>,
    clock: Arc<dyn Clock>,
    observer: Observer,
    keys: KeyCache,
    metadata: ArcSwapOption<(Metadata, UnixTime)>,
    metadata_flight: tokio::sync::Mutex<()>,
    fixed_keys: bool,
}

impl Provider {
    /// A provider that nothing has been asked of yet.
    #[must_use]
    pub fn new(
        settings: ProviderSettings,
        http: Arc<dyn HttpClient>,
        clock: Arc<dyn Clock>,
        observer: Observer,
    ) -> Provider {
        Provider(Arc::new(Inner {
            keys: KeyCache::new(clock.now()),
            settings,
            http,
            clock,
            observer,
            metadata: ArcSwapOption::empty(),
            metadata_flight: tokio::sync::Mutex::new(()),
            fixed_keys: false,
        }))
    }

    /// A provider with the defaults: named by its issuer, asked over the network, at the machine's time.
    ///
    /// # Errors
    /// When the issuer is no `https` URL (loopback excepted), or the platform has no trust store.
    pub fn discover(issuer: &str) -> Result<Provider, ProviderError> {
        HttpsUrl::parse(issuer).map_err(|error| ProviderError::Url { what: "issuer", error })?;
        let http = HyperClient::new().map_err(|error| ProviderError::Unreachable {
            endpoint: "discovery document",
            error,
        })?;
        let settings = ProviderSettings::new(issuer, issuer);
        Ok(Provider::new(
            settings,
            Arc::new(http),
            Arc::new(SystemClock),
            Arc::new(|_, _| {}),
        ))
    }

    /// A provider whose keys are given and never fetched.
    #[must_use]
    pub fn with_keys(settings: ProviderSettings, keys: JwkSet, clock: Arc<dyn Clock>) -> Provider {
        let cache = KeyCache::new(clock.now());
        // Fixed keys do not age: they were "fetched" at the end of time.
        cache.store(keys, UnixTime::from_secs(i64::MAX), i64::MAX);
        Provider(Arc::new(Inner {
            keys: cache,
            settings,
            http: Arc::new(NoHttp),
            clock,
            observer: Arc::new(|_, _| {}),
            metadata: ArcSwapOption::empty(),
            metadata_flight: tokio::sync::Mutex::new(()),
            fixed_keys: true,
        }))
    }

    /// The name in configuration, metrics and events.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// The issuer, byte for byte.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.settings.issuer
    }

    /// What is configured.
    #[must_use]
    pub fn settings(&self) -> &ProviderSettings {
        &self.0.settings
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(crate) fn http(&self) -> &dyn HttpClient {
        &*self.0.http
    }

    /// The metadata; fetched if it was not yet.
    ///
    /// # Errors
    /// When it was not fetched yet and cannot be now.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        if let Some(cached) = self.0.metadata.load_full() {
            return Ok(Arc::new(cached.0.clone()));
        }
        let _flight = self.0.metadata_flight.lock().await;
        match self.0.metadata.load_full() {
            Some(cached) => Ok(Arc::new(cached.0.clone())),
            // Those who waited for a fetch that failed do not ask again, one after the other.
            None if self.0.keys.failed_just_now(self.0.clock.now()) => Err(no_metadata()),
            None => self
                .fetch_metadata()
                .await
                .inspect_err(|_| self.0.keys.note_failure(self.0.clock.now())),
        }
    }

    /// The keys as they are known now, without any I/O. `None` before the first fetch and 24 h after the last.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<KeySnapshot>> {
        self.0.keys.current(self.0.clock.now())
    }

    /// The keys, fetched if there are none.
    ///
    /// # Errors
    /// When there are none and they cannot be fetched.
    pub async fn keys_or_fetch(&self) -> Result<Arc<KeySnapshot>, ProviderError> {
        match self.keys() {
            Some(keys) => Ok(keys),
            None if self.0.keys.failed_just_now(self.0.clock.now()) => Err(no_keys()),
            None => self.refresh_keys().await,
        }
    }

    /// The keys after a token named a `kid` that `seen` does not have.
    ///
    /// Fetches them again, once for all that wait, after a small burst at most once in 30 s. When it may not or
    /// cannot fetch, the keys are the same as before.
    ///
    /// # Errors
    /// When there are no keys at all.
    pub async fn keys_for_unknown_kid(&self, seen: &KeySnapshot) -> Result<Arc<KeySnapshot>, ProviderError> {
        if let Some(newer) = self.keys().filter(|keys| keys.generation != seen.generation) {
            return Ok(newer);
        }
        if !self.0.fixed_keys {
            // The throttle is asked inside the flight: whoever comes while a fetch is under way waits for it.
            let fetch = async || match self.0.keys.may_ask_for_unknown_kid(self.0.clock.now()) {
                true => Some(self.fetch_keys().await),
                false => None,
            };
            let _ = self.0.keys.single_flight(fetch).await;
        }
        self.keys().ok_or_else(no_keys)
    }

    /// Fetches the keys now. Those who call while a fetch is under way share its result.
    ///
    /// # Errors
    /// When they cannot be fetched; the last good ones stay in use.
    pub async fn refresh_keys(&self) -> Result<Arc<KeySnapshot>, ProviderError> {
        match self.0.keys.single_flight(async || Some(self.fetch_keys().await)).await {
            Some(result) => result,
            None => self.keys().ok_or_else(no_keys),
        }
    }

    /// Keeps the keys fresh in the background, until the returned value is dropped. Needs a tokio runtime.
    ///
    /// The keys are fetched at once, then ahead of the end of their freshness (`Cache-Control: max-age`, between
    /// one minute and one hour), with jitter so that replicas spread out; after a failure with growing pauses.
    #[must_use = "the refresh stops when this is dropped"]
    pub fn spawn_refresh(&self) -> RefreshTask {
        let provider = self.clone();
        RefreshTask(tokio::spawn(async move {
            let mut failures: u32 = 0;
            loop {
                let pause = match provider.refresh_keys().await {
                    Ok(keys) => {
                        failures = 0;
                        keys.fresh_for * 8 / 10
                    }
                    Err(_) => {
                        failures += 1;
                        1_i64 << failures.min(6)
                    }
                };
                let millis = u64::try_from(pause).unwrap_or(1).clamp(1, 3600) * 1000;
                let jitter = u64::from(u16::from_le_bytes(random_array())) % (millis / 10 + 1);
                tokio::time::sleep(Duration::from_millis(millis - millis / 20 + jitter)).await;
            }
        }))
    }

    async fn fetch_metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let location = Metadata::location(self.issuer());
        let url = HttpsUrl::parse(&location).map_err(|error| ProviderError::Url { what: "issuer", error })?;
        let response = self.get(&url, "discovery document", Metadata::LIMIT).await?;
        let metadata = Metadata::parse(response.body(), self.issuer())?;
        self.0
            .metadata
            .store(Some(Arc::new((metadata.clone(), self.0.clock.now()))));
        Ok(Arc::new(metadata))
    }

    async fn fetch_keys(&self) -> Result<Arc<KeySnapshot>, ProviderError> {
        let result = self.try_fetch_keys().await;
        let now = self.0.clock.now();
        if let Err(error) = &result {
            self.0.keys.note_failure(now);
            let age = self.keys().map(|keys| now.since(keys.fetched));
            self.tell(&ProviderEvent::KeysUnavailable {
                age,
                error: error.clone(),
            });
        }
        result
    }

    async fn try_fetch_keys(&self) -> Result<Arc<KeySnapshot>, ProviderError> {
        const ENDPOINT: &str = "key set";
        let now = self.0.clock.now();
        let uri = match &self.0.settings.jwks_uri {
            Some(uri) => uri.clone(),
            None => {
                let old = self
                    .0
                    .metadata
                    .load()
                    .as_ref()
                    .is_none_or(|cached| now.since(cached.1) > METADATA_AGE);
                let metadata = if old {
                    self.fetch_metadata().await?
                } else {
                    self.metadata().await?
                };
                metadata.jwks_uri.clone()
            }
        };
        let response = self.get(&uri, ENDPOINT, JWKS_LIMIT).await?;
        let bad = |why: String| ProviderError::BadAnswer {
            endpoint: ENDPOINT,
            why,
        };
        let (set, problems) = JwkSet::parse(response.body()).map_err(|error| bad(error.to_string()))?;
        if set.is_empty() {
            return Err(bad("it holds no key that can be used".into()));
        }
        let before = self.keys().map_or(0, |keys| keys.generation);
        let snapshot = self.0.keys.store(set, now, freshness(response.headers()));
        self.tell(&ProviderEvent::KeysRefreshed {
            keys: snapshot.set.len(),
            ignored: problems.iter().map(ToString::to_string).collect(),
            changed: snapshot.generation != before,
        });
        Ok(snapshot)
    }

    async fn get(
        &self,
        url: &HttpsUrl,
        endpoint: &'static str,
        limit: usize,
    ) -> Result<http::Response<Bytes>, ProviderError> {
        let request = http::Request::get(url.as_str())
            .header(ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|error| ProviderError::BadAnswer {
                endpoint,
                why: error.to_string(),
            })?;
        let response = self
            .http()
            .send(request, limit)
            .await
            .map_err(|error| ProviderError::Unreachable { endpoint, error })?;
        if response.status() == http::StatusCode::OK {
            Ok(response)
        } else {
            Err(ProviderError::BadStatus {
                endpoint,
                status: response.status().as_u16(),
            })
        }
    }

    fn tell(&self, event: &ProviderEvent) {
        (self.0.observer)(self.name(), event);
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

/// The background refresh of a provider's keys; dropping it ends it.
#[derive(Debug)]
pub struct RefreshTask(tokio::task::JoinHandle<()>);

impl Drop for RefreshTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn no_metadata() -> ProviderError {
    let error = crate::HttpError::Unreachable("it failed a moment ago".into());
    ProviderError::Unreachable {
        endpoint: "discovery document",
        error,
    }
}

fn no_keys() -> ProviderError {
    let error = crate::HttpError::Unreachable("the keys could not be fetched".into());
    ProviderError::Unreachable {
        endpoint: "key set",
        error,
    }
}

/// RFC 9111 s5.2.2.1, within our bounds.
fn freshness(headers: &http::HeaderMap) -> i64 {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|directive| directive.trim().strip_prefix("max-age=")?.parse::<i64>().ok())
        .map_or(FRESH_DEFAULT, |seconds| seconds.clamp(FRESH_BOUNDS.0, FRESH_BOUNDS.1))
}

#[derive(Debug)]
struct NoHttp;

impl HttpClient for NoHttp {
    fn send(
        &self,
        _: http::Request<Bytes>,
        _: usize,
    ) -> crate::BoxFuture<'_, Result<http::Response<Bytes>, crate::HttpError>> {
        Box::pin(async {
            Err(crate::HttpError::Unreachable(
                "this provider has fixed keys and no endpoints".into(),
            ))
        })
    }
}

#[cfg(test)]
#[path = "provider_tests.rs"]
pub(crate) mod tests;
