//! Sessions.

use super::{Fixture, ISSUER, key};
use crate::{IndexKey, MAX_SEALED_BYTES, StoreError, Version};

pub(super) async fn all(fresh: &impl AsyncFn() -> Fixture) {
    what_was_stored_comes_back(fresh().await).await;
    a_glance_sees_what_a_reading_would(fresh().await).await;
    a_key_is_used_once(fresh().await).await;
    an_update_needs_the_version_that_was_read(fresh().await).await;
    an_update_never_creates(fresh().await).await;
    a_slow_update_does_not_bring_a_deleted_session_back(fresh().await).await;
    an_idle_session_expires(fresh().await).await;
    a_touched_session_lives_on_but_not_for_ever(fresh().await).await;
    a_touch_makes_no_update_fail(fresh().await).await;
    an_update_does_not_prolong_the_whole_lifetime(fresh().await).await;
    all_sessions_of_a_subject_end_together(fresh().await).await;
    all_sessions_of_a_sid_end_together(fresh().await).await;
    an_update_moves_the_session_in_the_indexes(fresh().await).await;
    a_record_that_is_too_large_is_refused(fresh().await).await;
}

async fn what_was_stored_comes_back(f: Fixture) {
    let mut record = f.record("one");
    record.sealed = (0..=255).collect();
    let version = f.store.create(key("a"), record.clone()).await.unwrap();
    let found = f.store.get(key("a")).await.unwrap().unwrap();
    assert_eq!(found.value, record);
    assert_eq!(found.version, version);
    assert_eq!(f.store.get(key("b")).await.unwrap(), None);

    let mut bare = f.record("bare");
    (bare.subject_index, bare.sid_index) = (None, None);
    f.store.create(key("c"), bare.clone()).await.unwrap();
    assert_eq!(f.store.get(key("c")).await.unwrap().unwrap().value, bare);
}

async fn a_glance_sees_what_a_reading_would(f: Fixture) {
    let glance = async |expected: Option<(Version, i64)>| {
        let found = f.store.glance(key("a")).await.unwrap();
        assert_eq!(
            found.map(|found| (found.version, found.idle_expires.as_secs())),
            expected
        );
        let read = f.store.get(key("a")).await.unwrap();
        assert_eq!(
            read.map(|read| (read.version, read.value.idle_expires.as_secs())),
            expected
        );
    };
    let began = f.now();
    glance(None).await;
    let first = f.store.create(key("a"), f.record("one")).await.unwrap();
    glance(Some((first, began.plus(1_800).as_secs()))).await;
    let second = f.store.update(key("a"), first, f.record("two")).await.unwrap();
    assert_ne!(first, second);
    glance(Some((second, began.plus(1_800).as_secs()))).await;
    f.store.touch(key("a"), began.plus(2_000)).await.unwrap();
    glance(Some((second, began.plus(2_000).as_secs()))).await;
    f.clock.advance(1_999);
    glance(Some((second, began.plus(2_000).as_secs()))).await;
    f.clock.advance(1);
    glance(None).await;

    f.store.create(key("b"), f.record("one")).await.unwrap();
    assert!(f.store.glance(key("b")).await.unwrap().is_some());
    f.store.delete(key("b")).await.unwrap();
    assert_eq!(f.store.glance(key("b")).await.unwrap(), None);
}

async fn a_key_is_used_once(f: Fixture) {
    f.store.create(key("a"), f.record("first")).await.unwrap();
    let again = f.store.create(key("a"), f.record("second")).await;
    assert_eq!(again, Err(StoreError::Conflict));
    assert_eq!(f.content(key("a")).await.as_deref(), Some("first"));

    assert!(f.store.delete(key("a")).await.unwrap());
    let again = f.store.create(key("a"), f.record("third")).await;
    assert_eq!(
        again,
        Err(StoreError::Gone),
        "a deleted session came back under its key"
    );
    assert_eq!(f.content(key("a")).await, None);
}

async fn an_update_needs_the_version_that_was_read(f: Fixture) {
    let first = f.store.create(key("a"), f.record("one")).await.unwrap();
    let second = f.store.update(key("a"), first, f.record("two")).await.unwrap();
    assert_ne!(first, second);
    let late = f.store.update(key("a"), first, f.record("lost")).await;
    assert_eq!(late, Err(StoreError::Conflict));

    let found = f.store.get(key("a")).await.unwrap().unwrap();
    assert_eq!((found.version, found.value.sealed.as_slice()), (second, &b"two"[..]));
    f.store.update(key("a"), second, f.record("three")).await.unwrap();
    assert_eq!(f.content(key("a")).await.as_deref(), Some("three"));
}

