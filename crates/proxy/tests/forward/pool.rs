//! Connections to the upstream are used again, but never one that could mix up answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;

use crate::support::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn one_connection_serves_many_clients() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let server = tokio::spawn(async move {
        let mut connection = RawClient::over(listener.accept().await.unwrap().0);
        for answer in [
            OK,
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
            OK,
        ] {
            connection.head().await;
            connection.send(answer).await;
        }
    });
    for status in [200, 204, 200, 304, 200] {
        let response = http1(gateway).await.send_request(get("/")).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(text(response).await, if status == 200 { "ok" } else { "" });
    }
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_is_not_used() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let server = tokio::spawn(async move {
        for _ in 0..3 {
            // Closed after each answer, without announcing it.
            let mut connection = RawClient::over(listener.accept().await.unwrap().0);
            connection.head().await;
            connection.send(OK).await;
        }
    });
    for _ in 0..3 {
        // A POST would not be safe to send twice: it is not, as nothing of it was written.
        let request = Request::post("/")
            .header("host", "app.test")
            .body(full("body"))
            .unwrap();
        let response = http1(gateway).await.send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), text(response).await.as_str()), (200, "ok"));
    }
    server.await.unwrap();
}

/// Bytes after an answer would be taken for the next answer.
#[tokio::test]
async fn a_connection_with_bytes_left_over_is_closed() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let server = tokio::spawn(async move {
        let mut connection = RawClient::over(listener.accept().await.unwrap().0);
        connection.head().await;
        connection
            .send(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"))
            .await;
        assert_eq!(connection.rest().await, "", "no second request");
        let mut connection = RawClient::over(listener.accept().await.unwrap().0);
        connection.head().await;
        connection.send(OK).await;
    });
    for _ in 0..2 {
        let response = http1(gateway).await.send_request(get("/")).await.unwrap();
        assert_eq!(text(response).await, "ok");
    }
    server.await.unwrap();
}

#[tokio::test]
async fn an_answer_before_the_upload_ended_ends_its_connection() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let (sender, body) = fed();
    let request = Request::post("/").header("host", "app.test").body(body).unwrap();
    let mut client = http1(gateway).await;
    let response = tokio::spawn(async move { client.send_request(request).await });
    let mut connection = RawClient::over(listener.accept().await.unwrap().0);
    connection.head().await;
    connection
        .send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(response.await.unwrap().unwrap().status(), 413);
    assert_eq!(connection.rest().await, "");
    drop(sender);
}

/// Nobody asks any more, and still the connection does not stay open for ever.
#[tokio::test]
async fn an_idle_connection_is_closed_after_a_while() {
    let (upstream, listener) = raw_upstream().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let client = tokio::spawn(async move { text(http1(gateway).await.send_request(get("/")).await.unwrap()).await });
    let mut connection = RawClient::over(listener.accept().await.unwrap().0);
    connection.head().await;
    connection.send(OK).await;
    assert_eq!(client.await.unwrap(), "ok");
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    assert_eq!(connection.rest().await, "");
    assert!((59..=61).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

/// Many clients at once, on two threads: each gets its own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_never_mixed_up() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let upstream = serve(move |request: Request<Incoming>| {
        count.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path().to_owned();
        async move {
            tokio::task::yield_now().await;
            Response::new(full(path))
        }
    })
    .await;
    let gateway = gateway(Setup::to(upstream)).await;
    let clients: Vec<_> = (0..32)
        .map(|client| {
            tokio::spawn(async move {
                let mut sender = http1(gateway).await;
                for number in 0..50 {
                    sender.ready().await.unwrap();
                    let path = format!("/{client}/{number}");
                    assert_eq!(text(sender.send_request(get(&path)).await.unwrap()).await, path);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(served.load(Ordering::Relaxed), 32 * 50);
}
