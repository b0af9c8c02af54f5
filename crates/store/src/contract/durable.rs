//! What outlives the process.

use std::sync::Arc;

use portcullis_jose::{ManualClock, UnixTime};

use super::{Fixture, ISSUER, key};
use crate::{IndexKey, LeaseName, Revocation, RevocationTarget, Store, StoreError};

/// Runs the part of the contract that needs a store which can be opened again. `open` opens the same,
/// at first empty, state every time.
///
/// # Panics
/// Where the store breaks the contract.
pub async fn run_durable(open: impl AsyncFn(Arc<ManualClock>) -> Arc<dyn Store>) {
    let clock = Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)));
    let reopened = async || Fixture {
        store: open(Arc::clone(&clock)).await,
        clock: Arc::clone(&clock),
        ages: Arc::new(|_| ()),
    };

    let before = reopened().await;
    let record = before.record("kept");
    let until = before.now().plus(60);
    let version = before.store.create(key("kept"), record.clone()).await.unwrap();
    before.store.create(key("ended"), record.clone()).await.unwrap();
    before.store.delete(key("ended")).await.unwrap();
    assert!(before.store.mark("logout", b"jti", until).await.unwrap());
    let revocation = Revocation {
        target: RevocationTarget::Issuer { iss: ISSUER.into() },
        issued_before: None,
        expires: until,
        reason: "a test".into(),
    };
    let sequence = before.store.add(revocation.clone()).await.unwrap();
    let lease = before
        .store
        .acquire(LeaseName::session(&key("kept")), "one", 30)
        .await
        .unwrap()
        .unwrap();
    drop(before);

    let after = reopened().await;
    let found = after.store.get(key("kept")).await.unwrap().unwrap();
    assert_eq!((found.version, found.value), (version, record.clone()));
    assert_eq!(after.content(key("ended")).await, None);
    assert_eq!(
        after.store.create(key("ended"), record.clone()).await,
        Err(StoreError::Gone)
    );
    assert!(!after.store.mark("logout", b"jti", until).await.unwrap());
    assert_eq!(after.store.list_after(0).await.unwrap(), [(sequence, revocation)]);
    assert_eq!(after.store.acquire(lease.name, "two", 30).await.unwrap(), None);
    after
        .store
        .update_fenced(key("kept"), version, lease.fencing, record)
        .await
        .unwrap();

    // Two at once, as two replicas have it open.
    let other = reopened().await;
    let subject = IndexKey::subject(ISSUER, "alice");
    assert_eq!(other.store.delete_by_subject(subject).await.unwrap(), 1);
    assert_eq!(
        after.content(key("kept")).await,
        None,
        "the other replica's sign-out is not seen"
    );
}
