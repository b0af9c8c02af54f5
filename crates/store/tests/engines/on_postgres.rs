//! PostgreSQL: the contract, and what is its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_jose::{Clock, ManualClock, Secret, UnixTime};
use portcullis_store::contract::servers::{Certificates, Postgres};
use portcullis_store::{
    PostgresSettings, PostgresStore, SessionKey, SessionRecord, SessionStore, Store, StoreError, contract,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)))
}

fn record() -> SessionRecord {
    let now = clock().now();
    SessionRecord {
        sealed: b"sealed".to_vec(),
        subject_index: None,
        sid_index: None,
        created: now,
        idle_expires: now.plus(1_800),
        expires: now.plus(43_200),
    }
}

fn settings(server: &Postgres, database: &str) -> PostgresSettings {
    let mut settings = PostgresSettings::parse(&format!("postgres://127.0.0.1:{}/{database}", server.port())).unwrap();
    settings.password = Some(Secret::new(Postgres::PASSWORD));
    settings
}

fn open(server: &Postgres, database: &str) -> PostgresStore {
    PostgresStore::new(&settings(server, database), clock()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let server = Arc::new(Postgres::start());
    let number = Arc::new(AtomicU64::new(0));
    let make = async |clock: Arc<ManualClock>| {
        let name = format!("test{}", number.fetch_add(1, Ordering::Relaxed) + 1);
        server.create_database(&name);
        Arc::new(PostgresStore::new(&settings(&server, &name), clock).unwrap()) as Arc<dyn Store>
    };
    let (aged, last) = (Arc::clone(&server), Arc::clone(&number));
    let ages = move |seconds| aged.age_leases(&format!("test{}", last.load(Ordering::Relaxed)), seconds);
    contract::run_on_server(make, Arc::new(ages)).await;
    server.create_database("durable");
    contract::run_durable(async |clock| {
        Arc::new(PostgresStore::new(&settings(&server, "durable"), clock).unwrap()) as Arc<dyn Store>
    })
    .await;

    // Replicas that start at once make the tables once.
    server.create_database("together");
    let stores: Vec<_> = (0..8).map(|_| open(&server, "together")).collect();
    let pings: Vec<_> = stores
        .into_iter()
        .map(|store| tokio::spawn(async move { store.ping().await }))
        .collect();
    for ping in pings {
        ping.await.unwrap().unwrap();
    }
    assert_eq!(
        server
            .sql("together", "SELECT version FROM portcullis_schema")
            .unwrap()
            .trim(),
        "1"
    );

    // A role that may only use the tables is enough from then on.
    let grants = "CREATE ROLE gate LOGIN PASSWORD 'let-me-in';
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gate;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO gate";
    server.sql("together", grants).unwrap();
    let mut gate = settings(&server, "together");
    (gate.user, gate.password) = ("gate".into(), Some(Secret::new("let-me-in")));
    let store = PostgresStore::new(&gate, clock()).unwrap();
    store.ping().await.unwrap();
    store.create(SessionKey::from_cookie("a"), record()).await.unwrap();
    store.purge_expired().await.unwrap();

    gate.password = Some(Secret::new("wrong"));
    let error = PostgresStore::new(&gate, clock()).unwrap().ping().await.unwrap_err();
    assert_eq!(error.code(), "store.unavailable");
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    let error = open(&server, "absent").ping().await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");

    server
        .sql("together", "UPDATE portcullis_schema SET version = 99")
        .unwrap();
    let error = open(&server, "together").ping().await.unwrap_err();
    assert_eq!(error.code(), "store.schema_too_new");
    assert!(error.to_string().contains("schema version 99"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_restarted_has_lost_nothing() {
    let mut server = Postgres::start();
    let store = open(&server, "postgres");
    let (key, ended) = (SessionKey::from_cookie("a"), SessionKey::from_cookie("b"));
    store.create(key, record()).await.unwrap();
    store.create(ended, record()).await.unwrap();
    assert!(store.delete(ended).await.unwrap());

    server.kill();
    for _ in 0..20 {
        let error = store.get(key).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    }
    server.resume();
    contract::servers::until(async || store.ping().await.is_ok()).await;
    assert!(store.get(key).await.unwrap().is_some());
    assert_eq!(store.get(ended).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_checks_certificate_and_name() {
    let certificates = Certificates::new();
    let server = Postgres::start_tls(&certificates);
    let ca = std::fs::read(certificates.ca()).unwrap();
    let ping = async |host: &str, tls: bool, ca: Option<Vec<u8>>| {
        let mut settings = settings(&server, "postgres");
        settings.addresses[0].host = host.to_owned();
        (settings.tls, settings.ca) = (tls, ca);
        PostgresStore::new(&settings, clock())
            .unwrap()
            .ping()
            .await
            .map_err(|error| error.code())
    };
    assert_eq!(ping("localhost", true, Some(ca.clone())).await, Ok(()));
    assert_eq!(ping("127.0.0.1", true, Some(ca.clone())).await, Ok(()));
    let unavailable = Err("store.unavailable");
    assert_eq!(ping("127.0.0.2", true, Some(ca)).await, unavailable, "another name");
    assert_eq!(
        ping("localhost", true, None).await,
        unavailable,
        "an authority that is not trusted"
    );
    assert_eq!(ping("localhost", false, None).await, unavailable, "in the clear");
    let mut settings = settings(&server, "postgres");
    (settings.tls, settings.ca) = (true, Some(b"no PEM".to_vec()));
    assert_eq!(
        PostgresStore::new(&settings, clock()).unwrap_err().code(),
        "store.cannot_open"
    );
}

/// What leads to the server. Connections that were made before some moment swallow what is sent, as those to a host that
/// has vanished do.
async fn leading_to(port: u16) -> (u16, Arc<AtomicU64>, Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().port();
    let (vanished, made) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (shared, counted) = (vanished.clone(), made.clone());
    tokio::spawn(async move {
        while let Ok((from, _)) = listener.accept().await {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            let to = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (from, to) = (from.into_split(), to.into_split());
            for (mut from, mut to) in [(from.0, to.1), (to.0, from.1)] {
                let vanished = shared.clone();
                tokio::spawn(async move {
                    let mut piece = [0; 4096];
                    while let Ok(count) = from.read(&mut piece).await {
                        if count == 0 {
                            break;
                        }
                        let swallows = number < vanished.load(Ordering::Relaxed);
                        if !swallows && to.write_all(piece.get(..count).unwrap_or_default()).await.is_err() {
                            break;
                        }
                    }
                });
            }
        }
    });
    (here, vanished, made)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_host_that_has_vanished_is_made_anew() {
    let server = Postgres::start();
    let (port, vanished, made) = leading_to(server.port()).await;
    let mut settings = PostgresSettings::parse(&format!("postgres://127.0.0.1:{port}/postgres")).unwrap();
    settings.password = Some(Secret::new(Postgres::PASSWORD));
    let store = PostgresStore::new(&settings, clock()).unwrap();
    let key = SessionKey::from_cookie("a");
    store.create(key, record()).await.unwrap();
    assert!(store.get(key).await.unwrap().is_some());

    // All that were made so far lead nowhere from now on; new ones find the host that has taken its place.
    vanished.store(made.load(Ordering::Relaxed), Ordering::Relaxed);
    assert!(store.get(key).await.unwrap().is_some(), "a read is sent once more");
    contract::servers::until(async || store.ping().await.is_ok()).await;
    for number in 0..8 {
        let key = SessionKey::from_cookie(&number.to_string());
        contract::servers::until(async || store.create(key, record()).await.is_ok()).await;
    }
}
