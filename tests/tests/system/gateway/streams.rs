//! What goes on and on ends with its session, however that ends; and the page is told.

use std::net::SocketAddr;

use super::Gate;
use super::logout_messages::{access_token, claims, send_claims, sid};
use super::raw::{self, Raw};
use crate::demo::Browser;

/// How a session can end.
#[derive(Clone, Copy, Debug)]
enum End {
    Here,
    AtTheProvider,
    InAFrame,
    Idle,
    AtAnotherReplica,
}

async fn websocket(gate: &Gate, cookie: &str) -> Raw {
    let from = format!("Cookie: {cookie}\r\nOrigin: {}\r\n", gate.origin);
    let mut raw = upgraded(gate, "/api/page/live", &from).await;
    raw.send("ping").await;
    raw.until("ping").await;
    raw
}

/// A WebSocket that is opened with these header lines.
pub(super) async fn upgraded(gate: &Gate, path: &str, lines: &str) -> Raw {
    let mut raw = Raw::connect(gate.address).await;
    let host = gate.host();
    raw.send(&format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ))
    .await;
    assert_eq!(raw.head().await.status, 101, "{path}");
    raw
}

async fn open(gate: &Gate, cookie: &str, path: &str) -> (Raw, raw::Reply) {
    let mut raw = Raw::connect(gate.address).await;
    let host = gate.host();
    raw.send(&format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-CSRF: 1\r\nConnection: close\r\n\r\n"
    ))
    .await;
    let head = raw.head().await;
    (raw, head)
}

/// Signs out with the address that the page is given, at one of the replicas.
async fn sign_out(gate: &Gate, cookie: &str, at: SocketAddr) {
    let headers = [("Cookie", cookie), ("X-CSRF", "1")];
    let user = raw::exchange(at, "GET", "/bff/user", gate.host(), &headers, "").await;
    let url = user.json()["logout_url"].as_str().unwrap().to_owned();
    let reply = raw::exchange(at, "GET", &url, gate.host(), &headers, "").await;
    assert_eq!(reply.status, 303);
}

async fn frame(gate: &Gate, query: &str) -> raw::Reply {
    let headers = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Dest", "iframe"),
        ("Sec-Fetch-Mode", "navigate"),
    ];
    gate.call("GET", &format!("/bff/frontchannel-logout{query}"), &headers)
        .await
}

fn named(gate: &Gate, sid: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new("?".to_owned());
    query.append_pair("iss", gate.idp.issuer()).append_pair("sid", sid);
    query.finish()
}

#[tokio::test]
async fn streams_end_with_their_session() {
    for end in [
        End::Here,
        End::AtTheProvider,
        End::InAFrame,
        End::Idle,
        End::AtAnotherReplica,
    ] {
        let mut gate = Gate::start().await;
        let other = gate.replica().await;
        let alice = gate.sign_in().await;
        let sid = sid(&gate);
        let bob = gate.sign_in().await;
        let (cookie, others) = (gate.cookie(&alice), gate.cookie(&bob));
        let mut socket = websocket(&gate, &cookie).await;
        let mut unaffected = websocket(&gate, &others).await;
        let (mut stream, head) = open(&gate, &cookie, "/api/page/stream").await;
        assert_eq!(head.header("content-type"), "text/event-stream");
        gate.upstream.pieces.send("data: one\n\n").unwrap();
        stream.until("data: one\n\n").await;
        let (mut told, head) = open(&gate, &cookie, "/bff/events").await;
        assert_eq!(
            (head.header("content-type"), head.header("cache-control")),
            ("text/event-stream", "no-store")
        );
        told.until("event: session\ndata: {\"seconds_left\":1800}\n\n").await;

        match end {
            End::Here => sign_out(&gate, &cookie, gate.address).await,
            End::AtAnotherReplica => sign_out(&gate, &cookie, other).await,
            End::AtTheProvider => {
                let reply = send_claims(&gate, "logout+jwt", &claims(&gate, &sid, "jti")).await;
                assert_eq!(reply.status, 200);
            }
            End::InAFrame => assert_eq!(frame(&gate, &named(&gate, &sid)).await.status, 200),
            End::Idle => gate.clock.advance(30 * 60 + 1),
        }
        assert_eq!(socket.end().await, "", "{end:?}");
        let rest = stream.end().await;
        assert!(
            !rest.contains("\r\n0\r\n"),
            "it broke off, and does not look complete: {rest:?}"
        );
        let reason = if matches!(end, End::Idle) {
            "expired"
        } else {
            "signed_out"
        };
        let rest = told.end().await;
        assert!(
            rest.contains(&format!("event: ended\ndata: {{\"reason\":\"{reason}\"}}\n\n")),
            "{end:?}: {rest:?}"
        );
        if !matches!(end, End::Idle) {
            unaffected.send("pong").await;
            unaffected.until("pong").await;
        }
    }
}

