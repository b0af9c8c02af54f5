//! Starting, listening and stopping.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, header};
use portcullis_idp::{Behaviour, Idp, IdpConfig, IdpError};
use portcullis_jose::{Algorithm, Secret, SigningKey, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Stage, config};

async fn start(config: IdpConfig) -> Result<Idp, IdpError> {
    Idp::start(config, Arc::new(SystemClock)).await
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error = start(IdpConfig {
            listen: listen.parse().unwrap(),
            ..config()
        })
        .await
        .unwrap_err();
        assert_eq!(error.code(), "idp.not_loopback");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
    let idp = start(IdpConfig {
        listen: "127.0.0.2:0".parse().unwrap(),
        ..config()
    })
    .await
    .unwrap();
    assert_eq!(idp.issuer(), format!("http://{}", idp.local_addr()));
    idp.shutdown().await;
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let first = start(config()).await.unwrap();
    let error = start(IdpConfig {
        listen: first.local_addr(),
        ..config()
    })
    .await
    .unwrap_err();
    assert_eq!(error.code(), "idp.bind");
}

#[tokio::test]
async fn faults_are_told_before_anything_is_opened() {
    let error = start(IdpConfig {
        issuer: Some("https://login.example.com".into()),
        ..config()
    })
    .await
    .unwrap_err();
    assert_eq!(error.code(), "idp.config");
    assert!(error.to_string().contains("loopback host"), "{error}");
}

#[tokio::test]
async fn a_key_may_be_brought_along() {
    let pem = SigningKey::generate(Algorithm::ES256).unwrap().to_pkcs8_pem().unwrap();
    let kid = SigningKey::from_pem(pem.expose(), Algorithm::ES256)
        .unwrap()
        .kid()
        .to_owned();
    let stage = Stage::with(IdpConfig {
        signing_key_pem: Some(pem.clone()),
        ..config()
    })
    .await;
    assert_eq!(stage.get("/jwks").await.json()["keys"][0]["kid"], kid);
    let wrong = IdpConfig {
        signing_key_pem: Some(pem),
        signing_algorithm: Algorithm::RS256,
        ..config()
    };
    assert_eq!(start(wrong).await.unwrap_err().code(), "idp.key");
    let garbage = IdpConfig {
        signing_key_pem: Some(Secret::new("garbage-of-a-key")),
        ..config()
    };
    let error = start(garbage).await.unwrap_err();
    assert!(!error.to_string().contains("garbage-of-a-key"), "{error}");
}

#[tokio::test]
async fn other_names_of_this_machine_are_refused() {
    let stage = Stage::new().await;
    let get = async |host: &str, path: &str| {
        let request = Request::get(stage.url(path)).header(header::HOST, host);
        stage.send(request.body(Body::empty()).unwrap()).await
    };
    for host in ["evil.example", "10.0.0.1:80", "localhost.evil.example"] {
        for path in ["/", "/jwks", "/authorize", "/dev/requests", "/nothing"] {
            let answer = get(host, path).await;
            assert_eq!(answer.status, 421, "{host} {path}");
            assert!(!answer.text().contains("evil"));
        }
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]:9", "idp.localhost:3000"] {
        let answer = get(host, "/.well-known/openid-configuration").await;
        assert_eq!(answer.status, 200, "{host}");
        assert_eq!(
            answer.json()["issuer"],
            stage.idp.issuer(),
            "the name in the request changes nothing"
        );
    }
}

#[tokio::test]
async fn it_stops_at_once_whatever_is_open() {
    let stage = Stage::new().await;
    stage.control().set_behaviour(Behaviour {
        latency_ms: 60_000,
        ..Behaviour::default()
    });
    let address = stage.idp.local_addr();
    // Idle, half a request, and one whose answer is being delayed.
    let idle = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET /jwks HTTP/1.1\r\nHost: loc").await.unwrap();
    let mut waiting = TcpStream::connect(address).await.unwrap();
    waiting
        .write_all(b"GET /jwks HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    // The home page is not delayed, so by its answer the earlier requests have been read.
    assert_eq!(stage.get("/").await.status, 200);

    tokio::time::timeout(Duration::from_secs(1), stage.idp.shutdown())
        .await
        .expect("it stops in time");
    for mut stream in [idle, half, waiting] {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "the connection is closed");
    }
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let idp = start(config()).await.unwrap();
    let address = idp.local_addr();
    let mut stream = TcpStream::connect(address).await.unwrap();
    drop(idp);
    let mut rest = Vec::new();
    // A connection that was not accepted yet is reset, one that was is closed.
    drop(
        tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut rest))
            .await
            .expect("it is closed"),
    );
    assert!(TcpStream::connect(address).await.is_err());
}
