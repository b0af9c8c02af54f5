//! The certificate of our own: what is shown to whom connects, and replaced while connections go on.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use portcullis_audit::{Audit, Event, Refused};
use portcullis_jose::sha256;
use tokio_rustls::TlsAcceptor;

use super::tls_acceptor;
use crate::config::{ClientCertificates, TlsSettings};

/// The files are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What new connections are met with.
#[derive(Clone)]
pub struct Tls {
    acceptor: Arc<RwLock<TlsAcceptor>>,
    /// The files as they were before they were read.
    files: Vec<Hash>,
}

/// `None` for a file that cannot be read.
type Hash = Option<[u8; 32]>;

// === impl Tls ===

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn read(settings: &TlsSettings) -> Result<Tls, String> {
        let files = hashes(settings);
        let acceptor = Arc::new(RwLock::new(tls_acceptor(settings)?));
        Ok(Tls { acceptor, files })
    }

    pub(super) fn now(&self) -> TlsAcceptor {
        self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, acceptor: TlsAcceptor) {
        *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
    }

    /// Takes over other files as soon as they are there, or `at_once` when that is called for. Files that cannot be used
    /// change nothing, and are told once: at the second look, as certificate and key are seldom replaced in one moment.
    pub(crate) async fn keep_up(self, settings: TlsSettings, at_once: Arc<tokio::sync::Notify>, audit: Audit) {
        let mut known = self.files.clone();
        let (mut seen, mut told) = (None, None);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = at_once.notified() => {}
            }
            let files = hashes(&settings);
            if files == known {
                (seen, told) = (None, None);
                continue;
            }
            let (acceptor, file) = (tls_acceptor(&settings), settings.cert.display().to_string());
            match acceptor {
                Ok(acceptor) => {
                    self.replace(acceptor);
                    audit.emit(None, Event::ServerCertificateLoaded { file });
                    known = files;
                    (seen, told) = (None, None);
                }
                Err(why) if seen.as_ref() == Some(&why) && told.as_ref() != Some(&why) => {
                    let refused = Refused::new("server.certificate_unusable").found(&why);
                    audit.emit(None, Event::ServerCertificateRefused { refused });
                    told = Some(why);
                }
                Err(why) => seen = Some(why),
            }
        }
    }
}

fn hashes(settings: &TlsSettings) -> Vec<Hash> {
    let authority = match &settings.client_certificates {
        ClientCertificates::IssuedBy(file) => Some(file),
        ClientCertificates::Any | ClientCertificates::NotAsked => None,
    };
    let files = [&settings.cert, &settings.key].into_iter().chain(authority);
    files
        .map(|file| std::fs::read(file).ok().map(|bytes| sha256(&bytes)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcullis_audit::AuditSettings;
    use portcullis_jose::SystemClock;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::*;

    fn data(name: &str) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tls");
        std::fs::read(path.join(name)).unwrap()
    }

    /// Whether a client that trusts this authority alone gets through the handshake.
    async fn trusts(tls: &Tls, authority: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&data(authority)).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let connector = TlsConnector::from(Arc::new(client));
        let name = ServerName::try_from("localhost").unwrap();
        let (client, _) = tokio::join!(connector.connect(name, theirs), tls.now().accept(ours));
        client.is_ok()
    }

    /// The last event, once there are so many.
    async fn event(audit: &Audit, number: usize) -> String {
        for _ in 0..100 {
            if let Some(last) = audit.recent(0).last().filter(|_| audit.recent(0).len() == number) {
                return last.json();
            }
            tokio::time::sleep(LOOK_EVERY / 2).await;
        }
        panic!("{:?}", audit.recent(0))
    }

    #[tokio::test(start_paused = true)]
    async fn another_certificate_is_shown_as_soon_as_its_pair_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, from: &str| std::fs::write(dir.path().join(name), data(from)).unwrap();
        put("cert.pem", "localhost.pem");
        put("key.pem", "localhost.key.pem");
        let settings = TlsSettings {
            cert: dir.path().join("cert.pem"),
            key: dir.path().join("key.pem"),
            client_certificates: ClientCertificates::NotAsked,
        };
        let audit = Audit::new(AuditSettings::in_memory(), Arc::new(SystemClock));
        let (tls, called) = (Tls::read(&settings).unwrap(), Arc::new(tokio::sync::Notify::new()));
        tokio::spawn(tls.clone().keep_up(settings, called.clone(), audit.clone()));
        assert!(trusts(&tls, "localhost.pem").await);

        // Half of a pair, which is told once and shown to nobody.
        put("key.pem", "other.key.pem");
        let told = event(&audit, 1).await;
        assert!(
            told.contains("server_certificate_refused") && told.contains("of one pair"),
            "{told}"
        );
        assert!(trusts(&tls, "localhost.pem").await);
        tokio::time::sleep(LOOK_EVERY * 3).await;

        put("cert.pem", "other.pem");
        called.notify_one();
        let told = event(&audit, 2).await;
        assert!(told.contains("server_certificate_loaded"), "{told}");
        assert!(trusts(&tls, "other.pem").await && !trusts(&tls, "localhost.pem").await);
        assert_eq!(audit.recent(0).len(), 2);
    }
}
