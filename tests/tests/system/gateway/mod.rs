//! A gateway of a configuration of its own, before an upstream that shows what reached it.

mod again;
mod assets;
mod calls;
mod canaries;
mod client_credentials;
mod cookie_sessions;
mod cors;
mod dpop;
mod fapi;
mod fleet;
mod forward;
mod frontends;
mod heads;
mod https;
mod issuers;
mod login_answers;
mod login_defaults;
mod login_kinds;
mod logout;
mod logout_messages;
mod metadata;
mod mtls;
mod own_sessions;
mod policies;
mod provider_down;
mod raw;
mod restart;
mod rotation;
mod scripted;
mod step_up;
mod store_away;
mod stores;
mod streams;
mod tenants;
mod tokens;
mod upgrade;
mod upstream;
mod upstream_path;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis::config;
use portcullis::gateway::{Extras, Running};
use portcullis::server;
use portcullis_audit::{Audit, AuditSettings};
use portcullis_idp::{Api, Behaviour, Client, GrantType, Idp, IdpConfig, Mint, MutualTls, User};
use portcullis_jose::{Algorithm, Clock, ManualClock, Secret, SystemClock};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use url::Url;

use crate::demo::{Answer, Browser, Log};
use raw::Reply;
use upstream::Upstream;

const AUDIENCE: &str = "https://orders.example.test";
const BILLING: &str = "https://billing.example.test";
const WEB_SECRET: &str = "the-secret-of-the-web-client";
const PASSWORD: &str = "a-password-of-alice";
const START: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

/// A gateway that runs, with all that is around it.
struct Gate {
    /// The origin that browsers see.
    origin: String,
    /// Where the gateway listens.
    address: SocketAddr,
    idp: Idp,
    upstream: Upstream,
    clock: Arc<ManualClock>,
    audit: Audit,
    log: Log,
    text: String,
    dir: tempfile::TempDir,
    running: Option<Running>,
    replicas: Vec<Running>,
    stop: watch::Sender<bool>,
    /// Bound and not listening: whoever connects is refused.
    _closed: TcpSocket,
}

impl Gate {
    /// On http, at its own address.
    async fn start() -> Gate {
        let gate = Gate::begin(None, Behaviour::default()).await;
        gate.ready().await;
        gate
    }

    /// On https, as behind something that ends TLS: it is talked to in the clear, by the name of its public URL.
    async fn start_on_https() -> Gate {
        let gate = Gate::begin(Some("https://app.example.test"), Behaviour::default()).await;
        gate.ready().await;
        gate
    }

    /// With another configuration: `change` is given the usual one, and the directory that it is in.
    async fn start_with(public: Option<&str>, change: impl FnOnce(String, &Path) -> String) -> Gate {
        let gate = Gate::begin_with(public, Behaviour::default(), change).await;
        gate.ready().await;
        gate
    }

    /// Starts with a provider that behaves like this, and does not wait until it is ready.
    async fn begin(public: Option<&str>, behaviour: Behaviour) -> Gate {
        Gate::begin_with(public, behaviour, |text, _| text).await
    }