async fn an_update_never_creates(f: Fixture) {
    for version in [0, 1, 2, u64::MAX] {
        let update = f
            .store
            .update(key("a"), Version::from_u64(version), f.record("x"))
            .await;
        assert_eq!(update, Err(StoreError::Gone));
    }
    assert_eq!(f.content(key("a")).await, None);
}

/// Sign-out while a request is under way: the request reads, the sign-out deletes, the request writes.
async fn a_slow_update_does_not_bring_a_deleted_session_back(f: Fixture) {
    f.store.create(key("a"), f.record("one")).await.unwrap();
    let read = f.store.get(key("a")).await.unwrap().unwrap();
    assert!(f.store.delete(key("a")).await.unwrap());
    assert!(
        !f.store.delete(key("a")).await.unwrap(),
        "there was nothing left to delete"
    );

    let slow = f.store.update(key("a"), read.version, read.value.clone()).await;
    assert_eq!(slow, Err(StoreError::Gone));
    // Nor with the version that the deletion may have left behind.
    let guessed = Version::from_u64(read.version.as_u64() + 1);
    let slow = f.store.update(key("a"), guessed, read.value).await;
    assert_eq!(slow, Err(StoreError::Gone));
    assert!(!f.store.touch(key("a"), f.now().plus(60)).await.unwrap());
    assert_eq!(f.content(key("a")).await, None);
}

async fn an_idle_session_expires(f: Fixture) {
    let version = f.store.create(key("a"), f.record("one")).await.unwrap();
    f.clock.advance(1_799);
    assert_eq!(f.content(key("a")).await.as_deref(), Some("one"));
    f.clock.advance(1);
    assert_eq!(f.content(key("a")).await, None);
    assert_eq!(
        f.store.update(key("a"), version, f.record("two")).await,
        Err(StoreError::Gone)
    );
    assert!(!f.store.touch(key("a"), f.now().plus(60)).await.unwrap());
    assert!(!f.store.delete(key("a")).await.unwrap());
    assert!(f.store.keys_by_subject(alice()).await.unwrap().is_empty());
    assert_eq!(f.store.delete_by_subject(alice()).await.unwrap(), 0);
}

async fn a_touched_session_lives_on_but_not_for_ever(f: Fixture) {
    let record = f.record("one");
    f.store.create(key("a"), record.clone()).await.unwrap();
    f.clock.advance(1_000);
    assert!(f.store.touch(key("a"), f.now().plus(1_800)).await.unwrap());
    // A request that is slower must not take the time back.
    assert!(f.store.touch(key("a"), f.now().plus(10)).await.unwrap());
    f.clock.advance(1_799);
    assert!(f.store.touch(key("a"), f.now().plus(1_000_000)).await.unwrap());
    let found = f.store.get(key("a")).await.unwrap().unwrap();
    assert_eq!(
        found.value.idle_expires, record.expires,
        "a session outlives its absolute end"
    );
    f.clock.set(record.expires);
    assert_eq!(f.content(key("a")).await, None);
}

async fn a_touch_makes_no_update_fail(f: Fixture) {
    f.store.create(key("a"), f.record("one")).await.unwrap();
    let read = f.store.get(key("a")).await.unwrap().unwrap();
    f.clock.advance(600);
    let touched = f.now().plus(1_800);
    assert!(f.store.touch(key("a"), touched).await.unwrap());

    // The record that was read still has the old idle time in it.
    f.store.update(key("a"), read.version, read.value).await.unwrap();
    let found = f.store.get(key("a")).await.unwrap().unwrap();
    assert_eq!(found.value.idle_expires, touched, "the update undid the touch");
}

async fn an_update_does_not_prolong_the_whole_lifetime(f: Fixture) {
    let record = f.record("one");
    let version = f.store.create(key("a"), record.clone()).await.unwrap();
    let mut longer = record.clone();
    longer.created = record.created.plus(500);
    longer.expires = record.expires.plus(500);
    longer.idle_expires = longer.expires;
    let version = f.store.update(key("a"), version, longer).await.unwrap();
    let found = f.store.get(key("a")).await.unwrap().unwrap().value;
    assert_eq!(
        (found.created, found.expires, found.idle_expires),
        (record.created, record.expires, record.expires)
    );

    let mut shorter = record;
    shorter.expires = f.now().plus(60);
    f.store.update(key("a"), version, shorter).await.unwrap();
    f.clock.advance(60);
    assert_eq!(f.content(key("a")).await, None);
}

