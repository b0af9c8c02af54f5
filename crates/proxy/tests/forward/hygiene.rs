//! Headers, paths and framing, as they arrive on the other side.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use portcullis_proxy::{AuthorizationHeader, IpRange, Upstream};
use tokio::sync::Mutex;

use crate::support::*;

fn identity(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

#[tokio::test]
async fn the_upstream_sees_what_we_chose() {
    let (upstream, seen) = recorder().await;
    let mut setup = Setup::to(upstream);
    setup.authorization = AuthorizationHeader::Set(HeaderValue::from_static("Bearer ours"));
    setup.set = vec![identity("x-auth-user", "alice"), identity("x-auth-groups", "")];
    let gateway = gateway(setup).await;
    let answer = exchange(
        gateway,
        "GET /api//%6frders?a=b&c HTTP/1.1\r\nHost: app.test\r\nConnection: close, X-Auth-User, x-forwarded-for\r\n\
         Authorization: Bearer theirs\r\nCookie: theme=dark; __Host-shop=secret\r\nX-Auth-User: mallory\r\n\
         X_Auth_User: mallory\r\nX-Auth_User: mallory\r\nX-Auth-Groups: admin\r\nX-Forwarded-For: 203.0.113.9\r\n\
         X-Request-Id: theirs\r\nX-Custom: kept\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert!(answer.contains("x-request-id: test-id\r\n"), "{answer}");

    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].uri, "/api/orders?a=b&c");
    let mut lines: Vec<_> = seen[0]
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    let expected = [
        "authorization: Bearer ours".to_owned(),
        "cookie: theme=dark".to_owned(),
        "forwarded: for=127.0.0.1;host=\"app.test\";proto=http".to_owned(),
        format!("host: {upstream}"),
        "x-auth-groups: ".to_owned(),
        "x-auth-user: alice".to_owned(),
        "x-custom: kept".to_owned(),
        "x-forwarded-for: 127.0.0.1".to_owned(),
        "x-forwarded-host: app.test".to_owned(),
        "x-forwarded-proto: http".to_owned(),
        "x-request-id: test-id".to_owned(),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let (upstream, seen) = recorder().await;
    let mut setup = Setup::to(upstream);
    setup.settings.trusted_proxies = vec!["127.0.0.0/8".parse::<IpRange>().unwrap()];
    let gateway = gateway(setup).await;
    let request = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.9\r\n\
                   X-Forwarded-Proto: https\r\n\r\n";
    exchange(gateway, request).await;
    let seen = seen.lock().unwrap();
    assert_eq!(
        value(&seen[0].headers, "x-forwarded-for"),
        Some("203.0.113.9, 127.0.0.1")
    );
    assert_eq!(value(&seen[0].headers, "x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn a_path_with_two_readings_is_not_forwarded() {
    let (upstream, seen) = recorder().await;
    let gateway = gateway(Setup::to(upstream)).await;
    for target in [
        "/a%2fb",
        "/a/%2e%2e/b",
        "/a/../b",
        "/a;b",
        "/a%00",
        "/a\\b",
        "/%zz",
        "/%c0%af",
        "*",
    ] {
        let request = format!("OPTIONS {target} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
        let answer = exchange(gateway, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
    }
    assert!(seen.lock().unwrap().is_empty());
    let good = "OPTIONS /a/b HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    assert!(exchange(gateway, good).await.starts_with("HTTP/1.1 200 "));
}

/// A listener waits where a request tries to lead us; nobody may come.
#[tokio::test]
async fn a_request_cannot_choose_the_host() {
    let (trap, listener) = raw_upstream().await;
    let (upstream, seen) = recorder().await;
    let mut setup = Setup::to(upstream);
    setup.upstream = Upstream::parse(&format!("http://{upstream}/v1")).unwrap();
    let gateway = gateway(setup).await;
    for (target, host) in [
        (format!("/@{trap}/x"), "app.test".to_owned()),
        (format!("//{trap}/x"), "app.test".to_owned()),
        (format!("http://{trap}/x"), trap.to_string()),
        (format!("/x?http://{trap}"), trap.to_string()),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = exchange(gateway, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{target}: {answer}");
    }
    let targets: Vec<_> = seen.lock().unwrap().iter().map(|parts| parts.uri.to_string()).collect();
    let expected = [
        format!("/v1/@{trap}/x"),
        format!("/v1/{trap}/x"),
        "/v1/x".to_owned(),
        format!("/v1/x?http://{trap}"),
    ];
    assert_eq!(targets, expected);
    assert!(
        seen.lock()
            .unwrap()
            .iter()
            .all(|parts| value(&parts.headers, "host") == Some(&upstream.to_string()))
    );
    let nobody = std::future::poll_fn(|cx| std::task::Poll::Ready(listener.poll_accept(cx).is_pending())).await;
    assert!(nobody);
}

#[tokio::test]
async fn smuggling_shapes_are_refused_or_made_plain() {
    let (upstream, seen) = recorder().await;
    let gateway = gateway(Setup::to(upstream)).await;
    for (head, body) in [
        (
            "POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n",
            "0\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            "abcd",
        ),
        ("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: +3\r\n\r\n", "abc"),
        (
            "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "0\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "0\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: app.test\r\nHost: other.test\r\nContent-Length: 0\r\n\r\n",
            "",
        ),
        (
            "POST http://other.test/ HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n",
            "",
        ),
        ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", ""),
        (
            "POST / HTTP/1.1\r\nHost: app.test\r\nX-Bad : 1\r\nContent-Length: 0\r\n\r\n",
            "",
        ),
    ] {
        let mut client = RawClient::connect(gateway).await;
        client.send(format!("{head}{body}")).await;
        let answer = client.head().await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "),
            "{head}: {answer}"
        );
    }
    let connect = "CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\nConnection: close\r\n\r\n";
    assert!(exchange(gateway, connect).await.starts_with("HTTP/1.1 405 "));
    assert!(seen.lock().unwrap().is_empty());

    // RFC 9112 s6.3: with both fields, only Transfer-Encoding counts, and the connection is closed after the answer.
    let both = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
                0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n";
    let answer = exchange(gateway, both).await;
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter()
            .all(|parts| parts.uri == "/" && !parts.headers.contains_key("content-length")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn the_client_does_not_see_the_upstreams_connection() {
    let upstream = serve(|_| async {
        Response::builder()
            .header("connection", "x-internal")
            .header("x-internal", "1")
            .header("keep-alive", "timeout=9")
            .header("server", "kestrel")
            .header("x-request-id", "upstream's")
            .header("set-cookie", "a=b")
            .header("set-cookie", "__Host-shop=evil; Path=/; Secure")
            .header("set-cookie", "c=d")
            .body(full("ok"))
            .unwrap()
    })
    .await;
    let gateway = gateway(Setup::to(upstream)).await;
    let response = http1(gateway).await.send_request(get("/")).await.unwrap();
    let headers = response.headers();
    assert_eq!(value(headers, "x-internal"), None);
    assert_eq!(value(headers, "keep-alive"), None);
    assert_eq!(value(headers, "server"), Some("kestrel"));
    assert_eq!(value(headers, "x-request-id"), Some("test-id"));
    let cookies: Vec<_> = headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(cookies, ["a=b", "c=d"]);
}

#[tokio::test]
async fn a_redirect_is_passed_on_not_followed() {
    let (trap, listener) = raw_upstream().await;
    let upstream = serve(move |request: Request<Incoming>| async move {
        let location = match request.uri().path() {
            "/own" => format!("http://{}/there", request.headers()["host"].to_str().unwrap()),
            _ => format!("http://{trap}/"),
        };
        Response::builder()
            .status(302)
            .header("location", location)
            .body(full(""))
            .unwrap()
    })
    .await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = http1(gateway).await;
    let response = client.send_request(get("/own")).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), value(response.headers(), "location")),
        (302, Some("/there"))
    );
    client.ready().await.unwrap();
    let response = client.send_request(get("/away")).await.unwrap();
    assert_eq!(
        value(response.headers(), "location"),
        Some(format!("http://{trap}/").as_str())
    );
    let nobody = std::future::poll_fn(|cx| std::task::Poll::Ready(listener.poll_accept(cx).is_pending())).await;
    assert!(nobody);
}

#[tokio::test]
async fn http2_clients_reach_an_http1_upstream() {
    let (upstream, seen) = recorder().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let request = Request::get("http://app.test/a?b")
        .header("cookie", "a=1")
        .header("cookie", "__Host-shop=secret")
        .header("cookie", "b=2")
        .body(full(""))
        .unwrap();
    let response = http2(gateway).await.send_request(request).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    assert_eq!(text(response).await, "ok");
    let seen = seen.lock().unwrap();
    assert_eq!(
        (seen[0].uri.to_string(), seen[0].version),
        ("/a?b".to_owned(), Version::HTTP_11)
    );
    assert_eq!(value(&seen[0].headers, "cookie"), Some("a=1; b=2"));
    assert_eq!(value(&seen[0].headers, "x-forwarded-host"), Some("app.test"));
    assert_eq!(value(&seen[0].headers, "host"), Some(upstream.to_string().as_str()));
}

#[tokio::test]
async fn trailers_pass_both_ways_without_what_they_must_not_carry() {
    let got = Arc::new(Mutex::new(None));
    let record = got.clone();
    let upstream = serve(move |request: Request<Incoming>| {
        let record = record.clone();
        async move {
            let collected = request.into_body().collect().await.unwrap();
            *record.lock().await = collected.trailers().cloned();
            let (sender, body) = fed();
            tokio::spawn(async move {
                sender.send(data("answer")).await.unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", HeaderValue::from_static("2"));
                trailers.insert("set-cookie", HeaderValue::from_static("__Host-shop=evil"));
                sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
            });
            Response::builder()
                .header("trailer", "x-sum, set-cookie")
                .body(body)
                .unwrap()
        }
    })
    .await;
    let mut setup = Setup::to(upstream);
    setup.set = vec![identity("x-auth-user", "alice")];
    let gateway = gateway(setup).await;

    let (sender, body) = fed();
    let request = Request::post("http://app.test/")
        .header("te", "trailers")
        .header("trailer", "x-sum, x-auth-user, authorization, x_odd")
        .body(body)
        .unwrap();
    let mut client = http2(gateway).await;
    let response = tokio::spawn(async move { client.send_request(request).await.unwrap() });
    sender.send(data("question")).await.unwrap();
    let mut trailers = HeaderMap::new();
    for (name, value) in [
        ("x-sum", "1"),
        ("x-auth-user", "mallory"),
        ("authorization", "Bearer x"),
        ("x_odd", "1"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("x-real-ip", "127.0.0.1"),
        ("x-ssl-client-verify", "SUCCESS"),
    ] {
        trailers.insert(name, HeaderValue::from_static(value));
    }
    sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
    drop(sender);

    let collected = response.await.unwrap().into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap();
    assert_eq!(collected.to_bytes(), Bytes::from("answer"));
    assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
    let got = got.lock().await.clone().unwrap();
    assert_eq!(
        got.iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect::<Vec<_>>(),
        [("x-sum", b"1".as_slice())]
    );
}

/// By an upstream whose own server lets everything into trailers.
#[tokio::test]
async fn an_answers_trailers_set_no_cookie() {
    let (upstream, listener) = raw_upstream().await;
    tokio::spawn(async move {
        let mut client = RawClient::over(listener.accept().await.unwrap().0);
        client.head().await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n";
        let trailers = "X-Sum: 2\r\nSet-Cookie: __Host-shop=evil; Path=/; Secure\r\nKeep-Alive: timeout=9\r\n";
        client.send(&format!("{head}6\r\nanswer\r\n0\r\n{trailers}\r\n")).await;
    });
    let gateway = gateway(Setup::to(upstream)).await;
    let request = Request::get("http://app.test/").header("te", "trailers");
    let request = request.body(full("")).unwrap();
    let response = http2(gateway).await.send_request(request).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap();
    assert_eq!(collected.to_bytes(), Bytes::from("answer"));
    assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
}

#[tokio::test]
async fn expect_continue_is_answered() {
    let (upstream, seen) = echo_with_head().await;
    let gateway = gateway(Setup::to(upstream)).await;
    let mut client = RawClient::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(client.until("body").await, "body");
    assert!(!seen.lock().await.contains_key("expect"));
}

async fn echo_with_head() -> (std::net::SocketAddr, Arc<Mutex<HeaderMap>>) {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let record = seen.clone();
    let upstream = serve(move |request: Request<Incoming>| {
        let record = record.clone();
        async move {
            *record.lock().await = request.headers().clone();
            Response::new(request.into_body().map_err(Error::from).boxed())
        }
    })
    .await;
    (upstream, seen)
}
