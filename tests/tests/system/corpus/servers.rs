//! What stands around the gateway: the issuers, an upstream, and a place where nobody must ever knock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::judge::Reply;
use super::keys::{key_set, keys};

/// The issuers, on one port, told apart by the first segment of the path.
pub(super) struct Issuers {
    pub(super) names: [String; 2],
    pub(super) key_sets: Arc<[AtomicUsize; 2]>,
    /// Requests that nobody has a reason to make.
    pub(super) strange: Arc<AtomicUsize>,
}

impl Issuers {
    pub(super) async fn start() -> Issuers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let issuers = Issuers {
            names: ["a", "b"].map(|name| format!("{origin}/{name}")),
            key_sets: Arc::default(),
            strange: Arc::default(),
        };
        let (names, key_sets, strange) = (issuers.names.clone(), issuers.key_sets.clone(), issuers.strange.clone());
        serve(listener, move |request: Request| {
            let at = usize::from(request.uri().path().starts_with("/b/"));
            let name = &names[at];
            let text = match request.uri().path().get(2..) {
                Some("/.well-known/openid-configuration") => {
                    let to = |path: &str| format!("{name}/{path}");
                    json!({
                        "issuer": name,
                        "jwks_uri": to("jwks"),
                        "authorization_endpoint": to("authorize"),
                        "token_endpoint": to("token"),
                    })
                    .to_string()
                }
                Some("/jwks") => {
                    key_sets[at].fetch_add(1, Ordering::SeqCst);
                    key_set(if at == 0 { &keys().a } else { &keys().b })
                }
                _ => {
                    strange.fetch_add(1, Ordering::SeqCst);
                    return StatusCode::NOT_FOUND.into_response();
                }
            };
            ([(CONTENT_TYPE, "application/json")], text).into_response()
        });
        issuers
    }
}

/// A server that counts what reaches it and says yes to everything.
pub(super) async fn counter() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    serve(listener, move |_: Request| {
        counted.fetch_add(1, Ordering::SeqCst);
        "arrived".into_response()
    });
    (address, count)
}

pub(super) fn serve(listener: TcpListener, answer: impl Fn(Request) -> Response + Clone + Send + Sync + 'static) {
    let app = axum::Router::new().fallback(move |request: Request| {
        let response = answer(request);
        async move { response }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
}

/// Sends bytes, and reads until the connection's end. A server that has heard enough may hang up before it was told
/// everything.
pub(super) async fn exchange(address: SocketAddr, text: &str) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let send = async { drop(write.write_all(text.as_bytes()).await) };
    let (_, ()) = tokio::join!(read.read_to_end(&mut answer), send);
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Reply {
        status: status.unwrap_or_default(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
        reason: None,
    }
}