async fn all_sessions_of_a_subject_end_together(f: Fixture) {
    for name in ["a", "b", "c"] {
        f.store.create(key(name), f.record(name)).await.unwrap();
        f.clock.advance(1);
    }
    let mut other = f.record("bob");
    other.subject_index = Some(IndexKey::subject(ISSUER, "bob"));
    f.store.create(key("d"), other).await.unwrap();
    let mut elsewhere = f.record("another alice");
    elsewhere.subject_index = Some(IndexKey::subject("https://other.example.test", "alice"));
    f.store.create(key("e"), elsewhere).await.unwrap();

    let keys = f.store.keys_by_subject(alice()).await.unwrap();
    assert_eq!(keys, [key("a"), key("b"), key("c")]);
    let read = f.store.get(key("b")).await.unwrap().unwrap();
    assert_eq!(f.store.delete_by_subject(alice()).await.unwrap(), 3);
    for name in ["a", "b", "c"] {
        assert_eq!(f.content(key(name)).await, None);
    }
    assert_eq!(
        f.store.update(key("b"), read.version, read.value).await,
        Err(StoreError::Gone)
    );
    assert_eq!(f.content(key("d")).await.as_deref(), Some("bob"));
    assert_eq!(f.content(key("e")).await.as_deref(), Some("another alice"));
    assert!(f.store.keys_by_subject(alice()).await.unwrap().is_empty());
    assert_eq!(f.store.delete_by_subject(alice()).await.unwrap(), 0);
}

async fn all_sessions_of_a_sid_end_together(f: Fixture) {
    f.store.create(key("a"), f.record("a")).await.unwrap();
    f.store.create(key("b"), f.record("b")).await.unwrap();
    let mut other = f.record("c");
    other.sid_index = Some(IndexKey::sid(ISSUER, "sid-2"));
    f.store.create(key("c"), other).await.unwrap();

    assert_eq!(f.store.delete_by_sid(IndexKey::sid(ISSUER, "sid-1")).await.unwrap(), 2);
    assert_eq!(f.content(key("a")).await, None);
    assert_eq!(f.content(key("b")).await, None);
    assert_eq!(f.content(key("c")).await.as_deref(), Some("c"));
    // A subject's index is no sid's.
    assert_eq!(f.store.delete_by_sid(alice()).await.unwrap(), 0);
}

async fn an_update_moves_the_session_in_the_indexes(f: Fixture) {
    let version = f.store.create(key("a"), f.record("a")).await.unwrap();
    let bob = IndexKey::subject(ISSUER, "bob");
    let mut record = f.record("a");
    (record.subject_index, record.sid_index) = (Some(bob), None);
    f.store.update(key("a"), version, record).await.unwrap();

    assert_eq!(f.store.delete_by_subject(alice()).await.unwrap(), 0);
    assert_eq!(f.store.delete_by_sid(IndexKey::sid(ISSUER, "sid-1")).await.unwrap(), 0);
    assert_eq!(f.store.keys_by_subject(bob).await.unwrap(), [key("a")]);
}

async fn a_record_that_is_too_large_is_refused(f: Fixture) {
    let mut record = f.record("");
    record.sealed = vec![7; MAX_SEALED_BYTES];
    let version = f.store.create(key("a"), record.clone()).await.unwrap();
    assert_eq!(f.store.get(key("a")).await.unwrap().unwrap().value, record);

    record.sealed.push(7);
    let refused = StoreError::TooLarge {
        bytes: MAX_SEALED_BYTES + 1,
        limit: MAX_SEALED_BYTES,
    };
    assert_eq!(f.store.create(key("b"), record.clone()).await, Err(refused.clone()));
    assert_eq!(f.store.update(key("a"), version, record).await, Err(refused));
}

pub(super) async fn purging_removes_what_has_expired_and_nothing_else(f: Fixture) {
    f.store.create(key("a"), f.record("a")).await.unwrap();
    f.clock.advance(1_000);
    f.store.create(key("b"), f.record("b")).await.unwrap();
    f.store.create(key("c"), f.record("c")).await.unwrap();
    f.store.delete(key("c")).await.unwrap();
    assert_eq!(f.store.purge_expired().await.unwrap(), 0);

    f.clock.advance(800);
    assert_eq!(
        f.store.purge_expired().await.unwrap(),
        1,
        "`a` has expired, and it alone"
    );
    assert_eq!(f.content(key("b")).await.as_deref(), Some("b"));
    let again = f.store.create(key("c"), f.record("c")).await;
    assert_eq!(
        again,
        Err(StoreError::Gone),
        "purging forgot that the session was deleted"
    );
}

fn alice() -> IndexKey {
    IndexKey::subject(ISSUER, "alice")
}
