//! Keys and secrets that are replaced while the gateway runs and people sign in.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_audit::Event;
use portcullis_idp::GrantType;
use portcullis_jose::Secret;
use portcullis_store::SealingKey;
use portcullis_store::contract::servers::until;

use super::stores::{KEY, NEWER, write_key};
use super::{AUDIENCE, BILLING, Gate, START};
use crate::demo::Browser;

const DAY: i64 = 86_400;
const JWKS: &str = "/.well-known/portcullis/jwks.json";

/// Replaces a file that is for its owner alone, as a careful operator does it.
fn replace(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&draft).unwrap().write_all(text.as_bytes()).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// A command line, run as it is typed, with this configuration.
async fn typed(words: &[&str], config: &Path) {
    let line = ["portcullis"].iter().chain(words).map(Into::into);
    let line: Vec<OsString> = line.chain(["--config".into(), config.into()]).collect();
    let ended = tokio::task::spawn_blocking(move || portcullis::cli::run_line(line)).await;
    assert_eq!(
        format!("{:?}", ended.unwrap()),
        format!("{:?}", ExitCode::SUCCESS),
        "{words:?}"
    );
}

/// Puts these keys into the ring's file, and waits until the gateway has them.
async fn ring(gate: &Gate, keys: &[&str]) {
    let change = async || replace(&gate.dir.path().join("sessions.key"), &keys.join("\n"));
    taken_over(gate, keys.len(), change).await;
}

