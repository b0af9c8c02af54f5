//! What reaches the upstream, and what comes back from it.

use super::Gate;
use super::raw::{self, Raw};

#[tokio::test]
async fn the_upstream_gets_one_token_and_no_cookie_of_ours() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let forged = "Bearer eyJhbGciOiJub25lIn0.e30.";
    let cookies = format!("a=1; {}; portcullis-shop-login-x=2; theme=dark", gate.cookie(&browser));
    let mut headers = vec![("Cookie", cookies.as_str()), ("X-CSRF", "1")];
    let reply = gate.call("GET", "/api/orders/7?page=2", &headers).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "arrived"));

    let seen = gate.upstream.last();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("GET", "/api/orders/7?page=2")
    );
    let [value] = seen.all("authorization")[..] else {
        panic!("one credential: {seen:?}")
    };
    let token = value.strip_prefix("Bearer ").unwrap();
    assert!(gate.idp.control().issued_secrets().iter().any(|issued| issued == token));
    assert_eq!(seen.all("cookie"), ["a=1; theme=dark"]);
    assert_eq!(seen.all("x-request-id"), [reply.header("x-request-id")]);

    // Where only a session counts, a token that comes with it does not reach anybody.
    headers.push(("Authorization", forged));
    let reply = gate.call("GET", "/api/page", &headers).await;
    assert_eq!(reply.status, 200);
    assert_eq!(gate.upstream.last().all("authorization"), [value]);
    // Where both count, the caller's own token decides, and the session does not help it.
    let hits = gate.upstream.hits();
    assert_eq!(gate.call("GET", "/api/orders/7", &headers).await.status, 401);
    assert_eq!(gate.upstream.hits(), hits);

    let own = gate.token();
    assert_eq!(gate.bearer("GET", "/api/machine", &own).await.status, 200);
    assert_eq!(gate.upstream.last().all("authorization"), [format!("Bearer {own}")]);
}

#[tokio::test]
async fn a_route_takes_only_the_credentials_that_it_names() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let (cookie, token) = (gate.cookie(&browser), gate.token());
    let session = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    let bearer = format!("Bearer {token}");
    let bearer = [("Authorization", bearer.as_str())];
    for (target, headers, code) in [
        ("/api/page", &bearer[..], "session.missing"),
        ("/api/machine", &session[..], "token.missing"),
        ("/api/orders", &[], "session.missing"),
    ] {
        let reply = gate.call("GET", target, headers).await;
        assert_eq!((reply.problem().0, gate.last_code().as_str()), (401, code), "{target}");
        // RFC 6750 s3: who brought no token learns which kind is wanted, where one is.
        let challenge = reply.header("www-authenticate");
        assert_eq!(
            challenge.starts_with("Bearer realm="),
            target != "/api/page",
            "{target}: {challenge}"
        );
        assert!(!challenge.contains("error"), "{target}: {challenge}");
    }
    assert_eq!(gate.upstream.hits(), 0);
    let last_event = || gate.audit.recent(0).last().unwrap().json();
    for target in ["/api/page", "/api/public"] {
        assert_eq!(gate.call("GET", target, &session).await.status, 200, "{target}");
        let event = last_event();
        assert!(event.contains("\"event\":\"call_forwarded\""), "{event}");
        assert_eq!(
            event.contains("\"subject\":\"alice\""),
            target == "/api/page",
            "{event}"
        );
    }
    // A public route forwards no session either.
    assert!(gate.upstream.last().all("cookie").is_empty());
    assert!(gate.upstream.last().all("authorization").is_empty());
    assert_eq!(gate.bearer("GET", "/api/machine", &token).await.status, 200);
    assert!(
        last_event().contains("\"credential\":\"bearer\",\"subject\":\"alice\""),
        "{}",
        last_event()
    );
}

#[tokio::test]
async fn what_a_client_says_of_itself_does_not_pass() {
    let gate = Gate::start().await;
    let token = format!("Bearer {}", gate.token());
    let forged = [
        "X-Forwarded-User",
        "x-forwarded-email",
        "X-FORWARDED-GROUPS",
        "X-Forwarded-Access-Token",
        "X_Forwarded_User",
        "X_Auth_Request_User",
        "Remote_User",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Real-IP",
        "True-Client-IP",
        "Proxy-Authorization",
        "X-Hop",
    ];
    let mut headers: Vec<(&str, &str)> = forged.iter().map(|name| (*name, "forged")).collect();
    headers.extend([
        ("Authorization", token.as_str()),
        ("Connection", "authorization, x-request-id, x-forwarded-for, x-hop"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Host", "forged.example"),
        ("X-Forwarded-Proto", "gopher"),
        ("Forwarded", "for=203.0.113.9;host=forged.example"),
        ("X-Request-Id", "forged-request-id"),
        ("X-Orders-Tenant", "north"),
    ]);
    let reply = gate.call("GET", "/api/public/x", &headers).await;
    assert_eq!(reply.status, 200);
    let seen = gate.upstream.last();
    for name in forged {
        assert!(seen.all(&name.to_ascii_lowercase()).is_empty(), "{name}: {seen:?}");
    }
    assert!(!format!("{:?}", seen.headers).contains("forged"), "{seen:?}");
    let host = gate.host();
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-host"), [host]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(
        seen.all("forwarded"),
        [format!("for=127.0.0.1;host=\"{host}\";proto=http")]
    );
    assert_eq!(seen.all("x-request-id"), [reply.header("x-request-id")]);
    assert_eq!(seen.all("host"), [gate.upstream.address.to_string()]);
    assert_eq!(
        seen.all("x-orders-tenant"),
        ["north"],
        "what is nobody's but the API's passes"
    );

    // A header that asks to be dropped on the way takes none of ours along.
    let headers = [("Connection", "close, authorization, x-forwarded-for"), ("X-CSRF", "1")];
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let reply = gate
        .call("GET", "/api/page", &[headers[0], headers[1], ("Cookie", &cookie)])
        .await;
    assert_eq!(reply.status, 200);
    let seen = gate.upstream.last();
    assert_eq!(
        (seen.all("authorization").len(), seen.all("x-forwarded-for")),
        (1, vec!["127.0.0.1"])
    );
}