/// A WebSocket over which one frame has come back.
async fn after_a_frame(gate: &Gate, cookie: &str) -> Raw {
    let from = format!("Cookie: {cookie}\r\nOrigin: {}\r\n", gate.origin);
    let mut raw = upgraded(gate, "/api/page/live", &from).await;
    raw.send("\u{1}\u{2}hi").await;
    raw.until("hi").await;
    raw
}

#[tokio::test]
async fn the_client_of_a_websocket_is_told_why_it_ends() {
    let gate = Gate::start().await;
    let (alice, bob) = (gate.sign_in().await, gate.sign_in().await);
    let (cookie, others) = (gate.cookie(&alice), gate.cookie(&bob));
    let mut socket = after_a_frame(&gate, &cookie).await;
    let mut stays = after_a_frame(&gate, &others).await;
    sign_out(&gate, &cookie, gate.address).await;
    assert_eq!(
        socket.end_bytes().await,
        [0x88, 2, 0x03, 0xf0],
        "1008: it is no longer permitted"
    );

    // The gateway is about to end: what would never end by itself does, and calls are answered.
    let (mut stream, _) = open(&gate, &others, "/api/page/stream").await;
    gate.upstream.pieces.send("data: one\n\n").unwrap();
    stream.until("data: one\n\n").await;
    let (mut told, _) = open(&gate, &others, "/bff/events").await;
    told.until("\"seconds_left\":1800}\n\n").await;
    let running = gate.running.as_ref().unwrap();
    running.leave();
    assert_eq!(stays.end_bytes().await, [0x88, 2, 0x03, 0xe9], "1001: it goes away");
    assert!(!stream.end().await.contains("\r\n0\r\n"), "the stream broke off");
    let rest = told.end().await;
    assert!(
        rest.ends_with("0\r\n\r\n") && !rest.contains("ended"),
        "the session goes on: {rest:?}"
    );
    let headers = [("Cookie", others.as_str()), ("X-CSRF", "1")];
    assert_eq!(gate.call("GET", "/api/orders/7", &headers).await.status, 200);
    running.finish().await;
}

/// However much it is used; where the store is, and where the browser carries it.
#[tokio::test]
async fn streams_end_when_their_session_comes_to_its_age() {
    for store in ["", "url = \"cookie\"\nkeys = [{ file = \"seal.key\" }]"] {
        let gate = Gate::start_with(None, |text, _| {
            let usual = "url = \"sqlite:sessions.db\"";
            let session = "session = { idle = \"40m\", lifetime = \"1h\" }";
            text.replacen(usual, if store.is_empty() { usual } else { store }, 1)
                .replacen("[frontend.shop]", &format!("[frontend.shop]\n{session}"), 1)
        })
        .await;
        let mut alice = gate.sign_in().await;
        gate.clock.advance(30 * 60);
        let mut later = gate.sign_in().await;
        assert_eq!(gate.fetch(&mut alice, "/bff/user").await.status, 200);
        let (cookie, others) = (gate.cookies(&alice), gate.cookies(&later));
        let mut socket = websocket(&gate, &cookie).await;
        let mut unaffected = websocket(&gate, &others).await;
        let (mut stream, _) = open(&gate, &cookie, "/api/page/stream").await;
        gate.upstream.pieces.send("data: one\n\n").unwrap();
        stream.until("data: one\n\n").await;
        let (mut told, _) = open(&gate, &cookie, "/bff/events").await;
        told.until("{\"seconds_left\":1800}\n\n").await;
        // Without the age it would be good for ten minutes more.
        gate.clock.advance(30 * 60 + 1);
        assert_eq!(socket.end().await, "");
        let rest = stream.end().await;
        assert!(!rest.contains("\r\n0\r\n"), "it breaks off: {rest:?}");
        let rest = told.end().await;
        assert!(
            rest.contains("event: ended\ndata: {\"reason\":\"expired\"}\n\n"),
            "{rest:?}"
        );
        unaffected.send("pong").await;
        unaffected.until("pong").await;
        assert_eq!(gate.fetch(&mut later, "/bff/user").await.status, 200);
        assert_eq!(
            gate.fetch(&mut alice, "/bff/user").await.json()["code"],
            "session.expired"
        );
    }
}

