//! Upstreams that are `https`: HTTP/2 where the upstream offers it, else HTTP/1.1.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::connect::connector;
use super::connection::within;
use super::deadline::Deadline;
use crate::body::{RequestBody, Upload};
use crate::error::{BoxError, ForwardError};
use crate::settings::{Settings, Trust};
use crate::upstream::Upstream;

/// Made on the first use, as reading the platform's certificates takes a while.
pub(crate) struct Tls {
    trust: Trust,
    idle_connections: usize,
    idle_time: Duration,
    clients: OnceLock<Result<Clients, String>>,
}

struct Clients {
    pooled: Client<HttpsConnector<HttpConnector>, RequestBody>,
    /// HTTP/1.1 alone, as `Upgrade` does not exist in HTTP/2.
    upgrade: HttpsConnector<HttpConnector>,
}

impl Tls {
    pub(crate) fn new(settings: &Settings) -> Tls {
        Tls {
            trust: settings.trust.clone(),
            idle_connections: settings.idle_connections,
            idle_time: settings.idle_connection_time,
            clients: OnceLock::new(),
        }
    }

    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        upstream: &Upstream,
    ) -> Result<Response<Incoming>, ForwardError> {
        let upload = request.body().upload();
        let exchange = self.clients(upstream)?.pooled.request(request);
        let timeouts = upstream.timeouts();
        let wait = timeouts.connect.saturating_add(timeouts.response_header);
        match within(exchange, &mut Deadline::default(), wait, upload.as_deref(), upstream).await? {
            Ok(response) => Ok(response),
            Err(error) if error.is_connect() => Err(refused(upstream, &error)),
            Err(error) => Err(cause(&error, upload.as_deref(), upstream)),
        }
    }

    pub(crate) async fn connect(
        &self,
        upstream: &Upstream,
    ) -> Result<MaybeHttpsStream<TokioIo<TcpStream>>, ForwardError> {
        let mut connector = self.clients(upstream)?.upgrade.clone();
        let target = upstream.target.connect_uri()?;
        match tokio::time::timeout(upstream.timeouts().connect, connector.call(target)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(refused(upstream, &*error)),
            Err(_) => Err(ForwardError::ConnectTimeout {
                origin: upstream.origin().to_owned(),
            }),
        }
    }

    fn clients(&self, upstream: &Upstream) -> Result<&Clients, ForwardError> {
        let clients = self
            .clients
            .get_or_init(|| self.build().map_err(|error| error.to_string()));
        clients.as_ref().map_err(|error| ForwardError::Connect {
            origin: upstream.origin().to_owned(),
            source: error.clone().into(),
        })
    }

    fn build(&self) -> Result<Clients, BoxError> {
        let config = client_config(&self.trust)?;
        let builder = || {
            HttpsConnectorBuilder::new()
                .with_tls_config(config.clone())
                .https_only()
        };
        let pooled = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(self.idle_time)
            .pool_max_idle_per_host(self.idle_connections)
            // A host that has vanished keeps no connection that all calls would go on.
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(5))
            .build(builder().enable_all_versions().wrap_connector(connector()));
        Ok(Clients {
            pooled,
            upgrade: builder().enable_http1().wrap_connector(connector()),
        })
    }
}

fn client_config(trust: &Trust) -> Result<ClientConfig, BoxError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match trust {
        Trust::Platform => builder.try_with_platform_verifier()?,
        Trust::Only(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate?)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}

fn refused(upstream: &Upstream, source: &(dyn Error + 'static)) -> ForwardError {
    ForwardError::Connect {
        origin: upstream.origin().to_owned(),
        source: deepest(source),
    }
}

/// The pooled client says only "client error"; what went wrong is below.
fn cause(error: &(dyn Error + 'static), upload: Option<&Upload>, upstream: &Upstream) -> ForwardError {
    if upload.is_some_and(Upload::failed) {
        return ForwardError::RequestBody;
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            let origin = upstream.origin().to_owned();
            return ForwardError::BadResponse {
                origin,
                detail: inner.to_string(),
            };
        }
        source = inner.source();
    }
    ForwardError::UpstreamClosed {
        origin: upstream.origin().to_owned(),
        source: deepest(error),
    }
}

fn deepest(error: &(dyn Error + 'static)) -> BoxError {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string().into()
}
