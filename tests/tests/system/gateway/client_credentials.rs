//! How the gateway proves itself to the provider, and what happens while that changes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_audit::{Event, rfc3339};
use portcullis_idp::Client;
use portcullis_jose::{Algorithm, Clock, Secret, SigningKey, base64url_encode, sha256};
use portcullis_oidc::client_auth::AuthMethod;
use serde_json::json;

use super::mtls::{ISSUED, SELF_SIGNED, SERVER_CA};
use super::scripted::Scripted;
use super::{Gate, START, STEP, WEB_SECRET};
use crate::demo::Browser;

const INLINE: &str = "secret = { env = \"WEB_SECRET\" }";

/// Writes a file whose place others keep: the new one is there in one step.
fn put(gate: &Gate, name: &str, content: &str) {
    let path = gate.dir.path().join(name);
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    private(&new);
    std::fs::rename(new, path).unwrap();
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(_: &Path) {}

/// A gateway whose client proves itself with this.
async fn gate(setting: &str, files: &[(&str, &str)]) -> Gate {
    let mut gate = Gate::start().await;
    for (name, content) in files {
        put(&gate, name, content);
    }
    gate.text = gate.text.replacen(INLINE, setting, 1);
    gate.restart().await;
    gate
}

/// The client `web` with other means to prove itself.
fn web(gate: &Gate, change: impl FnOnce(&mut Client)) {
    let mut client = super::provider_of(&gate.origin).clients.remove(0);
    client.secret = None;
    change(&mut client);
    gate.idp.control().put_client(client).unwrap();
}

/// The events about credentials, in words.
fn told(gate: &Gate) -> Vec<String> {
    let records = gate.audit.recent(0);
    let words = records.iter().filter_map(|record| match &record.event {
        Event::ClientCredentialRefused {
            client,
            credential,
            next,
        } => Some(format!(
            "{client}: {credential} refused, next {}",
            next.as_deref().unwrap_or("none")
        )),
        Event::ClientCredentialUnreadable { credential, reason, .. } => Some(format!("{credential}: {reason}")),
        _ => None,
    });
    words.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_replaced_under_load_without_one_failed_login() {
    // People are of this thread; the gateway and the provider have the others.
    tokio::task::LocalSet::new().run_until(replaced_under_load()).await;
}

async fn replaced_under_load() {
    let gate = Arc::new(gate("secret = { file = \"web.secret\" }", &[("web.secret", WEB_SECRET)]).await);
    let (stop, logins) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let people: Vec<_> = (0..4)
        .map(|_| {
            let (gate, stop, logins) = (gate.clone(), stop.clone(), logins.clone());
            tokio::task::spawn_local(async move {
                while !stop.load(Ordering::Relaxed) {
                    // It asserts that there is a session.
                    let browser = gate.sign_in().await;
                    drop(browser);
                    logins.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more_logins = async |count: usize| {
        let goal = logins.load(Ordering::Relaxed) + count;
        let reached = async {
            while logins.load(Ordering::Relaxed) < goal {
                tokio::time::sleep(STEP).await;
            }
        };
        tokio::time::timeout(START, reached).await.expect("people sign in");
    };
    let knows = |secrets: &[&str]| {
        let secrets = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        assert!(gate.idp.control().set_client_secrets("web", secrets));
    };
    more_logins(4).await;
    // The provider first, as one does it.
    knows(&[WEB_SECRET, "second"]);
    more_logins(4).await;
    put(&gate, "web.secret", "second\n");
    more_logins(8).await;
    knows(&["second"]);
    more_logins(4).await;
    // The file first: until the provider knows the new one, the old one is the next that is tried.
    put(&gate, "web.secret", "third\n");
    more_logins(8).await;
    knows(&["second", "third"]);
    more_logins(4).await;
    knows(&["third"]);
    more_logins(4).await;
    stop.store(true, Ordering::Relaxed);
    for person in people {
        person.await.unwrap();
    }
    let told = told(&gate);
    assert!(
        !told.is_empty() && told.iter().all(|line| line.contains("secret (file ")),
        "{told:#?}"
    );
    let log = gate.logged();
    for secret in [WEB_SECRET, "second", "third"] {
        assert!(!log.contains(&format!("\"{secret}")), "{secret}");
    }
    // The one that is refused is not tried again with each login.
    assert!(told.len() < 8, "{told:#?}");
}

#[tokio::test]
async fn of_several_secrets_the_one_that_works_is_found_and_kept() {
    let gate = gate(
        "secret = [{ file = \"new\" }, { file = \"old\" }]",
        &[("new", "not known yet"), ("old", WEB_SECRET)],
    )
    .await;
    gate.idp.control().clear_request_log();
    let refused = || {
        let log = gate.idp.control().request_log();
        let refused = log
            .iter()
            .filter(|entry| entry.error.as_deref() == Some("invalid_client"));
        refused.count()
    };
    drop(gate.sign_in().await);
    let first = format!("secret 1 (file {})", gate.dir.path().join("new").display());
    let second = format!("secret 2 (file {})", gate.dir.path().join("old").display());
    assert_eq!(told(&gate), [format!("web: {first} refused, next {second}")]);
    assert_eq!(refused(), 1);
    drop(gate.sign_in().await);
    assert_eq!(refused(), 1, "that is remembered");
    let metrics = gate.audit.metrics().render();
    assert!(
        metrics.contains("portcullis_client_credentials_refused_total{client=\"web\"} 1"),
        "{metrics}"
    );
    // A file that others could read, or that holds nothing, is told of once; what was there stays in use.
    put(&gate, "old", "\n");
    drop(gate.sign_in().await);
    drop(gate.sign_in().await);
    assert_eq!(told(&gate)[1..], [format!("{second}: nothing in it")]);
    assert_eq!(refused(), 1);
}

/// What a program gives is asked for again when the provider refuses what it gave before.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_run_again_when_its_secret_is_refused() {
    let setting = "secret = { command = [\"cat\", \"web.secret\"] }";
    let gate = gate(setting, &[("web.secret", WEB_SECRET)]).await;
    gate.sign_in().await;
    put(&gate, "web.secret", "second");
    gate.sign_in().await;
    assert_eq!(told(&gate), Vec::<String>::new(), "what was read is good still");
    let known = vec![Secret::new("second")];
    assert!(gate.idp.control().set_client_secrets("web", known));
    gate.sign_in().await;
    gate.sign_in().await;
    let refused = told(&gate);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("refused, next"), "{refused:?}");
}

#[tokio::test]
async fn people_sign_in_through_a_client_with_a_key() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let pem = key.to_pkcs8_pem().unwrap();
    let gate = gate("private_key = { file = \"key.pem\" }", &[("key.pem", pem.expose())]).await;
    web(&gate, |client| {
        client.jwks = Some(json!({ "keys": [key.public_jwk()] }))
    });
    let mut browser = gate.sign_in().await;
    assert_eq!(gate.fetch(&mut browser, "/api/orders").await.status, 200);
    // Another key at the provider, and then here too.
    let next = SigningKey::generate(Algorithm::ES256).unwrap();
    web(&gate, |client| {
        client.jwks = Some(json!({ "keys": [next.public_jwk()] }))
    });
    let mut browser = Browser::new();
    let callback = gate.until_callback(&mut browser).await;
    let answer = gate.visit(&mut browser, callback.as_str()).await;
    assert_eq!(
        (answer.status.as_u16(), gate.last_code().as_str()),
        (502, "provider.client_rejected")
    );
    put(&gate, "key.pem", next.to_pkcs8_pem().unwrap().expose());
    drop(gate.sign_in().await);
}

#[tokio::test]
async fn people_sign_in_through_a_client_with_a_certificate() {
    let setting =
        "certificate = { cert = \"client.pem\", key = \"client.key\" }\nauth = \"self_signed_tls_client_auth\"";
    let files = [
        ("client.pem", SELF_SIGNED.0),
        ("client.key", SELF_SIGNED.1),
        ("ca.pem", SERVER_CA),
    ];
    let mut gate = gate(setting, &files).await;
    gate.text = gate.text.replacen(
        "id_token_algorithm",
        "ca_file = \"ca.pem\"\n        id_token_algorithm",
        1,
    );
    gate.restart().await;
    web(&gate, |client| {
        client.tls_client_certificates = vec![SELF_SIGNED.0.into()]
    });
    let mut browser = gate.sign_in().await;
    assert_eq!(gate.fetch(&mut browser, "/api/orders").await.status, 200);
    // Another certificate, here and there, without a restart.
    web(&gate, |client| client.tls_client_certificates = vec![ISSUED.0.into()]);
    put(&gate, "client.key", ISSUED.1);
    put(&gate, "client.pem", ISSUED.0);
    drop(gate.sign_in().await);
}

/// RFC 8705 s2.1: an authority vouches for it, and it has the name that is registered.
#[tokio::test]
async fn people_sign_in_through_a_client_whose_certificate_an_authority_has_issued() {
    let setting = "certificate = { cert = \"client.pem\", key = \"client.key\" }";
    let files = [
        ("client.pem", ISSUED.0),
        ("client.key", ISSUED.1),
        ("ca.pem", SERVER_CA),
    ];
    let mut gate = gate(setting, &files).await;
    let with_ca = "ca_file = \"ca.pem\"\n        id_token_algorithm";
    gate.text = gate.text.replacen("id_token_algorithm", with_ca, 1);
    gate.restart().await;
    let registered = |name: &str| {
        web(&gate, |client| {
            client.token_endpoint_auth_method = Some(AuthMethod::Tls);
            client.tls_client_auth_san_dns = Some(name.into());
        });
    };
    let refused = async || {
        let mut browser = Browser::new();
        let callback = gate.until_callback(&mut browser).await;
        let answer = gate.visit(&mut browser, callback.as_str()).await;
        assert_eq!(
            (answer.status.as_u16(), gate.last_code().as_str()),
            (502, "provider.client_rejected")
        );
        assert!(gate.session(&browser).is_none());
    };
    registered("client.test");
    let mut browser = gate.sign_in().await;
    assert_eq!(gate.fetch(&mut browser, "/api/orders").await.status, 200);
    // Its certificate renews a token too.
    gate.clock.advance(290);
    assert_eq!(gate.fetch(&mut browser, "/api/orders").await.status, 200);
    assert_eq!(gate.idp.control().token_counts().refreshes, 1);
    // Somebody else's name; and a certificate that nobody vouches for.
    registered("another.test");
    refused().await;
    registered("client.test");
    put(&gate, "client.key", SELF_SIGNED.1);
    put(&gate, "client.pem", SELF_SIGNED.0);
    // For an hour the one of before is the second choice.
    drop(gate.sign_in().await);
    gate.clock.advance(3_601);
    refused().await;
    put(&gate, "client.key", ISSUED.1);
    put(&gate, "client.pem", ISSUED.0);
    drop(gate.sign_in().await);
}

/// RFC 6749 s2.3.1, s3.2.1: it has nothing to prove itself with, and says who it is.
#[tokio::test]
async fn people_sign_in_through_a_public_client() {
    let mut gate = gate("auth = \"none\"", &[]).await;
    // A provider that knows a secret of the client's refuses it without.
    let mut browser = Browser::new();
    let callback = gate.until_callback(&mut browser).await;
    let answer = gate.visit(&mut browser, callback.as_str()).await;
    assert_eq!(
        (answer.status.as_u16(), gate.last_code().as_str()),
        (502, "provider.client_rejected")
    );
    assert!(gate.session(&browser).is_none());
    web(&gate, |_| {});
    let mut browser = gate.sign_in().await;
    assert_eq!(gate.fetch(&mut browser, "/api/orders").await.status, 200);
    gate.clock.advance(290);
    assert_eq!(gate.fetch(&mut browser, "/api/orders").await.status, 200);
    assert_eq!(gate.idp.control().token_counts().refreshes, 1);

    let provider = Scripted::before(&mut gate, json!({})).await;
    let answer = provider.sign_in(&gate, &mut Browser::new(), "/bff/login").await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let (authorization, form) = provider.token_requests().remove(0);
    assert_eq!((authorization, form["client_id"].as_str()), (None, "web"));
    let names: Vec<&str> = form.keys().map(String::as_str).collect();
    let expected = ["client_id", "code", "code_verifier", "grant_type", "redirect_uri"];
    assert_eq!(names, expected, "PKCE and no secret");
    assert_eq!(provider.asked()["code_challenge_method"], "S256");
    // RFC 7636 s4.2: the one is the hash of the other.
    let hash = sha256(form["code_verifier"].as_bytes());
    assert_eq!(provider.asked()["code_challenge"], base64url_encode(&hash));
}

#[tokio::test]
async fn a_secret_that_expires_is_told_of_and_the_gateway_stays_ready() {
    let start = Gate::start().await;
    let expires = rfc3339(start.clock.now().plus(6 * 86_400 + 60));
    drop(start);
    let setting = format!("secret = {{ file = \"web.secret\", expires = \"{expires}\" }}");
    let gate = gate(&setting, &[("web.secret", WEB_SECRET)]).await;
    let told = async {
        loop {
            let records = gate.audit.recent(0);
            let found = records.iter().find_map(|record| match &record.event {
                Event::ClientCredentialExpiring {
                    client,
                    credential,
                    days,
                    ..
                } => Some((client.clone(), credential.clone(), *days)),
                _ => None,
            });
            match found {
                Some(found) => return found,
                None => tokio::time::sleep(STEP).await,
            }
        }
    };
    let (client, credential, days) = tokio::time::timeout(START, told).await.expect("it is told");
    assert_eq!((client.as_str(), days), ("web", 6));
    let readiness = gate.running.as_ref().unwrap().readiness()();
    let name = format!("{credential} of client web");
    let check = readiness.checks.iter().find(|check| check.name == name).unwrap();
    assert!(readiness.ready && check.ready);
    assert_eq!(check.detail, format!("expires in 6 days, at {expires}"));
    let metrics = gate.audit.metrics().render();
    assert!(
        metrics.contains("portcullis_client_credential_expires_seconds{client=\"web\""),
        "{metrics}"
    );
    // Once it has expired it is tried all the same: the date may be wrong, and there is no other.
    gate.clock.advance(7 * 86_400);
    drop(gate.sign_in().await);
}
