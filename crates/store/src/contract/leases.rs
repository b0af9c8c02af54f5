//! Leases and what they guard.

use super::{Fixture, key};
use crate::{LeaseName, StoreError};

pub(super) async fn all(fresh: &impl AsyncFn() -> Fixture) {
    a_lease_has_one_holder(fresh().await).await;
    a_lease_runs_out(fresh().await).await;
    a_lease_that_was_not_given_back_is_told(fresh().await).await;
    the_holder_alone_extends(fresh().await).await;
    only_the_holder_gives_a_lease_back(fresh().await).await;
    numbers_grow_for_ever(fresh().await).await;
    the_holder_updates(fresh().await).await;
    a_late_holder_is_refused(fresh().await).await;
    a_holder_that_is_late_but_alone_is_not_refused(fresh().await).await;
    a_number_of_another_lease_is_refused(fresh().await).await;
}

async fn a_lease_has_one_holder(f: Fixture) {
    let name = LeaseName::job("purge");
    let lease = f.store.acquire(name, "one", 30).await.unwrap().unwrap();
    assert_eq!((lease.name, lease.expires), (name, f.now().plus(30)));
    assert_eq!(f.store.acquire(name, "two", 30).await.unwrap(), None);
    assert_eq!(
        f.store.acquire(name, "one", 30).await.unwrap(),
        None,
        "two tasks of one holder are two"
    );
    // Another name is another lease.
    assert!(
        f.store
            .acquire(LeaseName::job("other"), "two", 30)
            .await
            .unwrap()
            .is_some()
    );

    assert!(f.store.release(lease).await.unwrap());
    assert!(f.store.acquire(name, "two", 30).await.unwrap().is_some());
}

async fn a_lease_runs_out(f: Fixture) {
    let name = LeaseName::job("purge");
    let first = f.store.acquire(name, "one", 30).await.unwrap().unwrap();
    f.pass(20);
    assert_eq!(f.store.acquire(name, "two", 30).await.unwrap(), None);
    f.pass(10);
    let second = f.store.acquire(name, "two", 30).await.unwrap().unwrap();
    assert!(second.fencing > first.fencing);
}

async fn a_lease_that_was_not_given_back_is_told(f: Fixture) {
    let name = LeaseName::job("purge");
    let first = f.store.acquire(name, "one", 30).await.unwrap().unwrap();
    assert!(!first.lapsed, "there was none before");
    assert!(f.store.release(first).await.unwrap());
    let second = f.store.acquire(name, "two", 30).await.unwrap().unwrap();
    assert!(!second.lapsed, "the one before was given back");
    f.pass(30);
    let third = f.store.acquire(name, "three", 30).await.unwrap().unwrap();
    assert!(third.lapsed);
    assert!(f.store.release(third).await.unwrap());
    f.pass(30);
    assert!(!f.store.acquire(name, "four", 30).await.unwrap().unwrap().lapsed);
}

async fn the_holder_alone_extends(f: Fixture) {
    let name = LeaseName::job("purge");
    let first = f.store.acquire(name, "one", 30).await.unwrap().unwrap();
    f.pass(20);
    assert!(f.store.extend(&first, 30).await.unwrap());
    f.pass(20);
    assert_eq!(f.store.acquire(name, "two", 30).await.unwrap(), None);
    // One that has run out and that nobody else has had.
    f.pass(10);
    assert!(f.store.extend(&first, 30).await.unwrap());
    assert_eq!(f.store.acquire(name, "two", 30).await.unwrap(), None);
    f.pass(30);
    let second = f.store.acquire(name, "two", 30).await.unwrap().unwrap();
    assert!(!f.store.extend(&first, 30).await.unwrap(), "somebody else has it");
    assert!(f.store.release(second.clone()).await.unwrap());
    assert!(!f.store.extend(&second, 30).await.unwrap(), "it was given back");
    assert!(f.store.acquire(name, "three", 30).await.unwrap().is_some());
}

/// A replica's clock is wrong by an hour, one way and the other: what others hold it does not take, and its own is held.
pub(super) async fn clocks_that_differ_agree(f: Fixture) {
    let name = LeaseName::job("purge");
    let lease = f.store.acquire(name, "one", 30).await.unwrap().unwrap();
    f.clock.advance(3_600);
    assert_eq!(f.store.acquire(name, "two", 30).await.unwrap(), None, "an hour ahead");
    f.clock.advance(-7_200);
    assert_eq!(f.store.acquire(name, "two", 30).await.unwrap(), None, "an hour behind");
    assert!(f.store.release(lease).await.unwrap());

    let late = f.store.acquire(name, "two", 30).await.unwrap().unwrap();
    f.clock.advance(3_600);
    assert_eq!(
        f.store.acquire(name, "one", 30).await.unwrap(),
        None,
        "of one that is behind"
    );
    f.pass(30);
    let next = f.store.acquire(name, "one", 30).await.unwrap().unwrap();
    assert!(next.fencing > late.fencing);
}

