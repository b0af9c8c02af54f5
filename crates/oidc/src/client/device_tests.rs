use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_jose::{ManualClock, UnixTime};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::ClientAuth;
use crate::provider::tests::{FakeProvider, answer};

fn client(fake: &Arc<FakeProvider>) -> Client {
    let clock = Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)));
    Client::new(fake.provider(clock), "tool", ClientAuth::None)
}

fn fake() -> Arc<FakeProvider> {
    let fake = FakeProvider::new();
    fake.on("/.well-known/openid-configuration", |_| {
        answer(
            200,
            &json!({
                "issuer": FakeProvider::ISSUER, "jwks_uri": "https://issuer.test/jwks",
                "token_endpoint": "https://issuer.test/token",
                "device_authorization_endpoint": "https://issuer.test/device_authorization",
            }),
        )
    });
    fake.on("/device_authorization", |_| {
        answer(
            200,
            &json!({
                "device_code": "the-code", "user_code": "WDJB-MJHT",
                "verification_uri": "https://issuer.test/device", "expires_in": 60, "interval": 5,
            }),
        )
    });
    fake
}

/// Answers these, one after the other, then tokens.
fn answers(fake: &FakeProvider, of: Vec<(u16, Value)>) {
    let next = AtomicUsize::new(0);
    fake.on("/token", move |_| match of.get(next.fetch_add(1, Ordering::Relaxed)) {
        Some((status, body)) => answer(*status, body),
        None => answer(200, &json!({ "access_token": "at", "token_type": "Bearer" })),
    });
}

fn error(code: &str) -> (u16, Value) {
    (400, json!({ "error": code }))
}

/// The seconds that the login took, and how it ended.
async fn wait(fake: &Arc<FakeProvider>) -> (u64, Result<String, DeviceError>) {
    let client = client(fake);
    let device = client.begin_device_login(&["orders.read".into()], None).await.unwrap();
    let begun = Instant::now();
    let ended = client.await_device_login(&device).await;
    let ended = ended.map(|tokens| tokens.access_token.expose().to_owned());
    (begun.elapsed().as_secs(), ended)
}

#[tokio::test(start_paused = true)]
async fn the_requests_are_those_of_the_specification() {
    let fake = fake();
    answers(&fake, vec![]);
    assert_eq!(wait(&fake).await, (5, Ok("at".into())), "the first question waits too");
    let asked = fake.last("/device_authorization").into_body();
    assert_eq!(&asked[..], b"scope=openid+orders.read&client_id=tool");
    let polled = fake.last("/token").into_body();
    assert_eq!(
        &polled[..],
        b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=the-code&client_id=tool"
    );
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_the_providers() {
    let fake = fake();
    answers(
        &fake,
        vec![error("authorization_pending"), error("authorization_pending")],
    );
    assert_eq!(wait(&fake).await, (15, Ok("at".into())));
    // Slower for good: 5 + 10 + 10.
    answers(&fake, vec![error("slow_down"), error("authorization_pending")]);
    assert_eq!(wait(&fake).await, (25, Ok("at".into())));
    // Down: 5 + 10 + 20.
    answers(&fake, vec![(503, json!({})), (503, json!({}))]);
    assert_eq!(wait(&fake).await, (35, Ok("at".into())));
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_and_nothing_is_asked_after_it() {
    let fake = fake();
    for (answered, expected) in [
        ("access_denied", "login.access_denied"),
        ("expired_token", "login.attempt_expired"),
        ("invalid_client", "provider.client_rejected"),
        ("invalid_grant", "refresh.rejected"),
    ] {
        answers(&fake, vec![error(answered)]);
        let before = fake.count("/token");
        let (took, ended) = wait(&fake).await;
        assert_eq!((took, ended.unwrap_err().code()), (5, expected), "{answered}");
        assert_eq!(fake.count("/token"), before + 1, "{answered}");
    }
    fake.on("/token", |_| answer(400, &json!({ "error": "authorization_pending" })));
    let before = fake.count("/token");
    assert_eq!(wait(&fake).await, (60, Err(DeviceError::Expired)));
    assert_eq!(fake.count("/token"), before + 11);
}

#[tokio::test]
async fn a_provider_without_the_endpoint_is_not_asked() {
    let fake = FakeProvider::new();
    let error = client(&fake).begin_device_login(&[], None).await.unwrap_err();
    assert_eq!(error, ProviderError::EndpointMissing("device_authorization_endpoint"));
}
