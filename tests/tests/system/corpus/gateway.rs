//! The corpus against a gateway that runs, over HTTP, with issuers that are asked over HTTP.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::config;
use portcullis::gateway::{Extras, Running};
use portcullis::server;
use portcullis_audit::{Audit, AuditSettings};
use portcullis_jose::{Clock, ManualClock, SystemClock};
use portcullis_store::{RevocationStore as _, SqliteStore};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::build::Request;
use super::entry::Expected;
use super::fill::Fill;
use super::judge::{Reply, World, revocations};
use super::servers::{Issuers, counter, exchange};
use super::sign::CLIENT_SECRET;
use crate::demo::Log;

const START: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);
/// The largest head of a request that the gateway reads.
const HEAD: usize = 32 * 1024;

pub(super) struct Gateway {
    address: SocketAddr,
    fill: Fill,
    audit: Audit,
    log: Log,
    pub(super) issuers: Issuers,
    reached: Arc<AtomicUsize>,
    /// How often somebody knocked where nobody must.
    pub(super) listener: Arc<AtomicUsize>,
    running: Running,
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl Gateway {
    pub(super) async fn start() -> Gateway {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let issuers = Issuers::start().await;
        let (upstream, reached) = counter().await;
        let (listener, knocks) = counter().await;
        let fill = Fill {
            now: clock.now().as_secs(),
            issuers: issuers.names.clone(),
            listener,
            token: String::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("sessions.db"), clock.clone()).unwrap();
        for revocation in revocations(&fill) {
            store.add(revocation).await.unwrap();
        }
        let log = Log::default();
        let audit = Audit::new(AuditSettings::to_writer(log.clone()), clock.clone());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let text = configuration(address, &issuers.names, upstream);
        let env = BTreeMap::from([("CLIENT_SECRET".to_owned(), CLIENT_SECRET.to_owned())]);
        let settings = config::parse(&text, "gateway.toml", dir.path(), &env);
        let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
        let clock: Arc<dyn Clock> = clock;
        let running = Running::start(&settings, &audit, &clock, Extras::default()).unwrap();
        let gateway = running.gateway().clone();
        let handler = move |request, peer| {
            let gateway = gateway.clone();
            async move { Ok(gateway.handle(request, peer).await) }
        };
        let stop = watch::Sender::new(false);
        tokio::spawn(server::serve(socket, None, stop.subscribe(), Duration::ZERO, handler));
        let gateway = Gateway {
            address,
            fill,
            audit,
            log,
            issuers,
            reached,
            listener: knocks,
            running,
            _stop: stop,
            _dir: dir,
        };
        gateway.ready().await;
        gateway
    }

    /// Waits until the gateway has what it needs.
    async fn ready(&self) {
        let readiness = self.running.readiness();
        let mut events = self.audit.subscribe();
        let ready = async {
            while !readiness().ready {
                // An event is news; that none comes is not the end of the world.
                let _ = tokio::time::timeout(STEP, events.recv()).await;
            }
        };
        tokio::time::timeout(START, ready)
            .await
            .expect("the gateway gets ready");
    }

    /// What was logged, as text.
    pub(super) fn logged(&self) -> String {
        assert!(self.audit.flush(START));
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }
}

impl World for Gateway {
    fn fill(&self) -> &Fill {
        &self.fill
    }

    fn audit(&self) -> &Audit {
        &self.audit
    }

    async fn send(&self, profile: &str, request: &Request) -> Reply {
        let path = match profile {
            "wide" => "/wide",
            "jti" => "/jti",
            "logout-token" => "/bff/backchannel-logout",
            _ => "/orders",
        };
        let mut text = format!("{} {path}", request.method);
        if let Some(query) = &request.query {
            write!(text, "?{query}").unwrap();
        }
        text.push_str(" HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n");
        for value in &request.authorization {
            write!(text, "Authorization: {value}\r\n").unwrap();
        }
        for value in &request.proofs {
            write!(text, "DPoP: {value}\r\n").unwrap();
        }
        if !request.body.is_empty() {
            write!(text, "Content-Type: application/x-www-form-urlencoded\r\n").unwrap();
            write!(text, "Content-Length: {}\r\n", request.body.len()).unwrap();
        }
        exchange(self.address, &format!("{text}\r\n{}", request.body)).await
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    fn transport(&self, request: &Request) -> Option<Expected> {
        let refused_by_http = |status| Expected {
            status,
            error: None,
            reason: String::new(),
        };
        let value = request.authorization.first()?;
        if value.len() > HEAD {
            return Some(refused_by_http(431));
        }
        // RFC 9110 s5.5: a tab is all that a field may have of these.
        let control = |text: &str| text.contains(|c: char| c.is_control() && c != '\t');
        if value.strip_suffix('\n').is_some_and(|value| !control(value)) {
            // HTTP takes the line's end for its own: what arrives is the good token.
            return Some(refused_by_http(200));
        }
        control(value).then(|| refused_by_http(400))
    }
}

fn configuration(address: SocketAddr, [a, b]: &[String; 2], upstream: SocketAddr) -> String {
    format!(
        r#"
        [server]
        public_url = "https://api.test"
        listen = "{address}"

        [store]
        url = "sqlite:sessions.db"

        [provider.a]
        issuer = "{a}"
        algorithms = ["RS256", "ES256", "EdDSA"]

        [provider.wide]
        issuer = "{a}"
        algorithms = ["RS256", "RS512", "ES256", "EdDSA"]

        [provider.b]
        issuer = "{b}"
        algorithms = ["RS256", "ES256", "EdDSA"]

        [client.spa]
        provider = "a"
        client_id = "spa"
        secret = {{ env = "CLIENT_SECRET" }}

        [frontend.shop]
        client = "spa"
        scopes = ["openid"]

        [api.orders]
        path = "/orders"
        accept = ["bearer"]
        upstream = "http://{upstream}"
        provider = ["a", "b"]
        audience = "https://api.test"
        policy = {{ default = "Read" }}

        [api.wide]
        path = "/wide"
        accept = ["bearer"]
        upstream = "http://{upstream}"
        provider = "wide"
        audience = "https://api.test"
        policy = {{ default = "Read" }}

        [api.jti]
        path = "/jti"
        accept = ["bearer"]
        upstream = "http://{upstream}"
        provider = ["a", "b"]
        audience = "https://api.test"
        policy = {{ default = "Read" }}
        revocations = {{ require_jti = true }}

        [policy.Read]
        all = [{{ scope = "orders:read" }}, {{ client = ["spa", "client-out"] }}]
        "#
    )
}
