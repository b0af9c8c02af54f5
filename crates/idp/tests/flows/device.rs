//! The device grant (RFC 8628): the endpoint, the page, and how often a device may ask.

use crate::support::{Answer, Browser, SECRET, Stage};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A device that waits: its code, and the one for the person.
async fn begin(stage: &Stage) -> (String, String) {
    let answer = stage
        .post_as(
            "tv",
            "/device_authorization",
            &[("scope", "openid offline_access orders.read")],
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("cache-control")),
        (200, "no-store"),
        "{}",
        answer.text()
    );
    let told = answer.json();
    assert_eq!(told["verification_uri"], stage.url("/device"));
    let (device, user) = (
        told["device_code"].as_str().unwrap(),
        told["user_code"].as_str().unwrap(),
    );
    assert_eq!(
        told["verification_uri_complete"],
        stage.url(&format!("/device?user_code={user}"))
    );
    assert_eq!((&told["expires_in"], &told["interval"]), (&600.into(), &5.into()));
    assert_eq!((device.len(), user.len()), (43, 9));
    (device.to_owned(), user.to_owned())
}

async fn ask(stage: &Stage, code: &str) -> Answer {
    stage.token("tv", &[("grant_type", GRANT), ("device_code", code)]).await
}

async fn enter(browser: &mut Browser<'_>, code: &str) -> Answer {
    let page = browser.open("/device").await;
    let (interaction, csrf) = (page.field("interaction"), page.field("csrf"));
    let form = [
        ("interaction", interaction.as_str()),
        ("csrf", &csrf),
        ("user_code", code),
    ];
    browser.submit("/device", &form).await
}

/// From the code to the question whether the device is meant.
async fn to_consent(browser: &mut Browser<'_>, code: &str) -> Answer {
    let sent = enter(browser, code).await;
    let page = browser.open(sent.header("location")).await;
    let sent = browser.log_in(&page, "bob", "bob-demo").await;
    browser.open(sent.header("location")).await
}

async fn decide(browser: &mut Browser<'_>, page: &Answer, choice: &str) -> Answer {
    let (interaction, csrf) = (page.field("interaction"), page.field("csrf"));
    let form = [
        ("interaction", interaction.as_str()),
        ("csrf", &csrf),
        ("answer", choice),
    ];
    browser.submit("/consent", &form).await
}

#[tokio::test]
async fn a_device_is_connected_once() {
    let stage = Stage::new().await;
    let (device, user) = begin(&stage).await;
    ask(&stage, &device).await.assert_error(400, "authorization_pending");
    let mut browser = Browser::new(&stage);
    let page = to_consent(&mut browser, &user).await;
    assert!(
        page.text().contains(&format!("<strong>{user}</strong>")),
        "{}",
        page.text()
    );
    assert!(page.text().contains("<code>orders.read</code>"));
    let done = decide(&mut browser, &page, "allow").await;
    assert_eq!(
        (done.status.as_u16(), done.text().contains("is connected")),
        (200, true),
        "{}",
        done.text()
    );
    let answer = ask(&stage, &device).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let tokens = answer.json();
    let claims = stage.verified(tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(
        (&claims["client_id"], &claims["aud"]),
        (&"tv".into(), &"api://orders".into())
    );
    let id = stage.verified(tokens["id_token"].as_str().unwrap()).await;
    assert_eq!((&id["sub"], &id["aud"]), (&claims["sub"], &"tv".into()));
    assert_eq!(
        stage
            .refresh("tv", tokens["refresh_token"].as_str().unwrap())
            .await
            .status,
        200
    );
    // Single use: of the device's code and of the person's.
    ask(&stage, &device).await.assert_error(400, "invalid_grant");
    assert_eq!(enter(&mut Browser::new(&stage), &user).await.status, 422);
}

#[tokio::test]
async fn a_person_may_say_no() {
    let stage = Stage::new().await;
    let (device, user) = begin(&stage).await;
    let mut browser = Browser::new(&stage);
    let page = to_consent(&mut browser, &user).await;
    let done = decide(&mut browser, &page, "deny").await;
    assert!(done.text().contains("was not connected"), "{}", done.text());
    ask(&stage, &device).await.assert_error(400, "access_denied");
    // The answer stands: the same page cannot allow it afterwards.
    assert_eq!(decide(&mut browser, &page, "allow").await.status, 400);
    ask(&stage, &device).await.assert_error(400, "access_denied");
}

#[tokio::test]
async fn who_is_signed_in_already_is_asked_all_the_same() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    browser.code("alice", "openid").await;
    let (device, user) = begin(&stage).await;
    let sent = enter(&mut browser, &user.to_lowercase().replace('-', "")).await;
    let page = browser.open(sent.header("location")).await;
    assert!(
        page.text().contains("signed in as <strong>alice</strong>"),
        "{}",
        page.text()
    );
    ask(&stage, &device).await.assert_error(400, "authorization_pending");
    // Two who answer for one device: the first counts.
    let mut other = Browser::new(&stage);
    let second = to_consent(&mut other, &user).await;
    decide(&mut browser, &page, "allow").await;
    assert!(
        decide(&mut other, &second, "allow")
            .await
            .text()
            .contains("was not connected")
    );
    let tokens = ask(&stage, &device).await.json();
    let id = stage.verified(tokens["id_token"].as_str().unwrap()).await;
    assert_eq!(id["name"].as_str(), None, "profile was not asked for");
    assert_eq!(
        stage.userinfo(tokens["access_token"].as_str().unwrap()).await.status,
        200
    );
}

