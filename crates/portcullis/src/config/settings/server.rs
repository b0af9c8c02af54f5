//! `[server]` as types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use url::Url;

use crate::config::network::Network;

/// `[server]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerSettings {
    /// The origin that browsers see: https, or http on loopback.
    pub public_url: Url,
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// The certificate to serve, where this process ends TLS.
    pub tls: Option<TlsSettings>,
    /// Where console, metrics and health checks listen: always loopback.
    pub admin: Option<SocketAddr>,
    /// Where health checks and metrics listen too, for whoever asks from elsewhere.
    pub probes: Option<SocketAddr>,
    /// How long new calls are still taken when the gateway is told to stop, and is not ready any more.
    pub stop_delay: Duration,
    /// How long what is under way may go on after that.
    pub drain: Duration,
    /// Proxies in front that say in `X-Forwarded-For` where a call comes from.
    pub trusted_proxies: Vec<Network>,
    /// Whether refusals tell their code; on loopback alone.
    pub development: bool,
    /// Number of threads; all cores where it is absent.
    pub workers: Option<usize>,
    /// Bytes of memory for verified tokens, over all APIs.
    pub token_cache: usize,
    /// The header in which a proxy in front passes the client's certificate on.
    pub client_certificate_header: Option<CertificateHeader>,
    /// Whether DPoP proofs need a nonce of ours.
    pub dpop_nonce: bool,
}

/// `tls` of `[server]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsSettings {
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// Whether clients are asked for a certificate.
    pub client_certificates: ClientCertificates,
}

/// `client_certificates` and `client_ca` of `tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// They are not asked.
    NotAsked,
    /// Any certificate whose key the client proves to have (RFC 8705 s2.2).
    Any,
    /// One that an authority of this PEM file issued (RFC 8705 s2.1).
    IssuedBy(PathBuf),
}

/// `client_certificate_header` of `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateHeader {
    /// The header's name.
    pub name: HeaderName,
    /// Where the proxy's requests come from.
    pub trusted_proxies: Vec<Network>,
}
