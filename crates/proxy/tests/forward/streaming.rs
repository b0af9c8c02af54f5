//! Bodies pass while they are made, at the pace of the slower side, and break where the other side breaks.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming};
use portcullis_proxy::{ForwardHead, Forwarder, Upstream, normalise_path};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};

use crate::support::*;

/// An upstream whose answers are made by the test, piece by piece.
async fn by_hand() -> (
    std::net::SocketAddr,
    mpsc::UnboundedReceiver<mpsc::Sender<Result<Frame<Bytes>, Error>>>,
) {
    let (bodies, made) = mpsc::unbounded_channel();
    let upstream = serve(move |_| {
        let (sender, body) = fed();
        bodies.send(sender).unwrap();
        async { Response::new(body) }
    });
    (upstream.await, made)
}

async fn frame(body: &mut Incoming) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn an_answer_arrives_while_it_is_made() {
    let (bodies, mut made) = mpsc::unbounded_channel();
    let upstream = serve(move |_| {
        let (sender, body) = fed();
        bodies.send(sender).unwrap();
        async {
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(body)
                .unwrap()
        }
    })
    .await;
    let gateway = gateway(Setup::to(upstream)).await;
    for version in [1, 2] {
        let response = match version {
            1 => http1(gateway).await.send_request(get("/events")).await.unwrap(),
            _ => http2(gateway)
                .await
                .send_request(get("http://app.test/events"))
                .await
                .unwrap(),
        };
        assert_eq!(value(response.headers(), "content-type"), Some("text/event-stream"));
        let sender = made.recv().await.unwrap();
        let mut body = response.into_body();
        for event in ["data: 1\n\n", "data: 2\n\n"] {
            sender.send(data(event)).await.unwrap();
            assert_eq!(frame(&mut body).await, event, "before the next is made");
        }
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "", "nothing after the last");
    }
}

