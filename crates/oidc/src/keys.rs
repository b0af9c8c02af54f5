//! A provider's keys: at hand, fetched, refreshed in the background.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use portcullis_jose::{JwkSet, JwksError, KeyError, UnixTime, random_array};
use serde_json::value::RawValue;

use crate::doubt::NAMELESS;
use crate::flight::Landing;
use crate::key_cache::Owned;
use crate::provider::METADATA_AGE;
use crate::{Doubt, HttpError, KeySnapshot, Provider, ProviderError, ProviderEvent};

const ENDPOINT: &str = "key set";
const JWKS_LIMIT: usize = 512 * 1024;
/// How long keys are fresh where the provider does not say, and the bounds on what it may say, in seconds.
const FRESH_DEFAULT: i64 = 600;
const FRESH_BOUNDS: (i64, i64) = (60, 3600);
/// A file is looked at again after so long, in seconds.
const FILE_FRESH: i64 = 5;
/// After a failure, keys that are fetched on demand are not asked for again for so long, in seconds.
const RETRY: i64 = 30;
/// A request waits for keys for so long.
const PATIENCE: Duration = Duration::from_secs(4);

/// The background refresh of a provider's keys; dropping it ends it.
#[derive(Debug)]
pub struct RefreshTask(tokio::task::JoinHandle<()>);

impl Drop for RefreshTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Fetched = Result<Arc<KeySnapshot>, ProviderError>;

