//! Stores of every kind behind a gateway: several replicas on one, and one that goes away.

use std::net::SocketAddr;
use std::path::Path;

use portcullis_audit::Event;
use portcullis_idp::{Behaviour, Mint};
use portcullis_store::contract::servers::{Certificates, Postgres, Redis, RedisCluster, RedisSentinel, until};

use super::raw::{self, Reply};
use super::{AUDIENCE, Gate, START};
use crate::demo::Browser;

pub(super) const KEY: &str = "e5a1c9f37b2d4860915cd3fe8a07b64112fd5e9c30a8b7746e1d02c95fb83a6e";
pub(super) const NEWER: &str = "07c4b1e2953fa86d7e0b19cd42f6a5380ed97b61c3f2458a96eb71d03c85f24a";

/// The file of sealing keys, the first of which seals.
pub(super) fn write_key(dir: &Path, keys: &[&str]) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let draft = dir.join("seal.key.new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&draft)
        .unwrap()
        .write_all(keys.join("\n").as_bytes())
        .unwrap();
    std::fs::rename(draft, dir.join("seal.key")).unwrap();
}

pub(super) fn on(url: &str) -> String {
    format!("url = \"{url}\"\nkeys = [{{ file = \"seal.key\" }}]")
}

fn on_postgres(server: &Postgres) -> String {
    let url = on(&format!("postgres://127.0.0.1:{}/postgres", server.port()));
    format!("{url}\npassword = {{ dev_only = \"{}\" }}", Postgres::PASSWORD)
}

/// A call with a session, at one replica of several.
async fn at(gate: &Gate, address: SocketAddr, method: &str, path: &str, cookie: &str) -> Reply {
    let headers = [("Cookie", cookie), ("X-CSRF", "1"), ("Origin", &gate.origin)];
    raw::exchange(address, method, path, gate.host(), &headers, "").await
}