    async fn begin_on(public: Option<&str>, behaviour: Behaviour, store: &str) -> Gate {
        Gate::begin_with(public, behaviour, |text, _| {
            text.replace(r#"url = "sqlite:sessions.db""#, store)
        })
        .await
    }

    /// On http, with this for `[store]`. The file `seal.key` holds a key.
    async fn start_on(store: &str) -> Gate {
        Gate::start_with(None, |text, _| text.replace(r#"url = "sqlite:sessions.db""#, store)).await
    }

    async fn begin_with(
        public: Option<&str>,
        behaviour: Behaviour,
        change: impl FnOnce(String, &Path) -> String,
    ) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = public.map_or_else(|| format!("http://{address}"), str::to_owned);
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let idp = Idp::start(provider_of(&origin), clock.clone()).await.unwrap();
        idp.control().set_behaviour(behaviour);
        let upstream = Upstream::start().await;
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let log = Log::default();
        let audit = Audit::new(AuditSettings::to_writer(log.clone()), clock.clone());
        let text = configuration(
            &origin,
            idp.issuer(),
            [address, upstream.address, closed.local_addr().unwrap()],
        );
        let dir = tempfile::tempdir().unwrap();
        let text = change(text, dir.path());
        let mut gate = Gate {
            origin,
            address,
            idp,
            upstream,
            clock,
            audit,
            log,
            text,
            dir,
            running: None,
            replicas: Vec::new(),
            stop: watch::Sender::new(false),
            _closed: closed,
        };
        stores::write_key(gate.dir.path(), &[stores::KEY]);
        gate.run(listener);
        gate
    }

    /// One more gateway of the same configuration and store; where it listens.
    async fn replica(&mut self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let first = self.running.take();
        self.run(listener);
        self.ready().await;
        self.replicas.extend(std::mem::replace(&mut self.running, first));
        address
    }

    fn run(&mut self, listener: TcpListener) {
        let env = BTreeMap::from([("WEB_SECRET".to_owned(), WEB_SECRET.to_owned())]);
        let settings = config::parse(&self.text, "gateway.toml", self.dir.path(), &env);
        let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
        let clock: Arc<dyn Clock> = self.clock.clone();
        let running = Running::start(&settings, &self.audit, &clock, Extras::default()).unwrap();
        let gateway = running.gateway().clone();
        let handler = move |request, peer| {
            let gateway = gateway.clone();
            async move { Ok(gateway.handle(request, peer).await) }
        };
        let stopping = self.stop.subscribe();
        let tls = settings.server.tls.as_ref().map(server::Tls::read).transpose().unwrap();
        tokio::spawn(server::serve(listener, tls, stopping, Duration::ZERO, handler));
        self.running = Some(running);
    }

    /// Ends the gateway, and starts one of the same configuration and files at a new address.
    async fn restart(&mut self) {
        self.stop.send_replace(true);
        self.running = None;
        self.stop = watch::Sender::new(false);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.run(listener);
        self.ready().await;
    }

    /// Waits until the gateway has what it needs.
    async fn ready(&self) {
        let readiness = self.running.as_ref().unwrap().readiness();
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

    fn host(&self) -> &str {
        self.origin.split_once("://").unwrap().1
    }

    /// Sends exactly this, with the right `Host`, and the connection's end after the answer.
    async fn call(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        raw::exchange(self.address, method, target, self.host(), headers, "").await
    }

    /// The same with a bearer token.
    async fn bearer(&self, method: &str, target: &str, token: &str) -> Reply {
        let value = format!("Bearer {token}");
        self.call(method, target, &[("Authorization", &value)]).await
    }

    /// A token of alice's for the API.
    fn token(&self) -> String {
        let order = Mint {
            user: Some("alice".into()),
            client: Some("web".into()),
            ..Mint::default()
        };
        self.idp.control().mint(&order).unwrap()
    }

    /// What [`Browser`] has to ask for a URL of the app, which is not always where the app's name leads.
    fn reach(&self, url: &str) -> String {
        match url.strip_prefix(&self.origin) {
            Some(rest) => format!("http://{}{rest}", self.address),
            None => url.to_owned(),
        }
    }

    async fn visit(&self, browser: &mut Browser, url: &str) -> Answer {
        let mut headers = vec![
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        if url.starts_with(&self.origin) {
            headers.push(("host", self.host()));
        }
        browser.send("GET", &self.reach(url), &headers, String::new()).await
    }

    /// What the app's own script asks.
    async fn fetch(&self, browser: &mut Browser, path: &str) -> Answer {
        let headers = [("x-csrf", "1"), ("origin", &self.origin), ("host", self.host())];
        let url = format!("http://{}{path}", self.address);
        browser.send("GET", &url, &headers, String::new()).await
    }

    /// Walks the login up to the callback's address, which is not visited yet.
    async fn until_callback(&self, browser: &mut Browser) -> Url {
        let mut answer = self.visit(browser, &format!("{}/bff/login", self.origin)).await;
        for _ in 0..10 {
            match answer.location() {
                Some(next) if next.path() == "/bff/callback" => return next,
                Some(next) => answer = self.visit(browser, next.as_str()).await,
                None => {
                    let fields = [("username", "alice"), ("password", PASSWORD)];
                    answer = browser.submit(&answer, &fields).await;
                }
            }
        }
        panic!("no way back from {}", answer.url)
    }

    /// From an answer on to the provider and back, as a person does it; the first answer that leads no further.
    async fn go_on(&self, browser: &mut Browser, mut answer: Answer) -> Answer {
        for _ in 0..12 {
            match answer.location() {
                Some(next) => answer = self.visit(browser, next.as_str()).await,
                None if answer.body.contains("name=\"password\"") => {
                    let fields = [("username", "alice"), ("password", PASSWORD)];
                    answer = browser.submit(&answer, &fields).await;
                }
                // The page that asks the browser for the part after `#`, which a script reads.
                None if answer.body.contains("id=\"on\"") && answer.status == 200 => {
                    let link = link(&answer, "id=\"on\" href=\"");
                    answer = self.visit(browser, &format!("{}{link}", self.origin)).await;
                }
                None => return answer,
            }
        }
        panic!("in circles at {}", answer.url)
    }

    async fn sign_in(&self) -> Browser {
        let mut browser = Browser::new();
        let callback = self.until_callback(&mut browser).await;
        let answer = self.visit(&mut browser, callback.as_str()).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert!(self.session(&browser).is_some());
        browser
    }

    fn cookie_name(&self) -> &'static str {
        match self.origin.starts_with("https:") {
            true => "__Host-portcullis-shop",
            false => "portcullis-shop",
        }
    }

    /// The value of the session's cookie.
    fn session(&self, browser: &Browser) -> Option<String> {
        let key = (self.cookie_name().to_owned(), "/".to_owned());
        browser.cookies.get(&key).cloned()
    }

    /// The `Cookie` header of a session.
    fn cookie(&self, browser: &Browser) -> String {
        format!("{}={}", self.cookie_name(), self.session(browser).unwrap())
    }

    /// The `Cookie` header of a session that may have several cookies.
    fn cookies(&self, browser: &Browser) -> String {
        let (name, parts) = (self.cookie_name(), format!("{}.", self.cookie_name()));
        let ours = |found: &str| found == name || found.starts_with(&parts);
        let pairs = browser.cookies.iter().filter(|((name, _), _)| ours(name));
        let pairs: Vec<String> = pairs.map(|((name, _), value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    /// The time, in seconds since 1970.
    fn now(&self) -> i64 {
        self.clock.now().as_secs()
    }

    /// The newest code of a refusal.
    fn last_code(&self) -> String {
        let records = self.audit.recent(0);
        let mut codes = records.iter().filter_map(|record| record.event.refused());
        codes
            .next_back()
            .map(|refused| refused.code.to_owned())
            .unwrap_or_default()
    }

    /// What was logged, as text.
    fn logged(&self) -> String {
        assert!(self.audit.flush(START));
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }
}

/// What stands in a page after this text, up to the next quotation mark.
fn link(answer: &Answer, before: &str) -> String {
    let (_, after) = answer
        .body
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before}: {}", answer.body));
    let (link, _) = after.split_once('"').unwrap();
    link.replace("&#38;", "&").replace("&amp;", "&")
}

fn provider_of(origin: &str) -> IdpConfig {
    let scopes = ["orders.read", "orders.write"].map(str::to_owned).to_vec();
    IdpConfig {
        signing_algorithm: Algorithm::ES256,
        users: vec![User {
            username: "alice".into(),
            password: Some(Secret::new(PASSWORD)),
            sub: Some("alice".into()),
            // With the scope `profile`: more than one cookie takes.
            claims: serde_json::Map::from_iter([("about".to_owned(), "of alice ".repeat(500).into())]),
            scopes: [&scopes[..], &["billing.read".to_owned()]].concat(),
            ..User::default()
        }],
        clients: vec![
            Client {
                client_id: "web".into(),
                secret: Some(Secret::new(WEB_SECRET)),
                redirect_uris: vec![format!("{origin}/bff/callback"), format!("{origin}/desk/bff/callback")],
                post_logout_redirect_uris: vec![format!("{origin}/")],
                // Plain http alone, so that the provider needs no TLS of its own.
                backchannel_logout_uri: origin
                    .starts_with("http:")
                    .then(|| format!("{origin}/bff/backchannel-logout")),
                scopes: [&scopes[..], &["billing.read".to_owned()]].concat(),
                audience: Some(AUDIENCE.into()),
                grants: vec![
                    GrantType::AuthorizationCode,
                    GrantType::RefreshToken,
                    GrantType::TokenExchange,
                ],
                ..Client::default()
            },
            Client {
                client_id: "nightly".into(),
                secret: Some(Secret::new("the-secret-of-nightly")),
                grants: vec![GrantType::ClientCredentials],
                scopes: vec!["orders.read".into()],
                ..Client::default()
            },
        ],
        apis: vec![
            Api {
                audience: AUDIENCE.into(),
                scopes,
            },
            Api {
                audience: BILLING.into(),
                scopes: vec!["billing.read".into()],
            },
        ],
        mtls: Some(MutualTls {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate: mtls::SERVER.into(),
            key: Secret::new(mtls::SERVER_KEY),
            client_ca: Some(mtls::CLIENT_CA.into()),
        }),
        // What is replaced by its registration stays for a while; see `rotation`.
        secret_overlap: 600,
        ..IdpConfig::default()
    }
}

fn configuration(origin: &str, issuer: &str, [address, upstream, closed]: [SocketAddr; 3]) -> String {
    format!(
        r#"
        [server]
        public_url = "{origin}"
        listen = "{address}"

        [store]
        url = "sqlite:sessions.db"

        [provider.dev]
        issuer = "{issuer}"
        id_token_algorithm = "ES256"

        [client.web]
        provider = "dev"
        client_id = "web"
        secret = {{ env = "WEB_SECRET" }}

        [frontend.shop]
        client = "web"
        scopes = ["openid", "offline_access", "orders.read", "orders.write"]

        [api.orders]
        path = "/api/orders"
        upstream = "http://{upstream}"
        provider = "dev"
        audience = "{AUDIENCE}"
        policy = {{ GET = "Read", POST = "Write" }}
        routes = [
            {{ path = "/api/orders/nightly", policy = "Service" }},
            {{ path = "/api/orders/mine", policy = "Person" }},
            {{ path = "/api/orders/report", policy = "Administer" }},
        ]

        [api.shelf]
        path = "/api/shelf"
        upstream = "http://{upstream}"
        provider = "dev"
        audience = "{AUDIENCE}"
        realm = "The shelf"
        routes = [
            {{ path = "/api/shelf/{{id}}", methods = ["GET"], policy = "Read" }},
            {{ path = "/api/shelf/{{id}}/lines", policy = "Administer" }},
            {{ path = "/api/shelf/files/{{*rest}}", policy = "Write" }},
            {{ path = "/api/shelf/fresh", policy = "Fresh" }},
            {{ path = "/api/shelf/strong", policy = "Strong" }},
        ]

        [api.page]
        path = "/api/page"
        upstream = "http://{upstream}"
        accept = ["session"]
        provider = "dev"
        audience = "{AUDIENCE}"
        policy = "authenticated"

        [api.app]
        path = "/app"
        upstream = "http://{upstream}"
        accept = ["session"]
        pages = true
        provider = "dev"
        audience = "{AUDIENCE}"
        policy = "authenticated"
        routes = [
            {{ path = "/app/fresh", policy = "Fresh" }},
            {{ path = "/app/strong", policy = "Strong" }},
        ]

        [api.machine]
        path = "/api/machine"
        upstream = "http://{upstream}"
        accept = ["bearer"]
        provider = "dev"
        audience = "{AUDIENCE}"
        policy = "authenticated"
        timeout = "1s"

        [api.closed]
        path = "/api/closed"
        upstream = "http://{closed}"
        provider = "dev"
        audience = "{AUDIENCE}"
        policy = "authenticated"

        [api.public]
        path = "/api/public"
        upstream = "http://{upstream}"
        accept = ["anyone"]

        [policy.Read]
        scope = "orders.read"
        [policy.Write]
        scope = "orders.write"
        [policy.Administer]
        scope = "orders.admin"
        [policy.Fresh]
        all = ["Read", {{ max_age = "1m" }}]
        [policy.Strong]
        all = ["Fresh", {{ acr = ["urn:example:mfa", "urn:example:key"] }}]
        [policy.Service]
        all = [{{ kind = "service" }}, {{ scope = "orders.read" }}]
        [policy.Person]
        all = [{{ kind = "user" }}, {{ scope = "orders.read" }}]
        "#
    )
}
