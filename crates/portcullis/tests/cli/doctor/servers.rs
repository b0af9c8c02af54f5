//! The doctor at stores that replicas share: a real Redis, a real PostgreSQL.

use portcullis_store::contract::servers::{Postgres, Redis};
use portcullis_store::{PostgresSettings, PostgresStore, RedisSettings, RedisStore};

use super::*;

/// What is said of a store with these lines in `[store]`, before and after somebody else's key has sealed a session.
async fn keys_are_told_of(stage: &Stage, lines: &str, store: &dyn SessionStore) {
    let seal = stage.dir.path().join("seal.key");
    let text = "e5a1c9f37b2d4860915cd3fe8a07b64112fd5e9c30a8b7746e1d02c95fb83a6e";
    fs::write(&seal, text).unwrap();
    fs::set_permissions(&seal, Permissions::from_mode(0o600)).unwrap();
    let config = format!("{}[store]\n{lines}\nkeys = [{{ file = \"seal.key\" }}]\n", stage.config);
    session(
        store,
        &KeyRing::from_keys(vec![SealingKey::parse(text).unwrap()]).unwrap(),
        "one",
    )
    .await;
    assert_eq!(stage.codes(&config, &[]), (0, BTreeSet::new()));
    let ended = stage.asks(&config, &[], "");
    for told in [
        "they open all 1 sessions",
        " s from ours",
        "nothing is thrown away",
        "1 at hand",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
    session(store, &KeyRing::from_keys(vec![SealingKey::generate()]).unwrap(), "two").await;
    let (status, codes) = stage.codes(&config, &[]);
    assert_eq!((status, codes), (1, BTreeSet::from(["doctor.key_ring".to_owned()])));
    let ended = stage.asks(&config, &[], "");
    assert!(ended.stdout.contains("1 of 2 sessions stay closed"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_says_what_it_is_and_whether_it_throws_sessions_away() {
    let stage = Stage::new().await;
    let redis = Redis::start(&[]);
    let url = format!("redis://127.0.0.1:{}", redis.port());
    let settings = RedisSettings::parse(&url).unwrap();
    let store = RedisStore::new(&settings, Arc::new(SystemClock)).unwrap();
    let lines = format!("url = \"{url}\"");
    keys_are_told_of(&stage, &lines, &store).await;
    drop(redis);

    for (settings, expected) in [
        (&["--maxmemory", "400mb"][..], None),
        (
            &["--maxmemory", "400mb", "--maxmemory-policy", "allkeys-lru"],
            Some(("doctor.store_evicts", 1)),
        ),
        // Without a limit nothing has to go.
        (&["--maxmemory-policy", "allkeys-lru"], None),
        (&["--maxmemory", "100mb"], None),
        // Redis takes more for itself.
        (&["--maxmemory", "500kb"], Some(("doctor.disk_space", 2))),
    ] {
        let redis = Redis::start(settings);
        let config = format!(
            "{}[store]\nurl = \"redis://127.0.0.1:{}\"\nkeys = [{{ file = \"seal.key\" }}]\n",
            stage.config,
            redis.port()
        );
        let (status, codes) = stage.codes(&config, &[]);
        let (code, expected) = expected.unzip();
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        let code: Vec<&str> = code.into_iter().collect();
        assert_eq!((status, codes), (expected.unwrap_or(0), code), "{settings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_says_what_it_is() {
    let stage = Stage::new().await;
    let server = Postgres::start();
    let url = format!("postgres://127.0.0.1:{}/postgres", server.port());
    let mut settings = PostgresSettings::parse(&url).unwrap();
    settings.password = Some(Secret::new(Postgres::PASSWORD));
    let store = PostgresStore::new(&settings, Arc::new(SystemClock)).unwrap();
    let lines = format!(
        "url = \"{url}\"\npassword = {{ dev_only = \"{}\" }}",
        Postgres::PASSWORD
    );
    keys_are_told_of(&stage, &lines, &store).await;
    let config = format!("{}[store]\n{lines}\nkeys = [{{ file = \"seal.key\" }}]\n", stage.config);
    let said = stage.asks(&config, &[], "").stdout;
    let version = server.sql("postgres", "SHOW server_version").unwrap();
    assert!(said.contains(version.trim()), "{version}: {said}");
}
