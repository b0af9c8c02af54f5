//! A gateway with a frontend and an API, of a configuration that names the other provider.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use http::header::AUTHORIZATION;
use portcullis::config;
use portcullis::gateway::{Extras, Running};
use portcullis::server;
use portcullis_audit::{Audit, AuditSettings};
use portcullis_jose::{Clock, SystemClock, UnixTime, base64url_decode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::provider::{API, OtherProvider};

const START: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

/// What differs from test to test.
#[derive(Debug, Default)]
pub(super) struct Setup<'a> {
    /// Environment of the provider.
    pub(super) provider: &'a [(&'a str, &'a str)],
    /// More lines of `[client.web]`.
    pub(super) client: &'a str,
    /// More lines of `[frontend.shop]`.
    pub(super) frontend: &'a str,
}

#[derive(Debug)]
pub(super) struct App<P = OtherProvider> {
    pub(super) origin: String,
    pub(super) provider: P,
    pub(super) clock: Arc<Ahead>,
    pub(super) audit: Audit,
    calls: Calls,
    _running: Running,
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

/// The tokens that reached the API, in order.
pub(super) type Calls = Arc<Mutex<Vec<String>>>;

/// The machine's clock, put forward: the provider's own cannot be moved, and the two must agree but for this.
#[derive(Debug, Default)]
pub(super) struct Ahead(AtomicI64);

impl Ahead {
    pub(super) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now(&self) -> UnixTime {
        SystemClock.now().plus(self.0.load(Ordering::SeqCst))
    }
}

impl App {
    pub(super) async fn start(setup: &Setup<'_>) -> App {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let provider = OtherProvider::start(&origin, setup.provider);
        let (upstream, calls) = start_api().await;
        let text = configuration(&origin, &provider, &upstream, setup);
        App::serve(listener, provider, calls, &text).await
    }
}

impl<P> App<P> {
    /// A gateway of this configuration, in front of what [`start_api`] started.
    pub(super) async fn serve(listener: TcpListener, provider: P, calls: Calls, text: &str) -> App<P> {
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("web")).unwrap();
        std::fs::write(dir.path().join("web/index.html"), "<!doctype html><title>Shop</title>").unwrap();

        let clock = Arc::new(Ahead::default());
        let audit = Audit::new(AuditSettings::in_memory(), clock.clone());
        let running = start_gateway(text, dir.path(), &audit, &clock).await;
        let gateway = running.gateway().clone();
        let (stop, stopping) = watch::channel(false);
        let handler = move |request, peer| {
            let gateway = gateway.clone();
            async move { Ok(gateway.handle(request, peer).await) }
        };
        tokio::spawn(server::serve(listener, None, stopping, Duration::ZERO, handler));
        App {
            origin,
            provider,
            clock,
            audit,
            calls,
            _running: running,
            _stop: stop,
            _dir: dir,
        }
    }

    /// The address of a path of the app.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The tokens that reached the API, in order.
    pub(super) fn tokens(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// The newest of the tokens that reached the API.
    pub(super) fn last_token(&self) -> String {
        self.tokens().pop().expect("a call reached the API")
    }

    /// How many events have this name, and this code where one is given.
    pub(super) fn events(&self, name: &str, code: Option<&str>) -> usize {
        let records = self.audit.recent(0);
        let events = records.iter().map(|record| serde_json::to_value(&**record).unwrap());
        events
            .filter(|event| event["event"] == name && code.is_none_or(|code| event["code"] == code))
            .count()
    }
}

/// What a JWT says, without a look at its signature: the gateway has looked.
pub(super) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&base64url_decode(payload).unwrap()).unwrap()
}

/// An API that remembers the tokens that came.
pub(super) async fn start_api() -> (String, Calls) {
    let calls = Calls::default();
    let seen = calls.clone();
    let api = axum::Router::new().fallback(async move |request: Request| {
        let mut values = request.headers().get_all(AUTHORIZATION).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert!(values.next().is_none(), "one credential");
        if let Some(token) = value.and_then(|value| value.strip_prefix("Bearer ")) {
            seen.lock().unwrap().push(token.to_owned());
        }
        Json(json!({ "method": request.method().as_str(), "path": request.uri().path() }))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, api).await });
    (address, calls)
}

async fn start_gateway(text: &str, dir: &Path, audit: &Audit, clock: &Arc<Ahead>) -> Running {
    let env = BTreeMap::<String, String>::new();
    let settings = config::parse(text, "interop.toml", dir, &env).unwrap_or_else(|faults| panic!("{faults}"));
    let clock: Arc<dyn Clock> = clock.clone();
    let mut events = audit.subscribe();
    let running = Running::start(&settings, audit, &clock, Extras::default()).unwrap();
    let readiness = running.readiness();
    let ready = async {
        while !readiness().ready {
            // An event is news; that none comes is not the end of the world.
            let _ = tokio::time::timeout(STEP, events.recv()).await;
        }
    };
    tokio::time::timeout(START, ready)
        .await
        .expect("the gateway gets ready");
    running
}

fn configuration(origin: &str, provider: &OtherProvider, upstream: &str, setup: &Setup<'_>) -> String {
    let (issuer, secret) = (&provider.issuer, provider.web_secret.expose());
    let Setup { client, frontend, .. } = setup;
    format!(
        r#"
        [server]
        public_url = "{origin}"

        [store]
        url = "sqlite:sessions.db"

        [provider.other]
        issuer = "{issuer}"

        [client.web]
        provider = "other"
        client_id = "web"
        secret = {{ dev_only = "{secret}" }}
        {client}

        [frontend.shop]
        client = "web"
        scopes = ["openid", "profile", "email", "orders.read", "orders.write"]
        assets = {{ dir = "web" }}
        # An hour's token is due after two minutes.
        refresh_before = "58m"
        {frontend}

        [api.orders]
        path = "/api/orders"
        upstream = "{upstream}"
        accept = ["session", "bearer"]
        provider = "other"
        audience = "{API}"
        policy = {{ GET = "Read", POST = "Write" }}
        routes = [
            {{ path = "/api/orders/report", policy = "Administer" }},
            {{ path = "/api/orders/nightly", policy = "Service" }},
            {{ path = "/api/orders/mine", policy = "Person" }},
        ]

        [policy.Read]
        scope = "orders.read"
        [policy.Write]
        scope = "orders.write"
        [policy.Administer]
        scope = "orders.admin"
        [policy.Service]
        all = [{{ kind = "service" }}, {{ scope = "orders.read" }}]
        [policy.Person]
        all = [{{ kind = "user" }}, {{ scope = "orders.read" }}]
        "#
    )
}
