//! An issuer, a guard, and a service behind it that counts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "helpers of tests may fail loudly"
)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use portcullis_audit::{Audit, AuditSettings, Record};
use portcullis_guard::{Audiences, Authorities, Guard, GuardBuilder, Kind, Policy, Presented};
use portcullis_jose::{Algorithm, Clock, JwkSet, ManualClock, SigningKey, UnixTime};
use portcullis_oidc::{BoxFuture, HttpClient, HttpError, HttpsUrl, Provider, ProviderSettings};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower::{Layer as _, service_fn};

pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const AUDIENCE: &str = "https://api.test";
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) audit: Audit,
    pub(crate) key: SigningKey,
    pub(crate) provider: Provider,
    /// How often the service behind the guard was reached.
    pub(crate) reached: Arc<AtomicUsize>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl World {
    pub(crate) fn new() -> World {
        World::with_key(SigningKey::generate(Algorithm::ES256).unwrap())
    }

    pub(crate) fn with_key(key: SigningKey) -> World {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(NOW)));
        let settings = ProviderSettings::new("test", ISSUER);
        let provider = Provider::with_keys(settings, key_set(&[&key]), clock.clone());
        World::with_provider(key, provider, clock)
    }

    pub(crate) fn with_provider(key: SigningKey, provider: Provider, clock: Arc<ManualClock>) -> World {
        let audit = Audit::new(AuditSettings::in_memory(), clock.clone());
        World {
            clock,
            audit,
            key,
            provider,
            reached: Arc::default(),
        }
    }

    pub(crate) fn builder(&self) -> GuardBuilder<Authorities, Audiences> {
        Guard::builder()
            .provider(self.provider.clone())
            .audience(AUDIENCE)
            .clock(self.clock.clone())
            .audit(self.audit.clone())
            .realm("orders")
            .policy("Read", Policy::scope("orders:read"))
            .policy("Write", Policy::scopes(["orders:read", "orders:write"]))
            .policy(
                "Admin",
                Policy::all([Policy::scope("orders:read"), Policy::role("Admin")]),
            )
            .policy(
                "Spa",
                Policy::all([Policy::scope("orders:read"), Policy::client("spa")]),
            )
            .policy("Service", Policy::kind(Kind::Service))
            .policy("User", Policy::kind(Kind::User))
            .policy("Recent", Policy::all([Policy::acr(["urn:mfa"]), Policy::max_age(60)]))
            .policy(
                "Own",
                Policy::custom("the order in the path is the token's", |token, call| {
                    let own = token.get("order").and_then(|order| order.as_str());
                    call.method == "GET" && call.path.rsplit('/').next() == own
                }),
            )
            .policy("StepUp", Policy::acr(["urn:mfa"]))
            .policy("Anyone", Policy::authenticated())
    }

    pub(crate) fn guard(&self) -> Guard {
        self.builder().build().unwrap()
    }

    /// The claims of a good token, with these members set; `null` removes one.
    pub(crate) fn claims(&self, changes: Value) -> Value {
        let now = self.clock.now().as_secs();
        let mut claims = json!({
            "iss": ISSUER, "sub": "user-1", "aud": AUDIENCE, "exp": now + 300, "iat": now,
            "jti": portcullis_jose::random_token(9), "client_id": "spa", "scope": "orders:read",
        });
        let members = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(members.remove(name)),
                value => drop(members.insert(name.clone(), value.clone())),
            }
        }
        claims
    }

    pub(crate) fn token(&self, changes: Value) -> String {
        self.key.sign_jwt("at+jwt", &self.claims(changes)).unwrap()
    }

    /// Sends a request through the guard to a service that answers 200 `reached`.
    pub(crate) async fn send(&self, guard: &Guard, policy: &str, request: Request<()>) -> Answer {
        let reached = Arc::clone(&self.reached);
        let inner = service_fn(move |_: Request<()>| {
            reached.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, Infallible>(Response::new(Bytes::from_static(b"reached"))))
        });
        let service = guard.require(policy).unwrap().layer(inner);
        let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn send_token(&self, guard: &Guard, policy: &str, token: &str) -> Answer {
        self.send(guard, policy, bearer(token)).await
    }

    pub(crate) fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    pub(crate) fn last_event(&self) -> Arc<Record> {
        self.audit.recent(0).last().cloned().expect("an event")
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) fn bearer(token: &str) -> Request<()> {
    Request::get("/orders?page=2")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .unwrap()
}

/// A token without a request around it.
pub(crate) fn alone(token: &str) -> Presented<'_> {
    Presented::token_alone(token)
}

pub(crate) fn key_set(keys: &[&SigningKey]) -> JwkSet {
    let (set, problems) = JwkSet::parse(jwks(keys).as_bytes()).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    set
}

pub(crate) fn jwks(keys: &[&SigningKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>()}).to_string()
}

/// A provider's key set endpoint, which can be switched off and counts.
#[derive(Debug, Default)]
pub(crate) struct KeyEndpoint {
    pub(crate) answer: std::sync::Mutex<Option<String>>,
    pub(crate) asked: AtomicUsize,
}

impl KeyEndpoint {
    pub(crate) fn serve(&self, keys: &[&SigningKey]) {
        *self.answer.lock().unwrap() = Some(jwks(keys));
    }

    pub(crate) fn down(&self) {
        *self.answer.lock().unwrap() = None;
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn provider(self: &Arc<Self>, clock: &Arc<ManualClock>) -> Provider {
        let mut settings = ProviderSettings::new("test", ISSUER);
        settings.jwks_uri = Some(HttpsUrl::parse("https://issuer.test/jwks").unwrap());
        Provider::new(settings, self.clone(), clock.clone(), Arc::new(|_, _| {}))
    }
}

impl HttpClient for KeyEndpoint {
    fn send(&self, _: http::Request<Bytes>, _: usize) -> BoxFuture<'_, Result<http::Response<Bytes>, HttpError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = match &*self.answer.lock().unwrap() {
            Some(keys) => Ok(http::Response::new(Bytes::from(keys.clone()))),
            None => Err(HttpError::Unreachable("connection refused".into())),
        };
        Box::pin(std::future::ready(answer))
    }
}
