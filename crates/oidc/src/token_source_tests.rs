use std::sync::Arc;

use portcullis_jose::ManualClock;
use serde_json::json;

use super::*;
use crate::ClientAuth;
use crate::provider::tests::{FakeProvider, answer, clock};

/// A provider that numbers its tokens; each lives for 1000 s.
fn numbering(fake: &Arc<FakeProvider>) {
    let issued = std::sync::atomic::AtomicUsize::new(0);
    fake.on("/token", move |_| {
        let number = issued.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        answer(
            200,
            &json!({ "access_token": format!("token {number}"), "token_type": "Bearer", "expires_in": 1000 }),
        )
    });
}

fn down(fake: &Arc<FakeProvider>) {
    fake.on("/token", |_| answer(503, &json!({})));
}

fn source(fake: &Arc<FakeProvider>, clock: &Arc<ManualClock>) -> TokenSource {
    TokenSource::client_credentials(Client::new(fake.provider(clock.clone()), "job", ClientAuth::None))
}

async fn text(source: &TokenSource) -> String {
    source.token().await.unwrap().expose().to_owned()
}

/// Waits until a renewal that goes on in the background is over.
async fn settled(source: &TokenSource) {
    while source.0.flight.is_under_way() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_who_ask_at_once_cause_one_request() {
    let (fake, clock) = (FakeProvider::new(), clock());
    numbering(&fake);
    let source = source(&fake, &clock);
    let asks: Vec<_> = (0..10_000)
        .map(|_| {
            tokio::spawn({
                let source = source.clone();
                async move { text(&source).await }
            })
        })
        .collect();
    for ask in asks {
        assert_eq!(ask.await.unwrap(), "token 1");
    }
    assert_eq!(fake.count("/token"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_who_are_refused_cause_one_request() {
    let (fake, clock) = (FakeProvider::new(), clock());
    fake.on("/token", |_| answer(401, &json!({ "error": "invalid_client" })));
    let source = source(&fake, &clock);
    let asks: Vec<_> = (0..10_000)
        .map(|_| {
            tokio::spawn({
                let source = source.clone();
                async move { source.token().await.unwrap_err().code() }
            })
        })
        .collect();
    for ask in asks {
        assert_eq!(ask.await.unwrap(), "provider.client_rejected");
    }
    assert_eq!(fake.count("/token"), 1);
}

#[tokio::test]
async fn it_is_renewed_in_the_background_while_the_old_one_is_used() {
    let (fake, clock) = (FakeProvider::new(), clock());
    numbering(&fake);
    let source = source(&fake, &clock);
    assert_eq!(text(&source).await, "token 1");
    clock.advance(699);
    assert_eq!(text(&source).await, "token 1");
    assert!(!source.0.flight.is_under_way(), "not before seven tenths of its life");
    clock.advance(101);
    // Nobody waits.
    assert_eq!(text(&source).await, "token 1");
    settled(&source).await;
    assert_eq!((text(&source).await.as_str(), fake.count("/token")), ("token 2", 2));
}

#[tokio::test]
async fn while_the_provider_is_down_the_old_one_is_used_as_long_as_it_lives() {
    let (fake, clock) = (FakeProvider::new(), clock());
    numbering(&fake);
    let source = source(&fake, &clock);
    source.token().await.unwrap();
    down(&fake);
    clock.advance(800);
    let mut asked = Vec::new();
    for _ in 0..199 {
        assert_eq!(text(&source).await, "token 1");
        settled(&source).await;
        asked.push(fake.count("/token"));
        clock.advance(1);
    }
    // 1, 2, 4, 8, 16, 32 and then 60 seconds apart, and up to half as much more.
    let failures = asked.last().unwrap() - 1;
    assert!((6..=9).contains(&failures), "{failures}");
    clock.advance(1);
    assert!(source.token().await.is_err(), "not a second longer");
    // It is back: the next try after the pause has a token.
    numbering(&fake);
    clock.advance(90);
    assert_eq!(text(&source).await, "token 1");
}

#[tokio::test]
async fn one_that_an_api_refuses_is_replaced_once() {
    let (fake, clock) = (FakeProvider::new(), clock());
    numbering(&fake);
    let source = source(&fake, &clock);
    let first = source.token().await.unwrap();
    assert_eq!(source.instead_of(&first).await, Ok(None), "it has just been issued");
    clock.advance(10);
    let second = source.instead_of(&first).await.unwrap().unwrap();
    assert_eq!(second.expose(), "token 2");
    // Who comes later with the first gets the second too.
    assert_eq!(source.instead_of(&first).await, Ok(Some(second.clone())));
    assert_eq!(source.instead_of(&second).await, Ok(None));
    assert_eq!(fake.count("/token"), 2);
}

#[tokio::test]
async fn each_target_has_a_token_of_its_own() {
    let (fake, clock) = (FakeProvider::new(), clock());
    numbering(&fake);
    let plain = source(&fake, &clock);
    let narrow = plain
        .scope("a")
        .scope("b")
        .resource("https://api.test")
        .audience("api://x");
    assert_eq!(
        (text(&plain).await, text(&narrow).await),
        ("token 1".into(), "token 2".into())
    );
    assert_eq!(
        &fake.last("/token").into_body()[..],
        b"grant_type=client_credentials&scope=a+b&resource=https%3A%2F%2Fapi.test&audience=api%3A%2F%2Fx&client_id=job"
    );
    assert_eq!(text(&plain.clone()).await, "token 1");
    plain.forget();
    assert_eq!(text(&plain).await, "token 3");
}

#[tokio::test(start_paused = true)]
async fn it_can_be_kept_fresh_while_nobody_asks() {
    let (fake, clock) = (FakeProvider::new(), clock());
    numbering(&fake);
    let source = source(&fake, &clock);
    let task = source.keep_fresh();
    let until = async |count: usize| {
        while fake.count("/token") < count {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    until(1).await;
    clock.advance(800);
    until(2).await;
    drop(task);
}
