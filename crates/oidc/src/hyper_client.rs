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
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::{BoxFuture, HttpClient, HttpError};

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(5);

/// The default [`HttpClient`]: hyper with rustls, the platform's trust store, HTTP/1.1 and HTTP/2.
///
/// 2 s to connect, 5 s in all; no redirects, cookies or decompression.
#[derive(Debug, Clone)]
pub struct HyperClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    total: Duration,
}

impl HyperClient {
    /// A client that trusts what the platform trusts.
    ///
    /// # Errors
    /// [`HttpError::Unreachable`] when the platform's trust store cannot be used.
    pub fn new() -> Result<HyperClient, HttpError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .and_then(ConfigBuilderExt::try_with_platform_verifier)
            .map_err(|error| HttpError::Unreachable(format!("the platform's trust store: {error}")))?
            .with_no_client_auth();
        Ok(HyperClient::with_tls_config(config))
    }

    /// A client that trusts the authorities of a PEM file instead.
    ///
    /// # Errors
    /// [`HttpError::Unreachable`] when the text holds no certificate that can be used.
    pub fn with_ca(pem: &[u8]) -> Result<HyperClient, HttpError> {
        let unusable = |why: String| HttpError::Unreachable(format!("the authorities: {why}"));
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("no certificate in PEM form".into()));
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(HyperClient::with_tls_config(config))
    }

    fn with_tls_config(config: rustls::ClientConfig) -> HyperClient {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT));
        http.set_nodelay(true);
        // Plain http goes to loopback alone: every URL that comes here is an `HttpsUrl`.
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .build(connector);
        HyperClient { client, total: TOTAL }
    }

    /// With another limit than 5 s on the time that a request takes in all.
    #[must_use]
    pub fn within(self, total: Duration) -> HyperClient {
        HyperClient { total, ..self }
    }
}

impl HttpClient for HyperClient {
    fn send(
        &self,
        mut request: http::Request<Bytes>,
        limit: usize,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, HttpError>> {
        Box::pin(async move {
            let agent = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
            request
                .headers_mut()
                .insert(USER_AGENT, HeaderValue::from_static(agent));
            let exchange = async {
                let response = self
                    .client
                    .request(request.map(Full::new))
                    .await
                    .map_err(|error| HttpError::Unreachable(deepest(&error)))?;
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
            tokio::time::timeout(self.total, exchange)
                .await
                .unwrap_or(Err(HttpError::TimedOut(self.total.as_secs())))
        })
    }
}

/// The innermost cause: "Connection refused" says more than "client error (Connect)".
fn deepest(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
