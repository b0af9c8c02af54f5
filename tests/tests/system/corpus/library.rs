//! The corpus against the guard as a library: its tower layer, with a provider that is asked in memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Response};
use portcullis_audit::{Audit, AuditSettings, catalogue};
use portcullis_guard::{Guard, Policy};
use portcullis_jose::{Algorithm, AlgorithmSet, Clock, Limits, ManualClock, UnixTime, UnverifiedJws};
use portcullis_oidc::{BoxFuture, HttpClient, HttpError, Provider, ProviderSettings};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::build::Request;
use super::entry::Expected;
use super::fill::{Fill, ISSUERS};
use super::judge::{Reply, World, revocations};
use super::keys::{key_set, keys};

const NOW: i64 = 1_800_000_000;

pub(super) struct Library {
    fill: Fill,
    audit: Audit,
    main: Guard,
    wide: Guard,
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
        let guard = |algorithms: &[Algorithm]| {
            let provider = |issuer: &str| {
                let settings = ProviderSettings::new(issuer, issuer);
                let http: Arc<dyn HttpClient> = providers.clone();
                Provider::new(settings, http, clock.clone() as Arc<dyn Clock>, Arc::new(|_, _| {}))
            };
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
                .build()
                .unwrap()
        };
        use Algorithm::{ES256, EdDSA, RS256, RS512};
        let library = Library {
            main: guard(&[RS256, ES256, EdDSA]),
            wide: guard(&[RS256, RS512, ES256, EdDSA]),
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
}

impl World for Library {
    fn fill(&self) -> &Fill {
        &self.fill
    }

    fn audit(&self) -> &Audit {
        &self.audit
    }

    async fn send(&self, profile: &str, request: &Request) -> Reply {
        let guard = if profile == "wide" { &self.wide } else { &self.main };
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

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    fn transport(&self, _: &Request) -> Option<Expected> {
        None
    }

    fn groups(&self) -> &[&str] {
        &[
            "control",
            "alg",
            "key-injection",
            "kid",
            "crit",
            "typ",
            "format",
            "json",
            "time",
            "claims",
            "scope",
            "signature",
            "binding",
        ]
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
