//! Revocations.

use portcullis_jose::UnixTime;

use super::{Fixture, ISSUER};
use crate::{Revocation, RevocationTarget, TokenId};

pub(super) async fn all(fresh: &impl AsyncFn() -> Fixture) {
    every_kind_comes_back_as_it_was(fresh().await).await;
    a_replica_hears_what_is_new_to_it(fresh().await).await;
    an_expired_entry_is_not_listed(fresh().await).await;
    an_entry_can_be_taken_back(fresh().await).await;
}

async fn every_kind_comes_back_as_it_was(f: Fixture) {
    let iss = || ISSUER.to_owned();
    let targets = [
        RevocationTarget::Token {
            id: TokenId::Jti {
                iss: iss(),
                jti: "j\"1\u{0}".into(),
            },
        },
        RevocationTarget::Token {
            id: TokenId::SignedPart([9; 32]),
        },
        RevocationTarget::Session {
            iss: iss(),
            sid: "s".into(),
        },
        RevocationTarget::Subject {
            iss: iss(),
            sub: "alice".into(),
        },
        RevocationTarget::Client {
            iss: iss(),
            client_id: "c".into(),
        },
        RevocationTarget::Issuer { iss: iss() },
    ];
    let mut added = Vec::new();
    for (target, issued_before) in targets.into_iter().zip([None, Some(f.now())].into_iter().cycle()) {
        let revocation = Revocation {
            target,
            issued_before,
            expires: f.now().plus(60),
            reason: "a test".into(),
        };
        let sequence = f.store.add(revocation.clone()).await.unwrap();
        added.push((sequence, revocation));
    }
    assert_eq!(f.store.list_after(0).await.unwrap(), added);
}

async fn a_replica_hears_what_is_new_to_it(f: Fixture) {
    assert!(f.store.list_after(0).await.unwrap().is_empty());
    let until = f.now().plus(60);
    let first = f.store.add(subject("alice", until)).await.unwrap();
    let second = f.store.add(subject("bob", until)).await.unwrap();
    assert!(0 < first && first < second);
    assert_eq!(
        f.store.list_after(first).await.unwrap(),
        [(second, subject("bob", until))]
    );
    assert!(f.store.list_after(second).await.unwrap().is_empty());
    assert!(f.store.list_after(u64::MAX).await.unwrap().is_empty());
    // The same again is an entry of its own: the newer one may reach further.
    assert!(f.store.add(subject("bob", until)).await.unwrap() > second);
}

async fn an_expired_entry_is_not_listed(f: Fixture) {
    let until = f.now().plus(60);
    let first = f.store.add(subject("alice", until)).await.unwrap();
    f.clock.advance(59);
    assert_eq!(f.store.list_after(0).await.unwrap().len(), 1);
    f.clock.advance(1);
    assert!(f.store.list_after(0).await.unwrap().is_empty());
    assert_eq!(f.store.purge_expired().await.unwrap(), 1);
    assert_eq!(f.store.removals().await.unwrap(), 0);
    let next = f.store.add(subject("bob", f.now().plus(60))).await.unwrap();
    assert!(next > first, "a number was issued twice");
}

async fn an_entry_can_be_taken_back(f: Fixture) {
    let until = f.now().plus(60);
    let first = f.store.add(subject("alice", until)).await.unwrap();
    let second = f.store.add(subject("bob", until)).await.unwrap();
    assert!(f.store.remove(second).await.unwrap());
    assert!(!f.store.remove(second).await.unwrap());
    assert!(!f.store.remove(second + 100).await.unwrap());
    assert_eq!(f.store.list_after(0).await.unwrap(), [(first, subject("alice", until))]);
    assert_eq!(f.store.removals().await.unwrap(), 1);
    assert!(
        f.store.add(subject("carol", until)).await.unwrap() > second,
        "a number was issued twice"
    );
}

fn subject(sub: &str, expires: UnixTime) -> Revocation {
    Revocation {
        target: RevocationTarget::Subject {
            iss: ISSUER.into(),
            sub: sub.into(),
        },
        issued_before: None,
        expires,
        reason: "a test".into(),
    }
}