impl Provider {
    /// The keys as they are known now, without any I/O. `None` before the first fetch and 24 h after the last.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<KeySnapshot>> {
        let now = self.now();
        self.renew_on_demand(now);
        self.0.keys.current(now).filter(|_| !self.has_to_ask(now))
    }

    fn known(&self) -> Option<Arc<KeySnapshot>> {
        self.0.keys.current(self.now())
    }

    /// Whether keys were fetched, so that tokens can be judged, if need be after a fetch. Asks nobody.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self.0.settings.keys_on_demand {
            true => self.0.keys.are_known(),
            false => self.0.keys.current(self.now()).is_some(),
        }
    }

    /// Whether keys that are fetched on demand are so old that whoever uses them waits for newer ones: the provider may
    /// have withdrawn them while nobody called.
    fn has_to_ask(&self, now: UnixTime) -> bool {
        let inner = &self.0;
        inner.settings.keys_on_demand
            && inner.keys.is_older(FRESH_BOUNDS.1, now)
            && !inner.keys.failed_within(RETRY, now)
    }

    /// The generation of the keys as they are known at this time, without any I/O: for who only has to know whether a
    /// key went away since.
    #[must_use]
    pub fn keys_generation(&self, now: UnixTime) -> Option<u64> {
        self.renew_on_demand(now);
        self.0.keys.generation(now).filter(|_| !self.has_to_ask(now))
    }

    /// Fetches keys that are old in the background, where nobody else does. Whoever uses them does not wait.
    fn renew_on_demand(&self, now: UnixTime) {
        let inner = &self.0;
        if !inner.settings.keys_on_demand || !inner.keys.is_old(now) || inner.keys.failed_within(RETRY, now) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !inner.renewing.swap(true, Ordering::AcqRel)
        {
            let provider = self.clone();
            runtime.spawn(async move {
                let renewing = Renewing(provider);
                // It has told of a failure.
                let _ = renewing.0.refresh_keys().await;
            });
        }
    }

    /// The keys, fetched if there are none. Waits 4 s at most.
    ///
    /// # Errors
    /// When there are none and they cannot be fetched.
    pub async fn keys_or_fetch(&self) -> Fetched {
        match self.keys() {
            Some(keys) => Ok(keys),
            None if !self.0.flight.is_under_way() && self.0.keys.failed_just_now(self.now()) => Err(no_keys()),
            None => match patiently(self.refresh_keys()).await {
                // On demand, old keys are better than none.
                Err(error) => self.keys().ok_or(error),
                fetched => fetched,
            },
        }
    }

    /// The keys after `seen` refused a token, and left a doubt.
    ///
    /// Fetches them again, once for all that wait, and waits 4 s at most. A fetch that does not bring the key is
    /// followed by none for 30 s, whatever the doubt; one that brings it costs nothing. Where nothing may be fetched the
    /// keys are the same as before.
    ///
    /// # Errors
    /// When nobody can say whether there is such a key: there are no keys, or the provider did not answer when it was
    /// asked last.
    pub async fn keys_in_doubt(&self, doubt: &Doubt, seen: &KeySnapshot) -> Fetched {
        patiently(self.search(doubt.kid(), seen)).await
    }

    async fn search(&self, kid: &str, seen: &KeySnapshot) -> Fetched {
        loop {
            if let Some(done) = self.at_hand(kid, seen) {
                return done;
            }
            // None: somebody else was faster and asked in vain; then there is an answer at hand.
            if let Some(landing) = self.begin_search(kid, seen.version) {
                let ours = landing.ours;
                let keys = landed(landing).await?;
                // What was under way already may have left before the key was published.
                if ours || keys.version != seen.version {
                    return Ok(keys);
                }
            }
        }
    }

    /// What [`Provider::keys_in_doubt`] would answer without a fetch; `None` where it takes one.
    #[must_use]
    pub fn keys_at_hand(&self, doubt: &Doubt, seen: &KeySnapshot) -> Option<Fetched> {
        self.at_hand(doubt.kid(), seen)
    }

    fn at_hand(&self, kid: &str, seen: &KeySnapshot) -> Option<Fetched> {
        let Some(current) = self.known() else {
            return Some(Err(no_keys()));
        };
        if current.version != seen.version || self.0.fixed_keys {
            return Some(Ok(current));
        }
        if self.0.flight.is_under_way() || self.0.unknown_kids.is_worth_asking(kid, self.now()) {
            return None;
        }
        Some(match self.0.keys.is_failing() {
            false => Ok(current),
            // The key may have been published since the last answer: to say that there is none would be a guess.
            true => Err(no_keys()),
        })
    }

    /// Fetches the keys now. Those who call while a fetch is under way share its result.
    ///
    /// # Errors
    /// When they cannot be fetched; the last good ones stay in use.
    pub async fn refresh_keys(&self) -> Fetched {
        if self.0.fixed_keys {
            return self.known().ok_or_else(no_keys);
        }
        let provider = self.clone();
        let landing = self.0.flight.join_or(async move { provider.fetch_keys().await });
        landed(landing).await
    }

    /// Keeps the keys fresh in the background, until the returned value is dropped. Needs a tokio runtime.
    ///
    /// The keys are fetched at once, then ahead of the end of their freshness (`Cache-Control: max-age`, between
    /// one minute and one hour), with jitter so that replicas spread out; after a failure with growing pauses. With
    /// [`ProviderSettings::keys_on_demand`](crate::ProviderSettings::keys_on_demand) this ends with the first keys.
    #[must_use = "the refresh stops when this is dropped"]
    pub fn spawn_refresh(&self) -> RefreshTask {
        let provider = self.clone();
        RefreshTask(tokio::spawn(async move {
            let mut failures: u32 = 0;
            loop {
                let pause = match provider.refresh_keys().await {
                    Ok(_) if provider.settings().keys_on_demand => return,
                    Ok(keys) => {
                        failures = 0;
                        keys.refresh_after()
                    }
                    Err(_) => {
                        failures += 1;
                        1_i64 << failures.min(6)
                    }
                };
                tokio::select! {
                    () = tokio::time::sleep(about(pause)) => {}
                    // Whoever asked for a key meanwhile got no answer: the next try must not wait for an hour.
                    () = provider.0.failed.notified(), if failures == 0 => {
                        failures = 1;
                        tokio::time::sleep(about(1)).await;
                    }
                }
            }
        }))
    }

    /// Fetches the keys for this `kid`, if that is allowed, or joins what is under way.
    fn begin_search(&self, kid: &str, seen: u64) -> Option<Landing<Fetched>> {
        self.0.flight.join(|| {
            if !self.0.unknown_kids.ask(kid, self.now()) {
                return None;
            }
            let (provider, kid) = (self.clone(), kid.to_owned());
            Some(async move {
                let result = provider.fetch_keys().await;
                match &result {
                    // Whoever asks cannot make the keys change.
                    Ok(keys) if keys.version != seen && (kid == NAMELESS || keys.has(&kid)) => {
                        provider.0.unknown_kids.found();
                    }
                    Ok(_) => provider.0.unknown_kids.absent(&kid, provider.now()),
                    Err(_) => provider.0.failed.notify_waiters(),
                }
                result
            })
        })
    }

    async fn fetch_keys(&self) -> Fetched {
        let before = self.known().map(|keys| keys.version);
        let recovering = self.0.keys.is_failing();
        let result = self.try_fetch_keys().await;
        let event = match &result {
            Ok((keys, ignored)) => {
                let changed = before != Some(keys.version);
                if changed {
                    self.0.unknown_kids.forget();
                }
                ProviderEvent::KeysRefreshed {
                    keys: keys.set.len(),
                    ignored: ignored.clone(),
                    news: self.is_new(ignored) || changed || recovering,
                }
            }
            Err(error) => {
                let now = self.now();
                ProviderEvent::KeysUnavailable {
                    age: self.known().map(|keys| now.since(keys.fetched)),
                    error: error.clone(),
                    news: self.0.keys.note_failure(now),
                }
            }
        };
        self.tell(&event);
        result.map(|(keys, _)| keys)
    }

    async fn try_fetch_keys(&self) -> Result<(Arc<KeySnapshot>, Vec<String>), ProviderError> {
        let asked = self.now();
        if let Some(path) = &self.settings().jwks_file {
            let wrong = |error: KeyError| bad(format!("{}: {error}", path.display()));
            let (set, problems) = JwkSet::from_local(&read(path).await?).map_err(wrong)?;
            let ignored = problems.iter().map(ToString::to_string).collect();
            return Ok((self.0.keys.store(set, None, asked, FILE_FRESH), ignored));
        }
        let (document, fresh_for) = self.download().await?;
        let (document, foreign, own) = self.keys_of_ours(document);
        let owned = own.map(|own| own.parse()).transpose();
        let owned = owned.map_err(|error| bad(error.to_string()))?;
        let (set, problems) = JwkSet::parse(&document).map_err(|error| bad(error.to_string()))?;
        // What is good is never given up for an answer that is of no use.
        if set.is_empty() {
            return Err(bad("it holds no key that can be used".into()));
        }
        let ignored = problems.iter().map(ToString::to_string).chain(foreign).collect();
        Ok((self.0.keys.store(set, owned, asked, fresh_for), ignored))
    }

    async fn download(&self) -> Result<(Bytes, i64), ProviderError> {
        let uri = match &self.settings().jwks_uri {
            Some(uri) => uri.clone(),
            None => self.metadata_of_late(METADATA_AGE).await?.jwks_uri.clone(),
        };
        let response = self.get(&uri, ENDPOINT, JWKS_LIMIT).await?;
        let fresh_for = freshness(response.headers());
        Ok((response.into_body(), fresh_for))
    }

    /// Leaves out the keys of a template's key set that say that they are another issuer's, and sorts the others.
    fn keys_of_ours(&self, document: Bytes) -> (Bytes, Vec<String>, Option<Documents>) {
        let rule = self.issuer_rule();
        if !rule.is_template() {
            return (document, Vec::new(), None);
        }
        #[derive(serde::Deserialize)]
        struct Set<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        #[derive(serde::Deserialize)]
        struct Key {
            kid: Option<String>,
            issuer: Option<serde_json::Value>,
        }
        // What is no key set, or no key, is told by whoever reads it next.
        let Ok(set) = serde_json::from_slice::<Set<'_>>(&document) else {
            return (document, Vec::new(), None);
        };
        let (mut ours, mut foreign) = (Vec::new(), Vec::new());
        for raw in set.keys {
            let key: Option<Key> = serde_json::from_str(raw.get()).ok();
            let (kid, issuer) = key.map_or((None, None), |key| (key.kid, key.issuer));
            match issuer.as_ref().map(serde_json::Value::as_str) {
                Some(issuer) if !issuer.is_some_and(|issuer| rule.takes_key_of(issuer)) => {
                    let kid = kid.as_deref().unwrap_or("(no kid)");
                    foreign.push(format!("{kid}: the key of another issuer"));
                }
                // The template is everybody.
                owner => {
                    let owner = owner.flatten().filter(|owner| *owner != rule.as_str());
                    ours.push((raw.get(), owner.map(str::to_owned)));
                }
            }
        }
        let of = |wanted: Option<&str>| {
            let keys = ours
                .iter()
                .filter(|(_, owner)| owner.is_none() || owner.as_deref() == wanted);
            document_of(keys.map(|(raw, _)| *raw))
        };
        let owners: std::collections::BTreeSet<&str> = ours.iter().filter_map(|(_, owner)| owner.as_deref()).collect();
        let own = (!owners.is_empty()).then(|| Documents {
            common: of(None),
            own: owners
                .iter()
                .map(|owner| ((*owner).to_owned(), of(Some(owner))))
                .collect(),
        });
        (document_of(ours.iter().map(|(raw, _)| *raw)), foreign, own)
    }

    /// Whether what is ignored differs from what was told last.
    fn is_new(&self, ignored: &[String]) -> bool {
        let mut told = self.0.ignored.lock().unwrap_or_else(PoisonError::into_inner);
        let new = *told != ignored;
        if new {
            *told = ignored.to_vec();
        }
        new
    }
}

