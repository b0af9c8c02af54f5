//! No token, code, secret, cookie or verifier of a full run is anywhere where it could be read.

use std::time::Duration;

use super::{Browser, World};

const TRIES: [&str; 6] = [
    "wrong_audience",
    "wrong_issuer",
    "expired",
    "bad_signature",
    "missing_scope",
    "token_in_url",
];

/// All that could show a secret, by name.
struct Places(Vec<(&'static str, String)>);

impl Places {
    fn with(&self, secret: &str) -> Vec<&'static str> {
        self.0
            .iter()
            .filter(|(_, text)| text.contains(secret))
            .map(|(name, _)| *name)
            .collect()
    }
}

#[tokio::test]
async fn nothing_secret_is_logged_counted_asked_for_or_shown() {
    let world = World::start().await;
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    let mut cookies: Vec<String> = alice.cookies.values().cloned().collect();
    let user = alice.user(&world).await.json();
    alice.fetch("GET", &world.app("/api/orders"), "").await;
    alice.fetch("GET", &world.app("/api/orders/report"), "").await;
    world.clock.advance(250);
    assert_eq!(alice.fetch("GET", &world.app("/api/orders"), "").await.status, 200);
    for failure in TRIES {
        let answer = alice
            .fetch("POST", &world.app(&format!("/demo/try/{failure}")), "")
            .await;
        assert_eq!(answer.status, 200, "{failure}: {}", answer.body);
        assert!(
            answer.json()["event"]["fix"].as_str().is_some_and(|fix| fix.len() > 20),
            "{failure}"
        );
    }
    alice.fetch("GET", &world.app("/demo/events"), "").await;
    for page in ["/", "/events.json", "/metrics", "/readyz"] {
        let answer = alice.navigate(&format!("{}{page}", world.address("admin"))).await;
        assert_eq!(answer.status, 200, "{page}");
    }
    let stored = stored_bytes(&world);
    alice.go(&world.app(user["logout_url"].as_str().unwrap())).await;
    alice.go(&world.app("/bff/login")).await;
    cookies.extend(alice.cookies.values().cloned());
    assert!(world.demo.audit().flush(Duration::from_secs(5)));

    let log = String::from_utf8(world.log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("token_refreshed") && log.contains("logged_out"),
        "the log is that of a full run"
    );
    let metrics = world.demo.audit().metrics().render();
    let places = Places(vec![
        ("log", log),
        ("metrics", metrics),
        ("urls", alice.urls.join("\n")),
        ("pages", alice.pages.join("\n")),
        ("store", stored),
    ]);
    // The search finds what is there.
    assert_eq!(places.with("call_refused"), ["log", "metrics", "pages"]);
    assert_eq!(places.with("/bff/callback"), ["urls"]);

    let issued = world.demo.idp().control().issued_secrets();
    assert!(issued.len() > 10, "{}", issued.len());
    for secret in issued.iter().chain(&cookies).filter(|secret| secret.len() > 8) {
        let mut found = places.with(secret);
        if found == ["urls"] {
            // RFC 6749 s4.1.2: the code comes in the address of the callback, and of nothing else.
            let urls: Vec<&String> = alice.urls.iter().filter(|url| url.contains(secret.as_str())).collect();
            if urls.len() == 1 && urls[0].contains("/bff/callback?") {
                found.clear();
            }
        }
        assert!(
            found.is_empty(),
            "a secret of {} characters is in {found:?}",
            secret.len()
        );
    }
    for secret in ["demo-secret", "alice-demo", "code_verifier"] {
        let found = places.with(secret);
        // The demo shows the passwords of its people on purpose, by /demo/info alone; this run did not ask for it.
        assert!(found.is_empty(), "{secret} is in {found:?}");
    }
}

/// What whoever reads the disk could see of the sessions, while there is one.
fn stored_bytes(world: &World) -> String {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(world.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("portcullis.db") {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    assert!(bytes.len() > 4096);
    String::from_utf8_lossy(&bytes).into_owned()
}
