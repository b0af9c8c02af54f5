//! What was revoked stays out: cached or not, restarted or not, however it is written.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

use std::sync::Arc;

use crate::support::{ISSUER, NOW, World, alone};
use portcullis_guard::{Guard, Revocation, RevocationTarget, Revocations, StaleRevocations};
use portcullis_jose::{Algorithm, ManualClock, SigningKey, UnixTime, base64url_decode, base64url_encode};
use portcullis_store::{BoxFuture, RevocationStore, SqliteStore, StoreError};
use serde_json::json;

fn subject(sub: &str, issued_before: Option<i64>) -> Revocation {
    Revocation {
        target: RevocationTarget::Subject {
            iss: ISSUER.into(),
            sub: sub.into(),
        },
        issued_before: issued_before.map(UnixTime::from_secs),
        expires: UnixTime::from_secs(NOW + 86_400),
        reason: "test".into(),
    }
}

async fn code(guard: &Guard, token: &str) -> &'static str {
    guard
        .verify(&alone(token))
        .await
        .map_or_else(|error| error.code(), |_| "ok")
}

#[tokio::test]
async fn a_revocation_holds_for_the_next_request_also_for_cached_tokens() {
    let world = World::new();
    let guard = world.guard();
    let (alice, bob) = (world.token(json!({"sub": "alice"})), world.token(json!({"sub": "bob"})));
    assert_eq!((code(&guard, &alice).await, code(&guard, &bob).await), ("ok", "ok"));
    guard.revoke(subject("alice", None)).await.unwrap();
    assert_eq!(
        guard.try_verify_cached(&alone(&alice)).unwrap().unwrap_err().code(),
        "token.revoked"
    );
    assert_eq!(
        (code(&guard, &alice).await, code(&guard, &bob).await),
        ("token.revoked", "ok")
    );
    assert_eq!(world.audit.recent(0).last().unwrap().event.name(), "revoked");
    let answer = world.send_token(&guard, "Read", &alice).await;
    assert_eq!(answer.status, 401);
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .contains("error=\"invalid_token\"")
    );
    // It ends by itself.
    world.clock.advance(86_400);
    assert_eq!(code(&guard, &world.token(json!({"sub": "alice"}))).await, "ok");
}

#[tokio::test]
async fn what_was_issued_later_passes() {
    let world = World::new();
    let guard = world.guard();
    guard.revoke(subject("user-1", Some(NOW - 30))).await.unwrap();
    assert_eq!(
        code(&guard, &world.token(json!({"iat": NOW - 60}))).await,
        "token.revoked"
    );
    assert_eq!(code(&guard, &world.token(json!({"iat": NOW - 30}))).await, "ok");
}

#[tokio::test]
async fn one_token_is_revoked_with_or_without_a_jti() {
    let world = World::new();
    let guard = world.guard();
    for changes in [json!({}), json!({"jti": null})] {
        let (token, other) = (world.token(changes.clone()), world.token(json!({"jti": "other"})));
        let verified = guard.verify(&alone(&token)).await.unwrap();
        guard.revoke_token(&verified, "stolen").await.unwrap();
        assert_eq!(
            (code(&guard, &token).await, code(&guard, &other).await),
            ("token.revoked", "ok"),
            "{changes}"
        );
    }
}

/// (r, n - s) is a good signature too: RFC 7515 has no canonical one for ES256.
#[tokio::test]
async fn the_twin_of_a_revoked_token_is_revoked() {
    let world = World::new();
    assert_eq!(world.key.algorithm(), Algorithm::ES256);
    let guard = world.guard();
    for changes in [json!({}), json!({"jti": null})] {
        let token = world.token(changes);
        let twin = high_s(&token);
        assert_ne!(token, twin);
        assert_eq!(
            (code(&guard, &token).await, code(&guard, &twin).await),
            ("ok", "ok"),
            "both verify"
        );
        let verified = guard.verify(&alone(&token)).await.unwrap();
        guard.revoke_token(&verified, "stolen").await.unwrap();
        assert_eq!(
            (code(&guard, &token).await, code(&guard, &twin).await),
            ("token.revoked", "token.revoked")
        );
    }
}