/// Key sets that were sorted by their issuers.
struct Documents {
    common: Bytes,
    own: Vec<(String, Bytes)>,
}

impl Documents {
    /// What is wrong with single keys is told of the whole set.
    fn parse(self) -> Result<Owned, JwksError> {
        let set = |document: &Bytes| JwkSet::parse(document).map(|(set, _)| set);
        let own = self
            .own
            .iter()
            .map(|(owner, document)| Ok((owner.clone(), set(document)?)));
        Ok(Owned {
            common: set(&self.common)?,
            own: own.collect::<Result<_, JwksError>>()?,
        })
    }
}

fn document_of<'k>(keys: impl Iterator<Item = &'k str>) -> Bytes {
    let keys: Vec<&str> = keys.collect();
    Bytes::from(format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
}

/// Also where the runtime ends in between, another one may renew.
struct Renewing(Provider);

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.0.renewing.store(false, Ordering::Release);
    }
}

/// What comes of a fetch, or that it takes too long. The fetch goes on: whoever asks next has its keys.
async fn patiently(fetched: impl Future<Output = Fetched>) -> Fetched {
    let late = |_| ProviderError::Unreachable {
        endpoint: ENDPOINT,
        error: HttpError::TimedOut(PATIENCE.as_secs()),
    };
    tokio::time::timeout(PATIENCE, fetched).await.map_err(late)?
}

