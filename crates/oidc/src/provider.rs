use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::ACCEPT;
use portcullis_jose::{Clock, JwkSet, SystemClock, UnixTime};

use crate::flight::Flight;
use crate::key_cache::KeyCache;
use crate::unknown_kid::UnknownKids;
use crate::{HttpClient, HttpsUrl, HyperClient, IssuerRule, KeySnapshot, Metadata, ProviderError, ProviderSettings};

/// Metadata that is older than this is read again when it is used, in seconds.
pub(crate) const METADATA_AGE: i64 = 3600;
/// And where that failed, not again for so long.
const METADATA_PAUSE: i64 = 60;

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
        /// Whether there is something to tell: other keys, another list of what is ignored, or the end of an outage.
        news: bool,
    },
    /// The keys could not be fetched; the last good ones are used on, if there are any.
    KeysUnavailable {
        /// The age of the keys in use, in seconds; `None` if there are none.
        age: Option<i64>,
        /// Why.
        error: ProviderError,
        /// Whether there is something to tell: the outage begins, or it was last told of five minutes ago.
        news: bool,
    },
}

/// Is told of each [`ProviderEvent`], with the provider's name.
pub type Observer = Arc<dyn Fn(&str, &ProviderEvent) + Send + Sync>;

/// A provider: its metadata and its keys, fetched when first needed, then kept fresh. Cheap to clone.
#[derive(Clone)]
pub struct Provider(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: ProviderSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: KeyCache,
    pub(crate) flight: Flight<Result<Arc<KeySnapshot>, ProviderError>>,
    pub(crate) unknown_kids: UnknownKids,
    /// Whether somebody has begun to fetch keys on demand.
    pub(crate) renewing: AtomicBool,
    /// Wakes the background refresh: a fetch that somebody else asked for has failed.
    pub(crate) failed: tokio::sync::Notify,
    /// What of the key set was left out when it was last told of.
    pub(crate) ignored: Mutex<Vec<String>>,
    pub(crate) fixed_keys: bool,
    http: Arc<dyn HttpClient>,
    observer: Observer,
    metadata: ArcSwapOption<(Metadata, UnixTime)>,
    metadata_flight: tokio::sync::Mutex<()>,
    /// When old metadata was last asked for again.
    metadata_tried: AtomicI64,
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
        Provider::with(settings, http, clock, observer, false)
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
        let http = http.beside(&settings.hosts());
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
        let provider = Provider::with(settings, Arc::new(NoHttp), clock, Arc::new(|_, _| {}), true);
        // Fixed keys do not age: they were "fetched" at the end of time.
        provider
            .0
            .keys
            .store(keys, None, UnixTime::from_secs(i64::MAX), i64::MAX);
        provider
    }

    fn with(
        settings: ProviderSettings,
        http: Arc<dyn HttpClient>,
        clock: Arc<dyn Clock>,
        observer: Observer,
        fixed_keys: bool,
    ) -> Provider {
        Provider(Arc::new(Inner {
            settings,
            clock,
            keys: KeyCache::new(),
            flight: Flight::default(),
            unknown_kids: UnknownKids::default(),
            renewing: AtomicBool::new(false),
            failed: tokio::sync::Notify::new(),
            ignored: Mutex::default(),
            fixed_keys,
            http,
            observer,
            metadata: ArcSwapOption::empty(),
            metadata_flight: tokio::sync::Mutex::new(()),
            metadata_tried: AtomicI64::new(i64::MIN),
        }))
    }

    /// The name in configuration, metrics and events.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// The issuer, byte for byte; of several tenants, the template.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.settings.issuer.as_str()
    }

    /// Whose tokens count.
    #[must_use]
    pub fn issuer_rule(&self) -> &IssuerRule {
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

    pub(crate) fn now(&self) -> UnixTime {
        self.0.clock.now()
    }

    /// The metadata; fetched if it was not yet.
    ///
    /// # Errors
    /// When it was not fetched yet and cannot be now.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        if let Some(cached) = self.0.metadata.load_full() {
            self.renew_metadata(cached.1);
            return Ok(Arc::new(cached.0.clone()));
        }
        let _flight = self.0.metadata_flight.lock().await;
        match self.0.metadata.load_full() {
            Some(cached) => Ok(Arc::new(cached.0.clone())),
            // Those who waited for a fetch that failed do not ask again, one after the other.
            None if self.0.keys.failed_just_now(self.now()) => Err(no_metadata()),
            None => self
                .fetch_metadata()
                .await
                .inspect_err(|_| self.0.keys.back_off(self.now())),
        }
    }

    /// Reads metadata that is old again, for those who come later. Where the keys come from the metadata, they do it.
    fn renew_metadata(&self, fetched: UnixTime) {
        let now = self.now();
        let tried = UnixTime::from_secs(self.0.metadata_tried.load(Ordering::Acquire));
        if now.since(fetched) > METADATA_AGE && !(0..METADATA_PAUSE).contains(&now.since(tried)) {
            self.0.metadata_tried.store(now.as_secs(), Ordering::Release);
            let provider = self.clone();
            tokio::spawn(async move { provider.fetch_metadata().await });
        }
    }

    /// The metadata, fetched again if it is older than this.
    pub(crate) async fn metadata_of_late(&self, seconds: i64) -> Result<Arc<Metadata>, ProviderError> {
        match self.0.metadata.load_full() {
            Some(cached) if self.now().since(cached.1) <= seconds => Ok(Arc::new(cached.0.clone())),
            _ => self.fetch_metadata().await,
        }
    }

    async fn fetch_metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let settings = self.settings();
        let base = settings.discovery.as_ref().map_or(self.issuer(), HttpsUrl::as_str);
        let url =
            HttpsUrl::parse(&Metadata::location(base)).map_err(|error| ProviderError::Url { what: "issuer", error })?;
        let response = self.get(&url, "discovery document", Metadata::LIMIT).await?;
        let metadata = Metadata::parse(response.body(), self.issuer())?;
        self.0.metadata.store(Some(Arc::new((metadata.clone(), self.now()))));
        Ok(Arc::new(metadata))
    }

    pub(crate) async fn get(
        &self,
        url: &HttpsUrl,
        endpoint: &'static str,
        limit: usize,
    ) -> Result<http::Response<Bytes>, ProviderError> {
        let bad = |why: String| ProviderError::BadAnswer { endpoint, why };
        let request = http::Request::get(url.as_str())
            .header(ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|error| bad(error.to_string()))?;
        let response = self
            .http()
            .send(request, limit)
            .await
            .map_err(|error| ProviderError::Unreachable { endpoint, error })?;
        if response.status() != http::StatusCode::OK {
            let status = response.status().as_u16();
            return Err(ProviderError::BadStatus { endpoint, status });
        }
        if is_page(response.headers()) {
            return Err(bad("it is a web page".into()));
        }
        Ok(response)
    }

    pub(crate) fn tell(&self, event: &ProviderEvent) {
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

/// A login or error page of something in between says so. Key sets on plain file servers come under many other names,
/// so these are not asked to be JSON by their header: they have to be by what they hold.
fn is_page(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    kind.is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.starts_with(b"text/html") || kind.starts_with(b"application/xhtml")
    })
}

fn no_metadata() -> ProviderError {
    let error = crate::HttpError::Unreachable("it failed a moment ago".into());
    ProviderError::Unreachable {
        endpoint: "discovery document",
        error,
    }
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
