//! Clients that register themselves (RFC 7591) and manage their registration (RFC 7592).

use axum::body::Body;
use http::{Method, Request, header};
use portcullis_idp::IdpConfig;
use portcullis_jose::Secret;
use serde_json::{Value, json};

use crate::support::{Answer, Browser, SECRET, Stage, WEB_CALLBACK, config};

const INITIAL: &str = "let-me-in";
const TOKEN: &str = "the-registration-token-of-web";

async fn stage(change: impl FnOnce(&mut IdpConfig)) -> Stage {
    let mut config = IdpConfig {
        initial_access_token: Some(Secret::new(INITIAL)),
        ..config()
    };
    for client in config.clients.iter_mut().filter(|client| client.client_id == "web") {
        client.registration_access_token = Some(Secret::new(TOKEN));
    }
    change(&mut config);
    Stage::with(config).await
}

async fn send(stage: &Stage, method: Method, uri: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    stage.send(request.body(Body::from(body)).unwrap()).await
}

async fn register(stage: &Stage, metadata: &Value) -> Answer {
    send(
        stage,
        Method::POST,
        &stage.url("/register"),
        Some(INITIAL),
        Some(metadata),
    )
    .await
}

async fn put(stage: &Stage, metadata: &Value) -> Answer {
    send(
        stage,
        Method::PUT,
        &stage.url("/register/web"),
        Some(TOKEN),
        Some(metadata),
    )
    .await
}

/// The registration of `web` as a client sends it back: without what is not its own to set.
async fn own(stage: &Stage, without: &[&str]) -> Value {
    let answer = send(stage, Method::GET, &stage.url("/register/web"), Some(TOKEN), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut metadata = answer.json();
    let members = metadata.as_object_mut().unwrap();
    let ours = [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
    ];
    for name in ours.iter().chain(without) {
        assert!(members.remove(*name).is_some(), "{name}");
    }
    metadata
}

/// Whether the provider takes this secret of a client.
async fn takes(stage: &Stage, client: &str, secret: &str) -> bool {
    let form = [("token", "x"), ("client_id", client), ("client_secret", secret)];
    let answer = stage.post_with("/revoke", &form, None).await;
    match answer.status.as_u16() {
        200 => true,
        _ => {
            answer.assert_error(401, "invalid_client");
            false
        }
    }
}

#[tokio::test]
async fn a_client_registers_and_signs_people_in() {
    let stage = stage(|_| {}).await;
    let metadata = stage.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["registration_endpoint"], stage.url("/register"));
    let callback = "https://new.example/cb";
    let answer = register(
        &stage,
        &json!({ "redirect_uris": [callback], "scope": "openid orders.read", "client_name": "New", "logo_uri": null }),
    )
    .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    let made = answer.json();
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    // RFC 7591 s2: the defaults.
    assert_eq!(text("token_endpoint_auth_method"), "client_secret_basic");
    assert_eq!(made["grant_types"], json!(["authorization_code"]));
    assert_eq!(made["response_types"], json!(["code"]));
    assert_eq!(made["client_secret_expires_at"], 0);
    assert_eq!(text("scope"), "orders.read");
    let (id, secret) = (text("client_id"), text("client_secret"));
    assert!(takes_basic(&stage, &id, &secret).await && !takes_basic(&stage, &id, "another").await);
    let request = crate::support::request(&id, callback, &[]);
    let mut browser = Browser::new(&stage);
    let page = browser.authorize(&request).await;
    let answer = browser.log_in(&page, "alice", "alice-demo").await;
    assert!(!answer.redirected_to(callback)["code"].is_empty());
    // RFC 7592 s3: it is there to read.
    let uri = text("registration_client_uri");
    let token = text("registration_access_token");
    assert_eq!(send(&stage, Method::GET, &uri, Some(&token), None).await.json(), made);
    for secret in [&secret, &token] {
        assert!(stage.control().issued_secrets().contains(secret));
    }
}

async fn takes_basic(stage: &Stage, id: &str, secret: &str) -> bool {
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    let answer = stage
        .post_with("/revoke", &[("token", "x")], Some(&format!("Basic {basic}")))
        .await;
    answer.status == 200
}

