//! Requests that could be read in two ways, or that are for somebody else.

use super::Gate;
use super::raw::{Raw, exchange, exchange_text};

#[tokio::test]
async fn a_host_that_is_not_ours_is_refused() {
    let gate = Gate::start_on_https().await;
    let token = format!("Bearer {}", gate.token());
    let headers = [("Authorization", token.as_str())];
    for host in [
        "evil.example",
        "app.example.test.evil.example",
        "app.example.tes",
        "xapp.example.test",
        "127.0.0.1",
        "app.example.test:8443",
    ] {
        for target in ["/api/orders", "/api/public", "/bff/login", "/"] {
            let reply = exchange(gate.address, "GET", target, host, &headers, "").await;
            assert_eq!(reply.problem(), (421, "request.misdirected".into()), "{host}{target}");
            assert!(reply.all("set-cookie").is_empty() && reply.header("location").is_empty());
        }
    }
    let mine = gate.host();
    for (text, status) in [
        // The target's host wins over the header (RFC 9112 s3.2.2), so both have to be ours.
        (
            format!("GET http://evil.example/api/public HTTP/1.1\r\nHost: {mine}\r\n"),
            400,
        ),
        (
            format!("GET http://{mine}/api/public HTTP/1.1\r\nHost: evil.example\r\n"),
            400,
        ),
        ("GET /api/public HTTP/1.1\r\n".to_owned(), 400),
        (
            format!("GET /api/public HTTP/1.1\r\nHost: {mine}\r\nHost: {mine}\r\n"),
            400,
        ),
    ] {
        let reply = exchange_text(gate.address, &format!("{text}Connection: close\r\n\r\n")).await;
        assert_eq!(reply.status, status, "{text}");
    }
    assert_eq!(gate.upstream.hits(), 0);
    // RFC 9110 s4.2.2: the scheme's own port may be spelled out.
    for host in [
        "app.example.test",
        "APP.Example.Test",
        "app.example.test.",
        "app.example.test:443",
    ] {
        let reply = exchange(gate.address, "GET", "/api/orders", host, &headers, "").await;
        assert_eq!(reply.status, 200, "{host}: {reply:?}");
        assert_eq!(
            gate.upstream.last().all("x-forwarded-host"),
            [mine],
            "ours, however it was spelled"
        );
    }
}

#[tokio::test]
async fn the_path_that_is_checked_is_the_path_that_is_served() {
    let gate = Gate::start().await;
    let token = gate.token();
    for target in [
        "/api/public/../orders/report",
        "/api/public/%2e%2e/orders/report",
        "/api/public/.%2E/orders/report",
        "/api/orders/./report",
        "/api/orders%2freport",
        "/api/orders%2Freport",
        "/api/orders%5creport",
        "/api/orders\\report",
        "/api/public/..;/orders/report",
        "/api/orders/%00",
        "/api/orders/%0d%0aX-Forwarded-User:%20admin",
        "/api/orders/%c0%af",
        "/api/orders/%zz",
        "/api/orders/%",
    ] {
        let reply = gate.bearer("GET", target, &token).await;
        assert_eq!(reply.status, 400, "{target}: {reply:?}");
        if reply.header("content-type").starts_with("application/problem") {
            assert_eq!(gate.last_code(), "path.not_canonical", "{target}");
        }
        assert_eq!(gate.upstream.hits(), 0, "{target}");
    }
    // Spellings that have one meaning are served by it: alice may not see the report under any of them.
    for target in [
        "/api/orders/report",
        "/api//orders//report",
        "/api/orders/%72eport",
        "/%61pi/orders/report",
    ] {
        let reply = gate.bearer("GET", target, &token).await;
        assert_eq!(
            (reply.status, gate.last_code().as_str()),
            (403, "policy.scope_insufficient"),
            "{target}"
        );
    }
    assert_eq!(gate.upstream.hits(), 0);
    for (target, served) in [
        ("/api//orders///7", "/api/orders/7"),
        (
            "/api/%6Frders/%e2%82%ac?x=%2e%2e/%2f",
            "/api/orders/%E2%82%AC?x=%2e%2e/%2f",
        ),
        ("/api/orders/a%20b", "/api/orders/a%20b"),
    ] {
        assert_eq!(gate.bearer("GET", target, &token).await.status, 200, "{target}");
        assert_eq!(gate.upstream.last().target, served);
    }
    // Case makes no difference to what is asked for: an upstream may not see one either.
    let reply = gate.bearer("GET", "/API/orders/Report", &token).await;
    assert_eq!(
        (reply.status, gate.last_code().as_str()),
        (403, "policy.scope_insufficient")
    );
    // Many upstreams take no notice of case, so no rule does; what is forwarded is spelled as it came.
    for target in ["/API/Orders/REPORT", "/api/orders/Report"] {
        let hits = gate.upstream.hits();
        let reply = gate.bearer("GET", target, &token).await;
        assert_eq!(
            (reply.status, gate.last_code().as_str()),
            (403, "policy.scope_insufficient"),
            "{target}"
        );
        assert_eq!(gate.upstream.hits(), hits);
    }
    assert_eq!(gate.bearer("GET", "/API/orders", &token).await.status, 200);
    assert_eq!(gate.upstream.last().target, "/API/orders");
    assert_eq!(gate.call("GET", "/API/Orders", &[]).await.status, 401);
    // A prefix covers whole segments of the path, and nothing of the query.
    for target in ["/api/orders2", "/api/order", "/api", "/private?x=/api/public"] {
        let reply = gate.bearer("GET", target, &token).await;
        assert_eq!(reply.status, 404, "{target}: {reply:?}");
        assert_eq!(reply.problem().1, "route.not_found", "{target}");
    }
}

