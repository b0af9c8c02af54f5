use portcullis_idp::IdpConfig;

use crate::support::{Answer, Browser, Stage, WEB_CALLBACK, config, request};

const URI: &str = "https://partner.example/cb";

async fn answer(browser: &mut Browser<'_>, page: &Answer, choice: &str) -> Answer {
    let (interaction, csrf) = (page.field("interaction"), page.field("csrf"));
    browser
        .submit(
            "/consent",
            &[("interaction", &interaction), ("csrf", &csrf), ("answer", choice)],
        )
        .await
}

async fn consent_page(browser: &mut Browser<'_>, changes: &[(&str, &str)]) -> Answer {
    let page = browser.authorize(&request("partner", URI, changes)).await;
    let to_consent = browser.log_in(&page, "bob", "bob-demo").await;
    let location = to_consent.header("location").to_owned();
    assert!(location.contains("/consent?interaction="), "{location}");
    browser.open(&location).await
}

#[tokio::test]
async fn the_user_sees_what_is_granted_and_agrees_once() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let page = consent_page(&mut browser, &[("scope", "openid orders.read orders.write")]).await;
    assert!(page.text().contains("<code>orders.read</code>"));
    assert!(
        !page.text().contains("orders.write"),
        "bob may not have it, so it is not asked for"
    );
    let code = answer(&mut browser, &page, "allow").await.redirected_to(URI)["code"].clone();
    assert_eq!(stage.exchange("partner", URI, &code).await.status, 200);
    let again = browser.authorize(&request("partner", URI, &[])).await;
    assert!(again.redirected_to(URI).contains_key("code"), "agreed already");
    let more = browser
        .authorize(&request("partner", URI, &[("scope", "openid profile")]))
        .await;
    assert_eq!(more.status, 200, "more is a new question");
    let forced = browser
        .authorize(&request("partner", URI, &[("prompt", "consent")]))
        .await;
    assert_eq!(forced.status, 200);
}

#[tokio::test]
async fn the_user_may_say_no() {
    let stage = Stage::new().await;
    for choice in ["deny", "", "other"] {
        let mut browser = Browser::new(&stage);
        let page = consent_page(&mut browser, &[]).await;
        let parameters = answer(&mut browser, &page, choice).await.redirected_to(URI);
        assert_eq!(
            (parameters["error"].as_str(), parameters["state"].as_str()),
            ("access_denied", "the-state")
        );
        let silent = browser.authorize(&request("partner", URI, &[("prompt", "none")])).await;
        assert_eq!(silent.redirected_to(URI)["error"], "consent_required");
    }
}

#[tokio::test]
async fn the_form_is_protected() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let page = consent_page(&mut browser, &[]).await;
    let (interaction, csrf) = (page.field("interaction"), page.field("csrf"));
    let good = [
        ("interaction", interaction.as_str()),
        ("csrf", csrf.as_str()),
        ("answer", "allow"),
    ];
    assert_eq!(browser.submit("/consent", &[good[0], good[2]]).await.status, 400);
    assert_eq!(
        browser
            .submit_with("/consent", &good, &[("sec-fetch-site", "cross-site")])
            .await
            .status,
        400
    );
    // The login's form cannot be answered with a consent, nor the other way about.
    assert_eq!(
        browser
            .submit(
                "/login",
                &[good[0], good[1], ("username", "bob"), ("password", "bob-demo")]
            )
            .await
            .status,
        400
    );
    assert_eq!(browser.submit("/consent", &good).await.status, 303);
    assert_eq!(browser.submit("/consent", &good).await.status, 400);
}

#[tokio::test]
async fn another_user_cannot_answer() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let page = consent_page(&mut browser, &[]).await;
    let other = browser
        .authorize(&request("web", WEB_CALLBACK, &[("prompt", "login")]))
        .await;
    assert_eq!(browser.log_in(&other, "alice", "alice-demo").await.status, 303);
    assert_eq!(answer(&mut browser, &page, "allow").await.status, 400);
}

#[tokio::test]
async fn all_clients_can_be_made_to_ask() {
    let stage = Stage::with(IdpConfig {
        consent: true,
        ..config()
    })
    .await;
    let mut browser = Browser::new(&stage);
    let page = browser.authorize(&request("web", WEB_CALLBACK, &[])).await;
    let to_consent = browser.log_in(&page, "alice", "alice-demo").await;
    assert!(to_consent.header("location").contains("/consent?"));
}
