//! 502, 504 and their likes: each with its status, code and request id, and what stays usable afterwards.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::*;

/// Status, code and whether the request id is there.
async fn outcome(gateway: SocketAddr) -> (u16, String) {
    let response = http1(gateway).await.send_request(get("/")).await.unwrap();
    assert_eq!(value(response.headers(), "x-request-id"), Some("test-id"));
    (response.status().as_u16(), text(response).await)
}

#[tokio::test]
async fn nobody_listens() {
    let (upstream, listener) = raw_upstream().await;
    drop(listener);
    let gateway = gateway(Setup::to(upstream)).await;
    assert_eq!(outcome(gateway).await, (502, "upstream.unreachable".into()));
}

/// A listener whose queue is full answers no handshake.
#[tokio::test]
async fn a_connection_that_does_not_come_about() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let upstream = listener.local_addr().unwrap();
    // With time paused, a wait costs nothing, and the clock moves only when nothing else does.
    tokio::time::pause();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_secs(60), TcpStream::connect(upstream)).await {
        queued.push(stream.unwrap());
    }
    let gateway = gateway(Setup::to(upstream)).await;
    let start = Instant::now();
    assert_eq!(outcome(gateway).await, (504, "upstream.timeout".into()));
    assert!((2..3).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_answer_that_does_not_come() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let answer = tokio::spawn(outcome(gateway));
    let mut connection = RawClient::over(listener.accept().await.unwrap().0);
    connection.head().await;
    tokio::time::pause();
    assert_eq!(answer.await.unwrap(), (504, "upstream.timeout".into()));
    assert_eq!(connection.rest().await, "", "the connection is closed");
}

#[tokio::test]
async fn an_answer_that_falls_silent() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = RawClient::connect(gateway).await;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
    let mut connection = RawClient::over(listener.accept().await.unwrap().0);
    connection.head().await;
    connection
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    client.until("first\r\n").await;
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    assert_eq!(client.rest().await, "", "broken off, not ended");
    assert!(before.elapsed() >= Duration::from_secs(299), "{:?}", before.elapsed());
    assert_eq!(connection.rest().await, "");
}

#[tokio::test]
async fn an_answer_that_is_none() {
    for (answer, code) in [
        ("", "upstream.bad_response"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "upstream.bad_response"),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "upstream.bad_response"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "upstream.bad_response",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "upstream.bad_response",
        ),
    ] {
        let (upstream, listener) = raw_upstream().await;
        let gateway = gateway(Setup::to(upstream)).await;
        let found = tokio::spawn(outcome(gateway));
        let mut connection = RawClient::over(listener.accept().await.unwrap().0);
        connection.head().await;
        connection.send(answer).await;
        drop(connection);
        assert_eq!(found.await.unwrap(), (502, code.into()), "{answer}");
    }
}

/// The time-out for the answer begins again with each piece of the request that goes out.
#[tokio::test]
async fn a_long_upload_is_not_a_slow_answer() {
    let (frames, mut arrived) = mpsc::unbounded_channel();
    let upstream = serve(move |request: Request<Incoming>| {
        let frames = frames.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = http_body_util::BodyExt::frame(&mut body).await {
                frames.send(frame.into_data().unwrap()).unwrap();
            }
            Response::new(full("all"))
        }
    })
    .await;
    let gateway = gateway(Setup::to(upstream)).await;
    let (sender, body) = fed();
    let request = Request::post("/").header("host", "app.test").body(body).unwrap();
    let mut client = http1(gateway).await;
    let response = tokio::spawn(async move { client.send_request(request).await.unwrap() });
    for _ in 0..4 {
        sender.send(data("piece")).await.unwrap();
        arrived.recv().await.unwrap();
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(20)).await;
        tokio::time::resume();
    }
    drop(sender);
    assert_eq!(text(response.await.unwrap()).await, "all");
}

#[tokio::test]
async fn an_upload_that_falls_silent_is_the_clients_fault() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = RawClient::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nshort")
        .await;
    let mut connection = RawClient::over(listener.accept().await.unwrap().0);
    connection.until("short").await;
    tokio::time::pause();
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
}
