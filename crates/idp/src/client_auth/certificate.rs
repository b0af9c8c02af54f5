use std::sync::Arc;

use portcullis_jose::certificate_from_pem;
use portcullis_oidc::client_auth::AuthMethod;
use rustls::RootCertStore;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};

use crate::config::Client;
use crate::provider::Provider;

/// The certificate, and its chain, that a client has shown and whose key it has proven to have.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificate(Arc<[CertificateDer<'static>]>);

/// Who issues the certificates of `tls_client_auth`.
#[derive(Debug)]
pub(crate) struct Authorities(Arc<dyn ClientCertVerifier>);

impl PeerCertificate {
    pub(crate) fn new(chain: &[CertificateDer<'static>]) -> Option<PeerCertificate> {
        (!chain.is_empty()).then(|| PeerCertificate(chain.into()))
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.0.first().map_or(&[], |first| first.as_ref())
    }
}

impl Authorities {
    pub(crate) fn parse(pem: &str) -> Result<Authorities, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        verifier.map(Authorities).map_err(|error| error.to_string())
    }
}

/// Whether this certificate is the client's.
pub(super) fn proves(provider: &Provider, certificate: &PeerCertificate, client: &Client) -> bool {
    (client.may_use(AuthMethod::SelfSignedTls) && is_registered(certificate, client))
        || (client.may_use(AuthMethod::Tls) && is_issued(provider, certificate, client).is_some())
}

/// RFC 8705 s2.2: it is the very one; no chain and no date is looked at.
fn is_registered(certificate: &PeerCertificate, client: &Client) -> bool {
    let mut registered = client.tls_client_certificates.iter();
    registered.any(|pem| certificate_from_pem(pem).is_ok_and(|der| der == certificate.der()))
}

/// RFC 8705 s2.1: an authority of ours issued it, it has not expired, and its name is the registered one.
fn is_issued(provider: &Provider, certificate: &PeerCertificate, client: &Client) -> Option<()> {
    let name = ServerName::try_from(client.tls_client_auth_san_dns.as_deref()?).ok()?;
    let (first, chain) = certificate.0.split_first()?;
    let now = std::time::Duration::from_secs(u64::try_from(provider.now().as_secs()).ok()?);
    let authorities = provider.client_authorities.as_ref()?;
    authorities
        .0
        .verify_client_cert(first, chain, UnixTime::since_unix_epoch(now))
        .ok()?;
    verify_server_name(&ParsedCertificate::try_from(first).ok()?, &name).ok()
}
