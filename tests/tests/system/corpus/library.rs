//! The corpus against the guard as a library: its tower layer, with a provider that is asked in memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use portcullis_audit::{Audit, AuditSettings, RequestId, catalogue};
use portcullis_bff::{Bff, FrontendSettings, Revoke};
use portcullis_guard::{Dpop, Guard, Policy};
use portcullis_jose::{Algorithm, AlgorithmSet, Clock, Limits, ManualClock, Secret, UnixTime, UnverifiedJws};
use portcullis_oidc::{BoxFuture, Client, ClientAuth, HttpClient, HttpError, Provider, ProviderSettings};
use portcullis_store::{KeyRing, SealingKey, SqliteStore};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::build::Request;
use super::entry::Expected;
use super::fill::{Fill, ISSUERS};
use super::judge::{Reply, World, revocations};
use super::keys::{key_set, keys};
use super::sign::CLIENT_SECRET;

const NOW: i64 = 1_800_000_000;

pub(super) struct Library {
    fill: Fill,
    audit: Audit,
    main: Guard,
    wide: Guard,
    jti: Guard,
    bff: Bff,
    pub(super) providers: Arc<Providers>,
    reached: Arc<AtomicUsize>,
}

/// Both issuers, as HTTP shows them.
#[derive(Debug, Default)]
pub(super) struct Providers {
    pub(super) key_sets: [AtomicUsize; 2],
    /// Requests that nobody has a reason to make.
    pub(super) strange: AtomicUsize,
}

impl Library {
    pub(super) async fn start() -> Library {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(NOW)));
        let audit = Audit::new(AuditSettings::in_memory(), clock.clone());
        let providers = Arc::new(Providers::default());
        let fill = Fill {
            now: NOW,
            issuers: ISSUERS.map(str::to_owned),
            listener: "127.0.0.1:9".parse().unwrap(),
            token: String::new(),
        };
        let provider = |issuer: &str| {
            let settings = ProviderSettings::new(issuer, issuer);
            let http: Arc<dyn HttpClient> = providers.clone();
            Provider::new(settings, http, clock.clone() as Arc<dyn Clock>, Arc::new(|_, _| {}))
        };
        let guard = |algorithms: &[Algorithm]| {
            Guard::builder()
                .provider(provider(ISSUERS[0]))
                .also_provider(provider(ISSUERS[1]))
                .audience("https://api.test")
                .algorithms(AlgorithmSet::of(algorithms))
                .policy(
                    "Read",
                    Policy::all([Policy::scope("orders:read"), Policy::clients(["spa", "client-out"])]),
                )
                .clock(clock.clone())
                .audit(audit.clone())
                .dpop(Dpop::at("https://api.test"))
        };
        use Algorithm::{ES256, EdDSA, RS256, RS512};
        let library = Library {
            main: guard(&[RS256, ES256, EdDSA]).build().unwrap(),
            jti: guard(&[RS256, ES256, EdDSA]).require_jti().build().unwrap(),
            wide: guard(&[RS256, RS512, ES256, EdDSA]).build().unwrap(),
            bff: frontend(provider(ISSUERS[0]), &audit, &clock),
            fill,
            audit,
            providers,
            reached: Arc::default(),
        };
        for revocation in revocations(&library.fill) {
            library.main.revoke(revocation).await.unwrap();
        }
        library
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.main
    }

    async fn log_out(&self, body: &str) -> Reply {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
        let id = RequestId::new();
        let response = self.bff.backchannel_logout(&headers, body.as_bytes(), &id).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let mut reply = reply(&parts, &body);
        reply.headers.push(("x-request-id".to_owned(), id.as_str().to_owned()));
        reply
    }
}

/// A frontend, for what its provider tells it.
fn frontend(provider: Provider, audit: &Audit, clock: &Arc<ManualClock>) -> Bff {
    let client = Client::new(provider, "spa", ClientAuth::Basic(Secret::new(CLIENT_SECRET)));
    let settings = FrontendSettings::new("shop", "https://api.test".parse().unwrap(), client);
    let store = Arc::new(SqliteStore::in_memory(clock.clone()).unwrap());
    let ring = KeyRing::from_keys(vec![SealingKey::generate()]).unwrap();
    let revoke = Revoke::by(
        |_| Box::pin(std::future::ready(Ok(1))),
        |_| Box::pin(std::future::ready(Ok(false))),
    );
    Bff::new(settings, store, &ring, audit.clone(), clock.clone(), revoke).unwrap()
}

fn reply(parts: &http::response::Parts, body: &[u8]) -> Reply {
    let headers = parts.headers.iter();
    Reply {
        status: parts.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
        reason: None,
    }
}

impl World for Library {
    fn fill(&self) -> &Fill {
        &self.fill
    }

    fn audit(&self) -> &Audit {
        &self.audit
    }

    async fn send(&self, profile: &str, request: &Request) -> Reply {
        if profile == "logout-token" {
            return self.log_out(&request.body).await;
        }
        let guard = match profile {
            "wide" => &self.wide,
            "jti" => &self.jti,
            _ => &self.main,
        };
        let path = match &request.query {
            Some(query) => format!("/orders?{query}"),
            None => "/orders".to_owned(),
        };
        let mut sent = http::Request::builder().method(request.method.as_str()).uri(path);
        let proofs = request.proofs.iter().map(|proof| ("dpop", proof));
        let authorizations = request.authorization.iter().map(|text| ("authorization", text));
        for (name, value) in authorizations.chain(proofs) {
            let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else {
                return without_http(&request.token);
            };
            sent = sent.header(name, value);
        }
        let reached = self.reached.clone();
        let inner = service_fn(move |_: http::Request<()>| {
            reached.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, Infallible>(Response::new(Bytes::from_static(b"reached"))))
        });
        let service = guard.require("Read").unwrap().layer(inner);
        let (parts, body) = service.oneshot(sent.body(()).unwrap()).await.unwrap().into_parts();
        reply(&parts, &body)
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    fn transport(&self, _: &Request) -> Option<Expected> {
        None
    }
}

/// What no header can carry is shown to what reads tokens, and that must refuse it.
fn without_http(token: &str) -> Reply {
    let refusal = UnverifiedJws::parse(token, &Limits::default()).expect_err("it is no token");
    let entry = catalogue::find(refusal.code()).unwrap();
    Reply {
        status: entry.status,
        headers: vec![(
            "www-authenticate".to_owned(),
            "Bearer error=\"invalid_token\"".to_owned(),
        )],
        body: String::new(),
        reason: Some(entry.reason),
    }
}

impl HttpClient for Providers {
    fn send(&self, request: http::Request<Bytes>, _: usize) -> BoxFuture<'_, Result<http::Response<Bytes>, HttpError>> {
        let url = request.uri().to_string();
        let sets = [&keys().a, &keys().b];
        let answer =
            ISSUERS
                .iter()
                .zip(sets)
                .enumerate()
                .find_map(|(at, (issuer, set))| match url.strip_prefix(issuer)? {
                    "/.well-known/openid-configuration" => {
                        Some(json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")}).to_string())
                    }
                    "/jwks" => {
                        self.key_sets[at].fetch_add(1, Ordering::SeqCst);
                        Some(key_set(set))
                    }
                    _ => None,
                });
        let answer = answer.map(|text| Response::new(Bytes::from(text))).ok_or_else(|| {
            self.strange.fetch_add(1, Ordering::SeqCst);
            HttpError::Unreachable("nobody is there".into())
        });
        Box::pin(std::future::ready(answer))
    }
}
