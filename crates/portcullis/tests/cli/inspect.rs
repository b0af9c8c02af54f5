//! `portcullis inspect`: what it says of a token, alone and with keys.

use std::fs;
use std::sync::Arc;

use portcullis_idp::{Api, Client, Defect, Idp, IdpConfig, Mint, User};
use portcullis_jose::{Algorithm, ManualClock, SigningKey, SystemClock, UnixTime, base64url_encode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Ended, free_ports, portcullis, portcullis_reads};

/// 2026-01-31T12:00:00Z.
const NOON: i64 = 1_769_860_800;
const AT_NOON: [&str; 2] = ["--now", "2026-01-31T12:00:00Z"];
/// What is on stderr beside every report.
const WARNING: &str = "A real token belongs in no web site: who has it can use it until it expires. It was read \
                       here, and sent nowhere.\n";

fn inspect(dir: &TempDir, token: &str, more: &[&str]) -> Ended {
    portcullis_reads(dir.path(), &[&["inspect"], more].concat(), token)
}

/// Header and claims under a signature that nobody made.
fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url_encode(value.to_string().as_bytes());
    format!("{}.{}.{}", part(header), part(claims), base64url_encode(&[7; 64]))
}

fn access_token() -> String {
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "2026-01"});
    unsigned(
        &header,
        &json!({
            "iss": "https://login.example.com", "sub": "alice", "aud": "api://orders", "client_id": "shop",
            "scope": "orders.read", "jti": "7", "iat": NOON - 60, "exp": NOON + 240, "auth_time": NOON - 90_000,
            "https://example.com/department": "sales",
        }),
    )
}

#[test]
fn an_access_token_is_laid_open_with_its_times_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let ended = inspect(&dir, &access_token(), &AT_NOON);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, WARNING));
    assert!(!ended.stdout.contains('\u{1b}'), "a pipe gets no colours");
    insta::assert_snapshot!("inspect_access_token", ended.stdout);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn the_same_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    let ended = inspect(&dir, &access_token(), &[&AT_NOON[..], &["--json"]].concat());
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    insta::assert_snapshot!(
        "inspect_access_token_json",
        serde_json::to_string_pretty(&told).unwrap()
    );
}

