//! Signing in and out, the session's cookie, and who may use it.

use super::{Browser, World};

const ORDER: &str = r#"{"item":"Hinge","quantity":2}"#;

#[tokio::test]
async fn the_whole_way_of_a_person() {
    let world = World::start().await;
    let mut alice = Browser::new();
    let anonymous = alice.user(&world).await;
    assert_eq!(anonymous.status, 401);
    assert_eq!(anonymous.json()["login_url"], "/bff/login");
    let refused = alice.fetch("GET", &world.app("/api/orders"), "").await;
    let metadata = world.app("/.well-known/oauth-protected-resource/api/orders");
    assert_eq!(
        (refused.status.as_u16(), refused.header("www-authenticate").to_owned()),
        (
            401,
            format!("Bearer realm=\"orders\", resource_metadata=\"{metadata}\"")
        )
    );

    alice.login(&world, "alice").await;
    let user = alice.user(&world).await.json();
    assert_eq!(user["claims"]["name"], "Alice Liddell");
    assert_eq!(user["claims"]["sub"], "alice");
    for protocol in ["nonce", "at_hash", "aud", "exp", "sid"] {
        assert!(user["claims"].get(protocol).is_none(), "{protocol}");
    }
    assert_eq!(user["seconds_left"], 30 * 60);

    let listed = alice.fetch("GET", &world.app("/api/orders"), "").await;
    assert_eq!(listed.status, 200);
    assert_eq!(listed.header("cache-control"), "no-store");
    let before = listed.json().as_array().unwrap().len();
    let created = alice.fetch("POST", &world.app("/api/orders"), ORDER).await;
    assert_eq!(
        (created.status.as_u16(), created.json()["ordered_by"].as_str()),
        (201, Some("alice"))
    );
    assert_eq!(
        alice
            .fetch("GET", &world.app("/api/orders"), "")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        before + 1
    );
    assert_eq!(
        alice.fetch("GET", &world.app("/api/orders/report"), "").await.status,
        403
    );

    let dead = alice.session_cookie().unwrap().to_owned();
    let logout = world.app(user["logout_url"].as_str().unwrap());
    let home = alice.go(&logout).await;
    assert_eq!(home.url.path(), "/");
    assert!(alice.session_cookie().is_none());
    assert_eq!(alice.user(&world).await.status, 401);
    let cookie = format!("portcullis-shop={dead}");
    let stolen = Browser::new()
        .send(
            "GET",
            &world.app("/bff/user"),
            &[("cookie", &cookie), ("x-csrf", "1")],
            String::new(),
        )
        .await;
    assert_eq!(
        (stolen.status.as_u16(), world.last_code().as_str()),
        (401, "session.expired")
    );
    // At the provider too: it asks for the password again.
    let again = alice.go(&world.app("/bff/login")).await;
    assert!(again.body.contains("name=\"password\""));
}

