//! Tokens that are bound to a client certificate: from our own TLS listener, and from a proxy in front.

use std::sync::Arc;

use portcullis_jose::{base64url_encode, certificate_from_pem, sha256};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Gate;
use super::dpop::bound_token;
use super::raw::Reply;

pub(super) const SERVER: &str = include_str!("../../../../crates/proxy/tests/data/localhost.pem");
pub(super) const SERVER_KEY: &str = include_str!("../../../../crates/proxy/tests/data/localhost.key.pem");
pub(super) const SERVER_CA: &str = include_str!("../../../../crates/proxy/tests/data/ca.pem");
pub(super) const SELF_SIGNED: (&str, &str) = (
    include_str!("../../../data/tls/self-signed.pem"),
    include_str!("../../../data/tls/self-signed.key.pem"),
);
pub(super) const ISSUED: (&str, &str) = (
    include_str!("../../../data/tls/issued.pem"),
    include_str!("../../../data/tls/issued.key.pem"),
);
pub(super) const CLIENT_CA: &str = include_str!("../../../data/tls/client-ca.pem");

/// A gateway that ends TLS itself, with this beside certificate and key.
async fn gate(setting: &str) -> Gate {
    let mut gate = Gate::start_on_https().await;
    for (name, text) in [("tls.pem", SERVER), ("tls.key", SERVER_KEY), ("clients.pem", CLIENT_CA)] {
        let path = gate.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    let tls = format!("tls = {{ cert = \"tls.pem\", key = \"tls.key\"{setting} }}\n\n        [store]");
    gate.text = gate.text.replacen("[store]", &tls, 1);
    gate.restart().await;
    gate
}

/// Shows a certificate, whether or not the key is its own.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Calls the API over TLS; `None` where the connection was refused.
async fn call(
    gate: &Gate,
    version: &'static SupportedProtocolVersion,
    client: Option<(&str, &str)>,
    token: &str,
    more: &str,
) -> Option<Reply> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(SERVER_CA.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            let key = provider.key_provider.load_private_key(key).unwrap();
            config.with_client_cert_resolver(Arc::new(Shown(Arc::new(CertifiedKey::new(chain, key)))))
        }
    };
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let host = gate.host();
    let request = format!(
        "GET /api/machine/1 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
    );
    // With TLS 1.3 a client learns after its handshake that its certificate was refused.
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    (!answer.is_empty()).then(|| Reply::parse(&String::from_utf8_lossy(&answer)))
}

fn token_for(gate: &Gate, certificate: &str) -> String {
    let thumbprint = sha256(&certificate_from_pem(certificate).unwrap());
    bound_token(gate, &json!({"x5t#S256": base64url_encode(&thumbprint)}))
}

#[tokio::test]
async fn any_certificate_will_do_as_long_as_it_is_the_tokens() {
    let gate = gate(", client_certificates = true").await;
    let (token, plain) = (token_for(&gate, SELF_SIGNED.0), gate.token());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (client, token, status) in [
            (Some(SELF_SIGNED), &token, 200),
            (Some(ISSUED), &token, 401),
            (None, &token, 401),
            // The certificate is asked for, not demanded.
            (None, &plain, 200),
            (Some(ISSUED), &plain, 200),
        ] {
            let reply = call(&gate, version, client, token, "").await.unwrap();
            assert_eq!(reply.status, status, "{version:?} {}", reply.body);
            if status == 401 {
                assert_eq!(gate.last_code(), "token.binding_required");
                assert!(reply.header("www-authenticate").contains("error=\"invalid_token\""));
            }
        }
        // Who shows the certificate and has not its key is let go.
        let stolen = (SELF_SIGNED.0, ISSUED.1);
        assert!(call(&gate, version, Some(stolen), &token, "").await.is_none());
    }
    // A header is nothing here: no proxy was named.
    let header = format!("Client-Cert: :{}:\r\n", base64_of(SELF_SIGNED.0));
    let reply = call(&gate, &rustls::version::TLS13, None, &token, &header)
        .await
        .unwrap();
    assert_eq!(reply.status, 401);
    let reply = call(&gate, &rustls::version::TLS13, None, &plain, &header)
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert!(gate.upstream.last().all("client-cert").is_empty());
}

#[tokio::test]
async fn with_an_authority_only_its_certificates_connect() {
    let gate = gate(", client_ca = \"clients.pem\"").await;
    let (issued, own) = (token_for(&gate, ISSUED.0), token_for(&gate, SELF_SIGNED.0));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let reply = call(&gate, version, Some(ISSUED), &issued, "").await.unwrap();
        assert_eq!(reply.status, 200);
        assert!(call(&gate, version, Some(SELF_SIGNED), &own, "").await.is_none());
        assert_eq!(call(&gate, version, None, &issued, "").await.unwrap().status, 401);
    }
}

#[tokio::test]
async fn a_listener_that_asks_for_no_certificate_proves_nothing() {
    let gate = gate("").await;
    let token = token_for(&gate, SELF_SIGNED.0);
    let reply = call(&gate, &rustls::version::TLS13, Some(SELF_SIGNED), &token, "")
        .await
        .unwrap();
    assert_eq!(reply.status, 401);
    assert_eq!(gate.last_code(), "token.binding_required");
}

fn base64_of(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

/// Behind a proxy at this address.
async fn behind(proxies: &str) -> Gate {
    let mut gate = Gate::start_on_https().await;
    let header = format!(
        "client_certificate_header = {{ name = \"X-SSL-Client-Cert\", trusted_proxies = [\"{proxies}\"] }}\n\n[store]"
    );
    gate.text = gate.text.replacen("[store]", &header, 1);
    gate.restart().await;
    gate
}

async fn with_header(gate: &Gate, token: &str, headers: &[&str]) -> Reply {
    let bearer = format!("Bearer {token}");
    let mut all = vec![("Authorization", bearer.as_str())];
    all.extend(headers.iter().map(|value| ("X-SSL-Client-Cert", *value)));
    gate.call("GET", "/api/machine/1", &all).await
}

#[tokio::test]
async fn the_word_of_a_trusted_proxy_counts_and_nobody_elses() {
    let good = base64_of(SELF_SIGNED.0);
    let other = base64_of(ISSUED.0);
    let gate = behind("127.0.0.0/8").await;
    let token = token_for(&gate, SELF_SIGNED.0);
    for (headers, status) in [
        (vec![good.as_str()], 200),
        (vec![&other], 401),
        (vec![""], 401),
        (vec![], 401),
        (vec!["no certificate"], 401),
        (vec![&good, &good], 401),
    ] {
        let reply = with_header(&gate, &token, &headers).await;
        assert_eq!(reply.status, status, "{headers:?}");
    }
    assert_eq!(gate.upstream.hits(), 1);
    assert!(gate.upstream.last().all("x-ssl-client-cert").is_empty(), "for us alone");

    // The same header of somebody who is no proxy, also where the token is bound to nothing.
    let gate = behind("10.0.0.0/8").await;
    let token = token_for(&gate, SELF_SIGNED.0);
    assert_eq!(with_header(&gate, &token, &[&good]).await.status, 401);
    assert_eq!(gate.last_code(), "token.binding_required");
    assert_eq!(with_header(&gate, &gate.token(), &[&good]).await.status, 200);
    assert!(gate.upstream.last().all("x-ssl-client-cert").is_empty());
}