#[tokio::test]
async fn a_revocation_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let (revoked, session, good);
    {
        let world = World::with_key(key.clone());
        let guard = world.builder().revocations(open(&file, &world.clock)).build().unwrap();
        (revoked, session) = (
            world.token(json!({"sub": "alice"})),
            world.token(json!({"sid": "sid-out"})),
        );
        good = world.token(json!({"sub": "bob", "sid": "sid-in"}));
        assert_eq!(
            (code(&guard, &revoked).await, code(&guard, &session).await),
            ("ok", "ok")
        );
        guard.revoke(subject("alice", None)).await.unwrap();
        let target = RevocationTarget::Session {
            iss: ISSUER.into(),
            sid: "sid-out".into(),
        };
        guard
            .revoke(Revocation {
                target,
                ..subject("", None)
            })
            .await
            .unwrap();
    }
    let world = World::with_key(key);
    let guard = world.builder().revocations(open(&file, &world.clock)).build().unwrap();
    assert!(!guard.is_ready(), "the list is read by whoever comes first");
    for (token, expected) in [(&revoked, "token.revoked"), (&session, "token.revoked"), (&good, "ok")] {
        assert_eq!(code(&guard, token).await, expected);
    }
    assert!(guard.is_ready());
}

#[tokio::test]
async fn another_replica_learns_of_it_and_of_its_end() {
    let world = World::new();
    let store: Arc<dyn RevocationStore> = Arc::new(SqliteStore::in_memory(world.clock.clone()).unwrap());
    let guards = [(); 2].map(|()| world.builder().revocations(Arc::clone(&store)).build().unwrap());
    let [here, there] = &guards;
    let token = world.token(json!({}));
    assert_eq!((code(here, &token).await, code(there, &token).await), ("ok", "ok"));
    here.revoke(subject("user-1", None)).await.unwrap();
    assert_eq!(
        (code(here, &token).await, code(there, &token).await),
        ("token.revoked", "ok")
    );
    there.sync_revocations().await.unwrap();
    assert_eq!(code(there, &token).await, "token.revoked");
    let (sequence, _) = store.list_after(0).await.unwrap()[0];
    assert!(store.remove(sequence).await.unwrap());
    for guard in &guards {
        guard.sync_revocations().await.unwrap();
        assert_eq!(code(guard, &token).await, "ok", "taken back");
    }
}

#[tokio::test]
async fn guards_that_share_a_list_learn_at_once() {
    let world = World::new();
    let shared = Revocations::in_memory();
    let [orders, billing] = [(); 2].map(|()| world.builder().shared_revocations(shared.clone()).build().unwrap());
    let (token, alone) = (world.token(json!({})), world.guard());
    assert_eq!(
        (code(&orders, &token).await, code(&billing, &token).await),
        ("ok", "ok")
    );
    orders.revoke(subject("user-1", None)).await.unwrap();
    assert_eq!(
        (code(&orders, &token).await, code(&billing, &token).await),
        ("token.revoked", "token.revoked")
    );
    assert_eq!((billing.revocations().len(), code(&alone, &token).await), (1, "ok"));
}

#[tokio::test]
async fn an_unreadable_list_is_503_and_a_failed_write_is_an_error() {
    let world = World::new();
    let guard = world.builder().revocations(Arc::new(Broken)).build().unwrap();
    let answer = world.send_token(&guard, "Read", &world.token(json!({}))).await;
    assert_eq!(
        (answer.status, answer.header("retry-after"), world.reached()),
        (503, Some("5"), 0)
    );
    assert_eq!(world.last_event().event.refused().unwrap().code, "store.unavailable");
    assert_eq!(
        guard.revoke(subject("alice", None)).await.unwrap_err().code(),
        "store.unavailable"
    );
    assert_eq!(guard.cached().0, 0);
}

