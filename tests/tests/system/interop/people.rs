//! A person at the gateway: log in, call, be refreshed, log out.

use http::Method;
use serde_json::{Value, json};

use super::app::{App, Setup, claims};
use super::browser::{Browser, Page};
use super::provider::API;

/// More than makes an access token due, and less than the life of an ID token.
const DUE: i64 = 130;

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_where_the_provider_knows_the_api_by_itself() {
    let app = App::start(&Setup {
        provider: &[("DEFAULT_RESOURCE", "1")],
        ..Setup::default()
    })
    .await;
    the_whole_way(&app, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_with_a_resource_indicator() {
    let app = App::start(&Setup {
        provider: &[("WEB_CLIENT_AUTH", "client_secret_post")],
        client: r#"auth = "client_secret_post""#,
        frontend: r#"
            resource = "https://api.example.test"
            logout_hint = "session"
        "#,
    })
    .await;
    the_whole_way(&app, Some(API)).await;
}

async fn the_whole_way(app: &App, resource: Option<&str>) {
    let mut browser = Browser::new();
    let user = app.url("/bff/user");
    let (status, problem) = browser.fetch(Method::GET, &user).await;
    assert_eq!((status, &problem["login_url"]), (401, &json!("/bff/login")));

    let form = browser.go(&app.url("/bff/login"), "nowhere").await;
    let authorization = sent_to_provider(&browser, "/auth?");
    for (name, value) in [("code_challenge_method", Some("S256")), ("resource", resource)] {
        assert_eq!(parameter(&authorization, name).as_deref(), value, "{name}");
    }
    let home = sign_in(&mut browser, app, &form).await;
    assert_eq!((home.status.as_u16(), home.url.as_str()), (200, app.url("/").as_str()));

    let (status, who) = browser.fetch(Method::GET, &user).await;
    assert_eq!(status, 200, "{who}");
    assert_eq!(
        who["claims"],
        json!({ "sub": "alice", "name": "Alice Archer", "email": "alice@example.test", "email_verified": true }),
        "what is about the token, and not the person, is left out"
    );

    let first = calls(app, &mut browser).await;
    assert_eq!(
        calls(app, &mut browser).await,
        first,
        "a token that is not due is used again"
    );
    assert_eq!(app.events("token_refreshed", None), 0);

    app.clock.advance(DUE);
    let second = calls(app, &mut browser).await;
    assert_ne!(second, first);
    assert_eq!(app.events("token_refreshed", None), 1);
    // The provider ends the whole family of a refresh token that comes twice: the rotated one was kept.
    app.clock.advance(DUE);
    let third = calls(app, &mut browser).await;
    assert!(third != first && third != second);
    assert_eq!(
        (app.events("token_refreshed", None), app.events("refresh_failed", None)),
        (2, 0)
    );

    log_out(app, &mut browser, resource.is_none()).await;
    assert!(
        browser.seen.contains("alice@example.test"),
        "what was seen is searched below"
    );
    for token in app.tokens() {
        assert!(!browser.seen.contains(&token), "a token was shown to the page");
        let told = app.audit.recent(0).iter().any(|record| record.json().contains(&token));
        assert!(!told, "a token was written to the events");
    }
}

/// Reads, writes, and is refused the report; gives the token that the API saw.
async fn calls(app: &App, browser: &mut Browser) -> String {
    let orders = app.url("/api/orders");
    for method in [Method::GET, Method::POST] {
        let (status, echo) = browser.fetch(method.clone(), &orders).await;
        assert_eq!(status, 200, "{echo}");
        assert_eq!(echo, json!({ "method": method.as_str(), "path": "/api/orders" }));
    }
    let token = app.last_token();
    let said = claims(&token);
    let facts = ["iss", "aud", "sub", "client_id", "scope"].map(|name| said[name].clone());
    let expected = [&app.provider.issuer, API, "alice", "web", "orders.read orders.write"];
    assert_eq!(facts, expected.map(Value::from));

    let before = app.tokens().len();
    for path in ["/api/orders/report", "/api/orders/nightly"] {
        let (status, problem) = browser.fetch(Method::GET, &app.url(path)).await;
        assert_eq!(status, 403, "{path}: {problem}");
    }
    assert_eq!(app.tokens().len(), before, "what is refused does not reach the API");
    assert_eq!(browser.fetch(Method::GET, &app.url("/api/orders/mine")).await.0, 200);
    assert_eq!(app.last_token(), token);
    token
}

async fn log_out(app: &App, browser: &mut Browser, with_id_token: bool) {
    let (_, who) = browser.fetch(Method::GET, &app.url("/bff/user")).await;
    let logout = app.url(who["logout_url"].as_str().unwrap());
    let signed_in = browser.cookies.clone();

    let confirm = browser.go(&logout, "nowhere").await;
    assert_eq!(confirm.status.as_u16(), 200, "{}", confirm.body);
    let end_session = sent_to_provider(browser, "/session/end?");
    assert_eq!(parameter(&end_session, "client_id").as_deref(), Some("web"));
    assert_eq!(parameter(&end_session, "id_token_hint").is_some(), with_id_token);
    let back = browser.submit(&confirm, &[("logout", "yes")]).await;
    let back = back.location.expect("the provider sends back");
    let state = parameter(&end_session, "state").expect("a state");
    assert_eq!(back.as_str(), format!("{}?state={state}", app.url("/")));
    let home = browser.go(back.as_str(), "nowhere").await;
    assert_eq!((home.status.as_u16(), home.url.path()), (200, "/"));

    let user = app.url("/bff/user");
    assert_eq!(browser.fetch(Method::GET, &user).await.0, 401);
    let form = browser.go(&app.url("/bff/login"), "nowhere").await;
    assert!(
        form.body.contains("name=\"login\""),
        "the provider asks again who it is: {}",
        form.body
    );

    // Whoever kept a copy of the cookies has nothing.
    let mut thief = Browser::new();
    thief.cookies = signed_in;
    assert_eq!(thief.fetch(Method::GET, &user).await.0, 401);
    assert_eq!(thief.fetch(Method::GET, &app.url("/api/orders")).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_that_is_no_jwt_serves_userinfo_and_no_api() {
    let app = App::start(&Setup::default()).await;
    let mut browser = Browser::new();
    let form = browser
        .go(&app.url("/bff/login?return_to=/api/orders"), "nowhere")
        .await;
    let end = sign_in(&mut browser, &app, &form).await;
    assert_eq!(
        end.url.path(),
        "/api/orders",
        "the login succeeded and went where it was asked to"
    );

    let (status, who) = browser.fetch(Method::GET, &app.url("/bff/user")).await;
    assert_eq!((status, &who["claims"]["sub"]), (200, &json!("alice")), "{who}");
    let (status, _) = browser.fetch(Method::GET, &app.url("/api/orders")).await;
    assert_eq!((status, app.tokens().len()), (401, 0));
    assert_eq!(app.events("call_refused", Some("token.malformed")), 1);
}

/// Fills in the login form, and follows to the page at the end.
async fn sign_in(browser: &mut Browser, app: &App, form: &Page) -> Page {
    assert_eq!(form.status.as_u16(), 200, "{}", form.body);
    let resume = browser.submit(form, &[("login", "alice")]).await;
    let resume = resume.location.unwrap_or_else(|| panic!("{}", resume.body));
    assert!(resume.as_str().starts_with(&app.provider.issuer), "{resume}");
    browser.go(resume.as_str(), "nowhere").await
}

/// The last address at the provider that begins so.
fn sent_to_provider(browser: &Browser, path: &str) -> String {
    let mut lines = browser.seen.lines().filter(|line| line.starts_with("http://"));
    let found = lines.rfind(|line| line.contains(path));
    found.unwrap_or_else(|| panic!("no redirect to {path}")).to_owned()
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).unwrap();
    let mut values = url.query_pairs().filter(|(given, _)| given == name);
    values.next().map(|(_, value)| value.into_owned())
}