#[tokio::test]
async fn a_refusal_says_what_is_missing() {
    let world = World::start().await;
    let (mut bob, mut carol) = (Browser::new(), Browser::new());
    bob.login(&world, "bob").await;
    assert_eq!(bob.fetch("GET", &world.app("/api/orders"), "").await.status, 200);
    let refused = bob.fetch("POST", &world.app("/api/orders"), ORDER).await;
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .header("www-authenticate")
            .contains(r#"error="insufficient_scope""#)
    );
    assert!(refused.header("www-authenticate").contains(r#"scope="orders.write""#));
    assert!(refused.json()["detail"].as_str().unwrap().contains("orders.write"));
    assert_eq!(world.last_code(), "policy.scope_insufficient");
    carol.login(&world, "carol").await;
    let report = carol.fetch("GET", &world.app("/api/orders/report"), "").await;
    assert_eq!(
        (report.status.as_u16(), report.json()["orders"].as_u64()),
        (200, Some(2))
    );
}

#[tokio::test]
async fn a_logout_needs_its_token() {
    let world = World::start().await;
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    for (query, code) in [
        ("", "logout.token_missing"),
        ("?token=", "logout.token_mismatch"),
        ("?token=x", "logout.token_mismatch"),
    ] {
        let answer = alice.navigate(&world.app(&format!("/bff/logout{query}"))).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(world.last_code(), code);
        assert_eq!(alice.user(&world).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_and_new_at_each_login() {
    let world = World::start().await;
    let mut alice = Browser::new();
    let planted = "A".repeat(43);
    alice
        .cookies
        .insert(("portcullis-shop".into(), "/".into()), planted.clone());
    alice.login(&world, "alice").await;
    let first = alice.session_cookie().unwrap().to_owned();
    assert_ne!(first, planted);
    let line = alice
        .set_cookies
        .iter()
        .rfind(|line| line.starts_with("portcullis-shop="))
        .unwrap();
    assert!(
        line.contains("; Path=/") && line.contains("; HttpOnly") && line.contains("; SameSite=Lax"),
        "{line}"
    );
    assert!(!line.contains("Domain"), "{line}");

    // The provider remembers alice: a second login needs no password, and ends the first session.
    let answer = alice.go(&world.app("/bff/login")).await;
    assert_eq!(answer.url.path(), "/");
    let second = alice.session_cookie().unwrap().to_owned();
    assert_ne!(second, first);
    for (cookies, status) in [
        (format!("portcullis-shop={second}"), 200),
        (format!("portcullis-shop={first}"), 401),
        (format!("portcullis-shop={planted}"), 401),
        (format!("portcullis-shop={second}; portcullis-shop={first}"), 401),
    ] {
        let headers = [("cookie", cookies.as_str()), ("x-csrf", "1")];
        let answer = Browser::new()
            .send("GET", &world.app("/bff/user"), &headers, String::new())
            .await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn only_the_page_itself_may_use_the_session() {
    let world = World::start().await;
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    let origin = world.address("app");
    let url = world.app("/api/orders");
    let calls = || world.demo.audit().metrics().events("call_forwarded");
    for (headers, code) in [
        (vec![("sec-fetch-site", "same-origin")], "csrf.header_missing"),
        (vec![("x-csrf", "0")], "csrf.header_missing"),
        (
            vec![("x-csrf", "1"), ("origin", "https://evil.example")],
            "csrf.origin_mismatch",
        ),
        (vec![("x-csrf", "1"), ("origin", "null")], "csrf.origin_mismatch"),
        (
            vec![("x-csrf", "1"), ("sec-fetch-site", "cross-site")],
            "csrf.cross_site",
        ),
        (
            vec![("x-csrf", "1"), ("sec-fetch-site", "same-site")],
            "csrf.cross_site",
        ),
        (
            vec![("upgrade", "websocket"), ("connection", "upgrade")],
            "csrf.origin_mismatch",
        ),
        (
            vec![
                ("upgrade", "websocket"),
                ("connection", "upgrade"),
                ("origin", "http://evil.example"),
            ],
            "csrf.origin_mismatch",
        ),
    ] {
        let before = calls();
        let answer = alice.send("GET", &url, &headers, String::new()).await;
        assert_eq!(
            (answer.status.as_u16(), world.last_code().as_str()),
            (403, code),
            "{headers:?}"
        );
        assert_eq!(calls(), before, "{headers:?}");
    }
    let preflight = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "GET"),
    ];
    let answer = alice.send("OPTIONS", &url, &preflight, String::new()).await;
    assert_eq!(
        (answer.status.as_u16(), world.last_code().as_str()),
        (403, "cors.origin_denied")
    );
    assert!(answer.header("access-control-allow-origin").is_empty());

    let good = [
        ("x-csrf", "1"),
        ("origin", origin.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(alice.send("GET", &url, &good, String::new()).await.status, 200);
}

#[tokio::test]
async fn who_goes_to_a_page_is_sent_to_sign_in_and_comes_back() {
    let world = World::start().await;
    let mut alice = Browser::new();
    let answer = alice.navigate(&world.app("/api/orders?page=2")).await;
    assert_eq!(answer.status, 303);
    assert_eq!(
        answer.location().unwrap().as_str(),
        world.app("/bff/login?return_to=%2Fapi%2Forders%3Fpage%3D2&keep=fragment")
    );
    for elsewhere in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example"] {
        let answer = alice
            .navigate(&world.app(&format!("/bff/login?return_to={elsewhere}")))
            .await;
        assert_eq!(
            (answer.status.as_u16(), world.last_code().as_str()),
            (400, "login.return_path_refused")
        );
    }
}

#[tokio::test]
async fn a_session_ends_idle_and_at_its_age() {
    let world = World::start().await;
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    world.clock.advance(29 * 60);
    assert_eq!(alice.user(&world).await.status, 200);
    world.clock.advance(29 * 60);
    assert_eq!(alice.user(&world).await.status, 200, "it was used, so it slid on");
    world.clock.advance(30 * 60 + 1);
    assert_eq!(alice.user(&world).await.status, 401);

    alice.login(&world, "alice").await;
    for _ in 0..19 {
        world.clock.advance(25 * 60);
        assert_eq!(alice.user(&world).await.status, 200);
    }
    world.clock.advance(5 * 60 + 1);
    assert_eq!(alice.user(&world).await.status, 401, "eight hours are over");
}
