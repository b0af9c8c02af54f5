//! The handle and its HTTP form.

use axum::body::Body;
use http::{Method, Request, header};
use portcullis_idp::{Behaviour, Mint, RotateHow};
use serde_json::{Value, json};

use crate::support::{Answer, Browser, Stage, VERIFIER, WEB_CALLBACK, peek};

async fn dev(stage: &Stage, method: Method, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(stage.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    stage.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn the_log_has_what_happened_and_no_secret() {
    let stage = Stage::new().await;
    let code = Browser::new(&stage)
        .code("alice", "openid offline_access orders.read")
        .await;
    let tokens = stage.exchange("web", WEB_CALLBACK, &code).await.json();
    stage
        .exchange("web", WEB_CALLBACK, &code)
        .await
        .assert_error(400, "invalid_grant");
    let log = stage.control().request_log();
    let seen: Vec<_> = log
        .iter()
        .map(|entry| (entry.method.as_str(), entry.path.as_str(), entry.status))
        .collect();
    assert_eq!(
        seen,
        [
            ("GET", "/authorize", 303),
            ("GET", "/login", 200),
            ("POST", "/login", 303),
            ("POST", "/token", 200),
            ("POST", "/token", 400),
        ]
    );
    let last = log.last().unwrap();
    assert_eq!(
        (last.client_id.as_deref(), last.grant_type),
        (Some("web"), Some("authorization_code"))
    );
    assert_eq!(last.error.as_deref(), Some("invalid_grant"));

    let secrets = stage.control().issued_secrets();
    for name in ["access_token", "id_token", "refresh_token"] {
        assert!(
            secrets.contains(&tokens[name].as_str().unwrap().to_owned()),
            "{name} was issued"
        );
    }
    assert!(secrets.contains(&code));
    assert_eq!(secrets.len(), 6, "a code, three tokens, two cookies");
    let printed = format!("{log:?} {} {:?}", serde_json::to_string(&log).unwrap(), stage.control());
    for secret in secrets
        .iter()
        .map(String::as_str)
        .chain([VERIFIER, "alice-demo", stage.control().admin_token()])
    {
        assert!(!printed.contains(secret));
    }
    stage.control().clear_request_log();
    assert!(stage.control().request_log().is_empty());
}

#[tokio::test]
async fn counts_follow_what_is_issued() {
    let stage = Stage::new().await;
    assert_eq!(stage.control().token_counts(), Default::default());
    let tokens = stage.sign_in("alice", "openid offline_access").await;
    stage.refresh("web", tokens["refresh_token"].as_str().unwrap()).await;
    let counts = stage.control().token_counts();
    assert_eq!(
        (
            counts.codes,
            counts.access_tokens,
            counts.id_tokens,
            counts.refresh_tokens
        ),
        (1, 2, 2, 2)
    );
    assert_eq!(
        (
            counts.refreshes,
            counts.reuses,
            counts.live_refresh_tokens,
            counts.live_sessions
        ),
        (1, 0, 1, 1)
    );
}

#[tokio::test]
async fn keys_rotate_with_and_without_overlap() {
    let stage = Stage::new().await;
    let before = stage.control().mint(&Mint::default()).unwrap();
    stage.control().rotate_keys(RotateHow::Overlap).unwrap();
    let after = stage.control().mint(&Mint::default()).unwrap();
    assert_ne!(peek(&before).0["kid"], peek(&after).0["kid"]);
    stage.verified(&before).await;
    stage.verified(&after).await;
    stage.control().rotate_keys(RotateHow::DropOld).unwrap();
    let kids = stage.get("/jwks").await.json()["keys"].as_array().unwrap().len();
    assert_eq!(kids, 1);
}

#[tokio::test]
async fn the_http_form_does_the_same() {
    let stage = Stage::new().await;
    let bearer = format!("Bearer {}", stage.control().admin_token());
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let post = async |path: &str, body: Value| dev(&stage, Method::POST, path, &body.to_string(), &headers).await;

    let answer = post("/dev/behaviour", json!({ "jwks_down": true })).await;
    assert_eq!(answer.status, 200);
    assert!(stage.control().behaviour().jwks_down);
    assert_eq!(stage.get("/jwks").await.status, 503);
    let now = dev(&stage, Method::GET, "/dev/behaviour", "", &headers).await.json();
    assert_eq!(now["jwks_down"], true);
    post("/dev/behaviour", json!({})).await;
    assert_eq!(stage.control().behaviour(), Behaviour::default());

    let token = post("/dev/mint", json!({ "user": "bob", "defect": "expired" }))
        .await
        .json();
    assert_eq!(peek(token["token"].as_str().unwrap()).0["typ"], "at+jwt");
    let log = dev(&stage, Method::GET, "/dev/requests", "", &headers).await.json();
    assert_eq!(log["requests"][0]["path"], "/jwks");
    assert_eq!(log["requests"].as_array().unwrap().len(), 1, "it does not log itself");
    let rotated = post("/dev/rotate-keys", json!({ "how": "overlap" })).await.json();
    assert_eq!(rotated["keys"].as_array().unwrap().len(), 2);

    assert_eq!(post("/dev/behaviour", json!({ "jwks_dwn": true })).await.status, 400);
    assert_eq!(post("/dev/mint", json!({ "user": "nobody" })).await.status, 400);
}

#[tokio::test]
async fn the_http_form_is_closed_to_everybody_else() {
    let stage = Stage::new().await;
    let bearer = format!("Bearer {}", stage.control().admin_token());
    let authorization = ("authorization", bearer.as_str());
    let json = ("content-type", "application/json");
    let body = r#"{"jwks_down":true}"#;
    let refused: [(&[(&str, &str)], u16); 6] = [
        (&[json], 401),
        (&[("authorization", "Bearer wrong"), json], 401),
        (&[("authorization", "Bearer "), json], 401),
        (&[authorization, json, ("origin", "http://127.0.0.1:8080")], 403),
        (&[authorization, ("content-type", "text/plain")], 415),
        (&[authorization, json, ("host", "evil.example")], 421),
    ];
    for (headers, status) in refused {
        let answer = dev(&stage, Method::POST, "/dev/behaviour", body, headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.header(header::WWW_AUTHENTICATE).is_empty(), status != 401);
        assert_eq!(stage.control().behaviour(), Behaviour::default(), "{headers:?}");
    }
    for path in ["/dev/requests", "/dev/behaviour"] {
        assert_eq!(dev(&stage, Method::GET, path, "", &[]).await.status, 401);
    }
    for path in ["/dev/mint", "/dev/rotate-keys"] {
        assert_eq!(dev(&stage, Method::POST, path, "{}", &[json]).await.status, 401);
    }
    assert_eq!(
        dev(&stage, Method::POST, "/dev/behaviour", body, &[authorization, json])
            .await
            .status,
        200
    );
}