fn open(file: &std::path::Path, clock: &Arc<ManualClock>) -> Arc<dyn RevocationStore> {
    Arc::new(SqliteStore::open(file, clock.clone()).unwrap())
}

fn high_s(token: &str) -> String {
    // The order of P-256 (FIPS 186-5).
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
        0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = base64url_decode(signature).unwrap();
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i16::from(ORDER[index]) - i16::from(signature[32 + index]) - borrow;
        borrow = i16::from(difference < 0);
        signature[32 + index] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", base64url_encode(&signature))
}

#[derive(Debug)]
struct Broken;

impl Broken {
    fn down<T: Send + 'static>() -> BoxFuture<'static, Result<T, StoreError>> {
        Box::pin(async {
            Err(StoreError::Unavailable {
                cause: "connection refused".into(),
            })
        })
    }
}

impl RevocationStore for Broken {
    fn add(&self, _: Revocation) -> BoxFuture<'_, Result<u64, StoreError>> {
        Broken::down()
    }

    fn list_after(&self, _: u64) -> BoxFuture<'_, Result<Vec<(u64, Revocation)>, StoreError>> {
        Broken::down()
    }

    fn remove(&self, _: u64) -> BoxFuture<'_, Result<bool, StoreError>> {
        Broken::down()
    }

    fn removals(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Broken::down()
    }
}

#[tokio::test]
async fn what_is_taken_back_passes_again_and_is_no_longer_listed() {
    let world = World::new();
    let store: Arc<dyn RevocationStore> = Arc::new(SqliteStore::in_memory(world.clock.clone()).unwrap());
    for revocations in [Revocations::in_memory(), Revocations::stored(store)] {
        let guard = world.builder().shared_revocations(revocations.clone()).build().unwrap();
        let token = world.token(json!({}));
        let now = UnixTime::from_secs(NOW);
        let id = revocations.revoke(subject("user-1", None), now).await.unwrap();
        let other = revocations.revoke(subject("user-2", None), now).await.unwrap();
        assert_eq!(code(&guard, &token).await, "token.revoked");
        assert_eq!(
            revocations.in_force(now),
            [(id, subject("user-1", None)), (other, subject("user-2", None))]
        );
        assert_eq!(revocations.take_back(id).await.unwrap(), Some(subject("user-1", None)));
        assert_eq!(code(&guard, &token).await, "ok");
        assert_eq!(revocations.take_back(id).await.unwrap(), None, "it is gone");
        assert_eq!(revocations.in_force(now).len(), 1);
        assert_eq!(revocations.in_force(now.plus(86_400)), [], "it has ended by itself");
    }
}

/// The store answers until it is told not to.
#[derive(Debug)]
struct Moody {
    store: SqliteStore,
    down: std::sync::atomic::AtomicBool,
}

impl Moody {
    fn set_down(&self, down: bool) {
        self.down.store(down, std::sync::atomic::Ordering::Relaxed);
    }

    fn ask<'a, T: Send + 'static>(
        &self,
        answer: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        match self.down.load(std::sync::atomic::Ordering::Relaxed) {
            true => Broken::down(),
            false => answer,
        }
    }
}

impl RevocationStore for Moody {
    fn add(&self, revocation: Revocation) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.ask(self.store.add(revocation))
    }

    fn list_after(&self, sequence: u64) -> BoxFuture<'_, Result<Vec<(u64, Revocation)>, StoreError>> {
        self.ask(self.store.list_after(sequence))
    }

    fn remove(&self, sequence: u64) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.ask(self.store.remove(sequence))
    }

    fn removals(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.ask(self.store.removals())
    }
}