#[tokio::test]
async fn an_answer_for_one_person_is_kept_by_no_cache() {
    let gate = Gate::start_on_https().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let session = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    let reply = gate.call("GET", "/api/page/cacheable", &session).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "for one person"));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("cdn-cache-control"), "");
    assert!(
        reply
            .all("vary")
            .iter()
            .any(|value| value.eq_ignore_ascii_case("cookie")),
        "{reply:?}"
    );
    assert_eq!(
        reply.all("set-cookie"),
        ["theme=dark; Path=/"],
        "an upstream sets no session"
    );
    assert_eq!(
        gate.call("GET", "/api/page", &session).await.status,
        200,
        "the session is as it was"
    );
    // What is the same for all may be kept.
    let reply = gate.call("GET", "/api/public/cacheable", &[]).await;
    assert_eq!(reply.header("cache-control"), "public, s-maxage=600");
}

#[tokio::test]
async fn bodies_arrive_whole_and_events_one_by_one() {
    let gate = Gate::start().await;
    let token = format!("Bearer {}", gate.token());
    let body = "order".repeat(100_000);
    let headers = [("Authorization", token.as_str()), ("Content-Type", "text/plain")];
    let reply = raw::exchange(gate.address, "POST", "/api/orders", gate.host(), &headers, &body).await;
    assert_eq!(reply.status, 200);
    let seen = gate.upstream.last();
    assert_eq!(
        (seen.body.len(), seen.all("content-type")),
        (body.len(), vec!["text/plain"])
    );

    let mut raw = Raw::connect(gate.address).await;
    let host = gate.host();
    raw.send(&format!(
        "GET /api/orders/stream HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\n\r\n"
    ))
    .await;
    let head = raw.head().await;
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    // The second event is not even made before the first has arrived.
    for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
        gate.upstream.pieces.send(event).unwrap();
        raw.until(event).await;
    }
}

#[tokio::test]
async fn an_upstream_that_fails_is_told_apart() {
    let gate = Gate::start().await;
    let token = gate.token();
    for (target, status, code) in [
        ("/api/closed", 502, "upstream.unreachable"),
        ("/api/machine/never", 504, "upstream.timeout"),
    ] {
        let reply = gate.bearer("GET", target, &token).await;
        assert_eq!(reply.problem(), (status, code.to_owned()));
        assert!(
            !reply.body.contains("127.0.0.1"),
            "no address of the inside: {}",
            reply.body
        );
        assert_eq!(gate.last_code(), code);
        let id = reply.header("x-request-id");
        let events = gate.logged();
        let event = events
            .lines()
            .find(|line| line.contains("\"upstream_failed\"") && line.contains(code))
            .unwrap();
        assert!(event.contains(&format!("\"request_id\":\"{id}\"")), "{event}");
    }
    assert_eq!(gate.bearer("GET", "/api/machine", &token).await.status, 200);
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_who_calls() {
    let mut gate = Gate::start().await;
    let call = async |gate: &Gate| {
        let headers = [("X-Forwarded-For", "6.6.6.6, 198.51.100.7"), ("X-Real-IP", "6.6.6.6")];
        let reply = gate.call("GET", "/api/public", &headers).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        gate.upstream.last().all("x-forwarded-for").join(", ")
    };
    assert_eq!(call(&gate).await, "127.0.0.1", "nobody is trusted");
    gate.text = gate
        .text
        .replacen("[server]", "[server]\n        trusted_proxies = [\"127.0.0.0/8\"]", 1);
    gate.restart().await;
    assert_eq!(call(&gate).await, "198.51.100.7");
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let sessions = gate
        .call("GET", "/bff/sessions", &[("Cookie", &cookie), ("X-CSRF", "1")])
        .await;
    assert_eq!(
        sessions.json()["sessions"][0]["address"],
        "127.0.0.1",
        "the proxy's own call: {}",
        sessions.body
    );
}