#[tokio::test]
async fn nobody_registers_without_the_initial_token() {
    let stage = stage(|_| {}).await;
    let metadata = json!({ "redirect_uris": ["https://new.example/cb"] });
    let uri = stage.url("/register");
    for (token, challenge) in [
        (None, "Bearer realm=\"registration\""),
        (Some("wrong"), "Bearer realm=\"registration\", error=\"invalid_token\""),
        (Some(""), "Bearer realm=\"registration\", error=\"invalid_token\""),
        (Some(TOKEN), "Bearer realm=\"registration\", error=\"invalid_token\""),
    ] {
        let answer = send(&stage, Method::POST, &uri, token, Some(&metadata)).await;
        assert_eq!(answer.status, 401, "{token:?}");
        assert_eq!(answer.header(header::WWW_AUTHENTICATE), challenge);
    }
    assert_eq!(register(&stage, &metadata).await.status, 201);
    // Where the configuration names no token, none is right.
    let closed = self::stage(|config| config.initial_access_token = None).await;
    assert_eq!(register(&closed, &metadata).await.status, 401);
    assert_eq!(
        send(
            &closed,
            Method::POST,
            &closed.url("/register"),
            Some(""),
            Some(&metadata)
        )
        .await
        .status,
        401
    );
    let metadata = closed.get("/.well-known/openid-configuration").await.json();
    assert!(metadata.get("registration_endpoint").is_none());
}

