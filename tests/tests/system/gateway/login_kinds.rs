//! Logins that begin elsewhere, that ask nobody, and that end with an error of the provider's.

use std::collections::BTreeMap;

use portcullis_idp::{Behaviour, Endpoint};

use super::raw::{Raw, Reply};
use super::{Gate, link};
use crate::demo::{Answer, Browser};

fn query(answer: &Answer) -> BTreeMap<String, String> {
    answer.location().unwrap().query_pairs().into_owned().collect()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn another_party_may_begin_a_login_at_our_own_provider() {
    let gate = Gate::start().await;
    let (iss, origin) = (encoded(gate.idp.issuer()), encoded(&gate.origin));
    let mut browser = Browser::new();
    let asked = format!("iss={iss}&login_hint=alice&target_link_uri={origin}%2Fapp%2Fx%3Fa%3D1&unknown=1");
    for method in ["GET", "POST"] {
        let mut browser = Browser::new();
        let headers = [
            ("host", gate.host()),
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "cross-site"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let (url, body) = match method {
            "GET" => (format!("http://{}/bff/login?{asked}", gate.address), String::new()),
            _ => (format!("http://{}/bff/login", gate.address), asked.clone()),
        };
        let mut begun = browser.send(method, &url, &headers, body).await;
        if method == "POST" {
            // Browsers send no lax cookies with it, so that it begins with the GET that it leads to.
            assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
            begun = gate.visit(&mut browser, begun.location().unwrap().as_str()).await;
        }
        assert_eq!(begun.status, 303, "{method} {}", begun.body);
        assert_eq!(query(&begun)["login_hint"], "alice", "{method}");
        let shown = gate.go_on(&mut browser, begun).await;
        assert_eq!(
            (shown.status.as_u16(), shown.url.path(), shown.url.query()),
            (200, "/app/x", Some("a=1"))
        );
    }
    let evil = encoded("https://evil.example");
    for (query, code) in [
        (format!("iss={evil}"), "login.issuer_unknown"),
        (format!("iss={iss}%2F"), "login.issuer_unknown"),
        (format!("iss={iss}&iss={iss}"), "login.duplicate_parameter"),
        (format!("iss={iss}&target_link_uri={evil}"), "login.return_path_refused"),
        (
            format!("iss={iss}&target_link_uri={origin}.evil.example"),
            "login.return_path_refused",
        ),
        (
            format!("iss={iss}&target_link_uri={origin}%40evil.example"),
            "login.return_path_refused",
        ),
        (
            format!("iss={iss}&target_link_uri={origin}%2F%2Fevil.example"),
            "login.return_path_refused",
        ),
        (
            "return_to=/a&target_link_uri=/b".to_owned(),
            "login.duplicate_parameter",
        ),
        ("prompt=login+none".to_owned(), "login.parameter_invalid"),
        ("max_age=-1".to_owned(), "login.parameter_invalid"),
        ("max_age=soon".to_owned(), "login.parameter_invalid"),
        ("acr_values=".to_owned(), "login.parameter_invalid"),
        ("login_hint=a%0Ab".to_owned(), "login.parameter_invalid"),
    ] {
        let answer = gate
            .visit(&mut browser, &format!("{}/bff/login?{query}", gate.origin))
            .await;
        assert_eq!(
            (answer.status.as_u16(), gate.last_code().as_str()),
            (400, code),
            "{query}"
        );
        assert!(answer.location().is_none() && browser.cookies.is_empty(), "{query}");
        assert!(!answer.body.contains("evil"), "{}", answer.body);
    }
}

/// The cookies of logins under way, as the browser sends them.
fn pending(browser: &Browser) -> String {
    let ours = browser.cookies.iter().filter(|((name, _), _)| name.contains("-login-"));
    ours.map(|((name, _), value)| format!("{name}={value}; ")).collect()
}

#[tokio::test]
async fn logins_under_way_take_a_bounded_part_of_the_headers() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let small = format!("{}/bff/login?return_to=/app/x", gate.origin);
    for _ in 0..20 {
        assert_eq!(gate.visit(&mut browser, &small).await.status, 303);
    }
    assert_eq!(pending(&browser).split("; ").count(), 8 + 1);
    // The oldest have made room, also of those of one second.
    let begun = browser.set_cookies.iter().filter(|line| !line.contains("Max-Age=0"));
    let begun: Vec<&str> = begun.filter_map(|line| line.split('=').next()).collect();
    let (gone, left) = begun.split_at(20 - 8);
    assert_eq!(begun.len(), 20);
    let names = pending(&browser);
    assert!(left.iter().all(|name| names.contains(name)), "{names}");
    assert!(!gone.iter().any(|name| names.contains(name)), "{names}");
    let (path, class) = ("a".repeat(2_000), "x".repeat(512));
    let large = format!("{}/bff/login?return_to=/app/{path}&acr_values={class}", gate.origin);
    for _ in 0..20 {
        assert_eq!(gate.visit(&mut browser, &large).await.status, 303);
        assert!(pending(&browser).len() < 12 * 1024, "{}", pending(&browser).len());
    }
    // The newest is among those that stay.
    let begun = gate.visit(&mut browser, &large).await;
    let shown = gate.go_on(&mut browser, begun).await;
    assert_eq!(
        (shown.status.as_u16(), shown.url.path().len()),
        (200, 2_000 + "/app/".len())
    );
}

#[tokio::test]
async fn another_sites_image_or_frame_begins_no_login() {
    let gate = Gate::start().await;
    for (site, dest, status) in [
        ("cross-site", "document", 303),
        ("cross-site", "image", 403),
        ("cross-site", "iframe", 403),
        ("same-site", "empty", 403),
        ("same-origin", "empty", 303),
        ("none", "document", 303),
    ] {
        let mut browser = Browser::new();
        let headers = [
            ("host", gate.host()),
            ("sec-fetch-site", site),
            ("sec-fetch-dest", dest),
        ];
        let url = format!("http://{}/bff/login", gate.address);
        let answer = browser.send("GET", &url, &headers, String::new()).await;
        assert_eq!(answer.status, status, "{site} {dest}");
        assert_eq!(browser.cookies.is_empty(), status == 403, "{site} {dest}");
    }
}

#[tokio::test]
async fn a_silent_login_asks_nobody() {
    let gate = Gate::start().await;
    let page = format!("{}/bff/login?prompt=none&return_to=/app/x", gate.origin);
    let frame = format!("{}/bff/silent-login", gate.origin);
    // Nobody is signed in at the provider.
    let mut browser = Browser::new();
    let begun = gate.visit(&mut browser, &page).await;
    assert_eq!(query(&begun)["prompt"], "none");
    let callback = gate
        .visit(&mut browser, begun.location().unwrap().as_str())
        .await
        .location()
        .unwrap();
    assert_eq!(callback.path(), "/bff/callback");
    let back = gate.visit(&mut browser, callback.as_str()).await;
    assert_eq!((back.status.as_u16(), back.location().unwrap().path()), (303, "/app/x"));
    assert_eq!(gate.last_code(), "login.interaction_required");
    assert!(gate.session(&browser).is_none());

    // What fails at once is told too; the page around the frame would wait for ever.
    let told = gate
        .visit(&mut browser, &format!("{frame}?return_to=//evil.example"))
        .await;
    assert_eq!(
        (told.status.as_u16(), link(&told, "data-signed-in=\"").as_str()),
        (200, "false")
    );
    assert_eq!(link(&told, "data-error=\""), "login.return_path_refused");
    assert_eq!(gate.last_code(), "login.return_path_refused");

    let begun = gate.visit(&mut browser, &frame).await;
    let told = gate.go_on(&mut browser, begun).await;
    assert_eq!((told.status.as_u16(), told.url.path()), (200, "/bff/callback"));
    assert_eq!(link(&told, "data-signed-in=\""), "false");
    assert_eq!(link(&told, "data-error=\""), "login.interaction_required");
    let policy = told.header("content-security-policy");
    assert!(
        policy.contains("frame-ancestors 'self'") && policy.contains("default-src 'none'"),
        "{policy}"
    );

    // Somebody is, and has no session here.
    let mut browser = gate.sign_in().await;
    browser
        .cookies
        .retain(|(name, _), _| !name.starts_with("portcullis-shop"));
    let begun = gate.visit(&mut browser, &frame).await;
    let told = gate.go_on(&mut browser, begun).await;
    assert_eq!(link(&told, "data-signed-in=\""), "true");
    assert!(gate.session(&browser).is_some());
    assert_eq!(
        gate.fetch(&mut browser, "/bff/user").await.json()["claims"]["sub"],
        "alice"
    );
}

#[tokio::test]
async fn an_age_that_was_asked_for_is_kept() {
    let gate = Gate::start().await;
    for (seconds, status) in [(5, 303), (50, 403)] {
        let mut browser = Browser::new();
        let mut answer = gate
            .visit(&mut browser, &format!("{}/bff/login?max_age=10", gate.origin))
            .await;
        while answer.location().is_none_or(|next| next.path() != "/bff/callback") {
            answer = match answer.location() {
                Some(next) => gate.visit(&mut browser, next.as_str()).await,
                None => {
                    browser
                        .submit(&answer, &[("username", "alice"), ("password", super::PASSWORD)])
                        .await
                }
            };
        }
        let callback = answer.location().unwrap();
        gate.clock.advance(seconds);
        let answer = gate.visit(&mut browser, callback.as_str()).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(gate.session(&browser).is_some(), status == 303);
    }
    assert_eq!(gate.last_code(), "login.authentication_too_old");
}

#[tokio::test]
async fn what_the_provider_says_is_told_in_words_and_starts_nothing() {
    let gate = Gate::start().await;
    let iss = encoded(gate.idp.issuer());
    for (error, status, code, words) in [
        ("access_denied", 403, "login.access_denied", "You were not signed in"),
        ("login_required", 401, "login.interaction_required", "Please sign in"),
        ("consent_required", 401, "login.interaction_required", "Please sign in"),
        (
            "temporarily_unavailable",
            503,
            "login.provider_unavailable",
            "not possible just now",
        ),
        (
            "server_error",
            503,
            "login.provider_unavailable",
            "not possible just now",
        ),
        (
            "unmet_authentication_requirements",
            403,
            "login.authentication_unmet",
            "stronger sign-in",
        ),
        ("invalid_scope", 502, "login.provider_error", "Signing in did not work"),
    ] {
        let mut browser = Browser::new();
        let begun = gate
            .visit(&mut browser, &format!("{}/bff/login?return_to=/app/x", gate.origin))
            .await;
        let state = query(&begun)["state"].clone();
        let asked = gate.idp.control().request_log().len();
        let said = "error_description=AADSTS65004%3A%20the%20person%20said%0Ano";
        let url = format!(
            "{}/bff/callback?error={error}&{said}&state={state}&iss={iss}",
            gate.origin
        );
        let answer = gate.visit(&mut browser, &url).await;
        assert_eq!(
            (answer.status.as_u16(), gate.last_code().as_str()),
            (status, code),
            "{error}"
        );
        assert!(answer.body.contains(words), "{error}: {}", answer.body);
        assert!(answer.location().is_none() && !answer.body.contains("<script") && !answer.body.contains("http-equiv"));
        assert_eq!(
            link(&answer, "<a href=\""),
            "/bff/login?return_to=%2Fapp%2Fx",
            "{error}"
        );
        assert_eq!(
            gate.idp.control().request_log().len(),
            asked,
            "the provider is left alone"
        );
        let logged = gate.logged();
        let event = logged
            .lines()
            .find(|line| line.contains("login_failed") && line.contains(answer.header("x-request-id")));
        let event = event.unwrap_or_else(|| panic!("no event of {error}"));
        let found = format!(r#""found":"{error}: AADSTS65004: the person said\\nno""#);
        assert!(event.contains(code) && event.contains(&found), "{event}");
        assert!(!answer.body.contains("AADSTS"), "what came in a URL is shown to nobody");
    }
}

#[tokio::test]
async fn a_callback_that_comes_again_leads_to_the_same_place() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    // Two logins under way in two tabs; the first takes too long.
    let late = gate
        .visit(&mut browser, &format!("{}/bff/login?return_to=/late", gate.origin))
        .await;
    let late = format!("{}/bff/callback?code=x&state={}", gate.origin, query(&late)["state"]);
    let mut answer = gate
        .visit(&mut browser, &format!("{}/bff/login?return_to=/here", gate.origin))
        .await;
    while answer.location().is_none_or(|next| next.path() != "/bff/callback") {
        answer = match answer.location() {
            Some(next) => gate.visit(&mut browser, next.as_str()).await,
            None => {
                browser
                    .submit(&answer, &[("username", "alice"), ("password", super::PASSWORD)])
                    .await
            }
        };
    }
    let callback = answer.location().unwrap();
    let first = gate.visit(&mut browser, callback.as_str()).await;
    let session = gate.session(&browser);
    assert_eq!(
        (first.status.as_u16(), first.location().unwrap().path()),
        (303, "/here")
    );
    let again = gate.visit(&mut browser, callback.as_str()).await;
    assert_eq!(
        (again.status.as_u16(), again.location().unwrap().path()),
        (303, "/here")
    );
    gate.clock.advance(601);
    let stale = gate.visit(&mut browser, &late).await;
    assert_eq!(
        (stale.status.as_u16(), stale.location().unwrap().path()),
        (303, "/late")
    );
    assert_eq!(gate.session(&browser), session, "the session is as it was");

    // Without a session it is an error, from which the way leads on.
    browser.cookies.remove(&("portcullis-shop".to_owned(), "/".to_owned()));
    for (url, path) in [(callback.as_str(), "%2Fhere"), (late.as_str(), "%2Flate")] {
        let answer = gate.visit(&mut browser, url).await;
        assert_eq!(
            (answer.status.as_u16(), gate.last_code().as_str()),
            (400, "login.attempt_expired")
        );
        assert_eq!(link(&answer, "<a href=\""), format!("/bff/login?return_to={path}"));
    }
}

#[tokio::test]
async fn the_part_after_the_hash_is_asked_for_by_a_page() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let sent = gate.visit(&mut browser, &format!("{}/app/x?a=1", gate.origin)).await;
    assert_eq!(query(&sent)["keep"], "fragment");
    let page = gate.visit(&mut browser, sent.location().unwrap().as_str()).await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("script-src 'nonce-") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(
        link(&page, "id=\"on\" href=\""),
        "/bff/login?return_to=%2Fapp%2Fx%3Fa%3D1"
    );
    // What the script makes of it is taken back to.
    let begun = gate
        .visit(
            &mut browser,
            &format!("{}/bff/login?return_to=%2Fapp%2Fx%3Fa%3D1%23part", gate.origin),
        )
        .await;
    let mut answer = begun;
    while answer.location().is_none_or(|next| next.fragment().is_none()) {
        answer = match answer.location() {
            Some(next) => gate.visit(&mut browser, next.as_str()).await,
            None => {
                browser
                    .submit(&answer, &[("username", "alice"), ("password", super::PASSWORD)])
                    .await
            }
        };
    }
    assert_eq!(
        answer.location().unwrap().as_str(),
        format!("{}/app/x?a=1#part", gate.origin)
    );
    // A script that asks gets no page.
    let answer = gate
        .fetch(&mut browser, "/bff/login?return_to=/app&keep=fragment")
        .await;
    assert_eq!(answer.status, 303);
}