/// Changes the ring's file, and waits until the gateway has so many keys.
async fn taken_over(gate: &Gate, count: usize, change: impl AsyncFnOnce()) {
    let mut events = gate.audit.subscribe();
    change().await;
    let loaded = async {
        loop {
            if let Event::SealingKeysLoaded { keys: loaded } = &events.recv().await.unwrap().event
                && loaded.len() == count
            {
                return;
            }
        }
    };
    tokio::time::timeout(START, loaded)
        .await
        .expect("the file is read again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_beside_the_store_is_read_again_too() {
    let gate = Gate::start().await;
    let old = std::fs::read_to_string(gate.dir.path().join("sessions.key")).unwrap();
    let old = old.lines().find(|line| !line.starts_with('#')).unwrap();
    let status = async |browser: &Browser| {
        let headers = [("Cookie", gate.cookie(browser)), ("X-CSRF", "1".into())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        gate.call("GET", "/bff/user", &headers).await.status
    };
    let before = gate.sign_in().await;
    ring(&gate, &[NEWER, old]).await;
    assert_eq!(status(&before).await, 200);
    let after = gate.sign_in().await;
    // Without any login or write in between: the new key alone.
    ring(&gate, &[NEWER]).await;
    assert_eq!((status(&before).await, status(&after).await), (200, 200));
}

/// A program is run every half minute, so that this one takes as long.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_says_of_the_ring_is_asked_for_again() {
    let store = "url = \"sqlite:sessions.db\"\nkeys = [{ command = [\"cat\", \"seal.key\"] }]";
    let mut gate = Gate::start_on(store).await;
    let status = async |gate: &Gate, browser: &Browser| {
        let cookie = gate.cookie(browser);
        let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
        gate.call("GET", "/bff/user", &headers).await.status
    };
    let (comes, stays_away) = (gate.sign_in().await, gate.sign_in().await);
    taken_over(&gate, 2, async || write_key(gate.dir.path(), &[NEWER, KEY])).await;
    assert_eq!(status(&gate, &comes).await, 200, "the old key opens");
    let new = gate.sign_in().await;
    // What is sealed from then on is sealed with the new key: it is enough.
    write_key(gate.dir.path(), &[NEWER]);
    gate.restart().await;
    assert_eq!((status(&gate, &comes).await, status(&gate, &new).await), (200, 200));
    assert_eq!(status(&gate, &stays_away).await, 401);
    assert_eq!(gate.last_code(), "session.invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_keys_are_replaced_on_their_schedule_and_sealed_anew() {
    let secret = "secret = { env = \"WEB_SECRET\" }";
    let keys = "own_keys = { file = \"web.keys\" }";
    let mut gate = Gate::start_with(None, |text, _| text.replacen(secret, keys, 1)).await;
    // The provider comes for the public keys to where they are published.
    let mut client = super::provider_of(&gate.origin).clients.remove(0);
    client.secret = None;
    client.jwks_uri = Some(format!("{}{JWKS}", gate.origin));
    gate.idp.control().put_client(client).unwrap();
    let kids = async || {
        let set = gate.call("GET", JWKS, &[]).await.json();
        let kid = |key: &serde_json::Value| key["kid"].as_str().unwrap().to_owned();
        set["keys"].as_array().unwrap().iter().map(kid).collect::<Vec<_>>()
    };
    let first = kids().await;
    assert_eq!(first.len(), 1);
    gate.sign_in().await;

    gate.clock.advance(90 * DAY);
    until(async || kids().await.len() == 2).await;
    let both = kids().await;
    assert_eq!(both[1], first[0], "the new one stands in front");
    gate.sign_in().await;
    gate.clock.advance(3_600);
    // Now the new one signs.
    gate.sign_in().await;

    // Sealing keys are replaced: the file goes with them, and nobody notices.
    let config = gate.dir.path().join("gateway.toml");
    std::fs::write(&config, &gate.text).unwrap();
    let old = std::fs::read_to_string(gate.dir.path().join("sessions.key")).unwrap();
    let old = old.lines().find(|line| !line.starts_with('#')).unwrap();
    let old = SealingKey::parse(old).unwrap().id().to_string();
    let sealed = || std::fs::read(gate.dir.path().join("web.keys")).unwrap();
    let before = sealed();
    taken_over(&gate, 2, async || {
        typed(&["keys", "rotate", "--sealing"], &config).await
    })
    .await;
    assert_ne!(sealed(), before, "it was sealed anew");
    gate.sign_in().await;
    taken_over(&gate, 1, async || {
        typed(&["keys", "retire", "--sealing", &old], &config).await
    })
    .await;
    assert_eq!(kids().await, both);
    gate.sign_in().await;
    gate.restart().await;
    let set = gate.call("GET", JWKS, &[]).await.json();
    assert_eq!(set["keys"][0]["kid"], both[0]);
    let told = gate.audit.metrics();
    let refused = [
        "client_credential_refused",
        "client_credential_unreadable",
        "sealing_keys_refused",
    ];
    assert_eq!(refused.map(|event| told.events(event)), [0; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_rotated_under_load_without_one_failed_login_or_call() {
    // People are of this thread; the gateway and the provider have the others.
    tokio::task::LocalSet::new().run_until(rotated_under_load()).await;
}

async fn rotated_under_load() {
    let mut gate = Gate::start().await;
    let path = |name: &str| gate.dir.path().join(name);
    let (config, secret, token) = (path("gateway.toml"), path("web.secret"), path("web.registration"));
    replace(&secret, super::WEB_SECRET);
    replace(&token, "the-registration-token-of-web");
    let registration = format!(
        "{{ uri = \"{}/register/web\", token_file = \"web.registration\" }}",
        gate.idp.issuer()
    );
    let upstream = format!("http://{}", gate.upstream.address);
    let api = |name: &str, token: &str| {
        format!(
            "\n[api.{name}]\npath = \"/api/{name}\"\nupstream = \"{upstream}\"\nprovider = \"dev\"\n\
             audience = \"{AUDIENCE}\"\npolicy = \"authenticated\"\ntoken = {token}\n"
        )
    };
    // A token that is exchanged anew for each login, and one of the client's own.
    let exchanged = format!("{{ from = \"exchange\", audience = \"{BILLING}\", scopes = [\"billing.read\"] }}");
    let apis = api("narrow", &exchanged) + &api("own", "{ from = \"client\", client = \"web\" }");
    gate.text = gate
        .text
        .replacen(
            "secret = { env = \"WEB_SECRET\" }",
            &format!("secret = {{ file = \"web.secret\" }}\nregistration = {registration}"),
            1,
        )
        .replacen("\"orders.write\"]", "\"orders.write\", \"billing.read\"]", 1)
        + &apis;
    std::fs::write(&config, &gate.text).unwrap();
    let mut client = super::provider_of(&gate.origin).clients.remove(0);
    client.registration_access_token = Some(Secret::new("the-registration-token-of-web"));
    client.grants.push(GrantType::ClientCredentials);
    gate.idp.control().put_client(client).unwrap();
    gate.restart().await;

    let gate = Arc::new(gate);
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let people: Vec<_> = (0..3)
        .map(|_| {
            let (gate, stop, rounds) = (gate.clone(), stop.clone(), rounds.clone());
            tokio::task::spawn_local(async move {
                while !stop.load(Ordering::Relaxed) {
                    // It asserts that there is a session.
                    let mut browser = gate.sign_in().await;
                    for path in ["/api/narrow", "/api/own"] {
                        let answer = gate.fetch(&mut browser, path).await;
                        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more_rounds = async |count: usize| {
        let goal = rounds.load(Ordering::Relaxed) + count;
        until(async || rounds.load(Ordering::Relaxed) >= goal).await;
    };
    more_rounds(3).await;
    let mut known = vec![super::WEB_SECRET.to_owned()];
    for _ in 0..2 {
        typed(&["secret", "rotate", "--client", "web"], &config).await;
        let new = std::fs::read_to_string(&secret).unwrap().trim().to_owned();
        assert!(!known.contains(&new));
        known.push(new.clone());
        more_rounds(6).await;
        // The old one goes: at the provider the new one alone is left.
        assert!(gate.idp.control().set_client_secrets("web", vec![Secret::new(new)]));
        more_rounds(6).await;
    }
    stop.store(true, Ordering::Relaxed);
    for person in people {
        person.await.unwrap();
    }
    let log = gate.idp.control().request_log();
    let refused = log
        .iter()
        .filter(|entry| entry.error.as_deref() == Some("invalid_client"));
    assert_eq!(refused.count(), 0, "the provider has refused nobody");
    let exchanged = log
        .iter()
        .filter(|entry| entry.grant_type.is_some_and(|grant| grant.ends_with("token-exchange")));
    assert!(exchanged.count() >= 24);
    let logged = gate.logged();
    assert!(known.iter().all(|secret| !logged.contains(secret)));
}
