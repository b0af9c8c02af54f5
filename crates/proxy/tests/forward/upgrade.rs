//! WebSocket: bytes pass after the upstream's 101, not before, and the connection can be cut.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::*;

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Cookie: __Host-shop=secret; a=b\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: __Host-shop=evil\r\n\r\n";

/// A client and an upstream that have just switched.
async fn switched(setup: impl FnOnce(&mut Setup)) -> (RawClient, RawClient) {
    let (upstream, listener) = raw_upstream().await;
    let mut chosen = Setup::to(upstream);
    setup(&mut chosen);
    let mut client = RawClient::connect(gateway(chosen).await).await;
    client.send(ASK).await;
    let mut server = accept(&listener).await;
    let head = server.head().await;
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"),
        "{head}"
    );
    assert!(
        head.contains("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
        "{head}"
    );
    assert!(head.contains("cookie: a=b\r\n") && !head.contains("secret"), "{head}");
    server.send(SWITCH).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(
        head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"),
        "{head}"
    );
    assert!(
        head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{head}"
    );
    assert!(!head.contains("evil"), "{head}");
    (client, server)
}

async fn accept(listener: &TcpListener) -> RawClient {
    RawClient::over(listener.accept().await.unwrap().0)
}

#[tokio::test]
async fn bytes_pass_both_ways_until_one_side_ends() {
    let (mut client, mut server) = switched(|_| {}).await;
    client.send("\u{1}ping").await;
    assert_eq!(server.until("ping").await, "\u{1}ping");
    server.send("\u{1}pong").await;
    assert_eq!(client.until("pong").await, "\u{1}pong");
    server.send("bye").await;
    server.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "bye");
    // The other direction is open still.
    client.send("bye too").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(server.rest().await, "bye too");
}

/// Pingora's RUSTSEC-2026-0033: bytes that were sent early must not reach an upstream that refuses to switch.
#[tokio::test]
async fn bytes_before_the_switch_stay_here() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = RawClient::connect(gateway).await;
    client
        .send(format!("{ASK}GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n"))
        .await;
    let mut server = accept(&listener).await;
    server.head().await;
    server
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert!(!head.contains("upgrade"), "{head}");
    assert_eq!(client.until("no").await, "no");
    server.stream.shutdown().await.unwrap();
    assert_eq!(
        server.rest().await,
        "",
        "nothing on the connection that asked for the switch"
    );
}

/// The good twin: a client may send before it has read the 101; the bytes arrive after it.
#[tokio::test]
async fn early_bytes_arrive_after_the_switch() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = RawClient::connect(gateway).await;
    client.send(format!("{ASK}early")).await;
    let mut server = accept(&listener).await;
    server.head().await;
    server.send(format!("{SWITCH}first")).await;
    client.head().await;
    assert_eq!(client.until("first").await, "first");
    assert_eq!(server.until("early").await, "early");
}

#[tokio::test]
async fn other_protocols_are_not_offered_to_the_upstream() {
    let (upstream, seen) = recorder().await;
    let gateway = gateway(Setup::to(upstream)).await;
    for headers in [
        "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: upgrade, close\r\nUpgrade: TLS/1.0\r\n",
        "Connection: close\r\nUpgrade: websocket\r\n",
    ] {
        let answer = exchange(gateway, &format!("GET / HTTP/1.1\r\nHost: app.test\r\n{headers}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let post = "POST / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\
                Content-Length: 0\r\n\r\n";
    assert!(exchange(gateway, post).await.starts_with("HTTP/1.1 200 "));
    for parts in seen.lock().unwrap().iter() {
        for name in ["connection", "upgrade", "http2-settings"] {
            assert!(!parts.headers.contains_key(name), "{parts:?}");
        }
    }
    assert_eq!(seen.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_switch_to_something_else_is_refused() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = RawClient::connect(gateway).await;
    client.send(ASK).await;
    let mut server = accept(&listener).await;
    server.head().await;
    server
        .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(server.rest().await, "");
}

#[tokio::test]
async fn a_session_that_ends_cuts_its_connection() {
    for drop_sender in [false, true] {
        let (cut, signal) = watch::channel(false);
        let (mut client, mut server) = switched(|setup| setup.cut = Some(signal)).await;
        client.send("still here").await;
        assert_eq!(server.until("here").await, "still here");
        if drop_sender {
            drop(cut);
        } else {
            cut.send(true).unwrap();
        }
        assert_eq!(
            client.rest_bytes().await,
            [0x88, 2, 0x03, 0xf0],
            "closed as not permitted"
        );
        assert_eq!(server.rest().await, "");
    }
}

#[tokio::test]
async fn a_side_that_resets_takes_the_other_along() {
    let (client, mut server) = switched(|_| {}).await;
    // Closing without lingering is a reset.
    client.stream.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(server.rest().await, "");
}

#[tokio::test]
async fn silence_in_both_directions_ends_it() {
    let (mut client, mut server) = switched(|_| {}).await;
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    assert_eq!(client.rest().await, "");
    assert_eq!(server.rest().await, "");
    assert!(start.elapsed() >= Duration::from_secs(299), "{:?}", start.elapsed());
}
