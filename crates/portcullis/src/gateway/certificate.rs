//! The client's certificate, as a proxy in front that ends TLS passes it on.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;
use http::request::Parts;
use portcullis_guard::ClientCertificate;
use portcullis_jose::certificate_from_pem;

use crate::config::CertificateHeader;

/// Headers that upstreams may take for the word of a proxy about a certificate. `X-Forwarded-*` is removed anyway.
const NAMES: [HeaderName; 12] = [
    // RFC 9440 s4: "MUST be removed" where they were not set by who is trusted.
    HeaderName::from_static("client-cert"),
    HeaderName::from_static("client-cert-chain"),
    HeaderName::from_static("x-client-cert"),
    HeaderName::from_static("x-ssl-client-cert"),
    HeaderName::from_static("x-ssl-cert"),
    HeaderName::from_static("ssl-client-cert"),
    HeaderName::from_static("x-amzn-mtls-clientcert"),
    HeaderName::from_static("x-amzn-mtls-clientcert-leaf"),
    HeaderName::from_static("x-arr-clientcert"),
    HeaderName::from_static("cf-client-cert-der-base64"),
    HeaderName::from_static("cf-client-cert-sha256"),
    HeaderName::from_static("x-client-certificate"),
];

/// Whose word about a client's certificate counts.
#[derive(Debug)]
pub(super) struct Certificates {
    header: Option<CertificateHeader>,
    /// No upstream gets these.
    pub(super) remove: Vec<HeaderName>,
}

// === impl Certificates ===

impl Certificates {
    pub(super) fn new(header: Option<CertificateHeader>) -> Certificates {
        let own = header.iter().map(|header| header.name.clone());
        let remove = NAMES.into_iter().chain(own).collect();
        Certificates { header, remove }
    }

    /// Puts the certificate of the header into the request's extensions, where the peer is a proxy that is trusted. The
    /// certificate of its own connection is the proxy's and not the client's.
    pub(super) fn settle(&self, parts: &mut Parts, peer: IpAddr) {
        let Some(header) = &self.header else { return };
        if !header.trusted_proxies.iter().any(|network| network.contains(peer)) {
            return;
        }
        parts.extensions.remove::<ClientCertificate>();
        let mut values = parts.headers.get_all(&header.name).iter();
        // Two headers are the word of two, and one of them may be the client.
        if let (Some(value), None) = (values.next(), values.next())
            && let Some(certificate) = value.to_str().ok().and_then(|value| read(value, &header.name))
        {
            parts.extensions.insert(certificate);
        }
    }
}

fn read(value: &str, name: &HeaderName) -> Option<ClientCertificate> {
    let value = match name.as_str() {
        "x-forwarded-client-cert" => envoy(value)?,
        _ => value,
    };
    let text = decoded(value.trim())?;
    // Elsewhere than in Traefik's list a comma joins the words of two (RFC 9110 s5.3), and one of them may be the client.
    if name.as_str() != "x-forwarded-tls-client-cert" && text.contains(',') {
        return None;
    }
    let pem = if text.starts_with("-----BEGIN ") {
        text
    } else {
        let base64 = match text.strip_prefix(':') {
            // RFC 9440 s2.1, RFC 8941 s3.3.5: a byte sequence.
            Some(bytes) => bytes.strip_suffix(':')?,
            // Traefik writes the chain, the client's own certificate first.
            None => text.split(',').next()?,
        };
        format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n").into()
    };
    let der = certificate_from_pem(&pem).ok()?;
    Some(ClientCertificate::from_der(&der))
}

/// The `Cert` of Envoy's `X-Forwarded-Client-Cert`: `By=...;Hash=...;Cert="...";Subject="..."`. There is one element: more
/// are the word of others that the proxy passed on.
fn envoy(value: &str) -> Option<&str> {
    let mut found = None;
    let (mut begin, mut quoted, mut escaped) = (0, false, false);
    for (at, character) in value.char_indices().chain([(value.len(), ';')]) {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return None,
            ';' if !quoted => {
                let (name, content) = value.get(begin..at)?.split_once('=').unwrap_or_default();
                if name.trim().eq_ignore_ascii_case("cert") && found.replace(content.trim_matches('"')).is_some() {
                    return None;
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// Percent-encoding (RFC 3986 s2.1). A plus sign is itself: it is a letter of base64.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Network;

    const PEM: &str = include_str!("../../../proxy/tests/data/localhost.pem");

    fn base64() -> String {
        PEM.lines().filter(|line| !line.starts_with("-----")).collect()
    }

    fn escaped(text: &str) -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect()
    }

    fn settled(name: &str, values: &[&str], peer: &str) -> Option<ClientCertificate> {
        let header = CertificateHeader {
            name: name.parse().unwrap(),
            trusted_proxies: vec![Network::parse("10.0.0.0/8").unwrap()],
        };
        let mut request = http::Request::get("/");
        for value in values {
            request = request.header(name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts
            .extensions
            .insert(ClientCertificate::from_der(b"of the connection"));
        Certificates::new(Some(header)).settle(&mut parts, peer.parse().unwrap());
        parts.extensions.remove()
    }

    fn expected() -> ClientCertificate {
        ClientCertificate::from_der(&certificate_from_pem(PEM).unwrap())
    }

    #[test]
    fn every_proxys_way_of_writing_is_read() {
        let base64 = base64();
        let envoy = format!(
            "By=spiffe://a/b;Hash=00;Subject=\"CN=a;b,c\\\";Cert=\\\"x\";Cert=\"{}\"",
            escaped(PEM)
        );
        for (name, value) in [
            ("client-cert", format!(":{base64}:")),
            ("x-ssl-client-cert", escaped(PEM)),
            ("x-ssl-client-cert", base64.clone()),
            ("x-forwarded-tls-client-cert", escaped(&base64)),
            ("x-forwarded-tls-client-cert", format!("{base64},AAAA")),
            ("x-forwarded-client-cert", envoy),
        ] {
            assert_eq!(
                settled(name, &[&value], "10.1.2.3"),
                Some(expected()),
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_and_what_is_not_clear_is_no_certificate() {
        let base64 = base64();
        let good = format!(":{base64}:");
        for values in [
            vec![],
            vec![""],
            vec!["(null)"],
            vec![":AAAA:"],
            vec!["%zz"],
            vec![&good[..good.len() - 1]],
            vec![&good, &good],
            vec![&format!("{base64},{base64}")],
            vec![&format!("{good}, {good}")],
            vec![&format!("{0}, {0}", escaped(PEM))],
        ] {
            assert_eq!(settled("client-cert", &values, "10.1.2.3"), None, "{values:?}");
        }
        let cert = escaped(PEM);
        for value in [
            format!("Cert=\"{cert}\",Cert=\"{cert}\""),
            format!("Cert=\"{cert}\";Cert=\"{cert}\""),
            format!("Hash=00;Subject=\"Cert={cert}\""),
        ] {
            assert_eq!(
                settled("x-forwarded-client-cert", &[&value], "10.1.2.3"),
                None,
                "{value}"
            );
        }
    }

    #[test]
    fn from_anybody_else_the_header_means_nothing() {
        let own = Some(ClientCertificate::from_der(b"of the connection"));
        let good = format!(":{}:", base64());
        for peer in ["11.0.0.1", "127.0.0.1", "::1"] {
            assert_eq!(settled("client-cert", &[&good], peer), own, "{peer}");
        }
        // And to whom it is believed, the connection's is not the client's.
        assert_eq!(settled("client-cert", &[], "10.1.2.3"), None);
    }
}
