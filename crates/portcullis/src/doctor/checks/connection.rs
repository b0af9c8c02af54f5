//! The way to a server: name, connection, TLS.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_jose::{Clock, UnixTime};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime as TlsTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::certificate::{SOON, first_end};
use crate::config::ProviderSettings;
use crate::doctor::finding::Area;
use crate::doctor::problems;
use crate::doctor::words::duration;

/// As `portcullis-oidc` waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the server can be asked over HTTP at all.
pub(super) async fn connection(
    area: &mut Area,
    name: &str,
    provider: &ProviderSettings,
    url: &Url,
    clock: &dyn Clock,
) -> bool {
    let at = [
        "provider",
        name,
        if provider.discovery.is_some() {
            "discovery"
        } else {
            "issuer"
        },
    ];
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return false;
    };
    // The brackets of an IPv6 address belong to the URL.
    let host = host.trim_matches(['[', ']']);
    let addresses = match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            area.broken("dns", &problems::NAME_UNRESOLVED, format!("{host}: {error}"))
                .at(at);
            return false;
        }
        Err(_) => {
            area.broken("dns", &problems::NAME_UNRESOLVED, format!("{host}: no answer"))
                .at(at);
            return false;
        }
    };
    let shown: Vec<String> = addresses
        .iter()
        .take(4)
        .map(|address| address.ip().to_string())
        .collect();
    area.fine("dns", format!("{host}: {}", shown.join(", ")));
    let begun = Instant::now();
    let stream = match tokio::time::timeout(PATIENCE, TcpStream::connect(&*addresses)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            area.broken("tcp", &problems::NOT_CONNECTED, format!("{host}:{port}: {error}"))
                .at(at);
            return false;
        }
        Err(_) => {
            area.broken("tcp", &problems::NOT_CONNECTED, format!("{host}:{port}: no answer"))
                .at(at);
            return false;
        }
    };
    area.fine("tcp", format!("{host}:{port} in {} ms", begun.elapsed().as_millis()));
    match url.scheme() {
        "https" => tls(area, provider, host, stream, at, clock.now()).await,
        _ => {
            area.skipped("tls", "plain http, which is accepted on loopback alone");
            true
        }
    }
}