#[test]
fn what_is_wrong_on_its_face_is_told_with_cause_and_fix_and_status_1() {
    let dir = tempfile::tempdir().unwrap();
    let header = json!({"alg": "ES256", "typ": "JWT"});
    let claims = json!({"iss": "https://login.example.com", "scope": "a", "iat": NOON - 600, "exp": NOON - 300});
    let ended = inspect(&dir, &format!("\"{}\"", unsigned(&header, &claims)), &AT_NOON);
    assert_eq!(ended.status, 1);
    insta::assert_snapshot!("inspect_expired_and_quoted", ended.stdout);

    let told = |token: &str| {
        let ended = inspect(&dir, token, &[&AT_NOON[..], &["--json"]].concat());
        let told: Value = serde_json::from_str(&ended.stdout).unwrap();
        let wrong = told["wrong"]
            .as_array()
            .unwrap()
            .iter()
            .map(|wrong| wrong["name"].as_str().unwrap().to_owned());
        let faults = told["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["code"].as_str().unwrap().to_owned());
        (
            ended.status,
            told["kind"].as_str().unwrap().to_owned(),
            wrong.chain(faults).collect::<Vec<_>>().join(" "),
        )
    };
    let changed = |name: &str, value: Value| {
        let mut claims = json!({"iss": "https://a.example", "scope": "a", "iat": NOON, "exp": NOON + 60});
        claims[name] = value;
        unsigned(&header, &claims)
    };
    for (token, status, kind, wrong) in [
        (changed("x", json!(1)), 0, "access_token", ""),
        (
            changed("exp", json!(NOON * 1000)),
            1,
            "access_token",
            "cause.milliseconds",
        ),
        (
            changed("exp", json!("1769860900")),
            1,
            "access_token",
            "cause.time_as_text",
        ),
        (
            changed("nbf", json!(NOON + 3600)),
            1,
            "access_token",
            "cause.not_yet_valid",
        ),
        (changed("nonce", json!("n")), 0, "id_token", ""),
        (
            changed("typ", json!("Refresh")),
            1,
            "refresh_token",
            "cause.refresh_token_sent",
        ),
        (
            unsigned(
                &json!({"alg": "none"}),
                &json!({"iss": "a", "scope": "a", "iat": NOON, "exp": NOON + 60}),
            ),
            1,
            "access_token",
            "cause.algorithm_none",
        ),
        ("n8fK2mQx7vB1cZ0pLsW4".to_owned(), 1, "opaque", "token.malformed"),
        (
            "eyJhbGciOiJkaXIifQ..a.b.c".to_owned(),
            1,
            "encrypted",
            "cause.encrypted",
        ),
        (
            "undefined".to_owned(),
            1,
            "opaque",
            "cause.placeholder_sent token.malformed",
        ),
    ] {
        assert_eq!(told(&token), (status, kind.into(), wrong.into()), "{token}");
    }
}

#[test]
fn a_token_on_the_command_line_is_read_and_the_shells_history_is_mentioned() {
    let dir = tempfile::tempdir().unwrap();
    let token = access_token();
    let ended = portcullis(dir.path(), &["inspect", &token, "--now", "2026-01-31T12:00:00Z"]);
    assert_eq!(ended.status, 0);
    assert!(
        ended.stderr.contains("the shell's history has this token now"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, inspect(&dir, &token, &AT_NOON).stdout);
    let ended = inspect(&dir, "  \n", &[]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
    assert_eq!(ended.stderr, "error: there is no token in standard input\n");
}

#[test]
fn nothing_in_a_token_steers_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let claims = json!({"iss": "\u{1b}[2J\u{202e}x", "a\nb": "c\r\nd", "exp": NOON, "iat": NOON - 1});
    let ended = inspect(
        &dir,
        &unsigned(&json!({"alg": "ES256", "kid": "\u{7}"}), &claims),
        &AT_NOON,
    );
    let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!ended.stdout.contains(steers), "{:?}", ended.stdout);
}

#[test]
fn times_that_are_none_are_shown_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    for (iat, exp) in [
        (json!(i64::MIN), json!(i64::MAX)),
        (json!(i64::MIN), json!(NOON)),
        (json!(-1), json!(NOON + 60)),
        (json!(1e300), json!(-1e300)),
        (json!(NOON), json!(u64::MAX)),
    ] {
        let claims = json!({"iss": "a", "scope": "a", "iat": iat, "nbf": iat, "exp": exp});
        let token = unsigned(&json!({"alg": "ES256"}), &claims);
        for more in [&AT_NOON[..], &["--json"]] {
            let ended = inspect(&dir, &token, more);
            assert!((0..=1).contains(&ended.status), "{iat} {exp}: {ended:?}");
            assert!(!ended.stdout.contains("lifetime  ["), "{iat} {exp}: {}", ended.stdout);
        }
    }
}

