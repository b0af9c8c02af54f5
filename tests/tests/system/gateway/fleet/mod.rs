//! Several gateways on one Redis, by the real clock, before a provider that rotates refresh tokens and revokes the whole
//! family when one comes back.

mod killed;
mod late;
mod provider;
mod soak;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis::gateway::{Extras, Running};
use portcullis::{config, server};
use portcullis_audit::{Audit, AuditSettings};
use portcullis_idp::Idp;
use portcullis_jose::{Clock, SystemClock};
use portcullis_store::contract::servers::Redis;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::provider::Relay;
use super::raw::{self, Reply};
use super::upstream::Upstream;
use super::{PASSWORD, START, STEP, WEB_SECRET, configuration, provider_of, stores};
use crate::demo::{Answer, Browser};

/// A gateway in this process.
struct Replica {
    address: SocketAddr,
    audit: Audit,
    _running: Running,
    _stop: watch::Sender<bool>,
}

struct Fleet {
    origin: String,
    idp: Idp,
    relay: Relay,
    upstream: Upstream,
    redis: Redis,
    replicas: Vec<Replica>,
    text: String,
    dir: tempfile::TempDir,
}

impl Fleet {
    /// So many replicas, and access tokens that live so many seconds.
    async fn start(replicas: usize, lifetime: i64, refresh_before: i64) -> Fleet {
        let mut listeners = Vec::new();
        for _ in 0..replicas {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let first = listeners[0].local_addr().unwrap();
        let origin = format!("http://{first}");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let relay = Relay::start().await;
        let mut idp = provider_of(&origin);
        idp.access_token_lifetime = lifetime;
        idp.issuer = Some(relay.url());
        let idp = Idp::start(idp, clock).await.unwrap();
        relay.leads_to(idp.local_addr());
        let upstream = Upstream::start().await;
        let redis = Redis::start(&[]);
        let dir = tempfile::tempdir().unwrap();
        stores::write_key(dir.path(), &[stores::KEY]);
        let store = format!(
            "url = \"redis://127.0.0.1:{}\"\nkeys = [{{ file = \"seal.key\" }}]",
            redis.port()
        );
        let text = configuration(&origin, idp.issuer(), [first, upstream.address, upstream.address])
            .replace(r#"url = "sqlite:sessions.db""#, &store)
            .replace(
                "[frontend.shop]",
                &format!("[frontend.shop]\nrefresh_before = \"{refresh_before}s\""),
            )
            .replace("[provider.dev]", "[provider.dev]\nleeway = \"0s\"");
        let mut fleet = Fleet {
            origin,
            idp,
            relay,
            upstream,
            redis,
            replicas: Vec::new(),
            text,
            dir,
        };
        for listener in listeners {
            let replica = fleet.replica(listener).await;
            fleet.replicas.push(replica);
        }
        fleet
    }

    async fn replica(&self, listener: TcpListener) -> Replica {
        let address = listener.local_addr().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let audit = Audit::new(AuditSettings::in_memory(), clock.clone());
        let env = BTreeMap::from([("WEB_SECRET".to_owned(), WEB_SECRET.to_owned())]);
        let settings = config::parse(&self.text, "gateway.toml", self.dir.path(), &env);
        let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
        let running = Running::start(&settings, &audit, &clock, Extras::default()).unwrap();
        let gateway = running.gateway().clone();
        let handler = move |request, peer| {
            let gateway = gateway.clone();
            async move { Ok(gateway.handle(request, peer).await) }
        };
        let stop = watch::Sender::new(false);
        tokio::spawn(server::serve(listener, None, stop.subscribe(), Duration::ZERO, handler));
        let readiness = running.readiness();
        let ready = async {
            while !readiness().ready {
                tokio::time::sleep(STEP).await;
            }
        };
        tokio::time::timeout(START, ready)
            .await
            .expect("the gateway gets ready");
        Replica {
            address,
            audit,
            _running: running,
            _stop: stop,
        }
    }

    fn host(&self) -> &str {
        self.origin.split_once("://").unwrap().1
    }

    async fn at(&self, address: SocketAddr, method: &str, path: &str, cookie: &str) -> Reply {
        let headers = [("Cookie", cookie), ("X-CSRF", "1"), ("Origin", &self.origin)];
        raw::exchange(address, method, path, self.host(), &headers, "").await
    }

    /// Signs alice in; the session's cookie.
    async fn sign_in(&self) -> String {
        let mut browser = Browser::new();
        let headers = [("accept", "text/html"), ("sec-fetch-mode", "navigate")];
        let visit = async |browser: &mut Browser, url: &str| -> Answer {
            browser.send("GET", url, &headers, String::new()).await
        };
        let mut answer = visit(&mut browser, &format!("{}/bff/login", self.origin)).await;
        for _ in 0..10 {
            if browser
                .cookies
                .contains_key(&("portcullis-shop".to_owned(), "/".to_owned()))
            {
                let value = &browser.cookies[&("portcullis-shop".to_owned(), "/".to_owned())];
                return format!("portcullis-shop={value}");
            }
            answer = match answer.location() {
                Some(next) => visit(&mut browser, next.as_str()).await,
                None => {
                    browser
                        .submit(&answer, &[("username", "alice"), ("password", PASSWORD)])
                        .await
                }
            };
        }
        panic!("no way back from {}: {}", answer.url, answer.body)
    }
}
