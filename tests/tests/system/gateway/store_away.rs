//! What each route says while the store is away, and afterwards.

use portcullis_store::contract::servers::{Redis, until};

use super::raw::{self, Reply};
use super::stores::on;
use super::{Gate, START};
use crate::demo::Browser;

const NAVIGATION: [(&str, &str); 4] = [
    ("Accept", "text/html"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Site", "same-origin"),
];

/// One request with a session: as the page's script makes it, or as the browser goes to a page.
async fn ask(gate: &Gate, cookie: &str, method: &str, target: &str, navigates: bool) -> Reply {
    let mut headers = vec![("Cookie", cookie), ("Origin", gate.origin.as_str())];
    match navigates {
        true => headers.extend(NAVIGATION),
        false => headers.push(("X-CSRF", "1")),
    }
    let form = "a=1&sealed=x";
    let body = if method == "POST" { form } else { "" };
    headers.extend((method == "POST").then_some(("Content-Type", "application/x-www-form-urlencoded")));
    raw::exchange(gate.address, method, target, gate.host(), &headers, body).await
}

/// 503, come again, and nothing is lost: no cookie is taken away and nobody is sent to a login.
fn assert_away(reply: &Reply, code: &str, about: &str) {
    assert_eq!(reply.status, 503, "{about}: {reply:?}");
    assert_eq!(reply.header("retry-after"), "5", "{about}");
    for name in ["set-cookie", "location", "www-authenticate"] {
        assert!(reply.all(name).is_empty(), "{about}: {reply:?}");
    }
    match reply.header("content-type") {
        "application/problem+json" => assert_eq!(reply.problem().1, code, "{about}"),
        _ => assert!(reply.body.contains(code), "{about}: {}", reply.body),
    }
    assert!(!reply.body.contains("login"), "{about}: {}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_of_a_session_asks_to_come_again_and_takes_nothing_away() {
    let mut redis = Redis::start(&[]);
    let store = on(&format!("redis://127.0.0.1:{}", redis.port()));
    let gate = Gate::start_on(&format!("{store}\ngrace = \"0s\"")).await;
    let mut browser = gate.sign_in().await;
    let other = gate.cookie(&gate.sign_in().await);
    let cookie = gate.cookie(&browser);
    let user = gate.fetch(&mut browser, "/bff/user").await.json();
    let logout = user["logout_url"].as_str().unwrap().to_owned();
    let everywhere = format!("{logout}&everywhere=true");
    let token = gate.token();
    assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 200);
    let (hits, counts) = (gate.upstream.hits(), gate.idp.control().token_counts());
    let asked = gate.idp.control().request_log().len();

    redis.kill();
    for (method, target, navigates) in [
        ("GET", "/bff/user", false),
        ("GET", "/bff/user?slide=false", false),
        ("GET", "/bff/session", false),
        ("GET", "/bff/sessions", false),
        ("GET", "/bff/events", false),
        ("POST", "/bff/refresh", false),
        ("DELETE", "/bff/sessions/all", false),
        ("DELETE", "/bff/sessions/others", false),
        ("POST", "/bff/resubmit", true),
        ("GET", &logout, true),
        ("GET", &everywhere, true),
        ("GET", "/api/page", false),
        ("POST", "/api/page", false),
        ("GET", "/api/orders/7", false),
        ("GET", "/app/x", true),
        ("POST", "/app/x", true),
    ] {
        let reply = ask(&gate, &cookie, method, target, navigates).await;
        assert_away(&reply, "store.unavailable", &format!("{method} {target}"));
    }
    let host = gate.host();
    let upgrade = format!(
        "GET /api/page/live HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nOrigin: {}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        gate.origin
    );
    let mut socket = raw::Raw::connect(gate.address).await;
    socket.send(&upgrade).await;
    assert_eq!(socket.head().await.status, 503);
    assert_eq!(gate.upstream.hits(), hits, "nothing was forwarded");
    assert_eq!(gate.idp.control().token_counts(), counts);
    assert_eq!(gate.idp.control().request_log().len(), asked, "nothing was revoked");
    // What needs no session goes on, and so does the beginning of a login.
    assert_eq!(ask(&gate, &cookie, "GET", "/api/public", false).await.status, 200);
    assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 200);
    assert_eq!(ask(&gate, "theme=dark", "GET", "/bff/user", false).await.status, 401);
    let mut somebody = Browser::new();
    let callback = gate.until_callback(&mut somebody).await;
    let attempts = somebody
        .cookies
        .iter()
        .filter(|((name, _), _)| name.contains("-login-"));
    let attempt: Vec<_> = attempts.map(|((name, _), value)| format!("{name}={value}")).collect();
    let target = format!("{}?{}", callback.path(), callback.query().unwrap());
    let cookies = format!("{}; {cookie}", attempt.join("; "));
    let reply = ask(&gate, &cookies, "GET", &target, true).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "5"), "{reply:?}");
    assert!(reply.body.contains("login.not_stored"), "{}", reply.body);
    assert!(
        reply.header("set-cookie").contains("-login-"),
        "the session's cookie stays"
    );

    redis.resume();
    let back = until(async || ask(&gate, &cookie, "POST", "/api/page", false).await.status == 200);
    tokio::time::timeout(START, back).await.expect("it goes on");
    for cookie in [&cookie, &other] {
        let reply = ask(&gate, cookie, "GET", "/bff/user", false).await;
        assert_eq!(reply.json()["claims"]["sub"], "alice");
    }
    let sessions = ask(&gate, &cookie, "GET", "/bff/sessions", false).await.json();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(ask(&gate, &cookie, "GET", &logout, true).await.status, 303);
    let reply = ask(&gate, &cookie, "GET", "/bff/user", false).await;
    assert_eq!(reply.problem(), (401, "session.expired".into()));
}

/// It is served with what was read a moment ago, but that is not enough to end it.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_the_store_does_not_hear_of_is_none() {
    let mut redis = Redis::start(&[]);
    let gate = Gate::start_on(&on(&format!("redis://127.0.0.1:{}", redis.port()))).await;
    let mut browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let user = gate.fetch(&mut browser, "/bff/user").await.json();
    let logout = user["logout_url"].as_str().unwrap().to_owned();
    let asked = gate.idp.control().request_log().len();
    redis.kill();
    assert_eq!(ask(&gate, &cookie, "GET", "/bff/user", false).await.status, 200);
    let reply = ask(&gate, &cookie, "GET", &logout, true).await;
    assert_away(&reply, "store.unavailable", "logout");
    assert_eq!(
        gate.idp.control().request_log().len(),
        asked,
        "its refresh token is good still"
    );
    // Who wanted to be signed out is not served from a copy any more.
    let reply = ask(&gate, &cookie, "GET", "/bff/user", false).await;
    assert_away(&reply, "store.unavailable", "user");
    redis.resume();
    let back = until(async || ask(&gate, &cookie, "GET", "/bff/user", false).await.status == 200);
    tokio::time::timeout(START, back).await.expect("it goes on");
    assert_eq!(ask(&gate, &cookie, "GET", &logout, true).await.status, 303);
    let reply = ask(&gate, &cookie, "GET", "/bff/user", false).await;
    assert_eq!(reply.problem(), (401, "session.expired".into()));
}
