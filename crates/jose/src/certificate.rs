use der::asn1::{AnyRef, BitStringRef, ContextSpecific};
use der::{Reader as _, SliceReader, TagNumber};

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
        && key_of_certificate(&block.der).is_some()
    {
        return Ok(block.der.to_vec());
    }
    Err(KeyError::Unreadable {
        form: "a PEM text with one certificate",
    })
}

/// The SubjectPublicKeyInfo of a certificate of any version, in DER (RFC 5280 s4.1); `None` where it is no certificate.
pub(crate) fn key_of_certificate(certificate: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(certificate).ok()?;
    let key = reader.sequence(|certificate| {
        let key = certificate.sequence(|signed| {
            let _version = ContextSpecific::<u8>::decode_explicit(signed, TagNumber(0))?;
            // Serial number, algorithm, issuer, validity, subject.
            for _ in 0..5 {
                signed.decode::<AnyRef<'_>>()?;
            }
            let key = signed.tlv_bytes()?;
            // Identifiers and extensions.
            while !signed.is_finished() {
                signed.decode::<AnyRef<'_>>()?;
            }
            der::Result::Ok(key)
        })?;
        let _algorithm: AnyRef<'_> = certificate.decode()?;
        let _signature: BitStringRef<'_> = certificate.decode()?;
        der::Result::Ok(key)
    });
    reader.finish().ok()?;
    key.ok()
}
