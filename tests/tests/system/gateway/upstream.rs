//! An API that remembers what reached it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, SET_COOKIE, UPGRADE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const LIMIT: usize = 4 * 1024 * 1024;
/// So many requests are remembered in full, at least.
const NEWEST: usize = 1_000;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

/// The upstream. It answers by the last segment of the path: `stream`, `never`, `cut`, `cacheable`, or a plain 200.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    /// What the path `stream` sends on, piece by piece.
    pub(super) pieces: UnboundedSender<&'static str>,
    seen: Arc<Mutex<Memory>>,
}

/// What is remembered of requests.
#[derive(Default)]
struct Memory {
    /// The newest, a bounded number of them.
    newest: Vec<Seen>,
    hits: usize,
    /// Which credentials came with which target.
    credentials: BTreeMap<String, BTreeSet<u64>>,
}

impl Memory {
    fn add(&mut self, seen: Seen) {
        let mut hasher = DefaultHasher::new();
        seen.all("authorization").hash(&mut hasher);
        let credentials = self.credentials.entry(seen.target.clone()).or_default();
        credentials.insert(hasher.finish());
        if self.newest.len() >= 2 * NEWEST {
            self.newest.drain(..NEWEST);
        }
        self.newest.push(seen);
        self.hits += 1;
    }
}

impl Seen {
    /// All values of a header.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }
}

impl Upstream {
    pub(super) async fn start() -> Upstream {
        let (pieces, receiver) = unbounded_channel();
        let (seen, receiver) = (
            Arc::new(Mutex::new(Memory::default())),
            Arc::new(Mutex::new(Some(receiver))),
        );
        let sight = seen.clone();
        let api = axum::Router::new().fallback(async move |request: Request| answer(request, sight, receiver).await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, api).await });
        Upstream { address, pieces, seen }
    }

    /// How many requests arrived.
    pub(super) fn hits(&self) -> usize {
        self.seen.lock().unwrap().hits
    }

    /// The newest requests, the oldest of them first.
    pub(super) fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().newest.clone()
    }

    /// With how many different credentials each target was asked for.
    pub(super) fn credentials(&self) -> Vec<usize> {
        let memory = self.seen.lock().unwrap();
        memory.credentials.values().map(BTreeSet::len).collect()
    }

    /// The newest request.
    pub(super) fn last(&self) -> Seen {
        self.seen
            .lock()
            .unwrap()
            .newest
            .last()
            .cloned()
            .expect("a request arrived")
    }
}

async fn answer(
    mut request: Request,
    seen: Arc<Mutex<Memory>>,
    pieces: Arc<Mutex<Option<UnboundedReceiver<&'static str>>>>,
) -> Response {
    let upgrade = request
        .headers()
        .contains_key(UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let (body, trailers) = match upgrade {
        Some(_) => (Bytes::new(), HeaderMap::new()),
        None => {
            let whole = Limited::new(body, LIMIT).collect().await.unwrap();
            let trailers = whole.trailers().cloned().unwrap_or_default();
            (whole.to_bytes(), trailers)
        }
    };
    let proof = parts
        .headers
        .get("dpop")
        .map(|proof| proof.to_str().unwrap().to_owned());
    seen.lock().unwrap().add(Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body,
        trailers,
    });
    if let Some(upgrade) = upgrade {
        tokio::spawn(async move { echo(TokioIo::new(upgrade.await.unwrap())).await });
        let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let switching = switching.header(CONNECTION, "upgrade").header(UPGRADE, "websocket");
        return switching.body(Body::empty()).unwrap();
    }
    let response = Response::builder().header("x-upstream", "yes");
    match parts.uri.path().rsplit('/').next() {
        Some("stream") => {
            let receiver = pieces.lock().unwrap().take().expect("one stream for each upstream");
            let pieces = stream::unfold(receiver, async |mut receiver| {
                let piece = receiver.recv().await?;
                Some((Ok::<_, Infallible>(Bytes::from(piece)), receiver))
            });
            let response = response.header(CONTENT_TYPE, "text/event-stream");
            response.body(Body::from_stream(pieces)).unwrap()
        }
        Some("demand") => {
            let demand = "Bearer error=\"insufficient_user_authentication\", max_age=\"20\", acr_values=\"urn:x:2\"";
            let response = response
                .status(StatusCode::UNAUTHORIZED)
                .header(WWW_AUTHENTICATE, demand);
            response.body(Body::from("sign in better")).unwrap()
        }
        Some("denied") => {
            let response = response
                .status(StatusCode::UNAUTHORIZED)
                .header(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");
            response.body(Body::from("no")).unwrap()
        }
        // RFC 9449 s9: a proof with a nonce that the upstream says.
        Some(last) if last.starts_with("nonce-") => {
            let proof = proof.unwrap_or_default();
            let response = response.header("dpop-nonce", last);
            match portcullis_oidc::dpop::nonce_of(&proof).as_deref() == Some(last) {
                true => response.body(Body::from("arrived")).unwrap(),
                false => {
                    let response = response
                        .status(StatusCode::UNAUTHORIZED)
                        .header(WWW_AUTHENTICATE, "DPoP error=\"use_dpop_nonce\"");
                    response.body(Body::from("another proof")).unwrap()
                }
            }
        }
        Some("page") if parts.method == "GET" && parts.uri.path() == "/page" => {
            let response = response
                .header(CONTENT_TYPE, "text/html")
                .header("referrer-policy", "origin");
            response.body(Body::from("<p>page</p>")).unwrap()
        }
        Some("frames") => {
            let response = response.header(CONTENT_TYPE, "application/grpc-web+proto");
            response
                .body(Body::from("\0\0\0\0\x05hello\u{80}grpc-status:0\r\n"))
                .unwrap()
        }
        Some("trailers") => {
            let name = HeaderName::from_static("grpc-status");
            let frames = [
                Frame::data(Bytes::from("\0\0\0\0\x05hello")),
                Frame::trailers(HeaderMap::from_iter([(name, HeaderValue::from_static("0"))])),
            ];
            let frames = stream::iter(frames.map(Ok::<_, Infallible>));
            let response = response
                .header(CONTENT_TYPE, "application/grpc+proto")
                .header("trailer", "grpc-status");
            response.body(Body::new(StreamBody::new(frames))).unwrap()
        }
        Some("cors") => {
            let response = response
                .header("access-control-allow-origin", "https://evil.example")
                .header("access-control-expose-headers", "X-Total-Count");
            response.body(Body::from("arrived")).unwrap()
        }
        Some("moved") => {
            let response = response
                .status(StatusCode::CREATED)
                .header(LOCATION, parts.uri.query().unwrap());
            response.body(Body::empty()).unwrap()
        }
        Some("never") => std::future::pending().await,
        Some("cacheable") => {
            let response = response
                .header(CACHE_CONTROL, "public, s-maxage=600")
                .header("cdn-cache-control", "max-age=600")
                .header(SET_COOKIE, "theme=dark; Path=/")
                .header(SET_COOKIE, "__Host-portcullis-shop=planted; Path=/; Secure");
            response.body(Body::from("for one person")).unwrap()
        }
        _ => response.body(Body::from("arrived")).unwrap(),
    }
}

async fn echo(mut stream: TokioIo<hyper::upgrade::Upgraded>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..count]).await.unwrap();
    }
}