/// How often a code was redeemed at the provider.
fn redeemed(gate: &Gate) -> usize {
    let log = gate.idp.control().request_log();
    log.iter()
        .filter(|entry| entry.grant_type == Some("authorization_code"))
        .count()
}

#[tokio::test]
async fn an_answer_that_comes_twice_at_once_is_redeemed_once_and_begins_one_session() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let callback = gate.until_callback(&mut browser).await;
    gate.idp.control().set_behaviour(Behaviour {
        latency_ms: 200,
        latency_at: vec![Endpoint::Token],
        ..Behaviour::default()
    });
    let attempts = browser.cookies.iter().filter(|((_, path), _)| path == "/");
    let cookies: Vec<String> = attempts.map(|((name, _), value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    let headers = [("Cookie", cookies.as_str())];
    let path = format!("{}?{}", callback.path(), callback.query().unwrap());
    // One gives up before it has an answer, as a page that is loaded again does.
    let mut given_up = Raw::connect(gate.address).await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookies}\r\n\r\n",
        gate.host()
    );
    given_up.send(&request).await;
    drop(given_up);
    let (one, two) = tokio::join!(gate.call("GET", &path, &headers), gate.call("GET", &path, &headers));
    let session = |reply: &Reply| {
        let mut cookies = reply.all("set-cookie").into_iter();
        cookies
            .find(|cookie| cookie.starts_with("portcullis-shop="))
            .map(str::to_owned)
    };
    assert_eq!((one.status, two.status), (303, 303), "{} {}", one.body, two.body);
    assert!(session(&one).is_some());
    assert_eq!(session(&one), session(&two), "one session for both");
    assert_eq!(redeemed(&gate), 1);

    // Its tokens have not been taken back.
    let session = session(&one).unwrap();
    let session = session.split(';').next().unwrap();
    let headers = [("Cookie", session), ("X-CSRF", "1"), ("Origin", &gate.origin)];
    let refreshed = gate.call("POST", "/bff/refresh", &headers).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);

    // Whoever kept the cookie of the attempt gets no further with it, whenever that is.
    gate.clock.advance(60);
    let asked = redeemed(&gate);
    let replayed = gate.call("GET", &path, &[("Cookie", cookies.as_str())]).await;
    assert_eq!(
        (replayed.status, gate.last_code().as_str()),
        (400, "login.attempt_expired")
    );
    assert_eq!(redeemed(&gate), asked);
}
