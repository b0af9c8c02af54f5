//! The gateway's own settings: what weakens it, and its certificate.

use portcullis_jose::UnixTime;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::{SOON, first_end};
use crate::config::Settings;
use crate::doctor::finding::{Area, Finding};
use crate::doctor::problems;
use crate::doctor::words::duration;
use crate::server::tls_acceptor;

pub(crate) fn gateway(settings: &Settings, now: UnixTime) -> Vec<Finding> {
    let mut area = Area::new("gateway");
    let dangers = settings.dangers();
    for danger in &dangers {
        let key = match danger.starts_with("dangerous_") {
            true => ["danger", "dangerous_allow_plain_http_upstream_hosts"],
            false => ["server", "development"],
        };
        area.warning("danger", &problems::DANGER, danger.as_str()).at(key);
    }
    if dangers.is_empty() {
        area.fine("danger", "no setting weakens it");
    }
    if let Some(tls) = &settings.server.tls {
        let at = ["server", "tls", "cert"];
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_file_iter(&tls.cert).and_then(Iterator::collect);
        match (tls_acceptor(tls), chain.ok().and_then(|chain| first_end(&chain))) {
            (Err(why), _) => drop(area.broken("certificate", &problems::OWN_CERTIFICATE, why).at(at)),
            (Ok(_), None) => drop(
                area.broken("certificate", &problems::OWN_CERTIFICATE, "it cannot be read")
                    .at(at),
            ),
            (Ok(_), Some(end)) => {
                let left = end.since(now);
                let when = portcullis_audit::rfc3339(end);
                match left {
                    left if left <= 0 => drop(
                        area.broken("certificate", &problems::OWN_CERTIFICATE, format!("over since {when}"))
                            .at(at),
                    ),
                    left if left < SOON => drop(
                        area.warning(
                            "certificate",
                            &problems::OWN_CERTIFICATE,
                            format!("ends in {}, {when}", duration(left)),
                        )
                        .at(at),
                    ),
                    left => area.fine("certificate", format!("ends in {}, {when}", duration(left))),
                }
            }
        }
    }
    area.into_findings()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::doctor::finding::Outcome;

    #[test]
    fn the_gateways_own_certificate_is_told_of_before_it_is_over() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tls");
        let dir = tempfile::tempdir().unwrap();
        let tls = dir.path();
        for name in ["localhost.pem", "localhost.key.pem", "issued.key.pem"] {
            std::fs::copy(data.join(name), tls.join(name)).unwrap();
            std::fs::set_permissions(tls.join(name), Permissions::from_mode(0o600)).unwrap();
        }
        let (cert, key) = (tls.join("localhost.pem"), tls.join("localhost.key.pem"));
        let text = |key: &Path| {
            format!(
                "[server]\npublic_url = \"https://localhost\"\ntls = {{ cert = {cert:?}, key = {key:?} }}\n\
                 [api.a]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\naccept = [\"anyone\"]\n"
            )
        };
        let env = std::collections::BTreeMap::<String, String>::new();
        let settings = |key: &Path| config::parse(&text(key), "f", Path::new("."), &env).unwrap();
        let outcome = |settings: &Settings, now: UnixTime| {
            let findings = gateway(settings, now);
            findings
                .iter()
                .find(|finding| finding.check == "certificate")
                .unwrap()
                .outcome
        };
        let end = first_end(&[CertificateDer::from_pem_file(&cert).unwrap()]).unwrap();
        let good = settings(&key);
        for (now, expected) in [
            (end.plus(-SOON), Outcome::Fine),
            (end.plus(1 - SOON), Outcome::Warning),
            (end, Outcome::Broken),
        ] {
            assert_eq!(outcome(&good, now), expected, "{now}");
        }
        let other = settings(&tls.join("issued.key.pem"));
        assert_eq!(outcome(&other, end.plus(-SOON)), Outcome::Broken, "the key of another");
    }
}