#[tokio::test]
async fn a_stale_list_refuses_or_serves_and_alarms_once_as_each_route_wants_it() {
    let world = World::new();
    let store = Arc::new(Moody {
        store: SqliteStore::in_memory(world.clock.clone()).unwrap(),
        down: std::sync::atomic::AtomicBool::new(false),
    });
    let shared = Revocations::stored(store.clone());
    let guard = |rule| {
        let builder = world.builder().shared_revocations(shared.clone());
        builder.stale_revocations(rule).build().unwrap()
    };
    let refusing = guard(StaleRevocations::Refuse { after: 60 });
    let serving = guard(StaleRevocations::Serve { after: 60 });
    let untold = world.builder().shared_revocations(shared.clone()).build().unwrap();
    let (token, revoked) = (world.token(json!({})), world.token(json!({"sub": "alice"})));
    refusing.revoke(subject("alice", None)).await.unwrap();
    let ask = async |token: &str| {
        (
            code(&refusing, token).await,
            code(&serving, token).await,
            code(&untold, token).await,
        )
    };
    assert_eq!(ask(&token).await, ("ok", "ok", "ok"));

    store.set_down(true);
    world.clock.advance(60);
    assert!(shared.sync(UnixTime::from_secs(NOW + 60)).await.is_err());
    assert_eq!(ask(&token).await, ("ok", "ok", "ok"), "60 s are allowed");
    assert!(refusing.is_ready());
    world.clock.advance(1);
    for _ in 0..3 {
        assert_eq!(ask(&token).await, ("store.unavailable", "ok", "ok"), "cached or not");
    }
    assert_eq!(
        ask(&revoked).await,
        ("token.revoked", "token.revoked", "token.revoked"),
        "what is known holds"
    );
    assert!(!refusing.is_ready() && serving.is_ready());
    let answer = world.send_token(&refusing, "Read", &token).await;
    assert_eq!(
        (answer.status, answer.header("retry-after"), world.reached()),
        (503, Some("5"), 0)
    );
    let metrics = world.audit.metrics();
    assert_eq!(metrics.events("revocations_stale"), 2, "once for each guard");
    assert!(
        metrics
            .render()
            .contains("\nportcullis_stale_revocations_served_total 3\n")
    );

    // A call tries itself, once in a second.
    store.set_down(false);
    assert_eq!(code(&refusing, &token).await, "store.unavailable");
    world.clock.advance(1);
    assert_eq!(ask(&token).await, ("ok", "ok", "ok"));
    // A clock that was set, or a machine that has slept, costs nobody a call.
    world.clock.advance(61);
    assert_eq!(ask(&token).await, ("ok", "ok", "ok"));
    store.set_down(true);
    world.clock.advance(61);
    assert_eq!(ask(&token).await, ("store.unavailable", "ok", "ok"));
    assert_eq!(metrics.events("revocations_stale"), 4, "told anew");
}

/// The store fails after two seconds, or does not answer at all.
#[derive(Debug)]
struct Slow {
    clock: Arc<ManualClock>,
    hangs: bool,
    asked: std::sync::atomic::AtomicUsize,
    up: std::sync::atomic::AtomicBool,
}

impl Slow {
    fn new(world: &World, hangs: bool) -> Arc<Slow> {
        Arc::new(Slow {
            clock: Arc::clone(&world.clock),
            hangs,
            asked: std::sync::atomic::AtomicUsize::new(0),
            up: std::sync::atomic::AtomicBool::new(true),
        })
    }

    fn set_up(&self, up: bool) {
        self.up.store(up, std::sync::atomic::Ordering::SeqCst);
    }

    /// How often it was asked since the last time.
    fn asked(&self) -> usize {
        self.asked.swap(0, std::sync::atomic::Ordering::SeqCst)
    }
}

