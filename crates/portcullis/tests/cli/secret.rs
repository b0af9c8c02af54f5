//! `portcullis secret`: with a real provider that has RFC 7592, with one that does odd things, and by hand.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_idp::{Client, GrantType, Idp, IdpConfig};
use portcullis_jose::{Algorithm, Secret, SystemClock};
use serde_json::{Value, json};

use crate::fake::{Asked, Fake, Reply};
use crate::process::{Ended, portcullis, portcullis_reads, start};

const OLD: &str = "the-first-secret-of-web";
const TOKEN: &str = "the-registration-token-of-web";

fn provider(rotates_tokens: bool) -> IdpConfig {
    let client = |id: &str, grants: Vec<GrantType>| Client {
        client_id: id.into(),
        secret: Some(Secret::new(OLD)),
        registration_access_token: Some(Secret::new(TOKEN)),
        redirect_uris: vec!["http://127.0.0.1:8080/bff/callback".into()],
        grants,
        ..Client::default()
    };
    IdpConfig {
        signing_algorithm: Algorithm::ES256,
        secret_overlap: 600,
        rotate_registration_access_tokens: rotates_tokens,
        clients: vec![
            client("web", vec![GrantType::AuthorizationCode, GrantType::RefreshToken]),
            client("job", vec![GrantType::ClientCredentials]),
        ],
        ..IdpConfig::default()
    }
}

