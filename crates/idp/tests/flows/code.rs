//! The exchange of a code.

use http::header;
use serde_json::json;

use crate::support::{APP_CALLBACK, Browser, SECRET, START, Stage, VERIFIER, WEB_CALLBACK, peek, request};

#[tokio::test]
async fn a_code_becomes_tokens() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let code = browser
        .code("alice", "openid profile email offline_access orders.read")
        .await;
    let answer = stage.exchange("web", WEB_CALLBACK, &code).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header(header::CACHE_CONTROL)),
        (200, "no-store")
    );
    let tokens = answer.json();
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"]),
        (&json!("Bearer"), &json!(300))
    );
    assert_eq!(tokens["scope"], "email offline_access openid orders.read profile");
    assert_eq!(tokens["refresh_token"].as_str().unwrap().len(), 43);

    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(peek(access).0["typ"], "at+jwt");
    let claims = stage.verified(access).await;
    assert_eq!(claims["iss"], stage.idp.issuer());
    assert_eq!(
        (&claims["aud"], &claims["client_id"]),
        (&json!("api://orders"), &json!("web"))
    );
    assert_eq!(
        (&claims["iat"], &claims["exp"], &claims["auth_time"]),
        (&json!(START), &json!(START + 300), &json!(START))
    );
    assert_eq!(claims["roles"], json!(["Orders.Admin"]));
    assert!(claims["jti"].as_str().unwrap().len() >= 20);
    assert!(claims.get("email").is_none(), "an API gets no more than it decides by");

    let id_token = tokens["id_token"].as_str().unwrap();
    assert_eq!(peek(id_token).0["typ"], "JWT");
    let id = stage.verified(id_token).await;
    assert_eq!(
        (&id["aud"], &id["sub"], &id["nonce"]),
        (&json!("web"), &claims["sub"], &json!("the-nonce"))
    );
    assert_eq!(
        (&id["name"], &id["email"]),
        (&json!("Alice Adams"), &json!("alice@example.com"))
    );
    let half = &portcullis_jose::sha256(access.as_bytes())[..16];
    assert_eq!(id["at_hash"], portcullis_jose::base64url_encode(half));
    assert!(id["sid"].is_string());
}

#[tokio::test]
async fn scopes_decide_what_the_answer_has() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", "orders.read").await;
    assert!(tokens.get("id_token").is_none(), "no openid, no ID token");
    assert!(
        tokens.get("refresh_token").is_none(),
        "no offline_access, no refresh token"
    );
    let tokens = stage.sign_in("alice", "openid").await;
    assert!(
        stage
            .verified(tokens["id_token"].as_str().unwrap())
            .await
            .get("name")
            .is_none()
    );
}

#[tokio::test]
async fn a_code_is_bound() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let code = browser.code("alice", "openid").await;
    // Another client cannot use it, and cannot use it up.
    stage
        .exchange("other", WEB_CALLBACK, &code)
        .await
        .assert_error(400, "invalid_grant");
    stage
        .exchange("other", "https://other.example/cb", &code)
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(stage.exchange("web", WEB_CALLBACK, &code).await.status, 200);

    let grant = ("grant_type", "authorization_code");
    let uri = ("redirect_uri", WEB_CALLBACK);
    let wrong = VERIFIER.replace('d', "e");
    let swaps: [(&[(&str, &str)], &str); 5] = [
        (
            &[
                grant,
                ("redirect_uri", "http://127.0.0.1:8081/bff/callback"),
                ("code_verifier", VERIFIER),
            ],
            "invalid_grant",
        ),
        (&[grant, ("code_verifier", VERIFIER)], "invalid_request"),
        (&[grant, uri, ("code_verifier", &wrong)], "invalid_grant"),
        (&[grant, uri], "invalid_grant"),
        (
            &[
                grant,
                uri,
                ("code_verifier", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ],
            "invalid_grant",
        ),
    ];
    for (form, error) in swaps {
        let code = browser
            .authorize(&request("web", WEB_CALLBACK, &[]))
            .await
            .redirected_to(WEB_CALLBACK)["code"]
            .clone();
        let mut form = form.to_vec();
        form.push(("code", &code));
        stage.token("web", &form).await.assert_error(400, error);
        // A try that failed uses the code up.
        stage
            .exchange("web", WEB_CALLBACK, &code)
            .await
            .assert_error(400, "invalid_grant");
    }
    stage
        .exchange("web", WEB_CALLBACK, "nothing")
        .await
        .assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_verifier_without_a_challenge_is_a_downgrade() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let without = request(
        "web",
        WEB_CALLBACK,
        &[("code_challenge", ""), ("code_challenge_method", "")],
    );
    let page = browser.authorize(&without).await;
    let code = browser
        .log_in(&page, "alice", "alice-demo")
        .await
        .redirected_to(WEB_CALLBACK)["code"]
        .clone();
    stage
        .exchange("web", WEB_CALLBACK, &code)
        .await
        .assert_error(400, "invalid_grant");
    let code = browser.authorize(&without).await.redirected_to(WEB_CALLBACK)["code"].clone();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", WEB_CALLBACK),
    ];
    assert_eq!(stage.token("web", &form).await.status, 200);
}

