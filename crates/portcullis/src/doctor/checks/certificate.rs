//! When a certificate ends.

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use portcullis_jose::UnixTime;
use rustls::pki_types::CertificateDer;

/// How many days ahead the end is worth a word.
pub(super) const SOON: i64 = 30 * 86_400;

/// The first end in a chain; `None` where one of its certificates cannot be read.
pub(super) fn first_end(chain: &[CertificateDer<'_>]) -> Option<UnixTime> {
    let ends: Option<Vec<UnixTime>> = chain.iter().map(|certificate| end(certificate)).collect();
    ends?.into_iter().min()
}

/// RFC 5280 s4.1: `notAfter` is the second time of the validity, which comes after version, serial number, algorithm
/// and issuer.
fn end(certificate: &[u8]) -> Option<UnixTime> {
    let certificate = AnyRef::from_der(certificate).ok()?;
    let to_be_signed = *parts(certificate)?.first()?;
    let fields = parts(to_be_signed)?;
    // The version has a tag of its own, and may be left out.
    let versioned = matches!(fields.first()?.tag(), Tag::ContextSpecific { .. });
    let validity = fields.get(usize::from(versioned) + 3)?;
    let not_after = *parts(*validity)?.get(1)?;
    let since_1970 = match not_after.tag() {
        Tag::UtcTime => not_after.decode_as::<UtcTime>().ok()?.to_unix_duration(),
        _ => not_after.decode_as::<GeneralizedTime>().ok()?.to_unix_duration(),
    };
    Some(UnixTime::from_secs(i64::try_from(since_1970.as_secs()).ok()?))
}

fn parts(of: AnyRef<'_>) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(of.value()).ok()?;
    let mut parts = Vec::new();
    while !reader.is_finished() {
        parts.push(reader.decode::<AnyRef<'_>>().ok()?);
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -days 9000`
    const LONG_LIVED: &str = "-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUCzBzWsUQKVTuPYeMpc5fKVRpcHowCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjYwNzUxMjVaGA8yMDUxMDcxODA3NTEy
NVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABC8y
uQCi7szbLmyZI3DpwaFfjCg8Of0aJTFK9FOdO8CJwxX5MiyU2212oXWxB/Nzllv4
tVLEM/Dk65H6LxnAIQqjUzBRMB0GA1UdDgQWBBQg29jt3dI2oB8ROUz7ys5y62wO
YDAfBgNVHSMEGDAWgBQg29jt3dI2oB8ROUz7ys5y62wOYDAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQDkxdaPGiqMoOXEXbyCE5ZhTwuMTnyZKRcf
kR8AS6xuKAIgSfptSCYANv0gRExHqiKJeZt+66LmZTRk43ifiJVHKA8=
-----END CERTIFICATE-----";

    #[test]
    fn the_end_is_read_and_what_is_no_certificate_has_none() {
        let certificate = CertificateDer::from_pem_slice(LONG_LIVED.as_bytes()).unwrap();
        assert_eq!(
            portcullis_audit::rfc3339(end(&certificate).unwrap()),
            "2051-07-18T07:51:25Z"
        );
        assert_eq!(first_end(std::slice::from_ref(&certificate)), end(&certificate));
        assert_eq!(end(&certificate[..certificate.len() / 2]), None);
        assert_eq!(end(b""), None);
        assert_eq!(first_end(&[certificate, CertificateDer::from(vec![0x30, 0])]), None);
    }
}