impl RevocationStore for Slow {
    fn add(&self, _: Revocation) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(std::future::ready(Ok(1)))
    }

    fn list_after(&self, _: u64) -> BoxFuture<'_, Result<Vec<(u64, Revocation)>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn remove(&self, _: u64) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn removals(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        // A guard that goes on asking gets an answer at last, so that the test ends.
        let asked = self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        match self.up.load(std::sync::atomic::Ordering::SeqCst) || asked > 20 {
            true => Box::pin(async {
                // Others get their turn in the middle of a reading.
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                Ok(0)
            }),
            false if self.hangs => Box::pin(std::future::pending()),
            false => {
                self.clock.advance(2);
                Broken::down()
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_slowly_is_asked_once_for_a_call() {
    for hangs in [false, true] {
        let world = World::new();
        let store = Slow::new(&world, hangs);
        let shared = Revocations::stored(store.clone());
        let guard = |rule| {
            let builder = world.builder().shared_revocations(shared.clone());
            builder.stale_revocations(rule).build().unwrap()
        };
        let refusing = guard(StaleRevocations::Refuse { after: 60 });
        let serving = guard(StaleRevocations::Serve { after: 60 });
        let token = world.token(json!({}));
        assert_eq!(code(&serving, &token).await, "ok");
        store.asked();

        store.set_up(false);
        world.clock.advance(61);
        // New to the cache, and known to it.
        let new = world.token(json!({}));
        for (guard, expected) in [(&serving, "ok"), (&refusing, "store.unavailable")] {
            for token in [&new, &token, &new] {
                assert_eq!(code(guard, token).await, expected, "hangs: {hangs}");
                assert!(store.asked() <= 1, "hangs: {hangs}");
                world.clock.advance(1);
            }
        }
        // Who revokes does not wait for ever.
        serving.revoke(subject("user-1", None)).await.unwrap();
        assert_eq!(code(&serving, &token).await, "token.revoked");
        // What hangs is given up, and the next reading is a good one.
        store.set_up(true);
        serving.sync_revocations().await.unwrap();
        assert_eq!(code(&refusing, &world.token(json!({"sub": "bob"}))).await, "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_read_in_time_is_503_for_all_who_wait_and_read_once() {
    for hangs in [false, true] {
        let world = World::new();
        let store = Slow::new(&world, hangs);
        store.set_up(false);
        let guard = world.builder().revocations(store.clone()).build().unwrap();
        let token = world.token(json!({}));
        let calls = (0..20).map(|_| world.send_token(&guard, "Read", &token));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(
                (answer.status, answer.header("retry-after")),
                (503, Some("5")),
                "hangs: {hangs}"
            );
        }
        assert_eq!((store.asked(), world.reached()), (1, 0), "hangs: {hangs}");
        store.set_up(true);
        guard.sync_revocations().await.unwrap();
        assert_eq!(code(&guard, &token).await, "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_come_while_a_list_that_was_too_old_is_read_wait_for_it() {
    let world = World::new();
    let store = Slow::new(&world, false);
    let builder = world.builder().revocations(store.clone());
    let stale = StaleRevocations::Refuse { after: 60 };
    let guard = builder.stale_revocations(stale).build().unwrap();
    let token = world.token(json!({}));
    assert_eq!(code(&guard, &token).await, "ok");
    store.asked();
    // The machine has slept; the store is well, and takes its time.
    world.clock.advance(61);
    let calls = (0..20).map(async |turns| {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        world.send_token(&guard, "Read", &token).await.status
    });
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers, [200; 20]);
    assert_eq!(store.asked(), 1);
}

#[tokio::test]
async fn where_a_jti_is_demanded_a_token_without_is_refused() {
    let world = World::new();
    let demanding = world.builder().require_jti().build().unwrap();
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"jti": null}), "token.claim_missing"),
        (json!({"jti": ""}), "token.claim_missing"),
    ] {
        let token = world.token(changes.clone());
        assert_eq!(code(&demanding, &token).await, expected, "{changes}");
        assert_eq!(code(&world.guard(), &token).await, "ok", "{changes}");
    }
}
