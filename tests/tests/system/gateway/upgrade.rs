//! WebSockets with a session: only for our own pages.

use super::Gate;
use super::raw::{Raw, Reply};

pub(super) async fn ask(gate: &Gate, cookie: &str, origin: Option<&str>, site: Option<&str>) -> (Raw, Reply) {
    let mut raw = Raw::connect(gate.address).await;
    let mut text = format!(
        "GET /api/page/live HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        gate.host()
    );
    for (name, value) in [("Origin", origin), ("Sec-Fetch-Site", site)] {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    raw.send(&format!("{text}\r\n")).await;
    let head = raw.head().await;
    (raw, head)
}

#[tokio::test]
async fn a_websocket_with_a_session_needs_our_origin() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let (cookie, origin) = (gate.cookie(&browser), gate.origin.clone());
    for (from, site, code) in [
        (None, None, "csrf.origin_mismatch"),
        (Some("https://evil.example"), None, "csrf.origin_mismatch"),
        (Some("null"), None, "csrf.origin_mismatch"),
        (Some("http://127.0.0.1"), None, "csrf.origin_mismatch"),
        (Some(origin.as_str()), Some("cross-site"), "csrf.cross_site"),
    ] {
        let (_, head) = ask(&gate, &cookie, from, site).await;
        assert_eq!(
            (head.status, gate.last_code().as_str()),
            (403, code),
            "{from:?} {site:?}"
        );
    }
    let (_, head) = ask(&gate, "portcullis-shop=made-up", Some(&origin), None).await;
    assert_eq!(head.status, 401);
    assert_eq!(gate.upstream.hits(), 0);

    let (mut raw, head) = ask(&gate, &cookie, Some(&origin), Some("same-origin")).await;
    assert_eq!((head.status, head.header("upgrade")), (101, "websocket"));
    raw.send("ping").await;
    assert_eq!(raw.until("ping").await, "ping");
    let seen = gate.upstream.last();
    assert_eq!((seen.all("authorization").len(), seen.all("cookie").len()), (1, 0));
}