#[tokio::test]
async fn what_cannot_be_registered_is_refused() {
    let stage = stage(|_| {}).await;
    let good = json!({ "redirect_uris": ["https://new.example/cb"] });
    for (change, error) in [
        (
            json!({ "redirect_uris": ["http://evil.example/cb"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["https://new.example/cb#x"] }),
            "invalid_redirect_uri",
        ),
        (json!({ "redirect_uris": ["/cb"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": [] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": null }), "invalid_redirect_uri"),
        (
            json!({ "redirect_uris": "https://new.example/cb" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "grant_types": ["authorization_code", "password"] }),
            "invalid_client_metadata",
        ),
        (json!({ "response_types": ["token"] }), "invalid_client_metadata"),
        (
            json!({ "token_endpoint_auth_method": "client_secret_jwt" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "token_endpoint_auth_method": "private_key_jwt" }),
            "invalid_client_metadata",
        ),
        (json!({ "scope": "orders.read orders.burn" }), "invalid_client_metadata"),
        (
            json!({ "backchannel_logout_uri": "https://new.example/out" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "token_endpoint_auth_method": "none", "grant_types": ["client_credentials"] }),
            "invalid_client_metadata",
        ),
    ] {
        let mut metadata = good.clone();
        for (name, value) in change.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        let answer = register(&stage, &metadata).await;
        answer.assert_error(400, error);
        let description = answer.json()["error_description"].as_str().unwrap().to_owned();
        assert!(
            !description.is_empty() && !description.contains(['"', '\\']),
            "{description}"
        );
    }
    assert_eq!(register(&stage, &good).await.status, 201);
    let form = Request::post(stage.url("/register"))
        .header(header::AUTHORIZATION, format!("Bearer {INITIAL}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    stage
        .send(form.body(Body::from(good.to_string())).unwrap())
        .await
        .assert_error(400, "invalid_request");
    for (method, grants) in [
        ("none", json!(["authorization_code"])),
        ("client_secret_post", json!(["client_credentials"])),
    ] {
        let mut metadata = good.clone();
        metadata["token_endpoint_auth_method"] = json!(method);
        metadata["grant_types"] = grants;
        let made = register(&stage, &metadata).await;
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!(made.json().get("client_secret").is_some(), method != "none");
    }
}

#[tokio::test]
async fn a_registration_is_for_its_own_token_alone() {
    let stage = stage(|_| {}).await;
    let made = register(&stage, &json!({ "redirect_uris": ["https://new.example/cb"] }))
        .await
        .json();
    let theirs = made["registration_access_token"].as_str().unwrap();
    let (web, nobody) = (stage.url("/register/web"), stage.url("/register/nobody"));
    // `other` is a client that the configuration gives no token.
    let other = stage.url("/register/other");
    let body = own(&stage, &[]).await;
    for (uri, token) in [
        (&web, None),
        (&web, Some("wrong")),
        (&web, Some("")),
        (&web, Some(theirs)),
        (&web, Some(INITIAL)),
        (&nobody, Some(TOKEN)),
        (&other, Some(TOKEN)),
        (&other, Some("")),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let body = (method == Method::PUT).then_some(&body);
            let answer = send(&stage, method, uri, token, body).await;
            // RFC 7592 s2.1: also for a client that is not there.
            assert_eq!(answer.status, 401, "{uri} {token:?}");
            assert!(answer.header(header::WWW_AUTHENTICATE).starts_with("Bearer realm="));
            assert!(!answer.text().contains(SECRET));
        }
    }
    assert!(takes(&stage, "web", SECRET).await, "nothing was changed");
    assert_eq!(own(&stage, &[]).await, body);
}

#[tokio::test]
async fn a_new_secret_takes_the_place_of_the_old_one() {
    let stage = stage(|_| {}).await;
    let kept = put(&stage, &own(&stage, &[]).await).await.json();
    assert_eq!(kept["client_secret"], SECRET, "who names the secret keeps it");
    assert!(takes(&stage, "web", SECRET).await);
    let answer = put(&stage, &own(&stage, &["client_secret"]).await).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let after = answer.json();
    let new = after["client_secret"].as_str().unwrap();
    assert_eq!(after["registration_access_token"], TOKEN);
    assert!(takes(&stage, "web", new).await && !takes(&stage, "web", SECRET).await);
    // The rest is as it was: it may still use Basic, and sign people in.
    assert!(takes_basic(&stage, "web", new).await);
    let code = Browser::new(&stage).code("alice", "openid orders.read").await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", WEB_CALLBACK),
        ("code_verifier", crate::support::VERIFIER),
        ("client_id", "web"),
        ("client_secret", new),
    ];
    let tokens = stage.post_with("/token", &form, None).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}

#[tokio::test]
async fn the_old_secret_stays_for_the_overlap() {
    let stage = stage(|config| config.secret_overlap = 600).await;
    let body = own(&stage, &["client_secret"]).await;
    let second = put(&stage, &body).await.json()["client_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    stage.clock.advance(599);
    assert!(takes(&stage, "web", SECRET).await && takes(&stage, "web", &second).await);
    let third = put(&stage, &body).await.json()["client_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    stage.clock.advance(1);
    assert!(!takes(&stage, "web", SECRET).await);
    assert!(takes(&stage, "web", &second).await && takes(&stage, "web", &third).await);
    stage.clock.advance(599);
    assert!(!takes(&stage, "web", &second).await && takes(&stage, "web", &third).await);
}

#[tokio::test]
async fn a_change_says_what_it_is_about_and_chooses_no_secret() {
    let stage = stage(|_| {}).await;
    let good = own(&stage, &["client_secret"]).await;
    for (name, value) in [
        ("client_id", json!("other")),
        ("client_id", json!(null)),
        ("client_secret", json!("of my own")),
        ("client_secret", json!("")),
        ("registration_access_token", json!(TOKEN)),
        ("registration_client_uri", json!("x")),
        ("client_secret_expires_at", json!(0)),
        ("client_id_issued_at", json!(1)),
    ] {
        let mut body = good.clone();
        body[name] = value;
        put(&stage, &body).await.assert_error(400, "invalid_request");
    }
    let mut body = good.clone();
    body["redirect_uris"] = json!(["http://evil.example/cb"]);
    put(&stage, &body).await.assert_error(400, "invalid_redirect_uri");
    assert!(takes(&stage, "web", SECRET).await, "nothing was changed");
    // RFC 7592 s2.2: what is left out is gone.
    body["redirect_uris"] = json!(["https://moved.example/cb"]);
    body.as_object_mut().unwrap().remove("post_logout_redirect_uris");
    let after = put(&stage, &body).await;
    assert_eq!(after.status, 200, "{}", after.text());
    assert_eq!(after.json()["redirect_uris"], json!(["https://moved.example/cb"]));
    assert!(after.json().get("post_logout_redirect_uris").is_none());
    let request = crate::support::request("web", WEB_CALLBACK, &[]);
    let refused = Browser::new(&stage).authorize(&request).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a_client_with_a_key_has_no_secret_to_replace() {
    let stage = stage(|_| {}).await;
    let mut body = own(&stage, &["client_secret"]).await;
    body["token_endpoint_auth_method"] = json!("none");
    let after = put(&stage, &body).await;
    assert_eq!(after.status, 200, "{}", after.text());
    assert!(after.json().get("client_secret").is_none());
    assert!(!takes(&stage, "web", SECRET).await);
    body["token_endpoint_auth_method"] = json!("client_secret_basic");
    let after = put(&stage, &body).await.json();
    assert!(takes_basic(&stage, "web", after["client_secret"].as_str().unwrap()).await);
}

#[tokio::test]
async fn the_registration_token_changes_where_it_is_told_to() {
    let stage = stage(|config| config.rotate_registration_access_tokens = true).await;
    let uri = stage.url("/register/web");
    let body = own(&stage, &["client_secret"]).await;
    let next = put(&stage, &body).await.json()["registration_access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(next, TOKEN);
    assert_eq!(send(&stage, Method::GET, &uri, Some(TOKEN), None).await.status, 401);
    assert_eq!(send(&stage, Method::GET, &uri, Some(&next), None).await.status, 200);
}

#[tokio::test]
async fn a_registration_that_is_deleted_takes_its_tokens_along() {
    let stage = stage(|_| {}).await;
    let tokens = stage.sign_in("alice", "openid offline_access orders.read").await;
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    assert!(stage.is_active(access).await);
    let uri = stage.url("/register/web");
    let answer = send(&stage, Method::DELETE, &uri, Some(TOKEN), None).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert!(!stage.is_active(access).await);
    stage.refresh("web", refresh).await.assert_error(401, "invalid_client");
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(send(&stage, method, &uri, Some(TOKEN), None).await.status, 401);
    }
    assert_eq!(
        Browser::new(&stage)
            .authorize(&crate::support::request("web", WEB_CALLBACK, &[]))
            .await
            .status,
        400
    );
}
