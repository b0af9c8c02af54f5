//! The certificate that a client's connection has.

use portcullis_jose::sha256;

/// The certificate that a client proved to hold when its connection began (RFC 8705 s3).
///
/// Whoever ends TLS puts it into the request's extensions:
///
/// ```
/// # use portcullis_guard::ClientCertificate;
/// # fn example(mut request: http::Request<()>, certificate_der: &[u8]) {
/// request.extensions_mut().insert(ClientCertificate::from_der(certificate_der));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    thumbprint: [u8; 32],
}

// === impl ClientCertificate ===

impl ClientCertificate {
    /// A certificate in DER form. That the client holds its key, and whether its chain matters, is for TLS to check.
    #[must_use]
    pub fn from_der(certificate: &[u8]) -> ClientCertificate {
        ClientCertificate {
            thumbprint: sha256(certificate),
        }
    }

    /// RFC 8705 s3.1: the SHA-256 of the DER form, `x5t#S256`.
    #[must_use]
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }
}