async fn only_the_holder_gives_a_lease_back(f: Fixture) {
    let name = LeaseName::job("purge");
    let first = f.store.acquire(name, "one", 30).await.unwrap().unwrap();
    f.pass(30);
    let second = f.store.acquire(name, "two", 30).await.unwrap().unwrap();
    assert!(
        !f.store.release(first).await.unwrap(),
        "a latecomer gave the other's lease away"
    );
    assert_eq!(f.store.acquire(name, "three", 30).await.unwrap(), None);
    assert!(f.store.release(second.clone()).await.unwrap());
    assert!(!f.store.release(second).await.unwrap());
}

async fn numbers_grow_for_ever(f: Fixture) {
    let name = LeaseName::job("purge");
    let mut last = 0;
    for _ in 0..3 {
        let lease = f.store.acquire(name, "one", 30).await.unwrap().unwrap();
        assert!(lease.fencing > last);
        last = lease.fencing;
        assert!(f.store.release(lease).await.unwrap());
        // Long enough for the store to forget the lease itself.
        f.pass(1_000_000);
        f.store.purge_expired().await.unwrap();
    }
}

async fn the_holder_updates(f: Fixture) {
    let version = f.store.create(key("a"), f.record("old")).await.unwrap();
    let lease = f
        .store
        .acquire(LeaseName::session(&key("a")), "one", 30)
        .await
        .unwrap()
        .unwrap();
    let next = f
        .store
        .update_fenced(key("a"), version, lease.fencing, f.record("new"))
        .await
        .unwrap();
    assert_eq!(f.content(key("a")).await.as_deref(), Some("new"));

    let stale = f
        .store
        .update_fenced(key("a"), version, lease.fencing, f.record("lost"))
        .await;
    assert_eq!(stale, Err(StoreError::Conflict), "a lease does not replace the version");
    f.store.delete(key("a")).await.unwrap();
    let gone = f
        .store
        .update_fenced(key("a"), next, lease.fencing, f.record("back"))
        .await;
    assert_eq!(gone, Err(StoreError::Gone));
    assert_eq!(f.content(key("a")).await, None);
}

/// A holder stops for longer than its lease, another takes over, then the first one wakes up.
async fn a_late_holder_is_refused(f: Fixture) {
    let version = f.store.create(key("a"), f.record("old")).await.unwrap();
    let name = LeaseName::session(&key("a"));
    let first = f.store.acquire(name, "one", 10).await.unwrap().unwrap();
    f.pass(20);
    let second = f.store.acquire(name, "two", 10).await.unwrap().unwrap();

    // The second holder has not written yet: the version alone would let the first one through.
    let late = f
        .store
        .update_fenced(key("a"), version, first.fencing, f.record("late"))
        .await;
    assert_eq!(late, Err(StoreError::LeaseLost));
    f.store
        .update_fenced(key("a"), version, second.fencing, f.record("new"))
        .await
        .unwrap();
    assert_eq!(f.content(key("a")).await.as_deref(), Some("new"));
}

async fn a_holder_that_is_late_but_alone_is_not_refused(f: Fixture) {
    let version = f.store.create(key("a"), f.record("old")).await.unwrap();
    let lease = f
        .store
        .acquire(LeaseName::session(&key("a")), "one", 10)
        .await
        .unwrap()
        .unwrap();
    f.pass(20);
    f.store.purge_expired().await.unwrap();
    f.store
        .update_fenced(key("a"), version, lease.fencing, f.record("new"))
        .await
        .unwrap();
    assert_eq!(f.content(key("a")).await.as_deref(), Some("new"));
}

async fn a_number_of_another_lease_is_refused(f: Fixture) {
    let version = f.store.create(key("a"), f.record("old")).await.unwrap();
    let without = f.store.update_fenced(key("a"), version, 1, f.record("x")).await;
    assert_eq!(without, Err(StoreError::LeaseLost), "nobody holds the lease");

    let other = f
        .store
        .acquire(LeaseName::session(&key("b")), "one", 30)
        .await
        .unwrap()
        .unwrap();
    let mine = f
        .store
        .acquire(LeaseName::session(&key("a")), "one", 30)
        .await
        .unwrap()
        .unwrap();
    for fencing in [0, other.fencing, mine.fencing + 1, u64::MAX] {
        let update = f.store.update_fenced(key("a"), version, fencing, f.record("x")).await;
        assert_eq!(update, Err(StoreError::LeaseLost), "{fencing}");
    }
    assert_eq!(f.content(key("a")).await.as_deref(), Some("old"));
}