#[tokio::test]
async fn a_hasty_device_is_slowed_down_for_good() {
    let stage = Stage::new().await;
    let (device, _) = begin(&stage).await;
    ask(&stage, &device).await.assert_error(400, "authorization_pending");
    stage.clock.advance(5);
    ask(&stage, &device).await.assert_error(400, "authorization_pending");
    stage.clock.advance(4);
    ask(&stage, &device).await.assert_error(400, "slow_down");
    stage.clock.advance(9);
    ask(&stage, &device).await.assert_error(400, "slow_down");
    stage.clock.advance(15);
    ask(&stage, &device).await.assert_error(400, "authorization_pending");
    stage.clock.advance(600);
    ask(&stage, &device).await.assert_error(400, "expired_token");
}

#[tokio::test]
async fn a_code_is_its_clients_and_has_an_end() {
    let stage = Stage::new().await;
    let (device, user) = begin(&stage).await;
    let other = [("grant_type", GRANT), ("device_code", device.as_str())];
    stage
        .token("other", &other)
        .await
        .assert_error(400, "unauthorized_client");
    ask(&stage, "unknown").await.assert_error(400, "invalid_grant");
    stage
        .token("tv", &[("grant_type", GRANT)])
        .await
        .assert_error(400, "invalid_request");
    let begin_as = |client| stage.post_as(client, "/device_authorization", &[]);
    begin_as("web").await.assert_error(400, "unauthorized_client");
    let wrong = [("client_id", "tv"), ("client_secret", "wrong")];
    stage
        .post_with("/device_authorization", &wrong, None)
        .await
        .assert_error(401, "invalid_client");
    let twice = [
        ("client_id", "tv"),
        ("client_secret", SECRET),
        ("scope", "a"),
        ("scope", "b"),
    ];
    stage
        .post_with("/device_authorization", &twice, None)
        .await
        .assert_error(400, "invalid_request");
    let bad = [("resource", "api://nobody")];
    stage
        .post_as("tv", "/device_authorization", &bad)
        .await
        .assert_error(400, "invalid_target");
    // What was not answered in time cannot be answered any more, not even from a page that is open.
    let mut browser = Browser::new(&stage);
    let page = to_consent(&mut browser, &user).await;
    stage.clock.advance(600);
    assert_eq!(enter(&mut Browser::new(&stage), &user).await.status, 422);
    let late = decide(&mut browser, &page, "allow").await;
    assert!(
        late.status == 400 || late.text().contains("was not connected"),
        "{}",
        late.text()
    );
    ask(&stage, &device).await.assert_error(400, "expired_token");
}

#[tokio::test]
async fn codes_cannot_be_guessed() {
    let stage = Stage::new().await;
    let (_, user) = begin(&stage).await;
    for _ in 0..30 {
        let answer = enter(&mut Browser::new(&stage), "BBBB-BBBB").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().contains("no code that waits")),
            (422, true)
        );
    }
    // Whoever guesses from many browsers is no better off, and not even the right one is told.
    let answer = enter(&mut Browser::new(&stage), &user).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().contains("Wait a minute")),
        (429, true)
    );
    stage.clock.advance(60);
    assert_eq!(enter(&mut Browser::new(&stage), &user).await.status, 303);
    // The form is protected as the others are.
    let mut browser = Browser::new(&stage);
    let page = browser.open("/device?user_code=%3Cscript%3E").await;
    assert!(!page.text().contains("<script"), "{}", page.text());
    let (interaction, csrf) = (page.field("interaction"), page.field("csrf"));
    let good = [
        ("interaction", interaction.as_str()),
        ("csrf", csrf.as_str()),
        ("user_code", user.as_str()),
    ];
    assert_eq!(browser.submit("/device", &[good[0], good[2]]).await.status, 400);
    let foreign = [("sec-fetch-site", "cross-site")];
    assert_eq!(browser.submit_with("/device", &good, &foreign).await.status, 400);
    assert_eq!(Browser::new(&stage).submit("/device", &good).await.status, 400);
    assert_eq!(browser.submit("/device", &good).await.status, 303);
}
