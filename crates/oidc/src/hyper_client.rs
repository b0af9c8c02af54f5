use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::USER_AGENT;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use portcullis_jose::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::reach::Reach;
use crate::{BoxFuture, HttpClient, HttpError, Patience};

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(5);
/// How often an HTTP/2 connection in use is asked for a sign of life, and how long it may take to give one.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// The default [`HttpClient`]: hyper with rustls, the platform's trust store, HTTP/1.1 and HTTP/2.
///
/// 2 s to connect, 5 s in all; no redirects, cookies or decompression.
#[derive(Debug, Clone)]
pub struct HyperClient {
    client: Client<HttpsConnector<HttpConnector<Reach>>, Full<Bytes>>,
    tls: rustls::ClientConfig,
    reach: Reach,
    total: Duration,
}

impl HyperClient {
    /// A client that trusts what the platform trusts.
    ///
    /// # Errors
    /// [`HttpError::Unreachable`] when the platform's trust store cannot be used.
    pub fn new() -> Result<HyperClient, HttpError> {
        Ok(HyperClient::with_tls_config(trusting(None)?.with_no_client_auth()))
    }

    /// A client that trusts the authorities of a PEM file instead.
    ///
    /// # Errors
    /// [`HttpError::Unreachable`] when the text holds no certificate that can be used.
    pub fn with_ca(pem: &[u8]) -> Result<HyperClient, HttpError> {
        Ok(HyperClient::with_tls_config(trusting(Some(pem))?.with_no_client_auth()))
    }

    /// A client that shows a certificate where it is asked for one (RFC 8705 s2): PEM texts of the certificate, with
    /// its chain, and of its private key. `ca` as in [`HyperClient::with_ca`]; the platform's trust store without.
    ///
    /// # Errors
    /// [`HttpError::Unreachable`] when certificate and key cannot be used, or nobody can be trusted.
    pub fn with_certificate(ca: Option<&[u8]>, certificate: &[u8], key: &Secret) -> Result<HyperClient, HttpError> {
        let unusable = |what: &str, why: String| HttpError::Unreachable(format!("the client's {what}: {why}"));
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| unusable("certificate", error.to_string()))?;
        if chain.is_empty() {
            return Err(unusable("certificate", "no certificate in PEM form".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
            .map_err(|_| unusable("private key", "no private key in PEM form".into()))?;
        let config = trusting(ca)?
            .with_client_auth_cert(chain, key)
            .map_err(|error| unusable("certificate and key", error.to_string()))?;
        Ok(HyperClient::with_tls_config(config))
    }

    fn with_tls_config(config: rustls::ClientConfig) -> HyperClient {
        HyperClient::connecting(config, Reach::anywhere())
    }

    /// A client that connects to hosts other than these at public addresses alone, unless one of these is inside the
    /// network itself: a provider's document must not lead to whatever else is there. Link-local addresses, where
    /// clouds keep their metadata, are reached by name in this list alone.
    #[must_use]
    pub fn beside(self, hosts: &[String]) -> HyperClient {
        let total = self.total;
        HyperClient::connecting(self.tls, Reach::beside(hosts)).within(total)
    }

    fn connecting(tls: rustls::ClientConfig, reach: Reach) -> HyperClient {
        let mut http = HttpConnector::new_with_resolver(reach.clone());
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT));
        http.set_nodelay(true);
        // Plain http goes to loopback alone: every URL that comes here is an `HttpsUrl`.
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            // A host that has vanished keeps no connection that all calls would go on.
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .http2_keep_alive_timeout(KEEP_ALIVE.1)
            .build(connector);
        HyperClient {
            client,
            tls,
            reach,
            total: TOTAL,
        }
    }

    /// With another limit than 5 s on the time that a request takes in all.
    #[must_use]
    pub fn within(self, total: Duration) -> HyperClient {
        HyperClient { total, ..self }
    }
}

/// Who is trusted: the authorities of a PEM text, or those of the platform.
fn trusting(
    ca: Option<&[u8]>,
) -> Result<rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>, HttpError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Unreachable(error.to_string()))?;
    let Some(pem) = ca else {
        return builder
            .try_with_platform_verifier()
            .map_err(|error| HttpError::Unreachable(format!("the platform's trust store: {error}")));
    };
    let unusable = |why: String| HttpError::Unreachable(format!("the authorities: {why}"));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("no certificate in PEM form".into()));
    }
    Ok(builder.with_root_certificates(roots))
}

impl HttpClient for HyperClient {
    fn send(
        &self,
        mut request: http::Request<Bytes>,
        limit: usize,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, HttpError>> {
        Box::pin(async move {
            let patience = request.extensions().get::<Patience>().copied();
            let total = patience.map_or(self.total, |Patience(patience)| patience.max(self.total));
            let agent = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
            request
                .headers_mut()
                .insert(USER_AGENT, HeaderValue::from_static(agent));
            let exchange = async {
                let host = request.uri().host().unwrap_or_default();
                let checked = self.reach.clone().check(host).await;
                checked.map_err(|error| deepest(&*error))?;
                let response = self.client.request(request.map(Full::new)).await;
                let response = response.map_err(|error| deepest(&error))?;
                let (parts, body) = response.into_parts();
                let body = Limited::new(body, limit).collect().await.map_err(|error| {
                    if error.is::<LengthLimitError>() {
                        HttpError::TooLarge(limit)
                    } else {
                        HttpError::Unreachable(error.to_string())
                    }
                })?;
                Ok(http::Response::from_parts(parts, body.to_bytes()))
            };
            tokio::time::timeout(total, exchange)
                .await
                .unwrap_or(Err(HttpError::TimedOut(total.as_secs())))
        })
    }
}

/// The innermost cause: "Connection refused" says more than "client error (Connect)".
fn deepest(error: &(dyn Error + 'static)) -> HttpError {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let ours = error.downcast_ref::<HttpError>().cloned();
    ours.unwrap_or_else(|| HttpError::Unreachable(error.to_string()))
}
