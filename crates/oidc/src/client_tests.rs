use std::sync::Arc;

use http::header::AUTHORIZATION;
use portcullis_jose::{ManualClock, UnixTime};

use super::*;
use crate::provider::tests::{FakeProvider, answer};

fn client(fake: &Arc<FakeProvider>, auth: ClientAuth) -> Client {
    Client::new(
        fake.provider(Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)))),
        "we b",
        auth,
    )
}

fn tokens() -> http::Response<Bytes> {
    answer(
        200,
        &serde_json::json!({ "access_token": "at", "token_type": "Bearer", "expires_in": 100 }),
    )
}

#[tokio::test]
async fn basic_authentication_is_form_urlencoded_first() {
    let fake = FakeProvider::new();
    fake.on("/token", |_| tokens());
    client(&fake, ClientAuth::Basic(Secret::new("a+b %")))
        .client_credentials(&["x y".into()], Some("https://api"))
        .await
        .unwrap();
    let (parts, body) = fake.last("/token").into_parts();
    // base64("we+b:a%2Bb+%25")
    assert_eq!(parts.headers[AUTHORIZATION], "Basic d2UrYjphJTJCYislMjU=");
    assert!(parts.headers[AUTHORIZATION].is_sensitive());
    assert_eq!(
        &body[..],
        b"grant_type=client_credentials&scope=x+y&resource=https%3A%2F%2Fapi"
    );
}

#[tokio::test]
async fn post_and_public_clients_name_themselves_in_the_body() {
    let fake = FakeProvider::new();
    fake.on("/token", |_| tokens());
    client(&fake, ClientAuth::Post(Secret::new("s&t")))
        .refresh(&Secret::new("r +t"), None)
        .await
        .unwrap();
    let (parts, body) = fake.last("/token").into_parts();
    assert!(!parts.headers.contains_key(AUTHORIZATION));
    assert_eq!(
        &body[..],
        b"grant_type=refresh_token&refresh_token=r+%2Bt&client_id=we+b&client_secret=s%26t"
    );
    client(&fake, ClientAuth::None)
        .refresh(&Secret::new("r"), None)
        .await
        .unwrap();
    assert_eq!(
        &fake.last("/token").into_body()[..],
        b"grant_type=refresh_token&refresh_token=r&client_id=we+b"
    );
}

#[tokio::test]
async fn userinfo_is_about_the_same_subject() {
    let fake = FakeProvider::new();
    let client = client(&fake, ClientAuth::None);
    fake.on("/userinfo", |_| {
        answer(200, &serde_json::json!({ "sub": "alice", "name": "Alice" }))
    });
    let claims = client.userinfo(&Secret::new("at"), "alice").await.unwrap().unwrap();
    assert_eq!(claims["name"], "Alice");
    let request = fake.last("/userinfo");
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer at");
    assert_eq!(request.uri().query(), None);
    assert_eq!(
        client.userinfo(&Secret::new("at"), "bob").await,
        Err(ProviderError::SubjectMismatch)
    );
    for body in [serde_json::json!([]), serde_json::json!("x"), serde_json::json!({})] {
        fake.on("/userinfo", move |_| answer(200, &body));
        assert!(client.userinfo(&Secret::new("at"), "alice").await.is_err());
    }
}

/// RFC 9449 s9
#[tokio::test]
async fn userinfo_is_asked_again_with_the_nonce_that_it_wants() {
    let fake = FakeProvider::new();
    let mut client = client(&fake, ClientAuth::None);
    client.options.dpop = Some(DpopKey::new(crate::provider::tests::key()));
    let nonce_of = |request: &http::Request<Bytes>| {
        let proof = request.headers()["dpop"].to_str().unwrap();
        crate::dpop::nonce_of(proof).unwrap_or_default()
    };
    let wanting = |wanted: &'static str| {
        move |request: &http::Request<Bytes>| {
            let mut response = match nonce_of(request) == wanted {
                true => answer(200, &serde_json::json!({ "sub": "alice" })),
                false => {
                    let mut refused = answer(401, &serde_json::json!({}));
                    let challenge = http::HeaderValue::from_static("DPoP error=\"use_dpop_nonce\"");
                    refused.headers_mut().insert("www-authenticate", challenge);
                    refused
                }
            };
            response
                .headers_mut()
                .insert("dpop-nonce", http::HeaderValue::from_static("next"));
            response
        }
    };
    fake.on("/userinfo", wanting("next"));
    for asked in [2, 3] {
        assert!(client.userinfo(&Secret::new("at"), "alice").await.unwrap().is_some());
        assert_eq!(fake.count("/userinfo"), asked, "what is known is used at once");
    }
    assert_eq!(fake.last("/userinfo").headers()[AUTHORIZATION], "DPoP at");
    // One that is never content is asked no more than that.
    fake.on("/userinfo", wanting("never said"));
    assert!(client.userinfo(&Secret::new("at"), "alice").await.is_err());
    assert_eq!(fake.count("/userinfo"), 4);
}

#[tokio::test]
async fn errors_are_typed_and_hold_no_secret() {
    let fake = FakeProvider::new();
    let client = client(&fake, ClientAuth::Basic(Secret::new("hunter2")));
    fake.on("/token", |_| {
        answer(401, &serde_json::json!({ "error": "invalid_client" }))
    });
    let error = client.client_credentials(&[], None).await.unwrap_err();
    assert_eq!(error.code(), "provider.client_rejected");
    assert!(!format!("{error} {error:?} {client:?}").contains("hunter2"));
    fake.on("/token", |_| {
        answer(503, &serde_json::json!({ "error": "invalid_grant" }))
    });
    let error = client.refresh(&Secret::new("r"), None).await.unwrap_err();
    assert!(error.is_temporary() && !error.is_invalid_grant());
}

#[tokio::test]
async fn logout_url_has_hint_and_return() {
    let fake = FakeProvider::new();
    let url = client(&fake, ClientAuth::None)
        .end_session_url(Some(&Secret::new("idt")), "https://app/", "s")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        url.as_str(),
        format!(
            "{}/logout?id_token_hint=idt&client_id=we+b&post_logout_redirect_uri=https%3A%2F%2Fapp%2F&state=s",
            FakeProvider::ISSUER
        )
    );
}
