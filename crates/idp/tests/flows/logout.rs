use crate::support::{AFTER_LOGOUT, Browser, Stage, WEB_CALLBACK, encode, request};

async fn signed_in<'a>(stage: &'a Stage, username: &str) -> (Browser<'a>, String) {
    let mut browser = Browser::new(stage);
    let code = browser.code(username, "openid").await;
    let tokens = stage.exchange("web", WEB_CALLBACK, &code).await.json();
    (browser, tokens["id_token"].as_str().unwrap().to_owned())
}

async fn is_signed_in(browser: &mut Browser<'_>) -> bool {
    let answer = browser
        .authorize(&request("web", WEB_CALLBACK, &[("prompt", "none")]))
        .await;
    answer.redirected_to(WEB_CALLBACK).contains_key("code")
}

fn end_session(parameters: &[(&str, &str)]) -> String {
    format!("/end-session?{}", encode(parameters))
}

#[tokio::test]
async fn with_its_id_token_a_client_signs_its_user_out() {
    let stage = Stage::new().await;
    let (mut browser, id_token) = signed_in(&stage, "alice").await;
    stage.clock.advance(3600); // the ID token has expired, which is no obstacle
    let parameters = [
        ("id_token_hint", id_token.as_str()),
        ("post_logout_redirect_uri", AFTER_LOGOUT),
        ("state", "x y"),
    ];
    let answer = browser.open(&end_session(&parameters)).await;
    assert_eq!(answer.redirected_to(AFTER_LOGOUT)["state"], "x y");
    assert!(answer.cookies()[0].contains("Max-Age=0"));
    assert!(!is_signed_in(&mut browser).await);
    assert_eq!(stage.control().token_counts().live_sessions, 0);
}

#[tokio::test]
async fn without_it_the_user_is_asked() {
    let stage = Stage::new().await;
    let (mut browser, _) = signed_in(&stage, "alice").await;
    let parameters = [
        ("client_id", "web"),
        ("post_logout_redirect_uri", AFTER_LOGOUT),
        ("state", "s"),
    ];
    let page = browser.open(&end_session(&parameters)).await;
    assert_eq!(page.status, 200);
    assert!(is_signed_in(&mut browser).await, "a link alone signs nobody out");
    let (interaction, csrf) = (page.field("interaction"), page.field("csrf"));
    let form = [("interaction", interaction.as_str()), ("csrf", csrf.as_str())];
    assert_eq!(browser.submit("/end-session/confirm", &form[..1]).await.status, 400);
    assert_eq!(
        browser
            .submit_with("/end-session/confirm", &form, &[("sec-fetch-site", "cross-site")])
            .await
            .status,
        400
    );
    assert!(is_signed_in(&mut browser).await);
    assert_eq!(
        browser
            .submit("/end-session/confirm", &form)
            .await
            .redirected_to(AFTER_LOGOUT)["state"],
        "s"
    );
    assert!(!is_signed_in(&mut browser).await);
}

#[tokio::test]
async fn anothers_id_token_is_no_proof() {
    let stage = Stage::new().await;
    let (_, bobs) = signed_in(&stage, "bob").await;
    let (mut browser, alices) = signed_in(&stage, "alice").await;
    let access = stage.control().mint(&portcullis_idp::Mint::default()).unwrap();
    let forged = alices.replace('.', ".A");
    for hint in [bobs.as_str(), "x.y.z", &access, &forged] {
        let page = browser.open(&end_session(&[("id_token_hint", hint)])).await;
        assert!(page.text().contains("Sign out?"), "{}", page.text());
        assert!(is_signed_in(&mut browser).await);
    }
    let page = browser.open(&end_session(&[("id_token_hint", &alices)])).await;
    assert!(page.text().contains("You are signed out"));
    assert!(!is_signed_in(&mut browser).await);
}

#[tokio::test]
async fn it_leads_to_registered_addresses_alone() {
    let stage = Stage::new().await;
    let (mut browser, id_token) = signed_in(&stage, "alice").await;
    let hint = ("id_token_hint", id_token.as_str());
    for wrong in [
        "https://evil.example/",
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8081/",
        "http://127.0.0.1:8080/?x",
    ] {
        let answer = browser
            .open(&end_session(&[hint, ("post_logout_redirect_uri", wrong)]))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (400, ""),
            "{wrong}"
        );
        assert!(!answer.text().contains("evil"));
    }
    let no_client = browser
        .open(&end_session(&[("post_logout_redirect_uri", AFTER_LOGOUT)]))
        .await;
    assert_eq!(no_client.status, 400);
    let two_clients = [hint, ("client_id", "other"), ("post_logout_redirect_uri", AFTER_LOGOUT)];
    assert_eq!(browser.open(&end_session(&two_clients)).await.status, 400);
    assert!(is_signed_in(&mut browser).await, "none of these signed anybody out");
    let right = [hint, ("client_id", "web"), ("post_logout_redirect_uri", AFTER_LOGOUT)];
    assert!(
        browser
            .submit_with("/end-session", &right, &[])
            .await
            .redirected_to(AFTER_LOGOUT)
            .is_empty()
    );
}

#[tokio::test]
async fn the_sid_as_a_hint_is_proof_too() {
    let stage = Stage::new().await;
    let (mut browser, id_token) = signed_in(&stage, "alice").await;
    let payload = portcullis_jose::base64url_decode(id_token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let with = |hint: &str| {
        end_session(&[
            ("client_id", "web"),
            ("post_logout_redirect_uri", AFTER_LOGOUT),
            ("logout_hint", hint),
        ])
    };
    let page = browser.open(&with("another")).await;
    assert!(page.text().contains("Sign out?"));
    assert!(is_signed_in(&mut browser).await);
    let sid = with(claims["sid"].as_str().unwrap());
    browser.open(&sid).await.redirected_to(AFTER_LOGOUT);
    assert!(!is_signed_in(&mut browser).await);
    // Again: there is nothing to end, and nobody to ask.
    browser.open(&sid).await.redirected_to(AFTER_LOGOUT);
}
