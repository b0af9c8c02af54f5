//! Redis: the contract on each layout, and what is its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_jose::{Clock, ManualClock, Secret, UnixTime};
use portcullis_store::contract::Ages;
use portcullis_store::contract::servers::{Certificates, Redis, RedisCluster, RedisSentinel};
use portcullis_store::{
    IndexKey, LeaseName, LeaseStore, RedisSettings, RedisStore, Revocation, RevocationStore, RevocationTarget,
    SessionKey, SessionRecord, SessionStore, Store, contract,
};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)))
}

fn record() -> SessionRecord {
    let now = clock().now();
    SessionRecord {
        sealed: b"sealed".to_vec(),
        subject_index: Some(IndexKey::subject("i", "alice")),
        sid_index: None,
        created: now,
        idle_expires: now.plus(1_800),
        expires: now.plus(43_200),
    }
}

fn open(url: &str, change: impl FnOnce(&mut RedisSettings)) -> RedisStore {
    let mut settings = RedisSettings::parse(url).unwrap();
    change(&mut settings);
    RedisStore::new(&settings, clock()).unwrap()
}

/// The contract, each store under a prefix of its own.
async fn keeps_the_contract(url: &str, ages: Ages) {
    let number = AtomicU64::new(0);
    let make = async |clock: Arc<ManualClock>| {
        let url = format!("{url}?prefix=test-{}", number.fetch_add(1, Ordering::Relaxed));
        let store = RedisStore::new(&RedisSettings::parse(&url).unwrap(), clock).unwrap();
        Arc::new(store) as Arc<dyn Store>
    };
    contract::run_without_purging(make, ages).await;
    contract::run_durable(async |clock| {
        let settings = RedisSettings::parse(&format!("{url}?prefix=durable")).unwrap();
        Arc::new(RedisStore::new(&settings, clock).unwrap()) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_keeps_the_contract() {
    let redis = Redis::start(&[]);
    keeps_the_contract(&format!("redis://127.0.0.1:{}", redis.port()), redis.ages()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start();
    let nodes: Vec<String> = cluster.ports().iter().map(|port| format!("127.0.0.1:{port}")).collect();
    keeps_the_contract(&format!("redis+cluster://{}", nodes.join(",")), cluster.ages()).await;
    assert!(cluster.sizes().iter().all(|size| *size > 0), "{:?}", cluster.sizes());
    // One node that answers is enough to find the others.
    let store = open(&format!("redis+cluster://127.0.0.1:1,{}", nodes[2]), |_| {});
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_died_is_followed() {
    let mut sentinel = RedisSentinel::start();
    let url = format!(
        "redis+sentinel://127.0.0.1:{}/{}",
        sentinel.port(),
        RedisSentinel::MASTER
    );
    keeps_the_contract(&url, sentinel.ages()).await;

    let store = open(&url, |_| {});
    let (before, after) = (SessionKey::from_cookie("before"), SessionKey::from_cookie("after"));
    store.create(before, record()).await.unwrap();
    sentinel.fail_over();
    // Until the Sentinel has made up its mind the store is away, and nothing is lost.
    contract::servers::until(async || store.get(before).await.is_ok_and(|found| found.is_some())).await;
    store.create(after, record()).await.unwrap();
    assert!(store.get(after).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_restarted_has_lost_nothing() {
    let mut redis = Redis::start(&[]);
    let store = open(&format!("redis://127.0.0.1:{}", redis.port()), |_| {});
    let (key, ended) = (SessionKey::from_cookie("a"), SessionKey::from_cookie("b"));
    let version = store.create(key, record()).await.unwrap();
    store.create(ended, record()).await.unwrap();
    assert!(store.delete(ended).await.unwrap());
    let lease = store
        .acquire(LeaseName::session(&key), "one", 30)
        .await
        .unwrap()
        .unwrap();

    redis.kill();
    let error = store.get(key).await.unwrap_err();
    assert_eq!(error.code(), "store.unavailable");
    assert_eq!(store.delete(key).await.unwrap_err().code(), "store.unavailable");
    redis.resume();
    // The connection of before is broken, which nobody hears of.
    let other = open(&format!("redis://127.0.0.1:{}", redis.port()), |_| {});
    assert_eq!(other.get(ended).await.unwrap(), None);
    other
        .update_fenced(key, version, lease.fencing, record())
        .await
        .unwrap();
    contract::servers::until(async || store.ping().await.is_ok()).await;
    assert_eq!(
        store.get(key).await.unwrap().unwrap().version.as_u64(),
        version.as_u64() + 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_its_data_goes_on_above_the_old_numbers() {
    let redis = Redis::start(&[]);
    let store = open(&format!("redis://127.0.0.1:{}", redis.port()), |_| {});
    let revocation = Revocation {
        target: RevocationTarget::Issuer { iss: "i".into() },
        issued_before: None,
        expires: clock().now().plus(600),
        reason: "test".into(),
    };
    let name = LeaseName::job("a");
    let seen = store.add(revocation.clone()).await.unwrap();
    let lease = store.acquire(name, "one", 30).await.unwrap().unwrap();
    assert!(redis.cli(&["FLUSHALL"]).contains("OK"));
    let next = store.add(revocation.clone()).await.unwrap();
    assert!(next > seen);
    assert_eq!(store.list_after(seen).await.unwrap(), [(next, revocation)]);
    assert!(store.acquire(name, "two", 30).await.unwrap().unwrap().fencing > lease.fencing);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_checks_the_certificate() {
    let certificates = Certificates::new();
    let redis = Redis::start_tls(&certificates);
    let ca = std::fs::read(certificates.ca()).unwrap();
    let url = format!("rediss://localhost:{}", redis.port());
    open(&url, |settings| settings.ca = Some(ca.clone()))
        .ping()
        .await
        .unwrap();

    let untrusted = open(&url, |_| {}).ping().await.unwrap_err();
    assert_eq!(untrusted.code(), "store.unavailable");
    let another = Certificates::new();
    let wrong = open(&url, |settings| {
        settings.ca = Some(std::fs::read(another.ca()).unwrap())
    });
    assert_eq!(wrong.ping().await.unwrap_err().code(), "store.unavailable");
    let in_the_clear = open(&url.replace("rediss", "redis"), |_| {});
    assert_eq!(in_the_clear.ping().await.unwrap_err().code(), "store.unavailable");
    let no_pem = RedisSettings::parse(&url).map(|mut settings| {
        settings.ca = Some(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_vec());
        RedisStore::new(&settings, clock())
    });
    assert_eq!(no_pem.unwrap().unwrap_err().code(), "store.cannot_open");
}

/// The rights that the manual tells to give are enough, and less are told.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_its_own_needs_few_rights() {
    let redis = Redis::start(&[
        "--user", "default", "off", "--user", "admin", "on", "nopass", "~*", "+@all",
    ]);
    let admin = |command: &[&str]| {
        let all = [&["--user", "admin", "--pass", "x", "--no-auth-warning"], command].concat();
        redis.cli(&all)
    };
    let rules = "~portcullis:* +@connection +eval +evalsha +script|load +hmget +hget +hset +hdel +zrange +zrem +zadd \
                 +zscore +zrangebyscore +zremrangebyscore +get +set +del +incr +exists +expire +ttl +time";
    let setuser: Vec<&str> = ["ACL", "SETUSER", "gate", "on", ">let-me-in"]
        .into_iter()
        .chain(rules.split(' '))
        .collect();
    assert!(admin(&setuser).contains("OK"));
    let url = format!("redis://gate@127.0.0.1:{}", redis.port());
    let with = |password: &str| {
        let password = Secret::new(password);
        open(&url, |settings| settings.password = Some(password))
    };
    let store = with("let-me-in");
    let key = SessionKey::from_cookie("a");
    store.ping().await.unwrap();
    let version = store.create(key, record()).await.unwrap();
    let lease = store
        .acquire(LeaseName::session(&key), "one", 30)
        .await
        .unwrap()
        .unwrap();
    store
        .update_fenced(key, version, lease.fencing, record())
        .await
        .unwrap();
    assert!(store.touch(key, clock().now().plus(2_000)).await.unwrap());
    assert_eq!(
        store.delete_by_subject(IndexKey::subject("i", "alice")).await.unwrap(),
        1
    );
    store.purge_expired().await.unwrap();

    let error = with("wrong").ping().await.unwrap_err().to_string();
    assert!(error.contains("password") && !error.contains("wrong"), "{error}");
    assert!(admin(&["ACL", "SETUSER", "gate", "-set"]).contains("OK"));
    let error = store.ping().await.unwrap_err().to_string();
    assert!(error.contains("NOPERM"), "{error}");
}

/// Nothing outlives its time, though nobody purges: Redis' own clock sees to it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_kept_has_an_end() {
    let redis = Redis::start(&[]);
    let store = open(&format!("redis://127.0.0.1:{}", redis.port()), |_| {});
    let (key, ended) = (SessionKey::from_cookie("a"), SessionKey::from_cookie("b"));
    store.create(key, record()).await.unwrap();
    store.create(ended, record()).await.unwrap();
    store.delete(ended).await.unwrap();
    store.acquire(LeaseName::session(&key), "one", 30).await.unwrap();
    portcullis_store::ReplayStore::mark(&store, "p", b"x", clock().now().plus(60))
        .await
        .unwrap();
    let keys = redis.cli(&["KEYS", "*"]);
    assert_eq!(keys.lines().count(), 5, "{keys}");
    for key in keys.lines() {
        let ttl: i64 = redis.cli(&["TTL", key]).trim().parse().unwrap();
        let most = match key.rsplit(':').next().unwrap() {
            "session" => 3_600,
            "lease" => 3_630,
            "mark" => 60 + 300 + 60,
            "subject" => 43_260,
            other => panic!("{other}"),
        };
        assert!((1..=most).contains(&ttl), "{key}: {ttl}");
    }
}
