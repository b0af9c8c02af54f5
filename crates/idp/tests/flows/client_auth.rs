//! How a client proves itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;

use crate::support::{SECRET, Stage, encode};

const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("scope", "orders.read")];

fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{}", encode(id), encode(secret)))
    )
}

#[tokio::test]
async fn basic_and_post() {
    let stage = Stage::new().await;
    let post = [&FORM[..], &[("client_id", "job"), ("client_secret", SECRET)]].concat();
    assert_eq!(stage.post_with("/token", &post, None).await.status, 200);
    assert_eq!(
        stage
            .post_with("/token", &FORM, Some(&basic("job", SECRET)))
            .await
            .status,
        200
    );
    let same_id = [&FORM[..], &[("client_id", "job")]].concat();
    assert_eq!(
        stage
            .post_with("/token", &same_id, Some(&basic("job", SECRET)))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn every_failure_looks_the_same() {
    let stage = Stage::new().await;
    let unencoded = format!("Basic {}", STANDARD.encode("job:s3cret%3A+%20"));
    let mut bodies = Vec::new();
    for authorization in [
        basic("job", "wrong"),
        basic("job", ""),
        basic("nobody", SECRET),
        basic("app", SECRET),
        unencoded,
        "Basic ???".into(),
        "Basic".into(),
        "Bearer abc".into(),
    ] {
        let answer = stage.post_with("/token", &FORM, Some(&authorization)).await;
        answer.assert_error(401, "invalid_client");
        // RFC 6749 s5.2
        assert!(
            answer.header(header::WWW_AUTHENTICATE).starts_with("Basic realm="),
            "{authorization}"
        );
        bodies.push(answer.body);
    }
    for extra in [
        &[][..],
        &[("client_id", "job")],
        &[("client_id", "job"), ("client_secret", "wrong")],
        &[("client_id", "nobody"), ("client_secret", SECRET)],
        &[("client_id", "app"), ("client_secret", SECRET)],
        &[("client_secret", SECRET)],
    ] {
        let answer = stage.post_with("/token", &[&FORM[..], extra].concat(), None).await;
        answer.assert_error(401, "invalid_client");
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

#[tokio::test]
async fn one_method_and_one_client() {
    let stage = Stage::new().await;
    let right = basic("job", SECRET);
    let two_ways = [&FORM[..], &[("client_secret", SECRET)]].concat();
    stage
        .post_with("/token", &two_ways, Some(&right))
        .await
        .assert_error(400, "invalid_request");
    let two_clients = [&FORM[..], &[("client_id", "web")]].concat();
    stage
        .post_with("/token", &two_clients, Some(&right))
        .await
        .assert_error(400, "invalid_request");
    let request = http::Request::post(stage.url("/token"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::AUTHORIZATION, &right)
        .header(header::AUTHORIZATION, &right);
    stage
        .send(request.body(encode(&FORM).into()).unwrap())
        .await
        .assert_error(400, "invalid_request");
    assert_eq!(stage.post_with("/token", &FORM, Some(&right)).await.status, 200);
}
