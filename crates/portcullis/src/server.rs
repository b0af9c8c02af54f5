//! Listening: plain or TLS, HTTP/1.1 and HTTP/2, with an end that does not cut what is under way.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use portcullis_guard::ClientCertificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::client_certificate::verifier;
use crate::config::TlsSettings;
use stall::Unstalled;

mod certificate;
mod stall;

pub use certificate::Tls;

/// A client that does not finish its request's head, or the TLS handshake, is let go after so long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that takes nothing of what we write is let go after so long.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// More connections than this wait in the kernel until others end.
const MAX_CONNECTIONS: usize = 20_000;

type Client = Unstalled<TcpStream>;

/// Serves `handler` on `listener` until `stop` turns true, then for at most `drain` what is under way.
pub async fn serve<H, F>(
    listener: TcpListener,
    tls: Option<Tls>,
    stop: watch::Receiver<bool>,
    drain: Duration,
    handler: H,
) where
    H: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
    // As hyper wants it: a block around it would make twice the future of it, which is moved for each request.
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    serve_in(places, listener, tls, stop, drain, handler).await;
}

/// The same with so many connections at once.
async fn serve_in<H, F>(
    places: Arc<Semaphore>,
    listener: TcpListener,
    tls: Option<Tls>,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
    handler: H,
) where
    H: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024);
    // CVE-2023-44487 and its kin: bounded streams, bounded resets, bounded header lists.
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_pending_accept_reset_streams(20)
        .max_header_list_size(32 * 1024)
        // What a client that does not read makes us keep, for each stream.
        .max_send_buf_size(32 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    loop {
        let next = async {
            // The semaphore is never closed.
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok((place, listener.accept().await?))
        };
        let (place, (stream, peer)) = tokio::select! {
            next = next => match next {
                Ok(next) => next,
                Err(error) => {
                    after_accept_error(&error).await;
                    continue;
                }
            },
            () = stopped(&mut stop) => break,
        };
        let _ = stream.set_nodelay(true);
        let stream = Unstalled::new(stream, STALL_TIMEOUT);
        let (handler, asked) = (handler.clone(), Arc::new(AtomicBool::new(false)));
        let begun = asked.clone();
        let service = move |certificate: Option<ClientCertificate>| {
            service_fn(move |mut request: Request<Incoming>| {
                begun.store(true, Ordering::Relaxed);
                if let Some(certificate) = &certificate {
                    request.extensions_mut().insert(certificate.clone());
                }
                handler(request, peer.ip())
            })
        };
        let tls = tls.as_ref().map(Tls::now);
        let (builder, watcher) = (builder.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => {
                    let connection = builder
                        .serve_connection_with_upgrades(TokioIo::new(stream), service(None))
                        .into_owned();
                    unless_silent(watcher.watch(connection), &asked).await;
                }
                Some(acceptor) => {
                    let Some(stream) = handshake(&acceptor, stream).await else {
                        return;
                    };
                    let own = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    let certificate = own.map(|certificate| ClientCertificate::from_der(certificate));
                    let connection = builder
                        .serve_connection_with_upgrades(TokioIo::new(stream), service(certificate))
                        .into_owned();
                    unless_silent(watcher.watch(connection), &asked).await;
                }
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(drain, graceful.shutdown()).await;
}

/// Drives a connection, but lets go of one that asks for nothing: the limit on a request's head begins with its first
/// byte, and a client may never send that.
async fn unless_silent<T>(connection: impl Future<Output = T>, asked: &AtomicBool) {
    let mut connection = std::pin::pin!(connection);
    let silent = tokio::select! {
        _ = &mut connection => return,
        () = tokio::time::sleep(HEAD_TIMEOUT) => !asked.load(Ordering::Relaxed),
    };
    if !silent {
        connection.await;
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone stops the server too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Out of file descriptors is no reason to spin, nor to stop.
async fn after_accept_error(error: &io::Error) {
    let of_the_peer = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    );
    if !of_the_peer {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn handshake(acceptor: &TlsAcceptor, stream: Client) -> Option<tokio_rustls::server::TlsStream<Client>> {
    tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream))
        .await
        .ok()?
        .ok()
}

/// Reads certificate and key.
///
/// # Errors
/// Which file cannot be used, and why.
pub fn tls_acceptor(settings: &TlsSettings) -> Result<TlsAcceptor, String> {
    let cert = settings.cert.display();
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(&settings.cert).and_then(Iterator::collect);
    let chain = chain.map_err(|error| format!("{cert}: {error}"))?;
    if chain.is_empty() {
        return Err(format!("{cert}: it holds no certificate in PEM form"));
    }
    let key =
        PrivateKeyDer::from_pem_file(&settings.key).map_err(|error| format!("{}: {error}", settings.key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = verifier(&settings.client_certificates, &provider)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        })
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(|error| {
            format!(
                "{cert} with {}: {error}; are they certificate and key of one pair?",
                settings.key.display()
            )
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Binds `address`.
///
/// # Errors
/// With the address, and what to do when it is taken.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("{address} is in use by another program; stop it, or choose another port"),
        _ => format!("cannot listen on {address}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn one_that_is_full_can_be_stopped() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let busy = Arc::new(Notify::new());
        let told = busy.clone();
        let handler = move |_: Request<Incoming>, _: IpAddr| {
            told.notify_one();
            std::future::pending()
        };
        let places = Arc::new(Semaphore::new(1));
        let server = tokio::spawn(serve_in(places, listener, None, stopping, Duration::ZERO, handler));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        busy.notified().await;

        stop.send(true).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(60), server).await;
        ended.expect("it still waits for a place").unwrap();
    }
}