#[tokio::test]
async fn a_code_lives_a_minute() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let code = browser.code("alice", "openid").await;
    stage.clock.advance(60);
    stage
        .exchange("web", WEB_CALLBACK, &code)
        .await
        .assert_error(400, "invalid_grant");
    let code = browser
        .authorize(&request("web", WEB_CALLBACK, &[]))
        .await
        .redirected_to(WEB_CALLBACK)["code"]
        .clone();
    stage.clock.advance(59);
    assert_eq!(stage.exchange("web", WEB_CALLBACK, &code).await.status, 200);
}

#[tokio::test]
async fn a_code_that_comes_back_revokes_what_it_gave() {
    let stage = Stage::new().await;
    let code = Browser::new(&stage)
        .code("alice", "openid offline_access orders.read")
        .await;
    let tokens = stage.exchange("web", WEB_CALLBACK, &code).await.json();
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    assert!(stage.is_active(access).await);
    // Somebody else's try is not reuse.
    stage
        .exchange("other", WEB_CALLBACK, &code)
        .await
        .assert_error(400, "invalid_grant");
    assert!(stage.is_active(access).await);
    // RFC 6749 s4.1.2
    stage
        .exchange("web", WEB_CALLBACK, &code)
        .await
        .assert_error(400, "invalid_grant");
    assert!(!stage.is_active(access).await);
    assert_eq!(stage.userinfo(access).await.status, 401);
    stage.refresh("web", refresh).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_public_client_exchanges_with_its_verifier_alone() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let page = browser.authorize(&request("app", APP_CALLBACK, &[])).await;
    let code = browser
        .log_in(&page, "alice", "alice-demo")
        .await
        .redirected_to(APP_CALLBACK)["code"]
        .clone();
    assert_eq!(stage.exchange("app", APP_CALLBACK, &code).await.status, 200);
}

#[tokio::test]
async fn the_form_is_read_strictly() {
    let stage = Stage::new().await;
    let code = Browser::new(&stage).code("alice", "openid").await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", WEB_CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let twice = [&form[..], &[("code", "x")]].concat();
    stage.token("web", &twice).await.assert_error(400, "invalid_request");
    stage
        .token("web", &form[1..])
        .await
        .assert_error(400, "invalid_request");
    stage
        .token("web", &[("grant_type", "password")])
        .await
        .assert_error(400, "unsupported_grant_type");
    stage
        .token("web", &[("grant_type", "client_credentials")])
        .await
        .assert_error(400, "unauthorized_client");
    let json = http::Request::post(stage.url("/token")).header(header::CONTENT_TYPE, "application/json");
    stage
        .send(json.body(format!("{{\"client_secret\":\"{SECRET}\"}}").into()).unwrap())
        .await
        .assert_error(400, "invalid_request");
    assert_eq!(stage.get("/token").await.status, 405);
    let large = "x".repeat(70_000);
    stage
        .token("web", &[("code", &large)])
        .await
        .assert_error(413, "invalid_request");
    assert_eq!(stage.token("web", &form).await.status, 200);
}