async fn landed(landing: Landing<Fetched>) -> Fetched {
    landing.wait().await.unwrap_or_else(|| Err(no_keys()))
}

async fn read(path: &Path) -> Result<Bytes, ProviderError> {
    match tokio::fs::read(path).await {
        Ok(bytes) if bytes.len() <= JWKS_LIMIT => Ok(bytes.into()),
        Ok(_) => Err(bad(format!("{} is larger than {JWKS_LIMIT} bytes", path.display()))),
        Err(error) => Err(ProviderError::Unreachable {
            endpoint: ENDPOINT,
            error: HttpError::Unreachable(format!("{}: {error}", path.display())),
        }),
    }
}

/// So many seconds, give or take a twentieth.
fn about(seconds: i64) -> Duration {
    let millis = u64::try_from(seconds).unwrap_or(1).clamp(1, 3600) * 1000;
    let jitter = u64::from(u32::from_le_bytes(random_array())) % (millis / 10 + 1);
    Duration::from_millis(millis - millis / 20 + jitter)
}

fn bad(why: String) -> ProviderError {
    ProviderError::BadAnswer {
        endpoint: ENDPOINT,
        why,
    }
}

fn no_keys() -> ProviderError {
    ProviderError::Unreachable {
        endpoint: ENDPOINT,
        error: HttpError::Unreachable("the last try to fetch it failed".into()),
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

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
