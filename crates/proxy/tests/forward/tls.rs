//! `https` upstreams: HTTP/2 or HTTP/1.1, as the upstream offers, and only with a certificate that is believed.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use portcullis_proxy::{Trust, Upstream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::*;

fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../data/localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../data/localhost.key.pem")).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers with the version and the target that it saw, and echoes the body.
async fn tls_upstream(protocols: &[&str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor(protocols);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            serve_stream(stream, |request: Request<Incoming>| async move {
                let host = request.uri().authority().map(ToString::to_string);
                let host = host.or(value(request.headers(), "host").map(str::to_owned)).unwrap();
                Response::builder()
                    .header("x-version", format!("{:?}", request.version()))
                    .header("x-path", request.uri().path())
                    .header("x-host", host)
                    .body(request.into_body().map_err(Error::from).boxed())
                    .unwrap()
            });
        }
    });
    address
}

fn setup(address: SocketAddr) -> Setup {
    let mut setup = Setup::to(address);
    setup.upstream = Upstream::parse(&format!("https://localhost:{}/v1", address.port())).unwrap();
    setup.settings.trust = Trust::Only(include_str!("../data/ca.pem").to_owned());
    setup
}

#[tokio::test]
async fn the_upstream_chooses_the_version() {
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let upstream = tls_upstream(protocols).await;
        let gateway = gateway(setup(upstream)).await;
        let mut client = http1(gateway).await;
        for _ in 0..2 {
            client.ready().await.unwrap();
            let request = Request::post("/a")
                .header("host", "app.test")
                .body(full("body"))
                .unwrap();
            let response = client.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(value(response.headers(), "x-version"), Some(version));
            assert_eq!(value(response.headers(), "x-path"), Some("/v1/a"));
            assert_eq!(
                value(response.headers(), "x-host"),
                Some(format!("localhost:{}", upstream.port()).as_str())
            );
            assert_eq!(text(response).await, "body");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_is_unreachable() {
    let upstream = tls_upstream(&["h2"]).await;
    let mut wrong_name = setup(upstream);
    wrong_name.upstream = Upstream::parse(&format!("https://127.0.0.1:{}", upstream.port())).unwrap();
    let mut wrong_authority = setup(upstream);
    wrong_authority.settings.trust = Trust::Only(String::new());
    for setup in [wrong_name, wrong_authority] {
        let gateway = gateway(setup).await;
        let response = http1(gateway).await.send_request(get("/")).await.unwrap();
        assert_eq!(response.status(), 502);
        assert_eq!(text(response).await, "upstream.unreachable");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = gateway(setup(listener.local_addr().unwrap())).await;
    let answer = tokio::spawn(async move {
        let response = http1(gateway).await.send_request(get("/")).await.unwrap();
        (response.status().as_u16(), text(response).await)
    });
    // The handshake is never answered.
    let connection = listener.accept().await.unwrap();
    tokio::time::pause();
    assert_eq!(answer.await.unwrap(), (504, "upstream.timeout".to_owned()));
    drop(connection);
}

#[tokio::test]
async fn websockets_go_over_http1() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor(&["h2", "http/1.1"]);
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut read).await.unwrap();
        }
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        let mut ping = [0; 4];
        stream.read_exact(&mut ping).await.unwrap();
        stream.write_all(&ping).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(read).unwrap()
    });
    let mut client = RawClient::connect(gateway(setup(address)).await).await;
    client
        .send("GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nping")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.rest().await, "ping");
    let head = server.await.unwrap();
    assert!(head.starts_with("GET /v1/chat HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("host: localhost:{}\r\n", address.port())),
        "{head}"
    );
}
