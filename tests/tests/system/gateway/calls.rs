//! Calls with a session in every shape that HTTP has.

use std::convert::Infallible;

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::raw::Raw;
use super::{Gate, START};

#[tokio::test]
async fn http2_carries_many_calls_and_cookies_in_pieces() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    // Without TLS a client begins HTTP/2 by knowing that it may (RFC 9113 s3.3).
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let calls = (0..40).map(|number| {
        let mut sender = sender.clone();
        let request = Request::post(format!("http://{}/api/page/{number}", gate.host()))
            .header("x-csrf", "1")
            .header("cookie", "theme=dark")
            // RFC 9113 s8.2.3: a browser sends each pair by itself.
            .header("cookie", cookie.as_str())
            .header("cookie", "lang=en")
            .body(Full::new(bytes::Bytes::from(format!("body {number}"))))
            .unwrap();
        async move {
            let response = sender.send_request(request).await.unwrap();
            let status = response.status();
            (status, response.into_body().collect().await.unwrap().to_bytes())
        }
    });
    for (status, body) in futures_util::future::join_all(calls).await {
        assert_eq!((status.as_u16(), &body[..]), (200, &b"arrived"[..]));
    }
    assert_eq!(gate.upstream.hits(), 40);
    let seen = gate.upstream.last();
    assert_eq!(
        seen.all("cookie"),
        ["theme=dark; lang=en"],
        "whole again, and without ours"
    );
    assert_eq!(seen.all("authorization").len(), 1);
}

#[tokio::test]
async fn a_body_is_asked_for_only_where_it_is_wanted() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let head = |cookie: &str| {
        format!(
            "POST /api/page/upload HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nX-CSRF: 1\r\nExpect: 100-continue\r\n\
             Content-Length: 5\r\n\r\n",
            gate.host()
        )
    };
    let mut raw = Raw::connect(gate.address).await;
    raw.send(&head(&cookie)).await;
    assert_eq!(raw.head().await.status, 100);
    raw.send("hello").await;
    assert_eq!(raw.head().await.status, 200);
    assert_eq!(&gate.upstream.last().body[..], b"hello");
    // Whoever is refused need not send it (RFC 9110 s10.1.1).
    let mut raw = Raw::connect(gate.address).await;
    raw.send(&head("portcullis-shop=made-up")).await;
    assert_eq!(raw.head().await.status, 401);
    assert_eq!(gate.upstream.hits(), 1);
}

#[tokio::test]
async fn grpc_web_passes_as_it_is() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let (host, origin) = (gate.host(), &gate.origin);
    // A message, as gRPC-Web frames it; its trailers come as a frame of the body.
    let frame = "\x00\x00\x00\x00\x05hello";
    let mut raw = Raw::connect(gate.address).await;
    raw.send(&format!(
        "POST /api/page/orders.v1.Orders/frames HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-CSRF: 1\r\nOrigin: {origin}\r\n\
         Content-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1\r\nGrpc-Timeout: 5S\r\nContent-Length: 10\r\n\r\n{frame}"
    ))
    .await;
    let head = raw.head().await;
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, "application/grpc-web+proto")
    );
    assert!(raw.until("grpc-status:0\r\n").await.contains("hello"));
    let seen = gate.upstream.last();
    assert_eq!(&seen.body[..], frame.as_bytes());
    assert_eq!(
        (seen.all("content-type"), seen.all("x-grpc-web")),
        (vec!["application/grpc-web+proto"], vec!["1"])
    );
    assert_eq!(
        (seen.all("grpc-timeout"), seen.all("authorization").len()),
        (vec!["5S"], 1)
    );
}

#[tokio::test]
async fn trailers_pass_with_a_session_and_bring_no_cookie_along() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut call = async |cookie: &str| {
        let trailers = [("x-sum", "2"), ("authorization", "Bearer planted"), ("cookie", cookie)];
        let trailers = trailers.map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        let frames = [
            Frame::data(bytes::Bytes::from("hello")),
            Frame::trailers(HeaderMap::from_iter(trailers)),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
        let request = Request::post(format!("http://{}/api/page/trailers", gate.host()))
            .header("x-csrf", "1")
            .header("cookie", cookie)
            .header("te", "trailers")
            .header("trailer", "x-sum, authorization, cookie")
            .header("content-type", "application/grpc+proto")
            .body(body)
            .unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        (head, body.collect().await.unwrap())
    };
    let (head, answer) = call(&cookie).await;
    assert_eq!(head.status, 200);
    let trailers = answer.trailers().cloned().unwrap();
    assert_eq!(&answer.to_bytes()[..], b"\0\0\0\0\x05hello");
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers.len(), 1, "{trailers:?}");
    let seen = gate.upstream.last();
    assert_eq!((&seen.body[..], seen.all("te")), (&b"hello"[..], vec!["trailers"]));
    assert_eq!(seen.trailers["x-sum"], "2");
    assert_eq!(seen.trailers.len(), 1, "{:?}", seen.trailers);
    assert_eq!(seen.all("authorization").len(), 1);
    assert!(
        seen.all("authorization")[0].starts_with("Bearer ey"),
        "the session's own"
    );
    // Who is not signed in is told in the head, as ever.
    let (head, _) = call("portcullis-shop=made-up").await;
    assert_eq!((head.status.as_u16(), gate.upstream.hits()), (401, 1));
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_upstream_along() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let mut raw = Raw::connect(gate.address).await;
    let host = gate.host();
    raw.send(&format!(
        "GET /api/page/stream HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-CSRF: 1\r\n\r\n"
    ))
    .await;
    assert_eq!(raw.head().await.status, 200);
    gate.upstream.pieces.send("data: one\n\n").unwrap();
    raw.until("data: one\n\n").await;
    drop(raw);
    let gone = tokio::time::timeout(START, gate.upstream.pieces.closed());
    gone.await.expect("the upstream stops making what nobody reads");
}

#[tokio::test]
async fn an_upstream_that_fails_costs_nobody_a_session() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let session = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    let navigation = [
        ("Accept", "text/html"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    for headers in [session.to_vec(), [&session[..], &navigation].concat()] {
        let reply = gate.call("GET", "/api/closed", &headers).await;
        assert_eq!(reply.problem(), (502, "upstream.unreachable".into()));
        assert!(
            reply.all("set-cookie").is_empty() && !reply.body.contains("127.0.0.1"),
            "{reply:?}"
        );
    }
    assert_eq!(gate.call("GET", "/api/page", &session).await.status, 200);
}
