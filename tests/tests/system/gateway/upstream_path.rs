//! `upstream_path`: the upstream has an API at another path than callers do.

use super::upgrade::ask;
use super::{Gate, raw};

/// Orders are at `/v1/orders` there, what is on the shelf at `/`, the page at `/live/page`.
async fn gate() -> Gate {
    Gate::start_with(None, |text, _| {
        let mut text = text;
        for (path, there) in [
            ("/api/orders", "/v1/orders"),
            ("/api/shelf", "/"),
            ("/api/page", "/live/page"),
        ] {
            let line = format!("path = \"{path}\"\n");
            assert_eq!(text.matches(&line).count(), 1);
            text = text.replace(&line, &format!("{line}upstream_path = \"{there}\"\n"));
        }
        text
    })
    .await
}

#[tokio::test]
async fn the_upstream_is_called_at_its_own_path() {
    let gate = gate().await;
    let token = gate.token();
    for (called, arrived) in [
        ("/api/orders/7", "/v1/orders/7"),
        ("/api/orders", "/v1/orders"),
        ("/api/orders/", "/v1/orders/"),
        ("/api/orders?a=/../b&c=%2e%2e", "/v1/orders?a=/../b&c=%2e%2e"),
        ("/api/orders/a%20b", "/v1/orders/a%20b"),
        ("/api//orders/%37", "/v1/orders/7"),
        ("/API/Orders/X", "/v1/orders/X"),
        ("/api/orders/api/orders/7", "/v1/orders/api/orders/7"),
        ("/api/shelf/7", "/7"),
        ("/api/shelf/7/?a=1", "/7/?a=1"),
        // Without the key, it is the same path.
        ("/api/machine/7?a=1", "/api/machine/7?a=1"),
    ] {
        let reply = gate.bearer("GET", called, &token).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "arrived"), "{called}");
        assert_eq!(gate.upstream.last().target, arrived, "{called}");
    }
    // The event and the policy are about what was called.
    let event = gate.audit.recent(0).last().unwrap().json();
    assert!(event.contains("\"path\":\"/api/machine/7\""), "{event}");
    let hits = gate.upstream.hits();
    for (called, code) in [
        ("/api/orders/nightly", "policy.kind_mismatch"),
        ("/api/shelf/7/lines", "policy.scope_insufficient"),
        ("/v1/orders/7", "route.not_found"),
        ("/7", "route.not_found"),
    ] {
        let reply = gate.bearer("GET", called, &token).await;
        assert!(matches!(reply.status, 403 | 404), "{called}: {}", reply.status);
        assert_eq!(gate.last_code(), code, "{called}");
    }
    assert_eq!(gate.upstream.hits(), hits);
}

#[tokio::test]
async fn nobody_gets_out_of_the_upstreams_path() {
    let gate = gate().await;
    let token = gate.token();
    for called in [
        "/api/orders/../admin",
        "/api/orders/%2e%2e/admin",
        "/api/orders/.%2E/admin",
        "/api/orders/..%2fadmin",
        "/api/orders%2f..%2fadmin",
        "/api/orders/%2fadmin",
        "/api/orders/..;/admin",
        "/api/orders/..\\admin",
        "/api/orders/%5c..%5cadmin",
        "/api/orders/%252e%252e%252fadmin/%2e%2e",
        "/api/shelf/..",
        "/api/shelf/./7",
    ] {
        let reply = gate.bearer("GET", called, &token).await;
        assert_eq!(
            (reply.status, gate.last_code().as_str()),
            (400, "path.not_canonical"),
            "{called}"
        );
    }
    assert_eq!(gate.upstream.hits(), 0);
    // What is only like it arrives, below the path.
    for (called, arrived) in [
        ("/api/orders/..admin", "/v1/orders/..admin"),
        ("/api/orders/%252e%252e%252fadmin", "/v1/orders/%252e%252e%252fadmin"),
        ("/api/orders//@evil.example/x", "/v1/orders/@evil.example/x"),
        ("/api/shelf//evil.example", "/evil.example"),
    ] {
        assert_eq!(gate.bearer("GET", called, &token).await.status, 200, "{called}");
        assert_eq!(gate.upstream.last().target, arrived, "{called}");
    }
}

#[tokio::test]
async fn a_redirect_to_the_upstreams_address_leads_back() {
    let gate = gate().await;
    let token = gate.token();
    let there = format!("http://{}", gate.upstream.address);
    for (location, expected) in [
        (format!("{there}/v1/orders/9"), "/api/orders/9".to_owned()),
        (format!("{there}/v1/orders"), "/api/orders".to_owned()),
        // What is not below, and what names no host, is as the upstream wrote it.
        (format!("{there}/v2/orders/9"), format!("{there}/v2/orders/9")),
        ("/v1/orders/9".to_owned(), "/v1/orders/9".to_owned()),
        ("9".to_owned(), "9".to_owned()),
        (
            "https://elsewhere.example/v1/orders".to_owned(),
            "https://elsewhere.example/v1/orders".to_owned(),
        ),
    ] {
        let reply = gate
            .bearer("GET", &format!("/api/orders/moved?{location}"), &token)
            .await;
        assert_eq!((reply.status, reply.header("location")), (201, expected.as_str()));
    }
}

#[tokio::test]
async fn a_websocket_reaches_the_upstreams_path() {
    let gate = gate().await;
    let browser = gate.sign_in().await;
    let (cookie, origin) = (gate.cookie(&browser), gate.origin.clone());
    let (mut raw, head): (raw::Raw, _) = ask(&gate, &cookie, Some(&origin), Some("same-origin")).await;
    assert_eq!((head.status, head.header("upgrade")), (101, "websocket"));
    raw.send("ping").await;
    assert_eq!(raw.until("ping").await, "ping");
    assert_eq!(gate.upstream.last().target, "/live/page/live");
}
