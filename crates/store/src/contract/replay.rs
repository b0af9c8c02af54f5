//! Replay marks.

use super::Fixture;
use crate::REPLAY_MARGIN_SECS;

pub(super) async fn all(fresh: &impl AsyncFn() -> Fixture) {
    a_thing_is_used_once(fresh().await).await;
    a_mark_is_kept_past_the_expiry(fresh().await).await;
    what_has_expired_already_is_used_once_too(fresh().await).await;
}

async fn a_thing_is_used_once(f: Fixture) {
    let until = f.now().plus(60);
    assert!(f.store.mark("logout", b"jti-1", until).await.unwrap());
    assert!(!f.store.mark("logout", b"jti-1", until).await.unwrap());
    assert!(!f.store.mark("logout", b"jti-1", until.plus(1_000)).await.unwrap());
    // Another purpose, another thing, and another place for the border between the two.
    assert!(f.store.mark("state", b"jti-1", until).await.unwrap());
    assert!(f.store.mark("logout", b"jti-2", until).await.unwrap());
    assert!(f.store.mark("logoutjti", b"-1", until).await.unwrap());
    assert!(f.store.mark("logout", b"", until).await.unwrap());
}

async fn a_mark_is_kept_past_the_expiry(f: Fixture) {
    let until = f.now().plus(60);
    assert!(f.store.mark("logout", b"jti-1", until).await.unwrap());
    f.clock.advance(60 + REPLAY_MARGIN_SECS - 1);
    f.store.purge_expired().await.unwrap();
    assert!(
        !f.store.mark("logout", b"jti-1", until).await.unwrap(),
        "forgotten while it could be accepted"
    );
    f.clock.advance(1);
    assert!(f.store.mark("logout", b"jti-1", until).await.unwrap());
}

pub(super) async fn an_old_mark_is_removed(f: Fixture) {
    let until = f.now().plus(60);
    assert!(f.store.mark("logout", b"jti-1", until).await.unwrap());
    f.clock.advance(1_000_000);
    assert_eq!(f.store.purge_expired().await.unwrap(), 1);
}

async fn what_has_expired_already_is_used_once_too(f: Fixture) {
    let past = f.now().plus(-1_000_000);
    assert!(f.store.mark("logout", b"jti-1", past).await.unwrap());
    assert!(!f.store.mark("logout", b"jti-1", past).await.unwrap());
}
