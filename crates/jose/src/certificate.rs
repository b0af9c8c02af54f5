use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::{KeyError, pem, sha256};

/// The thumbprint of a certificate in DER, as `x5t#S256` of a token's `cnf` holds it in base64url (RFC 8705 s3.1).
///
/// ```
/// use portcullis_jose::{base64url_encode, certificate_thumbprint};
///
/// assert_eq!(base64url_encode(&certificate_thumbprint(b"")), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
/// ```
#[must_use]
pub fn certificate_thumbprint(der: &[u8]) -> [u8; 32] {
    sha256(der)
}

/// The DER of the one certificate in a PEM text, as proxies hand it on in a header. That it is one certificate is
/// checked, not that it is valid.
///
/// # Errors
/// [`KeyError::Unreadable`] when it is anything else.
pub fn certificate_from_pem(text: &str) -> Result<Vec<u8>, KeyError> {
    if let [block] = pem::blocks(text)?.as_slice()
        && block.label == "CERTIFICATE"
        && EndEntityCert::try_from(&CertificateDer::from(block.der.as_slice())).is_ok()
    {
        return Ok(block.der.to_vec());
    }
    Err(KeyError::Unreadable {
        form: "a PEM text with one certificate",
    })
}