async fn tls(
    area: &mut Area,
    provider: &ProviderSettings,
    host: &str,
    stream: TcpStream,
    at: [&str; 3],
    now: UnixTime,
) -> bool {
    let recording = match Recording::new(provider) {
        Ok(recording) => Arc::new(recording),
        Err(why) => {
            area.broken("tls", &problems::TLS_UNTRUSTED, why)
                .at(["provider", at[1], "ca_file"]);
            return false;
        }
    };
    let Ok(server) = ServerName::try_from(host.to_owned()) else {
        area.broken("tls", &problems::TLS_FAILED, format!("{host} is no name of a server"))
            .at(at);
        return false;
    };
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = match ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions() {
        // The verifier only looks on: it refuses what the one inside refuses.
        Ok(builder) => builder
            .dangerous()
            .with_custom_certificate_verifier(recording.clone())
            .with_no_client_auth(),
        Err(error) => {
            area.broken("tls", &problems::TLS_FAILED, error.to_string()).at(at);
            return false;
        }
    };
    let connector = TlsConnector::from(Arc::new(config));
    let shaken = match tokio::time::timeout(PATIENCE, connector.connect(server, stream)).await {
        Ok(shaken) => shaken.map_err(|error| error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    };
    let chain = recording.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let end = first_end(&chain);
    match shaken {
        Err(why) if chain.is_empty() => {
            area.broken("tls", &problems::TLS_FAILED, why).at(at);
            false
        }
        Err(why) => {
            let end = end.map_or_else(String::new, |end| {
                format!("; it ends {}", portcullis_audit::rfc3339(end))
            });
            area.broken("tls", &problems::TLS_UNTRUSTED, format!("{why}{end}"))
                .at(at);
            false
        }
        Ok(stream) => {
            let version = stream.get_ref().1.protocol_version();
            let version = version
                .and_then(|version| version.as_str())
                .unwrap_or("TLS")
                .replace("TLSv1_", "TLS 1.");
            area.fine("tls", format!("{version}, a chain of {}", chain.len()));
            ends(area, end, now, at);
            true
        }
    }
}

/// What there is to say about the end of a certificate.
fn ends(area: &mut Area, end: Option<UnixTime>, now: UnixTime, at: [&str; 3]) {
    let Some(end) = end else { return };
    let left = end.since(now);
    let told = format!("ends in {}, {}", duration(left), portcullis_audit::rfc3339(end));
    match left {
        left if left < SOON => drop(area.warning("certificate", &problems::CERTIFICATE_ENDS, told).at(at)),
        _ => area.fine("certificate", told),
    }
}

/// Keeps what the server sent, also where the verifier inside refuses it.
#[derive(Debug)]
struct Recording {
    inner: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Vec<CertificateDer<'static>>>,
}

// === impl Recording ===

impl Recording {
    fn new(provider: &ProviderSettings) -> Result<Recording, String> {
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let inner: Arc<dyn ServerCertVerifier> = match &provider.ca_file {
            None => Arc::new(rustls_platform_verifier::Verifier::new(crypto).map_err(|error| error.to_string())?),
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
                    let certificate = certificate.map_err(|error| wrong(&error))?;
                    roots.add(certificate).map_err(|error| wrong(&error))?;
                }
                WebPkiServerVerifier::builder_with_provider(roots.into(), crypto)
                    .build()
                    .map_err(|error| wrong(&error))?
            }
        };
        Ok(Recording {
            inner,
            seen: Mutex::default(),
        })
    }
}

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: TlsTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            all.map(|certificate| certificate.clone().into_owned()).collect();
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use portcullis_jose::ManualClock;
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::{self, TlsSettings};
    use crate::doctor::finding::Outcome;
    use crate::server::tls_acceptor;

    /// A certificate for localhost and 127.0.0.1 that vouches for itself.
    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/data/tls")
            .join(name)
    }

    fn provider(issuer: &str, ca: Option<&str>) -> ProviderSettings {
        let ca = ca.map(|ca| format!("ca_file = {:?}", file(ca))).unwrap_or_default();
        let text = format!(
            "server.public_url = \"http://127.0.0.1:8080\"\n[provider.a]\nissuer = \"{issuer}\"\n{ca}\n[api.a]\npath = \"/a\"\n\
             upstream = \"http://127.0.0.1:1\"\nprovider = \"a\"\naudience = \"a\"\npolicy = \"authenticated\"\n"
        );
        let env = std::collections::BTreeMap::<String, String>::new();
        let mut settings = config::parse(&text, "f", Path::new("."), &env).unwrap();
        settings.providers.remove("a").unwrap()
    }

    /// What is found of a server with TLS, at a time.
    async fn found(ca: Option<&str>, now: i64) -> (bool, Vec<(&'static str, Outcome, Option<&'static str>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = TlsSettings {
            cert: file("localhost.pem"),
            key: file("localhost.key.pem"),
            client_certificates: config::ClientCertificates::NotAsked,
        };
        let acceptor = tls_acceptor(&tls).unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(stream).await;
        });
        let issuer = format!("https://{address}");
        let mut area = Area::new("provider a");
        let clock = ManualClock::at(UnixTime::from_secs(now));
        let url = Url::parse(&issuer).unwrap();
        let reached = connection(&mut area, "a", &provider(&issuer, ca), &url, &clock).await;
        server.await.unwrap();
        let findings = area.into_findings();
        let told = findings.iter().map(|finding| {
            (
                finding.check,
                finding.outcome,
                finding.problem.map(|problem| problem.code),
            )
        });
        (reached, told.collect())
    }

    #[tokio::test]
    async fn a_chain_that_is_trusted_passes_and_its_end_is_told_ahead() {
        let end = first_end(&[CertificateDer::from_pem_file(file("localhost.pem")).unwrap()])
            .unwrap()
            .as_secs();
        let fine = |check| (check, Outcome::Fine, None);
        let (reached, told) = found(Some("localhost.pem"), end - SOON).await;
        assert!(reached);
        assert_eq!(told, [fine("dns"), fine("tcp"), fine("tls"), fine("certificate")]);
        let (reached, told) = found(Some("localhost.pem"), end - SOON + 1).await;
        assert!(reached);
        assert_eq!(
            told.last(),
            Some(&("certificate", Outcome::Warning, Some("doctor.certificate_ends")))
        );
    }

    #[tokio::test]
    async fn a_chain_that_nobody_vouches_for_is_not_trusted() {
        for ca in [None, Some("client-ca.pem")] {
            let (reached, told) = found(ca, 0).await;
            assert!(!reached, "{ca:?}");
            assert_eq!(
                told.last(),
                Some(&("tls", Outcome::Broken, Some("doctor.tls_untrusted"))),
                "{ca:?}"
            );
        }
    }
}
