//! The login page and its protection.

use http::header;

use crate::support::{APP_CALLBACK, Browser, Stage, WEB_CALLBACK, request};

#[tokio::test]
async fn signing_in_leads_back_with_a_code() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let page = browser.authorize(&request("web", WEB_CALLBACK, &[])).await;
    assert!(page.text().contains("to go on to <strong>web</strong>"));
    let answer = browser.log_in(&page, "alice", "alice-demo").await;
    let parameters = answer.redirected_to(WEB_CALLBACK);
    assert_eq!(parameters.keys().collect::<Vec<_>>(), ["code", "iss", "state"]);
    assert_eq!(
        (parameters["state"].as_str(), parameters["iss"].as_str()),
        ("the-state", stage.idp.issuer())
    );
    assert_eq!(answer.header(header::REFERRER_POLICY), "no-referrer");
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    // The next request needs no password.
    let again = browser.authorize(&request("web", WEB_CALLBACK, &[])).await;
    assert_ne!(again.redirected_to(WEB_CALLBACK)["code"], parameters["code"]);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let stage = Stage::new().await;
    let mut texts = Vec::new();
    for (username, password) in [
        ("alice", "wrong"),
        ("nobody", "alice-demo"),
        ("carol", "alice-demo"),
        ("alice", ""),
    ] {
        let mut browser = Browser::new(&stage);
        let page = browser.authorize(&request("web", WEB_CALLBACK, &[])).await;
        let answer = browser.log_in(&page, username, password).await;
        assert_eq!(answer.status, 422);
        assert!(
            !browser.cookies.keys().any(|name| name.contains("session")),
            "nobody is signed in"
        );
        let text = answer
            .text()
            .replace(&answer.field("interaction"), "")
            .replace(&answer.field("csrf"), "");
        texts.push(text.replace(username, "USER"));
        // The same page can be used again.
        let again = Browser::log_in(&mut browser, &page, "alice", "alice-demo").await;
        assert!(again.redirected_to(WEB_CALLBACK).contains_key("code"));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:#?}");
}

#[tokio::test]
async fn a_form_from_elsewhere_signs_nobody_in() {
    let stage = Stage::new().await;
    let mut victim = Browser::new(&stage);
    let mut attacker = Browser::new(&stage);
    let victims = victim.authorize(&request("web", WEB_CALLBACK, &[])).await;
    let attackers = attacker.authorize(&request("web", WEB_CALLBACK, &[])).await;
    let credentials = [("username", "bob"), ("password", "bob-demo")];
    let (mine, my_csrf) = (victims.field("interaction"), victims.field("csrf"));
    let (theirs, their_csrf) = (attackers.field("interaction"), attackers.field("csrf"));
    let good = [
        ("interaction", mine.as_str()),
        ("csrf", &my_csrf),
        credentials[0],
        credentials[1],
    ];

    let forged = [
        vec![("interaction", mine.as_str()), credentials[0], credentials[1]],
        vec![
            ("interaction", mine.as_str()),
            ("csrf", &their_csrf),
            credentials[0],
            credentials[1],
        ],
        vec![
            ("interaction", theirs.as_str()),
            ("csrf", &their_csrf),
            credentials[0],
            credentials[1],
        ],
        vec![
            ("interaction", "nothing"),
            ("csrf", &my_csrf),
            credentials[0],
            credentials[1],
        ],
    ];
    for form in forged {
        let answer = victim.submit("/login", &form).await;
        assert_eq!(answer.status, 400);
        assert!(answer.cookies().is_empty());
    }
    for site in ["cross-site", "same-site", "none"] {
        let answer = victim.submit_with("/login", &good, &[("sec-fetch-site", site)]).await;
        assert_eq!((answer.status.as_u16(), answer.cookies().len()), (400, 0), "{site}");
    }
    let mut without_cookie = Browser::new(&stage);
    assert_eq!(without_cookie.submit("/login", &good).await.status, 400);

    assert_eq!(victim.submit("/login", &good).await.status, 303);
    assert_eq!(
        victim.submit("/login", &good).await.status,
        400,
        "a form is good for one login"
    );
}

#[tokio::test]
async fn a_login_page_grows_old() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let page = browser.authorize(&request("web", WEB_CALLBACK, &[])).await;
    stage.clock.advance(600);
    assert_eq!(browser.log_in(&page, "alice", "alice-demo").await.status, 400);
    let page = browser.authorize(&request("web", WEB_CALLBACK, &[])).await;
    stage.clock.advance(599);
    assert_eq!(browser.log_in(&page, "alice", "alice-demo").await.status, 303);
}

#[tokio::test]
async fn cookies_are_out_of_reach_and_new_at_each_login() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let session = format!("portcullis-idp-session-{}", stage.idp.local_addr().port());
    browser.cookies.insert(session.clone(), "planted".into());
    browser.code("alice", "openid").await;
    let first = browser.cookies[&session].clone();
    assert_ne!(first, "planted");

    let page = browser
        .authorize(&request("web", WEB_CALLBACK, &[("prompt", "login")]))
        .await;
    let answer = browser.log_in(&page, "bob", "bob-demo").await;
    let cookie = answer.cookies()[0];
    assert!(
        cookie.starts_with(&session) && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    assert_ne!(browser.cookies[&session], first);
    assert_eq!(
        stage.control().token_counts().live_sessions,
        1,
        "the former session is gone"
    );

    browser.cookies.insert(session, first);
    let page = browser.authorize(&request("web", WEB_CALLBACK, &[])).await;
    assert!(
        page.text().contains("name=\"password\""),
        "the former cookie is worth nothing"
    );
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    browser.code("alice", "openid").await;
    stage.clock.advance(8 * 3600 - 1);
    assert_eq!(browser.authorize(&request("web", WEB_CALLBACK, &[])).await.status, 303);
    stage.clock.advance(1);
    assert_eq!(browser.authorize(&request("web", WEB_CALLBACK, &[])).await.status, 200);
}

#[tokio::test]
async fn the_page_may_do_nothing_but_send_its_form() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let page = browser.authorize(&request("web", WEB_CALLBACK, &[])).await;
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let form_action = format!("form-action {} http://127.0.0.1:8080;", stage.idp.issuer());
    let other_order = format!("form-action http://127.0.0.1:8080 {};", stage.idp.issuer());
    assert!(
        policy.contains(&form_action) || policy.contains(&other_order),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header(header::X_FRAME_OPTIONS), "DENY");
    assert_eq!(page.header(header::REFERRER_POLICY), "no-referrer");
    assert_eq!(page.header(header::CACHE_CONTROL), "no-store");
    let page = browser.authorize(&request("app", APP_CALLBACK, &[])).await;
    assert!(
        page.header(header::CONTENT_SECURITY_POLICY)
            .contains("form-action com.example.app: http")
    );
}

#[tokio::test]
async fn a_hint_fills_the_username_in_and_nothing_else() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let page = browser
        .authorize(&request("web", WEB_CALLBACK, &[("login_hint", "bob")]))
        .await;
    assert!(page.text().contains("name=\"username\" value=\"bob\""));
    let evil = "\"><script>alert(1)</script>";
    let page = browser
        .authorize(&request("web", WEB_CALLBACK, &[("login_hint", evil)]))
        .await;
    assert!(!page.text().contains("<script"));
}
