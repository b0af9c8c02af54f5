use std::collections::HashMap;
use std::sync::Mutex;

use portcullis_jose::{ManualClock, SigningKey};
use serde_json::json;

use super::*;
use crate::HttpError;

type Handler = Box<dyn Fn(&http::Request<Bytes>) -> http::Response<Bytes> + Send>;

/// A provider of canned answers, which remembers what it was asked.
pub(crate) struct FakeProvider {
    handlers: Mutex<HashMap<String, Handler>>,
    asked: Mutex<Vec<http::Request<Bytes>>>,
}

pub(crate) fn answer(status: u16, body: &serde_json::Value) -> http::Response<Bytes> {
    http::Response::builder()
        .status(status)
        .body(Bytes::from(body.to_string()))
        .unwrap()
}

impl FakeProvider {
    pub(crate) const ISSUER: &'static str = "https://issuer.test";

    pub(crate) fn new() -> Arc<FakeProvider> {
        let fake = FakeProvider {
            handlers: Mutex::default(),
            asked: Mutex::default(),
        };
        fake.on("/.well-known/openid-configuration", |_| {
            let at = |path: &str| format!("{}{path}", Self::ISSUER);
            answer(
                200,
                &json!({
                    "issuer": Self::ISSUER, "jwks_uri": at("/jwks"), "token_endpoint": at("/token"),
                    "authorization_endpoint": at("/authorize"), "userinfo_endpoint": at("/userinfo"),
                    "revocation_endpoint": at("/revoke"), "end_session_endpoint": at("/logout"),
                }),
            )
        });
        Arc::new(fake)
    }

    pub(crate) fn on(
        &self,
        path: &str,
        handler: impl Fn(&http::Request<Bytes>) -> http::Response<Bytes> + Send + 'static,
    ) {
        self.handlers.lock().unwrap().insert(path.into(), Box::new(handler));
    }

    fn serve(&self, keys: &[&SigningKey]) {
        let set = json!({ "keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>() });
        self.on("/jwks", move |_| answer(200, &set));
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|request| request.uri().path() == path)
            .count()
    }

    pub(crate) fn last(&self, path: &str) -> http::Request<Bytes> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .rfind(|request| request.uri().path() == path)
            .unwrap()
            .clone()
    }

    pub(crate) fn provider(self: &Arc<Self>, clock: Arc<dyn Clock>) -> Provider {
        let settings = ProviderSettings::new("test", Self::ISSUER);
        Provider::new(settings, self.clone(), clock, Arc::new(|_, _| {}))
    }
}

impl fmt::Debug for FakeProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeProvider")
    }
}

impl HttpClient for FakeProvider {
    fn send(
        &self,
        request: http::Request<Bytes>,
        _: usize,
    ) -> crate::BoxFuture<'_, Result<http::Response<Bytes>, HttpError>> {
        let response = match self.handlers.lock().unwrap().get(request.uri().path()) {
            Some(handler) => Ok(handler(&request)),
            None => Err(HttpError::Unreachable("nothing there".into())),
        };
        self.asked.lock().unwrap().push(request);
        // Others run in between, as they would with a real network.
        Box::pin(async {
            tokio::task::yield_now().await;
            response
        })
    }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)))
}

#[tokio::test]
async fn keys_come_by_discovery_and_only_once() {
    let fake = FakeProvider::new();
    fake.serve(&[&key()]);
    let provider = fake.provider(clock());
    assert!(provider.keys().is_none());
    assert_eq!(provider.keys_or_fetch().await.unwrap().set.len(), 1);
    provider.keys_or_fetch().await.unwrap();
    assert_eq!(
        (fake.count("/jwks"), fake.count("/.well-known/openid-configuration")),
        (1, 1)
    );
}

#[tokio::test]
async fn an_unknown_kid_fetches_once_for_all_that_wait() {
    let fake = FakeProvider::new();
    let (old, new) = (key(), key());
    fake.serve(&[&old]);
    let provider = fake.provider(clock());
    let seen = provider.keys_or_fetch().await.unwrap();
    fake.serve(&[&old, &new]);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (provider, seen) = (provider.clone(), seen.clone());
            tokio::spawn(async move { provider.keys_for_unknown_kid(&seen).await })
        })
        .collect();
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap().unwrap().set.len(), 2);
    }
    assert_eq!(fake.count("/jwks"), 2);
}

