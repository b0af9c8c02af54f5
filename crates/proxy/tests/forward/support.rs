//! A gateway, upstreams and clients, all on loopback.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use portcullis_proxy::{
    AuthorizationHeader, CookieMatch, ForwardHead, Forwarder, HeadLimits, Settings, Upstream, check_request_head,
    normalise_path, request_host,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type TestBody = BoxBody<Bytes, Error>;

pub(crate) fn full(text: impl Into<Bytes>) -> TestBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// A body that a test feeds frame by frame. `Err` breaks it off.
pub(crate) fn fed() -> (mpsc::Sender<Result<Frame<Bytes>, Error>>, TestBody) {
    let (sender, mut receiver) = mpsc::channel(1);
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, BodyExt::boxed(StreamBody::new(stream)))
}

pub(crate) fn data(text: impl Into<Bytes>) -> Result<Frame<Bytes>, Error> {
    Ok(Frame::data(text.into()))
}

// === upstreams ===

/// Serves HTTP/1.1 and HTTP/2 with `handler`, upgrades included.
pub(crate) async fn serve<F, R>(handler: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<TestBody>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve_stream(stream, handler.clone());
        }
    });
    address
}

pub(crate) fn serve_stream<T, F, R>(stream: T, handler: F)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<TestBody>> + Send + 'static,
{
    tokio::spawn(async move {
        let service = service_fn(move |request| {
            let answer = handler(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let server = auto::Builder::new(TokioExecutor::new());
        let _ = server
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .await;
    });
}

/// An upstream that keeps the head of each request it got, and answers `200 ok`.
pub(crate) async fn recorder() -> (SocketAddr, Arc<Mutex<Vec<http::request::Parts>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = seen.clone();
    let address = serve(move |request: Request<Incoming>| {
        record.lock().unwrap().push(request.into_parts().0);
        async { Response::new(full("ok")) }
    })
    .await;
    (address, seen)
}

/// An upstream of raw bytes: each connection is handed to the test.
pub(crate) async fn raw_upstream() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

// === gateway ===

/// What the gateway does with each request.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) upstream: Upstream,
    pub(crate) settings: Settings,
    pub(crate) authorization: AuthorizationHeader,
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    pub(crate) remove: Vec<HeaderName>,
    pub(crate) cut: Option<watch::Receiver<bool>>,
}

impl Setup {
    pub(crate) fn to(address: SocketAddr) -> Setup {
        Setup {
            upstream: Upstream::parse(&format!("http://{address}")).unwrap(),
            settings: Settings::default(),
            authorization: AuthorizationHeader::Remove,
            set: Vec::new(),
            remove: Vec::new(),
            cut: None,
        }
    }
}

/// Serves clients over HTTP/1.1 and HTTP/2, and forwards all that is well-formed.
pub(crate) async fn gateway(setup: Setup) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let forwarder = Forwarder::new(setup.settings.clone());
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let (forwarder, setup) = (forwarder.clone(), setup.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let (forwarder, setup) = (forwarder.clone(), setup.clone());
                    async move { Ok::<_, Infallible>(pass(&forwarder, &setup, request, peer).await) }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

async fn pass(
    forwarder: &Forwarder,
    setup: &Setup,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Response<Either<portcullis_proxy::ProxyBody, Full<Bytes>>> {
    let refuse = |status: http::StatusCode, code: &str| {
        let body = Either::Right(Full::new(Bytes::from(code.to_owned())));
        Response::builder()
            .status(status)
            .header("x-request-id", "test-id")
            .body(body)
            .unwrap()
    };
    let (parts, body) = request.into_parts();
    if let Err(error) = check_request_head(&parts, &HeadLimits::default()) {
        return refuse(error.status(), error.code());
    }
    let uri = parts.uri.clone();
    let host = request_host(&parts).unwrap_or_default().to_owned();
    let path = match normalise_path(uri.path()) {
        Ok(path) => path,
        Err(error) => return refuse(error.status(), error.code()),
    };
    let mut head = ForwardHead::new(&path, peer.ip());
    head.query = uri.query();
    head.authorization = setup.authorization.clone();
    head.set = &setup.set;
    head.remove = &setup.remove;
    head.remove_cookies = &[
        CookieMatch::Name("__Host-shop"),
        CookieMatch::Prefix("__Host-shop.login."),
    ];
    head.request_id = "test-id";
    head.host = &host;
    head.cut = setup.cut.clone();
    match forwarder
        .forward(&setup.upstream, Request::from_parts(parts, body), head)
        .await
    {
        Ok(response) => response.map(Either::Left),
        Err(error) => refuse(error.status(), error.code()),
    }
}

// === clients ===

/// A client connection that lets a test write and read bytes.
pub(crate) struct RawClient {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl RawClient {
    pub(crate) async fn connect(address: SocketAddr) -> RawClient {
        RawClient::over(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> RawClient {
        RawClient {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads up to and with `end`; what follows stays for the next call.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end.as_bytes()) {
                let rest = self.read.split_off(at + end.len());
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
            }
            let count = self.stream.read_buf(&mut self.read).await.unwrap();
            assert!(
                count > 0,
                "closed before {end:?}: {:?}",
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// All that comes until the other side closes or resets.
    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8(self.rest_bytes().await).unwrap()
    }

    /// The same as bytes.
    pub(crate) async fn rest_bytes(&mut self) -> Vec<u8> {
        while self.stream.read_buf(&mut self.read).await.is_ok_and(|count| count > 0) {}
        std::mem::take(&mut self.read)
    }
}

/// One request over a connection of its own, without a body; the whole answer, as the connection is closed after it.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut client = RawClient::connect(address).await;
    client.send(request).await;
    client.rest().await
}

/// A hyper client on one connection, HTTP/1.1.
pub(crate) async fn http1(address: SocketAddr) -> hyper::client::conn::http1::SendRequest<TestBody> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// A hyper client on one connection, HTTP/2.
pub(crate) async fn http2(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<TestBody> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) fn get(path: &str) -> Request<TestBody> {
    Request::get(path).header("host", "app.test").body(full("")).unwrap()
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

pub(crate) fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}
