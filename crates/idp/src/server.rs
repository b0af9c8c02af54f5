use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use portcullis_jose::{Clock, SignError, SigningKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::client_auth::{Authorities, PeerCertificate};
use crate::config::{IdpConfig, MutualTls, Registry, check};
use crate::dev::Control;
use crate::keys::Keys;
use crate::passwords::Passwords;
use crate::provider::{Provider, Registration, Settings};
use crate::router::router;
use crate::{IdpError, mtls};

/// How long requests that are being answered may take to end when the provider stops.
const FAREWELL: Duration = Duration::from_millis(200);

/// A running provider. Dropping it ends it at once.
#[derive(Debug)]
pub struct Idp {
    control: Control,
    address: SocketAddr,
    server: Option<JoinHandle<()>>,
}

impl Idp {
    /// Checks the configuration, makes the keys, listens and serves.
    ///
    /// # Errors
    /// [`IdpError::NotLoopback`] before anything else, [`IdpError::Config`] with every fault at once,
    /// [`IdpError::Bind`], or [`IdpError::Key`].
    pub async fn start(config: IdpConfig, clock: Arc<dyn Clock>) -> Result<Idp, IdpError> {
        if !config.listen.ip().is_loopback() {
            return Err(IdpError::NotLoopback { listen: config.listen });
        }
        let faults = check(&config);
        if !faults.is_empty() {
            return Err(IdpError::Config { faults });
        }
        let bind = |source| IdpError::Bind {
            listen: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let issuer = config.issuer.clone().unwrap_or_else(|| format!("http://{address}"));
        let tls_listener = match &config.mtls {
            None => None,
            Some(settings) => Some(TlsListener::bind(settings).await?),
        };
        let settings = Settings {
            access_token_lifetime: config.access_token_lifetime,
            id_token_lifetime: config.id_token_lifetime,
            refresh_token_lifetime: config.refresh_token_lifetime,
            session_lifetime: config.session_lifetime,
            device_code_lifetime: config.device_code_lifetime,
            device_code_interval: config.device_code_interval,
            consent: config.consent,
            port: address.port(),
            https: issuer.starts_with("https:"),
            mtls_port: tls_listener.as_ref().map(|listener| listener.port),
        };
        let registration = Registration {
            initial_access_token: config.initial_access_token.clone(),
            secret_overlap: config.secret_overlap,
            rotate_access_tokens: config.rotate_registration_access_tokens,
        };
        let registry = Registry::new(&config.users, &config.clients, config.apis.clone());
        // An RSA key and password hashes take a moment; the runtime goes on meanwhile.
        let made = tokio::task::spawn_blocking(move || {
            let key = match &config.signing_key_pem {
                Some(pem) => SigningKey::from_pem(pem.expose(), config.signing_algorithm)?,
                None => SigningKey::generate(config.signing_algorithm)?,
            };
            Ok::<_, IdpError>((Keys::new(key), Passwords::new(&config.users)?))
        });
        // Only a runtime that is shutting down interrupts it.
        let (keys, passwords) = made.await.unwrap_or(Err(IdpError::Key(SignError::Crypto)))?;
        let mut provider = Provider::new(issuer, settings, registry, passwords, keys, clock);
        provider.registration = registration;
        let mut tls = None;
        if let Some(made) = tls_listener {
            provider.client_authorities = made.authorities;
            tls = Some((made.listener, made.acceptor));
        }
        let provider = Arc::new(provider);
        let server = tokio::spawn(serve(listener, tls, Arc::clone(&provider)));
        Ok(Idp {
            control: Control(provider),
            address,
            server: Some(server),
        })
    }

    /// The issuer, which is also where discovery begins.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.control.issuer()
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The handle for tests and demonstrations.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops: no new connections, idle ones end at once, answers in progress have a fifth of a second.
    pub async fn shutdown(mut self) {
        self.control.0.dev.stopping.send_replace(true);
        if let Some(server) = self.server.take() {
            // The task ends by itself; if it panicked, it is ended as well.
            drop(server.await);
        }
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.control.0.dev.stopping.send_replace(true);
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

/// The listener that asks for certificates, ready to accept.
struct TlsListener {
    listener: TcpListener,
    port: u16,
    acceptor: TlsAcceptor,
    authorities: Option<Authorities>,
}

impl TlsListener {
    async fn bind(settings: &MutualTls) -> Result<TlsListener, IdpError> {
        let listen = settings.listen;
        if !listen.ip().is_loopback() {
            return Err(IdpError::NotLoopback { listen });
        }
        let fault = |why: String| IdpError::Config {
            faults: vec![format!("mtls: {why}")],
        };
        let bind = |source| IdpError::Bind { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(bind)?;
        let port = listener.local_addr().map_err(bind)?.port();
        let authorities = settings.client_ca.as_deref().map(Authorities::parse).transpose();
        Ok(TlsListener {
            listener,
            port,
            acceptor: mtls::acceptor(settings).map_err(fault)?,
            authorities: authorities.map_err(|why| fault(format!("client_ca: {why}")))?,
        })
    }
}

/// Accepts on a listener that may not be there.
async fn accept_tls(listener: Option<&(TcpListener, TlsAcceptor)>) -> std::io::Result<(TcpStream, TlsAcceptor)> {
    match listener {
        Some((listener, acceptor)) => Ok((listener.accept().await?.0, acceptor.clone())),
        None => std::future::pending().await,
    }
}

async fn serve(listener: TcpListener, tls: Option<(TcpListener, TlsAcceptor)>, provider: Arc<Provider>) {
    let mut stopping = provider.dev.stopping.subscribe();
    let app = router(provider);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            accepted = accept_tls(tls.as_ref()) => match accepted {
                Ok((stream, acceptor)) => {
                    let (app, graceful) = (app.clone(), graceful.watcher());
                    connections.spawn(tls_connection(stream, acceptor, app, graceful));
                    continue;
                }
                Err(error) => Err(error),
            },
            _ = stopping.wait_for(|stopping| *stopping) => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => drop(connections.spawn(connection(stream, app.clone(), graceful.watcher()))),
            // Out of file descriptors, or a connection that is gone already: take a breath and go on.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    drop((listener, tls));
    let farewell = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    // What is not over by then is cut off when the set is dropped.
    drop(tokio::time::timeout(FAREWELL, farewell).await);
}

async fn tls_connection(stream: TcpStream, acceptor: TlsAcceptor, app: Router, graceful: Watcher) {
    // A client that does not finish its handshake is not waited for.
    let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(10), acceptor.accept(stream)).await else {
        return;
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let app = match PeerCertificate::new(chain) {
        Some(certificate) => app.layer(Extension(certificate)),
        None => app,
    };
    connection(stream, app, graceful).await;
}

fn connection<S>(stream: S, app: Router, graceful: Watcher) -> impl Future<Output = ()> + Send + 'static
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10));
    builder.http2().timer(TokioTimer::new());
    let serving = builder
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .into_owned();
    let watched = graceful.watch(serving);
    async move {
        // A client that hangs up is no concern of the provider.
        drop(watched.await);
    }
}