fn provider() -> IdpConfig {
    let scopes = vec!["orders.read".to_owned()];
    IdpConfig {
        signing_algorithm: Algorithm::ES256,
        users: vec![User {
            username: "alice".into(),
            scopes: scopes.clone(),
            ..User::default()
        }],
        clients: vec![Client {
            client_id: "shop".into(),
            redirect_uris: vec!["http://127.0.0.1:8080/bff/callback".into()],
            scopes: scopes.clone(),
            ..Client::default()
        }],
        apis: vec![Api {
            audience: "api://orders".into(),
            scopes,
        }],
        ..IdpConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_a_file_or_an_address_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let idp = Idp::start(provider(), Arc::new(SystemClock)).await.unwrap();
    let issuer = idp.issuer().to_owned();
    let config = format!(
        "server.public_url = \"http://127.0.0.1:8080\"\n[provider.dev]\nissuer = \"{issuer}\"\n[api.a]\npath = \"/a\"\n\
         upstream = \"http://127.0.0.1:5000\"\nprovider = \"dev\"\naudience = \"a\"\npolicy = \"authenticated\"\n"
    );
    fs::write(dir.path().join("portcullis.toml"), config).unwrap();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = json!({"keys": [key.public_jwk()]});
    fs::write(dir.path().join("keys.json"), keys.to_string()).unwrap();
    let mint = |defect| {
        idp.control()
            .mint(&Mint {
                defect,
                ..Mint::default()
            })
            .unwrap()
    };
    let (good, bad) = (mint(None), mint(Some(Defect::BadSignature)));
    let elsewhere = idp
        .control()
        .sign(
            "at+jwt",
            &json!({"iss": "https://b.example", "iat": 1, "exp": 4_000_000_000_i64}),
        )
        .unwrap();
    let claims = json!({"iss": "x", "scope": "a", "iat": 1_000_000_000, "exp": 1_000_000_060});
    let own = key.sign_jwt("at+jwt", &claims).unwrap();
    let jwks = format!("{issuer}/jwks");

    let ask = |token: &str, more: &[&str]| {
        let ended = tokio::task::block_in_place(|| inspect(&dir, token, &[more, &["--json"]].concat()));
        let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
        (
            ended.status,
            told["signature"]["verified"].clone(),
            told["signature"]["code"].clone(),
        )
    };
    let by_name: &[&str] = &["--provider", "dev", "--config", "portcullis.toml"];
    for how in [by_name, &["--issuer", &issuer], &["--jwks", &jwks]] {
        assert_eq!(ask(&good, how), (0, json!(true), Value::Null), "{how:?}");
        assert_eq!(
            ask(&bad, how),
            (1, json!(false), json!("token.signature_invalid")),
            "{how:?}"
        );
    }
    assert_eq!(ask(&good, &[]), (0, Value::Null, Value::Null));
    assert_eq!(ask(&elsewhere, by_name).2, json!("token.issuer_mismatch"));
    assert_eq!(
        ask(&elsewhere, &["--jwks", &jwks]).1,
        json!(true),
        "no issuer was named"
    );
    let then: &[&str] = &["--jwks", "keys.json", "--now", "1000000001"];
    assert_eq!(ask(&own, then), (0, json!(true), Value::Null));
    assert_eq!(ask(&good, then).2, json!("keys.unknown_kid"));

    let text = tokio::task::block_in_place(|| inspect(&dir, &good, &["--issuer", &issuer]));
    assert!(
        text.stdout.contains(&format!(" of {issuer}\n")) && text.stdout.contains("verified by key "),
        "{text:?}"
    );
}

#[test]
fn a_wrong_question_is_status_2_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bad.toml"), "[sever]\n").unwrap();
    fs::write(dir.path().join("empty.json"), "{}").unwrap();
    let [closed] = free_ports::<1>();
    let away = format!("http://127.0.0.1:{closed}");
    for (more, says) in [
        (&["--provider", "dev"][..], "--config <FILE>"),
        (&["--config", "bad.toml"], "--provider <NAME>"),
        (&["--provider", "dev", "--config", "bad.toml"], "unknown"),
        (&["--jwks", "nowhere.json"], "cannot read nowhere.json"),
        (&["--jwks", "empty.json"], "empty.json: "),
        (&["--jwks", "http://keys.example/jwks"], "is not https"),
        (&["--issuer", "http://login.example"], "is not https"),
        (&["--issuer", &away], "the keys of "),
        (&["--now", "yesterday"], "2026-01-31T12:00:00Z"),
        (&["--jwks", "a", "--issuer", "b"], "cannot be used with"),
    ] {
        let ended = inspect(&dir, &access_token(), more);
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{more:?}");
        assert!(ended.stderr.contains(says), "{more:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains(&access_token()), "{more:?}");
    }
}

#[test]
fn tokens_of_now_are_seen_by_the_clock_of_the_machine() {
    // The clock of the test's own is only to name a time that is over.
    let long_ago = ManualClock::at(UnixTime::from_secs(NOON));
    let dir = tempfile::tempdir().unwrap();
    let ended = inspect(&dir, &access_token(), &[]);
    assert_eq!(ended.status, 1, "{long_ago:?} is over");
    assert!(ended.stdout.contains("likely cause[cause.expired]"), "{}", ended.stdout);
}
