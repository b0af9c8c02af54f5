//! What the guard allocates, and what it keeps.

use std::convert::Infallible;
use std::hint::black_box;

use allocation_counter::measure;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use portcullis_guard::{Presented, Revocation, RevocationTarget};
use serde_json::json;
use tower::{Layer as _, Service as _, service_fn};

use crate::support::{ISSUER, World, alone, bearer};

#[test]
fn a_remembered_token_is_checked_without_an_allocation() {
    let world = World::new();
    let guard = world.guard();
    // The list of revocations is not empty, so that it is looked into.
    let target = RevocationTarget::Subject {
        iss: ISSUER.into(),
        sub: "somebody else".into(),
    };
    let revocation = Revocation {
        target,
        issued_before: None,
        expires: portcullis_jose::UnixTime::from_secs(crate::support::NOW + 600),
        reason: "test".into(),
    };
    guard.revoke(revocation).now_or_never().unwrap().unwrap();
    let token = world.token(json!({"roles": ["Admin"]}));
    let policy = guard.policy("Admin").unwrap();
    let (parts, ()) = bearer(&token).into_parts();
    let check = || {
        let presented: Presented<'_> = portcullis_guard::Guard::credential(&parts).unwrap();
        let verified = guard.try_verify(&presented).unwrap().unwrap();
        let authorized = guard.authorize(&verified, &presented, &policy).unwrap();
        drop(black_box(authorized));
    };
    check();
    let used = measure(check);
    assert_eq!((used.count_total, used.bytes_total), (0, 0), "{used:?}");
}

/// `http::Extensions` boxes what is put into it; that is all that the layer adds.
#[test]
fn the_layer_allocates_what_handing_over_costs_and_nothing_more() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({}));
    let inner = service_fn(|request: Request<()>| {
        black_box(&request);
        std::future::ready(Ok::<_, Infallible>(Response::new(Bytes::new())))
    });
    let mut guarded = guard.require("Read").unwrap().layer(inner);
    let mut bare = inner;
    let mut send = |request| guarded.call(request).now_or_never().unwrap().unwrap().status();
    assert_eq!(send(bearer(&token)), 200);
    let (with, without, handed_over) = (bearer(&token), bearer(&token), bearer(&token));
    let with = measure(|| assert_eq!(send(with), 200));
    let without = measure(|| drop(bare.call(without).now_or_never()));
    let handed_over = measure(|| {
        let mut request = handed_over;
        request.extensions_mut().insert([0_u8; 64]);
        drop(bare.call(request).now_or_never());
    });
    let extension = handed_over.count_total - without.count_total;
    assert_eq!(
        with.count_total - without.count_total,
        extension,
        "{with:?} {without:?}"
    );
}

#[test]
fn many_distinct_tokens_stay_within_the_bound() {
    const BOUND: usize = 1 << 20;
    let world = World::with_key(portcullis_jose::SigningKey::generate(portcullis_jose::Algorithm::Ed25519).unwrap());
    let guard = world.builder().cache_bytes(BOUND).build().unwrap();
    let fill = |from: usize, to: usize| {
        for number in from..to {
            let token = world.token(json!({"number": number, "groups": ["a", "b", "c"]}));
            guard.try_verify(&alone(&token)).unwrap().unwrap();
            let (_, bytes) = guard.cached();
            assert!(bytes <= BOUND as u64, "{bytes} after {number}");
        }
    };
    let kept = measure(|| fill(0, 3_000));
    let (tokens, _) = guard.cached();
    assert!((100..3_000).contains(&tokens), "{tokens}");
    // What is counted is not less than what is really held, but for the cache's own tables.
    let held = usize::try_from(kept.bytes_current).unwrap();
    assert!(held < BOUND + BOUND / 4, "{held} bytes are held");
    let more = measure(|| fill(3_000, 6_000));
    assert!(more.bytes_current < (BOUND / 4) as i64, "{more:?}");
}