/// A configuration with the client `web`, whose secret and registration access token are files.
fn configure(dir: &Path, issuer: &str, more: &str) {
    let text = format!(
        r#"
        [server]
        public_url = "http://127.0.0.1:8080"
        [provider.main]
        issuer = "{issuer}"
        [client.web]
        provider = "main"
        client_id = "web"
        {more}
        [api.public]
        path = "/api"
        upstream = "http://127.0.0.1:5000"
        accept = ["anyone"]
        "#
    );
    fs::write(dir.join("portcullis.toml"), text).unwrap();
    for (name, text) in [("web.secret", OLD), ("web.registration", TOKEN)] {
        write_private(&dir.join(name), text);
    }
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, format!("{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn registered(uri: &str) -> String {
    format!(
        "secret = {{ file = \"web.secret\" }}\nregistration = {{ uri = \"{uri}\", token_file = \"web.registration\" }}"
    )
}

fn rotate(dir: &Path, more: &[&str]) -> Ended {
    let line = ["secret", "rotate", "--client", "web", "--config", "portcullis.toml"];
    portcullis(dir, &[&line[..], more].concat())
}

fn check(dir: &Path) -> Ended {
    portcullis(
        dir,
        &["secret", "check", "--client", "web", "--config", "portcullis.toml"],
    )
}

fn text(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap().trim().to_owned()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Nothing secret is said, whatever happens.
#[track_caller]
fn tells_nothing(ended: &Ended, secrets: &[&str]) {
    for secret in secrets.iter().chain(&[OLD, TOKEN]) {
        assert!(
            !ended.stdout.contains(secret) && !ended.stderr.contains(secret),
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_by_one_of_the_providers() {
    for client in ["web", "job"] {
        let idp = Idp::start(provider(false), Arc::new(SystemClock)).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let uri = format!("{}/register/{client}", idp.issuer());
        configure(dir, idp.issuer(), &registered(&uri));
        let text_of_config = fs::read_to_string(dir.join("portcullis.toml")).unwrap();
        let text_of_config = text_of_config.replace("client_id = \"web\"", &format!("client_id = \"{client}\""));
        fs::write(dir.join("portcullis.toml"), text_of_config).unwrap();

        let ended = tokio::task::block_in_place(|| rotate(dir, &[]));
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
        let shown = ended
            .stdout
            .replace(idp.issuer(), "ISSUER")
            .replace(&dir.display().to_string(), "DIR");
        let expected = "read      the registration of CLIENT at ISSUER/register/CLIENT\nreceived  a new secret\nwritten   \
                        web.secret\nverified  the provider main takes it\n";
        assert_eq!(shown, expected.replace("CLIENT", client));
        let new = text(dir, "web.secret");
        assert_ne!(new, OLD);
        tells_nothing(&ended, &[&new]);
        assert_eq!(
            fs::metadata(dir.join("web.secret")).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(text(dir, "web.registration"), TOKEN, "the provider has not changed it");
        assert_eq!(
            names(dir),
            ["portcullis.toml", "web.registration", "web.secret"],
            "nothing is left behind"
        );
        let good = tokio::task::block_in_place(|| check(dir));
        assert_eq!((good.status, good.stdout.as_str()), (0, "taken  file web.secret\n"));
        // The old one goes, at the latest now; the new one stays.
        assert!(idp.control().set_client_secrets(client, vec![Secret::new(new)]));
        assert_eq!(tokio::task::block_in_place(|| check(dir)).status, 0);
        write_private(&dir.join("web.secret"), OLD);
        let refused = tokio::task::block_in_place(|| check(dir));
        assert_eq!(
            (refused.status, refused.stdout.as_str()),
            (1, "refused  file web.secret\n")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_registration_token_is_kept_too_and_all_of_it_can_be_read_by_programs() {
    let idp = Idp::start(provider(true), Arc::new(SystemClock)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    configure(
        dir,
        idp.issuer(),
        &registered(&format!("{}/register/web", idp.issuer())),
    );
    let mut known = vec![(OLD.to_owned(), TOKEN.to_owned())];
    for _ in 0..2 {
        let ended = tokio::task::block_in_place(|| rotate(dir, &["--json"]));
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
        let told: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(
            (&told["client"], &told["provider"], &told["rotated"], &told["error"]),
            (&json!("web"), &json!("main"), &json!(true), &Value::Null)
        );
        let steps: Vec<&str> = told["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["step"].as_str().unwrap())
            .collect();
        assert_eq!(steps, ["read", "received", "written", "written", "verified"]);
        let now = (text(dir, "web.secret"), text(dir, "web.registration"));
        assert!(known.iter().all(|(secret, token)| *secret != now.0 && *token != now.1));
        tells_nothing(&ended, &[&now.0, &now.1]);
        known.push(now);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_refuses_changes_nothing() {
    let idp = Idp::start(provider(false), Arc::new(SystemClock)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let uri = format!("{}/register/web", idp.issuer());
    configure(dir, idp.issuer(), &registered(&uri));
    write_private(&dir.join("web.registration"), "wrong");
    let ended = tokio::task::block_in_place(|| rotate(dir, &["--json"]));
    let says = format!(
        "{uri} refuses, with status 401 (invalid_token); is it the registration access token that is in web.registration?"
    );
    assert_eq!((ended.status, ended.stderr), (1, format!("error: {says}\n")));
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["rotated"], json!(false));
    assert_eq!(told["error"], json!({ "code": "command.failed", "message": says }));
    // Of another client.
    configure(
        dir,
        idp.issuer(),
        &registered(&format!("{}/register/job", idp.issuer())),
    );
    let ended = tokio::task::block_in_place(|| rotate(dir, &[]));
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(
        ended.stderr.contains("is the registration of another client"),
        "{ended:?}"
    );
    // What cannot be written is seen before anything is asked.
    configure(dir, idp.issuer(), &registered(&uri));
    fs::remove_file(dir.join("web.registration")).unwrap();
    idp.control().clear_request_log();
    let ended = tokio::task::block_in_place(|| rotate(dir, &[]));
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(ended.stderr.contains("the provider was not asked"), "{ended:?}");
    assert!(idp.control().request_log().is_empty());
    assert_eq!(
        (text(dir, "web.secret").as_str(), names(dir)),
        (OLD, vec!["portcullis.toml".into(), "web.secret".into()])
    );
}

/// A provider whose PUT does what a test wants, and which takes whatever is in `good` as a secret.
fn odd(put: impl Fn(&Asked) -> Reply + Send + 'static) -> Fake {
    Fake::start(
        move |origin, asked| match (asked.method.as_str(), asked.target.as_str()) {
            (_, "/.well-known/openid-configuration") => Reply::json(&json!({
                "issuer": origin, "jwks_uri": format!("{origin}/keys"), "token_endpoint": format!("{origin}/token"),
            })),
            ("GET", "/register/web") => Reply::json(&json!({ "client_id": "web", "client_secret": OLD, "x_own": [1] })),
            ("PUT", "/register/web") => put(asked),
            (_, "/token") => Reply {
                status: 400,
                ..Reply::json(&json!({ "error": "invalid_grant" }))
            },
            _ => Reply::status(404),
        },
    )
}

#[test]
fn an_answer_is_not_lost_where_it_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let tokens = dir.join("tokens");
    fs::create_dir(&tokens).unwrap();
    let gone = tokens.clone();
    let provider = odd(move |asked| {
        // What we may not send is not there, what is not ours to change is.
        assert_eq!(
            serde_json::from_str::<Value>(&asked.body).unwrap(),
            json!({ "client_id": "web", "x_own": [1] })
        );
        // The place of the token goes away while the provider is asked.
        let _ = fs::remove_dir_all(&gone);
        Reply::json(&json!({
            "client_id": "web", "client_secret": "the-second-secret", "registration_access_token": "the-second-token",
        }))
    });
    let uri = format!("{}/register/web", provider.origin);
    configure(
        dir,
        &provider.origin,
        &registered(&uri).replace("\"web.registration\"", "\"tokens/web\""),
    );
    write_private(&tokens.join("web"), TOKEN);
    let ended = rotate(dir, &[]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("the provider's answer is kept in web.secret.rotation"),
        "{ended:?}"
    );
    tells_nothing(&ended, &["the-second"]);
    assert_eq!(
        text(dir, "web.secret"),
        "the-second-secret",
        "what logins need comes first"
    );
    assert_eq!(
        fs::metadata(dir.join("web.secret.rotation"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );

    // It goes on from there, and the provider is not asked for another.
    fs::create_dir(&tokens).unwrap();
    write_private(&tokens.join("web"), TOKEN);
    let before = provider.seen().len();
    let ended = rotate(dir, &[]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert!(ended.stdout.starts_with("resumed "), "{ended:?}");
    tells_nothing(&ended, &["the-second"]);
    assert_eq!(
        (text(dir, "web.secret"), text(&tokens, "web")),
        ("the-second-secret".into(), "the-second-token".into())
    );
    assert!(!dir.join("web.secret.rotation").exists());
    assert!(
        provider.seen()[before..]
            .iter()
            .all(|asked| !asked.target.starts_with("/register"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_provider_answers_it_goes_on_with_the_next_run() {
    let idp = Idp::start(provider(false), Arc::new(SystemClock)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // Between the command and the provider: the answer to the first change is lost on the way.
    let issuer = idp.issuer().to_owned();
    let lost = Arc::new(AtomicBool::new(false));
    let seen = lost.clone();
    let between = Fake::start(move |_, asked| {
        let answer = relay(&issuer, asked);
        if asked.method == "PUT" && !seen.swap(true, Ordering::SeqCst) {
            // Nobody hears of it any more.
            loop {
                std::thread::park();
            }
        }
        answer
    });
    configure(
        dir,
        idp.issuer(),
        &registered(&format!("{}/register/web", between.origin)),
    );
    tokio::task::block_in_place(|| {
        let running = start(
            dir,
            &["secret", "rotate", "--client", "web", "--config", "portcullis.toml"],
        );
        assert!(running.line().starts_with("read "));
        running.wait_until("the provider has changed it", || lost.load(Ordering::SeqCst));
        running.end_by("-KILL");
    });
    assert_eq!(text(dir, "web.secret"), OLD);
    assert!(text(dir, "web.secret.rotation").contains("asked_at"));
    // The thread of the one between still waits: the next run goes to the provider itself.
    configure(
        dir,
        idp.issuer(),
        &registered(&format!("{}/register/web", idp.issuer())),
    );
    let before = idp.control().request_log().len();
    let ended = tokio::task::block_in_place(|| rotate(dir, &[]));
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("received  the secret that the earlier request has made\n"),
        "{ended:?}"
    );
    let log = idp.control().request_log();
    assert!(
        log[before..].iter().all(|entry| entry.method != "PUT"),
        "it was not changed a second time"
    );
    assert_ne!(text(dir, "web.secret"), OLD);
    assert_eq!(tokio::task::block_in_place(|| check(dir)).status, 0);
    assert!(!dir.join("web.secret.rotation").exists());
}

/// Asks the provider in the name of whoever asked.
fn relay(issuer: &str, asked: &Asked) -> Reply {
    let address = issuer.strip_prefix("http://").unwrap();
    let headers: Vec<(&str, String)> = asked
        .headers
        .iter()
        .filter(|(name, _)| name == "authorization" || name == "content-type")
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let answer = crate::world::request(address, &asked.method, &asked.target, address, &headers, &asked.body);
    Reply::status(answer.status)
        .with("Content-Type", "application/json")
        .holds(&answer.body)
}

#[test]
fn a_provider_that_gives_out_no_new_secret_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (answer, says) in [
        (
            Reply::json(&json!({ "client_id": "web", "client_secret": OLD })),
            "keeps the secret as it is",
        ),
        (Reply::json(&json!({ "client_id": "web" })), "keeps the secret as it is"),
        (Reply::status(405), "refuses, with status 405"),
    ] {
        let provider = odd(move |_| answer.clone());
        configure(
            dir,
            &provider.origin,
            &registered(&format!("{}/register/web", provider.origin)),
        );
        let ended = rotate(dir, &[]);
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert_eq!(text(dir, "web.secret"), OLD);
        assert_eq!(names(dir), ["portcullis.toml", "web.registration", "web.secret"]);
    }
    // Broken down in the middle: what became of it is asked with the next run.
    let provider = odd(|_| Reply::status(500));
    configure(
        dir,
        &provider.origin,
        &registered(&format!("{}/register/web", provider.origin)),
    );
    assert_eq!(rotate(dir, &[]).status, 1);
    assert!(dir.join("web.secret.rotation").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn by_hand_a_secret_is_tried_before_it_is_written() {
    let idp = Idp::start(provider(false), Arc::new(SystemClock)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let two = "secret = [{ file = \"older.secret\" }, { file = \"web.secret\", not_before = \"2026-01-01\" }]";
    configure(dir, idp.issuer(), two);
    write_private(&dir.join("older.secret"), "an-older-one");
    tokio::task::block_in_place(|| {
        let steps = rotate(dir, &[]);
        assert_eq!((steps.status, steps.stdout.as_str()), (2, ""));
        for part in [
            "nothing was changed",
            "--new-secret -",
            "delete the old secret of web",
            "portcullis secret check",
        ] {
            assert!(steps.stderr.contains(part), "{part}: {}", steps.stderr);
        }
        let line = [
            "secret",
            "rotate",
            "--client",
            "web",
            "--config",
            "portcullis.toml",
            "--new-secret",
            "-",
        ];
        let refused = portcullis_reads(dir, &line, "made-up\n");
        assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
        assert!(
            refused
                .stderr
                .contains("refuses it as a secret of web; nothing was written"),
            "{refused:?}"
        );
        tells_nothing(&refused, &["made-up"]);
        for (input, says) in [("", "nothing in it"), ("a b \n", "too many"), (OLD, "in use already")] {
            let ended = portcullis_reads(dir, &line, input);
            assert_eq!(ended.status, 1, "{input}");
            assert!(ended.stderr.contains(says), "{ended:?}");
        }
        assert_eq!(text(dir, "web.secret"), OLD);

        let secrets = ["made-at-the-provider", OLD].map(Secret::new).to_vec();
        assert!(idp.control().set_client_secrets("web", secrets));
        let taken = portcullis_reads(dir, &line, "made-at-the-provider\n");
        assert_eq!((taken.status, taken.stderr.as_str()), (0, ""), "{taken:?}");
        tells_nothing(&taken, &["made-at-the-provider"]);
        // The newest by its date is replaced, and no other.
        assert_eq!(
            (text(dir, "web.secret"), text(dir, "older.secret")),
            ("made-at-the-provider".into(), "an-older-one".into())
        );
        let seen = check(dir);
        assert_eq!(seen.status, 1);
        assert_eq!(seen.stdout, "refused  file older.secret\ntaken    file web.secret\n");
    });
}

#[test]
fn what_cannot_be_rotated_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let issuer = "http://127.0.0.1:9";
    for (more, says) in [
        ("auth = \"none\"", "client web has no secret in the configuration"),
        ("own_keys = { file = \"web.keys\" }", "portcullis keys rotate"),
        (
            "secret = { command = [\"echo\", \"x\"] }",
            "comes from command echo, where nothing can be written",
        ),
    ] {
        configure(dir, issuer, more);
        let ended = rotate(dir, &[]);
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{more}");
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
    let unknown = portcullis(
        dir,
        &["secret", "check", "--client", "nobody", "--config", "portcullis.toml"],
    );
    assert_eq!(
        (unknown.status, unknown.stderr.as_str()),
        (2, "error: there is no client nobody; there are: web\n")
    );
    // Nobody answers there: nothing is written.
    configure(dir, issuer, "secret = { file = \"web.secret\" }");
    write_private(&dir.join("new"), "another");
    let ended = rotate(dir, &["--new-secret", "new"]);
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("nothing was written"), "{ended:?}");
    assert_eq!(text(dir, "web.secret"), OLD);
}
