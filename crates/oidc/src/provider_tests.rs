use std::collections::HashMap;
use std::sync::Mutex;

use portcullis_jose::{Algorithm, ManualClock, SigningKey};
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

    pub(crate) fn serve(&self, keys: &[&SigningKey]) {
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

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)))
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
async fn old_metadata_is_read_again_where_the_keys_come_from_elsewhere() {
    let fake = FakeProvider::new();
    let clock = clock();
    let provider = fake.provider(clock.clone());
    let first = provider.metadata().await.unwrap();
    let settle = async || {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    };
    let of = async || provider.metadata().await.unwrap().token_endpoint.clone().unwrap();
    let before = first.token_endpoint.clone().unwrap();
    let location = "/.well-known/openid-configuration";
    fake.on(location, |_| answer(503, &json!({})));
    clock.advance(3601);
    for _ in 0..10 {
        assert_eq!(of().await, before, "what was good is not given up");
        settle().await;
    }
    assert_eq!(fake.count(location), 2, "and not asked for in a row");
    fake.on(location, |_| {
        let at = |path: &str| format!("{}{path}", FakeProvider::ISSUER);
        let document = json!({
            "issuer": FakeProvider::ISSUER, "jwks_uri": at("/jwks"), "token_endpoint": at("/moved"),
        });
        answer(200, &document)
    });
    clock.advance(60);
    assert_eq!(of().await, before, "nobody waits");
    settle().await;
    assert!(of().await.as_str().ends_with("/moved"));
    settle().await;
    assert_eq!(fake.count(location), 3);
}