#[tokio::test]
async fn a_flood_of_unknown_kids_is_a_burst_then_one_fetch_in_thirty_seconds() {
    let fake = FakeProvider::new();
    fake.serve(&[&key()]);
    let clock = clock();
    let provider = fake.provider(clock.clone());
    let seen = provider.keys_or_fetch().await.unwrap();
    for _ in 0..1000 {
        provider.keys_for_unknown_kid(&seen).await.unwrap();
    }
    assert_eq!(fake.count("/jwks"), 1 + 3);
    clock.advance(30);
    for _ in 0..1000 {
        provider.keys_for_unknown_kid(&seen).await.unwrap();
    }
    assert_eq!(fake.count("/jwks"), 1 + 3 + 1);
}

#[tokio::test]
async fn the_last_good_keys_are_used_for_a_day_while_the_provider_is_down() {
    let fake = FakeProvider::new();
    fake.serve(&[&key()]);
    let clock = clock();
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    let observer: Observer = Arc::new(move |name, event| sink.lock().unwrap().push((name.to_owned(), event.clone())));
    let provider = Provider::new(
        ProviderSettings::new("test", FakeProvider::ISSUER),
        fake.clone(),
        clock.clone(),
        observer,
    );
    let first = provider.keys_or_fetch().await.unwrap();
    for broken in [
        http::Response::builder().status(503).body(Bytes::new()).unwrap(),
        answer(200, &json!({ "keys": [] })),
        http::Response::new(Bytes::from_static(b"<html>")),
    ] {
        fake.on("/jwks", move |_| broken.clone());
        clock.advance(60);
        assert!(provider.refresh_keys().await.is_err());
        assert_eq!(provider.keys().unwrap().generation, first.generation);
    }
    let last = events.lock().unwrap().last().cloned().unwrap();
    assert!(matches!(last, (name, ProviderEvent::KeysUnavailable { age: Some(180), .. }) if name == "test"));
    clock.advance(24 * 3600 - 180);
    assert!(provider.keys().is_some());
    clock.advance(1);
    assert!(provider.keys().is_none());
    assert!(provider.keys_or_fetch().await.is_err());
}

#[tokio::test]
async fn a_provider_that_fails_is_not_asked_by_everybody() {
    let fake = FakeProvider::new();
    fake.on("/.well-known/openid-configuration", |_| answer(503, &json!({})));
    let clock = clock();
    let provider = fake.provider(clock.clone());
    let ask = async || {
        let asks = (0..50).map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move {
                (
                    provider.keys_or_fetch().await.is_err(),
                    provider.metadata().await.is_err(),
                )
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            assert_eq!(ask.await.unwrap(), (true, true));
        }
        fake.count("/.well-known/openid-configuration")
    };
    assert_eq!(ask().await, 1);
    assert_eq!(ask().await, 1);
    clock.advance(2);
    assert_eq!(ask().await, 2);
}

#[tokio::test]
async fn the_generation_changes_with_the_keys_alone() {
    let fake = FakeProvider::new();
    let (one, two) = (key(), key());
    fake.serve(&[&one]);
    let provider = fake.provider(clock());
    let first = provider.refresh_keys().await.unwrap().generation;
    assert_eq!(provider.refresh_keys().await.unwrap().generation, first);
    fake.serve(&[&two]);
    assert_ne!(provider.refresh_keys().await.unwrap().generation, first);
}

#[tokio::test(start_paused = true)]
async fn the_background_refresh_goes_ahead_of_expiry_and_ends_with_its_task() {
    let fake = FakeProvider::new();
    let set = json!({ "keys": [key().public_jwk()] });
    fake.on("/jwks", move |_| {
        let mut response = answer(200, &set);
        response
            .headers_mut()
            .insert(CACHE_CONTROL, http::HeaderValue::from_static("public, max-age=100"));
        response
    });
    let provider = fake.provider(clock());
    let task = provider.spawn_refresh();
    tokio::time::advance(Duration::from_millis(1)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.count("/jwks"), 1);
    // 80 s, give or take 5 %: not before 76 s, surely by 84 s.
    tokio::time::advance(Duration::from_secs(75)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.count("/jwks"), 1);
    tokio::time::advance(Duration::from_secs(10)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.count("/jwks"), 2);
    drop(task);
    tokio::time::advance(Duration::from_secs(1000)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.count("/jwks"), 2);
}

#[test]
fn freshness_is_bounded() {
    let with = |value: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert(CACHE_CONTROL, value.parse().unwrap());
        freshness(&headers)
    };
    assert_eq!(freshness(&http::HeaderMap::new()), 600);
    assert_eq!(with("public, max-age=900"), 900);
    assert_eq!(with("max-age=0"), 60);
    assert_eq!(with("max-age=99999999"), 3600);
    assert_eq!(with("no-store"), 600);
}
