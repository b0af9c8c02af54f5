//! Pages of other origins: those that the configuration lists, and all others.

use super::Gate;
use super::raw::{Raw, Reply};

const PORTAL: &str = "https://portal.example.test";

async fn gate() -> Gate {
    Gate::start_with(None, |text, _| {
        text.replace("[frontend.shop]", &format!("[frontend.shop]\ncors = [\"{PORTAL}\"]\n"))
    })
    .await
}

fn allowed(reply: &Reply) -> [&str; 2] {
    [
        reply.header("access-control-allow-origin"),
        reply.header("access-control-allow-credentials"),
    ]
}

async fn preflight(gate: &Gate, path: &str, origin: &str) -> Reply {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "x-csrf,content-type"),
        ("Sec-Fetch-Site", "same-site"),
    ];
    gate.call("OPTIONS", path, &headers).await
}

#[tokio::test]
async fn a_listed_origin_may_call_with_the_session() {
    let gate = gate().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let hits = gate.upstream.hits();
    for path in ["/api/orders/7", "/api/page", "/bff/user", "/app/x"] {
        let reply = preflight(&gate, path, PORTAL).await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{path}");
        assert_eq!(allowed(&reply), [PORTAL, "true"], "{path}");
        assert_eq!(reply.header("access-control-allow-methods"), "PUT");
        assert_eq!(reply.header("access-control-allow-headers"), "x-csrf,content-type");
        assert!(reply.all("vary").contains(&"origin"), "{reply:?}");
        // A browser asks once in ten minutes, and not before each call (Fetch s4.8).
        assert_eq!(reply.header("access-control-max-age"), "600", "{path}");
    }
    assert_eq!(gate.upstream.hits(), hits, "a preflight is answered here");

    let mut headers = vec![
        ("Cookie", cookie.as_str()),
        ("Origin", PORTAL),
        ("Sec-Fetch-Site", "same-site"),
    ];
    let reply = gate.call("GET", "/api/page", &headers).await;
    assert_eq!(
        reply.problem(),
        (403, "csrf.header_missing".into()),
        "the header is asked for all the same"
    );
    assert_eq!(allowed(&reply), [PORTAL, "true"], "and the page may read why");
    headers.push(("X-CSRF", "1"));
    for path in ["/api/page", "/api/orders/7", "/bff/user"] {
        let reply = gate.call("GET", path, &headers).await;
        assert_eq!((reply.status, allowed(&reply)), (200, [PORTAL, "true"]), "{path}");
        assert!(reply.all("vary").contains(&"origin"), "{reply:?}");
        assert!(reply.header("access-control-expose-headers").contains("x-request-id"));
    }
    // What an upstream says of origins does not count beside the list.
    let reply = gate.call("GET", "/api/page/cors", &headers).await;
    assert_eq!(allowed(&reply), [PORTAL, "true"]);
    // Which of its own headers may be read is its own affair, beside ours.
    let exposed = reply.all("access-control-expose-headers").join(", ");
    assert!(
        exposed.contains("X-Total-Count") && exposed.contains("x-request-id"),
        "{exposed}"
    );

    // A WebSocket too.
    let mut raw = Raw::connect(gate.address).await;
    raw.send(&format!(
        "GET /api/page/live HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nOrigin: {PORTAL}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        gate.host()
    ))
    .await;
    assert_eq!(raw.head().await.status, 101);
}

#[tokio::test]
async fn no_other_origin_may() {
    let gate = gate().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let hits = gate.upstream.hits();
    for origin in [
        "https://portal.example.test.evil.example",
        "http://portal.example.test",
        "https://portal.example.test:8443",
        "https://PORTAL.example.test",
        "null",
        "https://evil.example",
    ] {
        let reply = preflight(&gate, "/api/page", origin).await;
        assert_eq!((reply.status, allowed(&reply)), (403, ["", ""]), "{origin}");
        assert_eq!(reply.header("access-control-max-age"), "", "{origin}");
        let headers = [("Cookie", cookie.as_str()), ("Origin", origin), ("X-CSRF", "1")];
        for path in ["/api/page", "/bff/user"] {
            let reply = gate.call("GET", path, &headers).await;
            assert_eq!(
                (reply.problem(), allowed(&reply)),
                ((403, "csrf.origin_mismatch".into()), ["", ""]),
                "{origin}"
            );
            assert!(
                reply.all("vary").contains(&"origin"),
                "no cache may mix the two up: {reply:?}"
            );
        }
    }
    // Two at once are neither.
    let headers = [
        ("Cookie", cookie.as_str()),
        ("Origin", PORTAL),
        ("Origin", "https://evil.example"),
        ("X-CSRF", "1"),
    ];
    assert_eq!(allowed(&gate.call("GET", "/api/page", &headers).await), ["", ""]);
    // A listed origin has no way around the session.
    let headers = [("Origin", PORTAL), ("X-CSRF", "1")];
    assert_eq!(
        gate.call("GET", "/api/page", &headers).await.problem(),
        (401, "session.missing".into())
    );
    // Its forms are not our own.
    let headers = [
        ("Cookie", cookie.as_str()),
        ("Origin", PORTAL),
        ("Sec-Fetch-Site", "same-site"),
    ];
    assert_eq!(
        gate.call("POST", "/app/order", &headers).await.problem(),
        (403, "csrf.cross_site".into())
    );
    assert_eq!(
        gate.upstream.hits() - hits,
        1,
        "the call with two origins, of which the first is listed"
    );
}