#[tokio::test]
async fn a_websocket_ends_when_its_token_is_revoked() {
    let gate = Gate::start().await;
    let open = async |sid: &str| {
        let lines = format!("Authorization: Bearer {}\r\n", access_token(&gate, sid, 0));
        let mut raw = upgraded(&gate, "/api/machine/live", &lines).await;
        raw.send("ping").await;
        raw.until("ping").await;
        raw
    };
    let (mut revoked, mut unaffected) = (open("one").await, open("two").await);
    let reply = send_claims(&gate, "logout+jwt", &claims(&gate, "one", "jti")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(revoked.end().await, "");
    unaffected.send("pong").await;
    unaffected.until("pong").await;
}

#[tokio::test]
async fn the_page_is_told_how_long_its_session_lasts() {
    let gate = Gate::start().await;
    let mut alice = gate.sign_in().await;
    let cookie = gate.cookie(&alice);
    let (mut told, _) = open(&gate, &cookie, "/bff/events").await;
    told.until("{\"seconds_left\":1800}").await;
    gate.clock.advance(600);
    // To be told prolongs nothing; to use the session does.
    let (mut second, _) = open(&gate, &cookie, "/bff/events").await;
    second.until("{\"seconds_left\":1200}").await;
    assert_eq!(gate.fetch(&mut alice, "/bff/user").await.status, 200);
    told.until("event: session\ndata: {\"seconds_left\":1800}\n\n").await;

    for (headers, status, code) in [
        (vec![("X-CSRF", "1")], 401, "session.missing"),
        (vec![("Cookie", cookie.as_str())], 403, "csrf.header_missing"),
        (
            vec![
                ("Cookie", cookie.as_str()),
                ("X-CSRF", "1"),
                ("Origin", "https://evil.example"),
            ],
            403,
            "csrf.origin_mismatch",
        ),
        (
            vec![("Cookie", "portcullis-shop=made-up"), ("X-CSRF", "1")],
            401,
            "session.expired",
        ),
    ] {
        let reply = gate.call("GET", "/bff/events", &headers).await;
        assert_eq!(reply.problem(), (status, code.to_owned()), "{headers:?}");
    }
}

#[tokio::test]
async fn a_logout_frame_ends_the_session_that_the_provider_names_and_no_other() {
    let gate = Gate::start().await;
    let mut alice = gate.sign_in().await;
    let sid = sid(&gate);
    let iss: String = url::form_urlencoded::byte_serialize(gate.idp.issuer().as_bytes()).collect();
    let user = async |browser: &mut Browser| gate.fetch(browser, "/bff/user").await.status.as_u16();
    // Framable, and it says nothing: without parameters too, whatever cookie comes along.
    for query in [String::new(), named(&gate, "another")] {
        let mut headers = vec![("sec-fetch-dest", "iframe"), ("host", gate.host())];
        headers.push(("sec-fetch-site", "cross-site"));
        let url = format!("http://{}/bff/frontchannel-logout{query}", gate.address);
        let answer = alice.send("GET", &url, &headers, String::new()).await;
        assert_eq!(answer.status, 200, "{query}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("frame-ancestors"),
            "{policy}"
        );
        assert_eq!(
            (answer.header("x-frame-options"), answer.header("cache-control")),
            ("", "no-store")
        );
        assert_eq!(user(&mut alice).await, 200, "{query}");
    }
    for query in [
        format!("?sid={sid}"),
        format!("?iss={iss}"),
        format!("?iss={iss}&sid="),
        format!("?iss={iss}%2F&sid={sid}"),
        format!("?iss=https%3A%2F%2Fevil.example&sid={sid}"),
        format!("?iss={iss}&sid={sid}&sid={sid}"),
    ] {
        let reply = frame(&gate, &query).await;
        assert_eq!(
            (reply.status, gate.last_code().as_str()),
            (400, "logout.frame_invalid"),
            "{query}"
        );
        assert_eq!(user(&mut alice).await, 200, "{query}");
    }
    let reply = frame(&gate, &named(&gate, &sid)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(user(&mut alice).await, 401);
    assert!(gate.logged().contains("\"how\":\"front_channel\""));
}

#[tokio::test]
async fn where_it_is_switched_off_a_logout_frame_ends_nothing() {
    let off = |text: String, _: &std::path::Path| {
        text.replace("[frontend.shop]\n", "[frontend.shop]\nfrontchannel_logout = \"off\"\n")
    };
    let gate = Gate::start_with(None, off).await;
    let mut alice = gate.sign_in().await;
    let reply = frame(&gate, &named(&gate, &sid(&gate))).await;
    assert_eq!((reply.status, gate.last_code().as_str()), (404, "route.not_found"));
    assert_eq!(gate.fetch(&mut alice, "/bff/user").await.status, 200);
}