#[tokio::test]
async fn a_request_arrives_while_it_is_sent() {
    let (frames, mut arrived) = mpsc::unbounded_channel();
    let upstream = serve(move |request: Request<Incoming>| {
        let frames = frames.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                frames.send(frame.unwrap().into_data().unwrap()).unwrap();
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
    for chunk in ["one", "two"] {
        sender.send(data(chunk)).await.unwrap();
        assert_eq!(arrived.recv().await.unwrap(), chunk, "before the next is sent");
    }
    drop(sender);
    assert_eq!(text(response.await.unwrap()).await, "all");
}

/// Each byte goes up and comes back while more goes up.
#[tokio::test]
async fn ten_mebibytes_echo() {
    let upstream =
        serve(|request: Request<Incoming>| async { Response::new(request.into_body().map_err(Error::from).boxed()) })
            .await;
    let gateway = gateway(Setup::to(upstream)).await;
    for (version, known_length) in [(1, true), (1, false), (2, false)] {
        let (sender, body) = fed();
        let mut request = Request::post("http://app.test/echo").header("host", "app.test");
        if known_length {
            request = request.header("content-length", 10 * 1024 * 1024);
        }
        let request = request.body(body).unwrap();
        let upload = tokio::spawn(async move {
            for number in 0..160_u8 {
                sender.send(data(vec![number; 64 * 1024])).await.unwrap();
            }
        });
        let response = match version {
            1 => http1(gateway).await.send_request(request).await.unwrap(),
            _ => http2(gateway).await.send_request(request).await.unwrap(),
        };
        let mut body = response.into_body();
        let mut received = 0_usize;
        while let Some(frame) = body.frame().await {
            for byte in frame.unwrap().into_data().unwrap() {
                assert_eq!(usize::from(byte), received / (64 * 1024));
                received += 1;
            }
        }
        assert_eq!(received, 10 * 1024 * 1024);
        upload.await.unwrap();
    }
}

/// The client reads nothing: the upstream must come to a halt, long before it has sent all.
#[tokio::test]
async fn a_slow_reader_slows_the_upstream_down() {
    let (progress, mut sent) = mpsc::unbounded_channel();
    let upstream = serve(move |_| {
        let (sender, body) = fed();
        let progress = progress.clone();
        tokio::spawn(async move {
            for _ in 0..10_000 {
                if sender.send(data(vec![0; 64 * 1024])).await.is_err() {
                    return;
                }
                progress.send(()).unwrap();
            }
        });
        async { Response::new(body) }
    })
    .await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = RawClient::connect(gateway).await;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
    client.head().await;
    // Full buffers all the way are the halt: with time paused, the clock moves only when nothing else does.
    tokio::time::pause();
    let mut chunks = 0;
    while tokio::time::timeout(std::time::Duration::from_secs(1), sent.recv())
        .await
        .is_ok()
    {
        chunks += 1;
    }
    assert!(
        (1..1_000).contains(&chunks),
        "{chunks} chunks of 64 KiB are somewhere on the way"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_complete() {
    let (upstream, listener) = raw_upstream().await;
    tokio::spawn(async move {
        // The last is the good twin.
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n\r\n",
        ]
        .repeat(2)
        {
            // Each connection carries one request, as the upstream closes it.
            let mut client = RawClient::over(listener.accept().await.unwrap().0);
            client.head().await;
            client.send(answer).await;
            client.stream.shutdown().await.unwrap();
        }
    });
    let gateway = gateway(Setup::to(upstream)).await;
    for complete in [false, false, false, true] {
        // Not even the head comes, where the break came with it.
        let answer = exchange(gateway, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n").await;
        let whole = answer.ends_with("\r\n\r\n5\r\nshort\r\n0\r\n\r\n");
        assert_eq!(whole, complete, "{answer}");
        assert!(whole || answer.is_empty() || answer.contains("content-length: 10") || answer.contains("chunked"));
        assert!(whole || !answer.contains("0\r\n\r\n"), "{answer}");
    }
    for complete in [false, false, false, true] {
        let body = match http2(gateway).await.send_request(get("http://app.test/")).await {
            Ok(response) => response.into_body().collect().await,
            Err(error) => Err(error),
        };
        assert_eq!(body.is_ok(), complete, "{body:?}");
    }
}

/// Events of a session must not outlive it.
#[tokio::test]
async fn a_session_that_ends_cuts_its_answers() {
    let (upstream, mut made) = by_hand().await;
    let (cut, signal) = tokio::sync::watch::channel(false);
    let mut setup = Setup::to(upstream);
    setup.cut = Some(signal);
    let gateway = gateway(setup).await;
    let mut body = http1(gateway)
        .await
        .send_request(get("/events"))
        .await
        .unwrap()
        .into_body();
    let sender = made.recv().await.unwrap();
    sender.send(data("data: 1\n\n")).await.unwrap();
    assert_eq!(frame(&mut body).await, "data: 1\n\n", "while the session lives");
    cut.send(true).unwrap();
    assert!(body.frame().await.unwrap().is_err());
    sender.closed().await;
}

/// A reader that is slower than the upstream would else be served for as long as it likes.
#[tokio::test]
async fn an_answer_that_has_come_already_is_cut_too() {
    let (upstream, mut made) = by_hand().await;
    let (forwarder, path) = (Forwarder::default(), normalise_path("/").unwrap());
    let upstream = Upstream::parse(&format!("http://{upstream}")).unwrap();
    let (cut, signal) = tokio::sync::watch::channel(false);
    let mut head = ForwardHead::new(&path, [127, 0, 0, 1].into());
    head.cut = Some(signal);
    let response = forwarder.forward(&upstream, get("/"), head);
    let (response, sender) = tokio::join!(response, async { made.recv().await.unwrap() });
    let mut body = response.unwrap().into_body();
    for _ in 0..8 {
        sender.send(data(vec![b'x'; 8 * 1024])).await.unwrap();
    }
    assert!(body.frame().await.unwrap().is_ok());
    cut.send(true).unwrap();
    assert!(body.frame().await.unwrap().is_err());
    sender.closed().await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_upstream_connection_along() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    // Before the answer's head, and in the middle of its body.
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"] {
        let mut client = RawClient::connect(gateway).await;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
        let mut connection = RawClient::over(listener.accept().await.unwrap().0);
        connection.head().await;
        connection.send(answer).await;
        if !answer.is_empty() {
            client.until("short").await;
        }
        drop(client);
        assert_eq!(connection.rest().await, "", "closed, with nothing more");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_breaks_off_upstream() {
    let (outcome, aborted) = oneshot::channel();
    let outcome = std::sync::Arc::new(std::sync::Mutex::new(Some(outcome)));
    let upstream = serve(move |request: Request<Incoming>| {
        let outcome = outcome.clone();
        async move {
            let result = request.into_body().collect().await;
            outcome.lock().unwrap().take().unwrap().send(result.is_err()).unwrap();
            Response::new(full("ok"))
        }
    })
    .await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = RawClient::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nshort")
        .await;
    drop(client);
    assert!(aborted.await.unwrap(), "the upstream saw an error, not a short body");
}

/// Any body will do, not only what the server hands over.
#[tokio::test]
async fn a_body_of_ones_own_is_forwarded() {
    let upstream =
        serve(|request: Request<Incoming>| async { Response::new(request.into_body().map_err(Error::from).boxed()) })
            .await;
    let forwarder = Forwarder::default();
    let upstream = Upstream::parse(&format!("http://{upstream}")).unwrap();
    let path = normalise_path("/echo").unwrap();
    for text in ["", "a body"] {
        let head = ForwardHead::new(&path, [127, 0, 0, 1].into());
        let response = forwarder
            .forward(&upstream, Request::post("/").body(full(text)).unwrap(), head)
            .await
            .unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), text);
    }
}

#[tokio::test]
async fn http10_clients_are_served() {
    let (upstream, seen) = recorder().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let answer = exchange(gateway, "GET /a HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("\r\n\r\nok"),
        "{answer}"
    );
    let seen = seen.lock().unwrap();
    assert_eq!(value(&seen[0].headers, "host"), Some(upstream.to_string().as_str()));
    assert!(!seen[0].headers.contains_key("x-forwarded-host"));
}

#[tokio::test]
async fn a_body_knows_its_end() {
    let upstream = serve(|request: Request<Incoming>| async move {
        match request.uri().path() {
            "/empty" => Response::builder().status(204).body(full("")).unwrap(),
            _ => Response::new(full("12345")),
        }
    })
    .await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = http1(gateway).await;
    let response = client.send_request(get("/empty")).await.unwrap();
    assert_eq!(response.status(), 204);
    assert!(response.body().is_end_stream());
    client.ready().await.unwrap();
    let head = Request::head("/x").header("host", "app.test").body(full("")).unwrap();
    let response = client.send_request(head).await.unwrap();
    assert_eq!(value(response.headers(), "content-length"), Some("5"));
    assert_eq!(text(response).await, "");
    client.ready().await.unwrap();
    let mut body = pin!(client.send_request(get("/x")).await.unwrap().into_body());
    assert_eq!(body.size_hint().exact(), Some(5));
    assert_eq!(frame(&mut body).await, "12345");
    let ended = poll_fn(|cx| Poll::Ready(matches!(body.as_mut().poll_frame(cx), Poll::Ready(None)))).await;
    assert!(ended);
}