/// Signed in on one, refreshed on another, signed out on a third.
async fn replicas_need_nothing_else(store: &str) {
    let mut gate = Gate::start_on(store).await;
    let (first, second, third) = (gate.address, gate.replica().await, gate.replica().await);
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    for address in [first, second, third] {
        assert_eq!(at(&gate, address, "GET", "/api/page", &cookie).await.status, 200);
    }
    let before = gate.upstream.hits();
    gate.clock.advance(250);
    assert_eq!(at(&gate, second, "GET", "/api/page", &cookie).await.status, 200);
    assert_eq!(at(&gate, first, "GET", "/api/page", &cookie).await.status, 200);
    assert_eq!(at(&gate, third, "POST", "/api/page", &cookie).await.status, 200);
    let counts = gate.idp.control().token_counts();
    assert_eq!(
        (counts.refreshes, counts.reuses),
        (1, 0),
        "one of them renewed the token for all"
    );
    assert_eq!(gate.upstream.hits(), before + 3);

    let user = at(&gate, third, "GET", "/bff/user", &cookie).await;
    let logout = user.json()["logout_url"].as_str().unwrap().to_owned();
    assert_eq!(at(&gate, third, "GET", &logout, &cookie).await.status, 303);
    for address in [first, second, third] {
        let reply = at(&gate, address, "GET", "/api/page", &cookie).await;
        assert_eq!(reply.problem(), (401, "session.expired".into()));
    }

    // The provider tells one replica; all of them know.
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    assert_eq!(at(&gate, third, "GET", "/api/page", &cookie).await.status, 200);
    let claims = serde_json::json!({
        "iss": gate.idp.issuer(), "aud": "web", "iat": gate.now(), "exp": gate.now() + 120, "jti": "of the provider",
        "sub": "alice", "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let token = gate.idp.control().sign("logout+jwt", &claims).unwrap();
    let body = format!("logout_token={token}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let told = async |address| {
        raw::exchange(address, "POST", "/bff/backchannel-logout", gate.host(), &headers, &body)
            .await
            .status
    };
    assert_eq!(told(first).await, 200);
    assert_eq!(told(second).await, 400, "a message counts once, wherever it comes in");
    for address in [first, second, third] {
        let reply = at(&gate, address, "GET", "/api/page", &cookie).await;
        assert_eq!(reply.problem(), (401, "session.expired".into()));
    }
    // What is revoked through one is refused by all, without a session as well.
    let order = Mint {
        user: Some("alice".into()),
        client: Some("web".into()),
        ..Mint::default()
    };
    gate.clock.advance(5);
    let bearer = format!("Bearer {}", gate.idp.control().mint(&order).unwrap());
    let call = async |address| {
        let headers = [("Authorization", bearer.as_str())];
        raw::exchange(address, "GET", "/api/orders", gate.host(), &headers, "")
            .await
            .status
    };
    assert_eq!(call(third).await, 200, "issued after the logout");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_on_sqlite() {
    replicas_need_nothing_else(&on("sqlite:sessions.db")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_on_redis() {
    let redis = Redis::start(&["--requirepass", "let-me-in"]);
    let store = on(&format!("redis://127.0.0.1:{}/2?prefix=shop", redis.port()));
    replicas_need_nothing_else(&format!("{store}\npassword = {{ dev_only = \"let-me-in\" }}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_on_redis_with_tls() {
    let certificates = Certificates::new();
    let redis = Redis::start_tls(&certificates);
    let store = on(&format!("rediss://localhost:{}", redis.port()));
    replicas_need_nothing_else(&format!("{store}\nca_file = \"{}\"", certificates.ca().display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_on_a_redis_cluster() {
    let cluster = RedisCluster::start();
    let nodes: Vec<String> = cluster.ports().iter().map(|port| format!("127.0.0.1:{port}")).collect();
    replicas_need_nothing_else(&on(&format!("redis+cluster://{}", nodes.join(",")))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_on_postgres() {
    let server = Postgres::start();
    replicas_need_nothing_else(&on_postgres(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_master_that_dies_costs_nobody_a_session() {
    let mut sentinel = RedisSentinel::start();
    let url = format!(
        "redis+sentinel://127.0.0.1:{}/{}",
        sentinel.port(),
        RedisSentinel::MASTER
    );
    let gate = Gate::start_on(&on(&url)).await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    sentinel.fail_over();
    until(async || at(&gate, gate.address, "POST", "/api/page", &cookie).await.status == 200).await;
    gate.sign_in().await;
}

/// While the store is away nobody is signed out: who reads goes on for a while, all else is asked to come again.
async fn an_outage_signs_nobody_out(gate: &Gate, kill: impl FnOnce(), resume: impl FnOnce()) {
    let mut browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let get = async || at(gate, gate.address, "GET", "/api/page", &cookie).await;
    assert_eq!(get().await.status, 200);
    let copies = || {
        let line = "portcullis_sessions_from_copy_total{frontend=\"shop\"} ";
        let text = gate.audit.metrics().render();
        let count = text
            .lines()
            .find_map(|found| found.strip_prefix(line))
            .unwrap()
            .to_owned();
        count.parse::<u64>().unwrap()
    };
    assert_eq!(copies(), 0);

    kill();
    assert_eq!(get().await.status, 200, "a copy of the session");
    assert_eq!(at(gate, gate.address, "GET", "/bff/user", &cookie).await.status, 200);
    assert_eq!(copies(), 2);
    // Anybody may ask for the end of a session that there is not; it takes no copy away.
    let frame = format!("/bff/frontchannel-logout?iss={}&sid=made-up", gate.idp.issuer());
    let reply = raw::exchange(gate.address, "GET", &frame, gate.host(), &[], "").await;
    assert_eq!(reply.status, 503);
    assert_eq!(get().await.status, 200);
    let hits = gate.upstream.hits();
    let reply = at(gate, gate.address, "POST", "/api/page", &cookie).await;
    assert_eq!(reply.problem(), (503, "store.unavailable".into()));
    assert_eq!((reply.header("retry-after"), reply.header("set-cookie")), ("5", ""));
    assert_eq!(gate.upstream.hits(), hits, "nothing was forwarded");
    let other = at(
        gate,
        gate.address,
        "GET",
        "/api/page",
        "portcullis-shop=of-somebody-else",
    )
    .await;
    assert_eq!(other.problem(), (503, "store.unavailable".into()), "nobody knows");
    assert_eq!(gate.fetch(&mut browser, "/bff/user").await.status, 200);
    let callback = gate.until_callback(&mut Browser::new()).await;
    assert_eq!(callback.path(), "/bff/callback");
    // A login that cannot be kept says so, offers another, and costs nobody the session that they have.
    let mut second = Browser::new();
    second.cookies = browser.cookies.clone();
    let callback = gate.until_callback(&mut second).await;
    let answer = gate.visit(&mut second, callback.as_str()).await;
    assert_eq!(
        (answer.status.as_u16(), gate.last_code().as_str()),
        (503, "login.not_stored")
    );
    assert!(
        answer.body.contains("/bff/login") && !answer.body.contains("still signed in"),
        "{}",
        answer.body
    );
    assert_eq!(gate.cookie(&second), cookie);
    assert_eq!(get().await.status, 200);
    // The grace is over.
    gate.clock.advance(31);
    let reply = get().await;
    assert_eq!(reply.problem(), (503, "store.unavailable".into()));
    assert_eq!((reply.header("retry-after"), reply.header("set-cookie")), ("5", ""));

    until(async || gate.audit.metrics().events("store_unavailable") > 0).await;
    resume();
    until(async || at(gate, gate.address, "POST", "/api/page", &cookie).await.status == 200).await;
    assert_eq!(get().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_redis_signs_nobody_out() {
    let redis = std::cell::RefCell::new(Redis::start(&[]));
    let store = on(&format!("redis://127.0.0.1:{}", redis.borrow().port()));
    let gate = Gate::start_on(&store).await;
    an_outage_signs_nobody_out(&gate, || redis.borrow_mut().kill(), || redis.borrow_mut().resume()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_postgres_signs_nobody_out() {
    let server = std::cell::RefCell::new(Postgres::start());
    let store = on_postgres(&server.borrow());
    let gate = Gate::start_on(&store).await;
    an_outage_signs_nobody_out(&gate, || server.borrow_mut().kill(), || server.borrow_mut().resume()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_revocations_that_redis_no_longer_gives_is_refused_or_served() {
    let mut redis = Redis::start(&[]);
    let store = on(&format!("redis://127.0.0.1:{}", redis.port()));
    let gate = Gate::start_with(None, |text, _| {
        let upstream = text.split("upstream = ").nth(1).and_then(|rest| rest.lines().next());
        let lenient = format!(
            "[api.lenient]\npath = \"/api/lenient\"\nupstream = {}\nprovider = \"dev\"\naudience = \"{AUDIENCE}\"\n\
             policy = \"authenticated\"\nrevocations = {{ max_age = \"10s\", when_stale = \"serve\" }}\n",
            upstream.unwrap()
        );
        let strict = "timeout = \"1s\"\nrevocations = { max_age = \"10s\", when_stale = \"refuse\" }";
        text.replace(r#"url = "sqlite:sessions.db""#, &store)
            .replace("timeout = \"1s\"", strict)
            + &lenient
    })
    .await;
    let token = gate.token();
    let call = async |path: &str| gate.bearer("GET", path, &token).await;
    for path in ["/api/machine", "/api/lenient"] {
        assert_eq!(call(path).await.status, 200, "{path}");
    }
    redis.kill();
    until(async || gate.audit.metrics().events("store_unavailable") > 0).await;
    gate.clock.advance(11);
    let hits = gate.upstream.hits();
    let reply = call("/api/machine").await;
    assert_eq!(reply.problem(), (503, "temporarily_unavailable".into()));
    assert_eq!(
        (reply.header("retry-after"), reply.header("www-authenticate")),
        ("5", "")
    );
    assert_eq!(gate.upstream.hits(), hits, "nothing was forwarded");
    assert_eq!(call("/api/lenient").await.status, 200);
    assert!(
        gate.audit.metrics().events("revocations_stale") > 0,
        "the operator is told"
    );
    redis.resume();
    until(async || call("/api/machine").await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_grace_nobody_is_served_from_a_copy_of_redis() {
    let mut redis = Redis::start(&[]);
    let gate = Gate::start_on(&format!(
        "{}\ngrace = \"0s\"",
        on(&format!("redis://127.0.0.1:{}", redis.port()))
    ))
    .await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    assert_eq!(at(&gate, gate.address, "GET", "/api/page", &cookie).await.status, 200);
    redis.kill();
    let reply = at(&gate, gate.address, "GET", "/api/page", &cookie).await;
    assert_eq!(reply.problem(), (503, "store.unavailable".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_at_the_start_is_waited_for() {
    let mut redis = Redis::start(&[]);
    redis.kill();
    let gate = Gate::begin_on(
        None,
        Behaviour::default(),
        &on(&format!("redis://127.0.0.1:{}", redis.port())),
    )
    .await;
    let reply = at(&gate, gate.address, "GET", "/bff/user", "portcullis-shop=x").await;
    assert_eq!(reply.problem(), (503, "store.unavailable".into()));
    redis.resume();
    gate.ready().await;
    gate.sign_in().await;
}

/// Sealing keys change while the gateway runs: a new one seals, the old one still opens, and whoever comes meanwhile is
/// sealed anew. Without its key a session is over, cleanly.
#[tokio::test(flavor = "multi_thread")]
async fn sealing_keys_are_changed_without_a_restart() {
    let gate = Gate::start_on(&on("sqlite:sessions.db")).await;
    let mut events = gate.audit.subscribe();
    let mut loaded = async |count: usize| {
        let wait = async {
            loop {
                let record = events.recv().await.unwrap();
                match &record.event {
                    Event::SealingKeysLoaded { keys } if keys.len() == count => return,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(START, wait)
            .await
            .expect("the keys are read again");
    };
    let (comes, stays_away) = (gate.sign_in().await, gate.sign_in().await);
    let user = async |browser: &Browser| {
        let cookie = gate.cookie(browser);
        at(&gate, gate.address, "GET", "/bff/user", &cookie).await
    };
    write_key(gate.dir.path(), &[NEWER, KEY]);
    loaded(2).await;
    assert_eq!(
        user(&comes).await.status,
        200,
        "the old key opens, the new one seals from now on"
    );
    let new = gate.sign_in().await;

    // Nonsense changes nothing.
    write_key(gate.dir.path(), &["nonsense"]);
    until(async || gate.audit.metrics().events("sealing_keys_refused") == 1).await;
    assert_eq!(user(&comes).await.status, 200);
    assert!(gate.logged().contains("store.keys_unusable"));
    assert!(!gate.logged().contains("nonsense"));

    write_key(gate.dir.path(), &[NEWER]);
    loaded(1).await;
    assert_eq!(user(&comes).await.status, 200, "it was sealed anew when it was used");
    assert_eq!(user(&new).await.status, 200);
    let reply = user(&stays_away).await;
    assert_eq!(reply.problem(), (401, "session.invalid".into()));
    assert_eq!(reply.header("set-cookie"), "");

    // What lies open in memory goes with its key too.
    write_key(gate.dir.path(), &[KEY]);
    loaded(1).await;
    assert_eq!(user(&new).await.problem(), (401, "session.invalid".into()));
}