#[tokio::test]
async fn a_head_that_two_servers_read_differently_is_refused() {
    let gate = Gate::start().await;
    let (host, token) = (gate.host(), gate.token());
    let ask = |rest: &str| {
        format!(
            "POST /api/orders HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{rest}"
        )
    };
    let smuggled = format!("GET /api/public/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for rest in [
        format!("Content-Length: 0\r\nContent-Length: 5\r\n\r\nabcde{smuggled}"),
        format!("Content-Length: 0, 5\r\n\r\nabcde{smuggled}"),
        format!("Content-Length: +5\r\n\r\nabcde{smuggled}"),
        format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Content-Length : 5\r\n\r\nabcde{smuggled}"),
        format!("X-Split: a\nTransfer-Encoding: chunked\r\n\r\n{smuggled}\u{0}"),
    ] {
        let reply = exchange_text(gate.address, &ask(&rest)).await;
        assert_eq!(reply.status, 400, "{rest:?}: {reply:?}");
        assert_eq!(gate.upstream.hits(), 0, "{rest:?}");
    }
    let reply = exchange_text(
        gate.address,
        &ask("Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"),
    )
    .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        (gate.upstream.hits(), &gate.upstream.last().body[..]),
        (1, &b"abcde"[..])
    );
}

/// RFC 9112 s6.3: the encoding counts, what follows the body is not served, and the connection ends.
#[tokio::test]
async fn what_follows_a_body_of_two_lengths_is_not_served() {
    let gate = Gate::start().await;
    let (host, token) = (gate.host(), gate.token());
    for lengths in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let hits = gate.upstream.hits();
        let first = format!("POST /api/orders HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{lengths}");
        let second = format!("GET /api/public/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut raw = Raw::connect(gate.address).await;
        raw.send(&format!("{first}\r\n\r\n3\r\nabc\r\n0\r\n\r\n{second}")).await;
        let answers = raw.rest().await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
        assert_eq!(gate.upstream.hits(), hits + 1);
        let seen = gate.upstream.last();
        assert_eq!((seen.target.as_str(), &seen.body[..]), ("/api/orders", &b"abc"[..]));
        assert!(
            seen.all("content-length").len() + seen.all("transfer-encoding").len() == 1,
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let gate = Gate::start().await;
    let token = format!("Bearer {}", gate.token());
    let (large, small) = ("x".repeat(33 * 1024), "x".repeat(8 * 1024));
    let many: Vec<String> = (0..101).map(|number| format!("X-Number-{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
    let reply = gate.call("GET", "/api/public", &[("X-Large", &large)]).await;
    assert_eq!(reply.status, 431);
    assert_eq!(gate.call("GET", "/api/public", &many).await.status, 431);
    let long = format!("/api/public?{}", "x".repeat(9 * 1024));
    assert_eq!(gate.call("GET", &long, &[]).await.status, 414);
    assert_eq!(gate.upstream.hits(), 0);
    let headers = [("Authorization", token.as_str()), ("X-Large", &small)];
    assert_eq!(gate.call("GET", "/api/orders", &headers).await.status, 200);
}

#[tokio::test]
async fn a_method_without_a_policy_is_refused() {
    let gate = Gate::start().await;
    let token = gate.token();
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let reply = gate.bearer(method, "/api/orders", &token).await;
        assert_eq!(reply.problem(), (405, "route.method_not_allowed".into()), "{method}");
        // RFC 9110 s15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
        assert_eq!(reply.header("allow"), "GET, HEAD, POST", "{method}");
    }
    // RFC 9110 s9.1: methods are case-sensitive; many programs do not know, and what is checked must be what is done.
    let hits = gate.upstream.hits();
    for method in ["get", "Post", "delete", "trace", "connect"] {
        for target in ["/api/orders", "/api/page", "/api/public"] {
            assert_eq!(
                gate.bearer(method, target, &token).await.problem().0,
                405,
                "{method} {target}"
            );
        }
    }
    assert_eq!(gate.upstream.hits(), hits);
    // TRACE would send our token back (RFC 9110 s9.3.8).
    assert_eq!(gate.bearer("TRACE", "/api/orders", &token).await.status, 405);
    let host = gate.host();
    // An answer to TRACE would hold the token that we attach (RFC 9110 s9.3.8).
    assert_eq!(gate.bearer("TRACE", "/api/orders", &token).await.problem().0, 405);
    let connect = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert_eq!(exchange_text(gate.address, &connect).await.status, 405);
    let preflight = [
        ("Origin", "https://evil.example"),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "x-csrf"),
    ];
    let reply = gate.call("OPTIONS", "/api/orders", &preflight).await;
    assert_eq!(reply.problem(), (403, "cors.origin_denied".into()));
    assert_eq!(reply.header("access-control-allow-origin"), "");
    // Without a credential nobody learns which methods there are.
    assert_eq!(gate.call("DELETE", "/api/orders", &[]).await.status, 401);
    assert_eq!(gate.upstream.hits(), 0);
    for method in ["GET", "HEAD", "POST"] {
        let reply = gate.bearer(method, "/api/orders", &token).await;
        assert_eq!((reply.status, gate.upstream.last().method.as_str()), (200, method));
    }
    for (method, target, allowed) in [
        ("POST", "/bff/user", "GET, HEAD"),
        ("PUT", "/bff/login", "GET, HEAD, POST"),
        ("POST", "/bff/logout", "GET, HEAD"),
        ("POST", "/bff/callback", "GET, HEAD"),
    ] {
        let reply = gate.call(method, target, &[("X-CSRF", "1")]).await;
        assert_eq!((reply.problem().0, reply.header("allow")), (405, allowed), "{target}");
    }
}
