//! Client certificates on our own TLS listener (RFC 8705).

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use crate::config::ClientCertificates;

/// RFC 8705 s2.2, s3: the token says which certificate it must be, so any will do whose key the client proves to have.
/// It need not come from an authority, and no date is looked at.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

/// What checks the certificates of clients; `None` where they are not asked for one.
///
/// # Errors
/// The file of the authorities cannot be used, and why.
pub(crate) fn verifier(
    settings: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    match settings {
        ClientCertificates::NotAsked => Ok(None),
        ClientCertificates::Any => Ok(Some(Arc::new(AnyCertificate(provider.clone())))),
        ClientCertificates::IssuedBy(path) => {
            let failed = |why: String| format!("{}: {why}", path.display());
            let certificates: Result<Vec<CertificateDer<'static>>, _> =
                CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            let mut authorities = RootCertStore::empty();
            for certificate in certificates.map_err(|error| failed(error.to_string()))? {
                authorities
                    .add(certificate)
                    .map_err(|error| failed(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone())
                .allow_unauthenticated()
                .build()
                .map_err(|error| failed(error.to_string()))?;
            Ok(Some(verifier))
        }
    }
}

// === impl AnyCertificate ===

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
