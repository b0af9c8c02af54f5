//! `prompt`, `max_age` and `id_token_hint`.

use crate::support::{Browser, Stage, WEB_CALLBACK, request};

#[tokio::test]
async fn prompt_none_shows_no_page() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let silent = request("web", WEB_CALLBACK, &[("prompt", "none")]);
    assert_eq!(
        browser.authorize(&silent).await.redirected_to(WEB_CALLBACK)["error"],
        "login_required"
    );
    browser.code("alice", "openid").await;
    assert!(
        browser
            .authorize(&silent)
            .await
            .redirected_to(WEB_CALLBACK)
            .contains_key("code")
    );
    assert_eq!(stage.control().end_user_sessions(Some("bob")), 0);
    assert!(
        browser
            .authorize(&silent)
            .await
            .redirected_to(WEB_CALLBACK)
            .contains_key("code")
    );
    assert_eq!(stage.control().end_user_sessions(Some("alice")), 1);
    assert_eq!(
        browser.authorize(&silent).await.redirected_to(WEB_CALLBACK)["error"],
        "login_required"
    );
}

#[tokio::test]
async fn prompt_login_and_max_age_ask_again() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    browser.code("alice", "openid").await;
    stage.clock.advance(61);
    assert_eq!(
        browser
            .authorize(&request("web", WEB_CALLBACK, &[("max_age", "61")]))
            .await
            .status,
        303
    );
    let page = browser
        .authorize(&request("web", WEB_CALLBACK, &[("max_age", "60")]))
        .await;
    let code = browser
        .log_in(&page, "alice", "alice-demo")
        .await
        .redirected_to(WEB_CALLBACK)["code"]
        .clone();
    let tokens = stage.exchange("web", WEB_CALLBACK, &code).await.json();
    let claims = stage.verified(tokens["id_token"].as_str().unwrap()).await;
    assert_eq!(claims["auth_time"], claims["iat"], "the login is new");
    for prompt in ["login", "select_account", "login consent"] {
        let page = browser
            .authorize(&request("web", WEB_CALLBACK, &[("prompt", prompt)]))
            .await;
        assert!(page.text().contains("name=\"password\""), "{prompt}");
    }
    let page = browser
        .authorize(&request("web", WEB_CALLBACK, &[("max_age", "0")]))
        .await;
    assert_eq!(
        browser.log_in(&page, "alice", "alice-demo").await.status,
        303,
        "no loop"
    );
}

#[tokio::test]
async fn a_hint_names_the_one_user_that_will_do() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let code = browser.code("alice", "openid").await;
    let tokens = stage.exchange("web", WEB_CALLBACK, &code).await.json();
    let alices = tokens["id_token"].as_str().unwrap();
    let silent = [("prompt", "none"), ("id_token_hint", alices)];
    assert!(
        browser
            .authorize(&request("web", WEB_CALLBACK, &silent))
            .await
            .redirected_to(WEB_CALLBACK)
            .contains_key("code")
    );

    let mut bobs_browser = Browser::new(&stage);
    bobs_browser.code("bob", "openid").await;
    let answer = bobs_browser.authorize(&request("web", WEB_CALLBACK, &silent)).await;
    assert_eq!(answer.redirected_to(WEB_CALLBACK)["error"], "login_required");
    let page = bobs_browser
        .authorize(&request("web", WEB_CALLBACK, &[("id_token_hint", alices)]))
        .await;
    let answer = bobs_browser.log_in(&page, "bob", "bob-demo").await;
    assert_eq!(answer.redirected_to(WEB_CALLBACK)["error"], "login_required");

    let access = tokens["access_token"].as_str().unwrap();
    let answer = browser
        .authorize(&request("web", WEB_CALLBACK, &[("id_token_hint", access)]))
        .await;
    assert_eq!(
        answer.redirected_to(WEB_CALLBACK)["error"],
        "invalid_request",
        "an access token is no hint"
    );
    let other = "https://other.example/cb";
    let answer = browser
        .authorize(&request("other", other, &[("id_token_hint", alices)]))
        .await;
    assert_eq!(
        answer.redirected_to(other)["error"],
        "invalid_request",
        "another client's"
    );
}
