//! `portcullis explain-token`, against the development provider.

use std::fs;
use std::sync::Arc;

use portcullis_idp::{Api, Client, Defect, Idp, IdpConfig, Mint, User};
use portcullis_jose::{Algorithm, SystemClock, UnixTime};
use portcullis_store::{Revocation, RevocationStore, RevocationTarget, SqliteStore};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixed::fixed_json;
use crate::process::{Ended, free_ports, portcullis, portcullis_reads};

/// A provider, and a configuration that trusts it.
struct Stage {
    dir: TempDir,
    idp: Idp,
}

impl Stage {
    async fn new() -> Stage {
        let idp = Idp::start(provider(), Arc::new(SystemClock)).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("portcullis.toml"), configuration(idp.issuer())).unwrap();
        Stage { dir, idp }
    }

    fn mint(&self, user: &str, defect: Option<Defect>) -> String {
        let mint = Mint {
            user: Some(user.into()),
            defect,
            ..Mint::default()
        };
        self.idp.control().mint(&mint).unwrap()
    }

    fn asks(&self, token: &str, more: &[&str]) -> Ended {
        let arguments = [&["explain-token", "--config", "portcullis.toml"], more].concat();
        // The provider answers on the test's other threads meanwhile.
        let ended = tokio::task::block_in_place(|| portcullis_reads(self.dir.path(), &arguments, token));
        for told in [&ended.stdout, &ended.stderr] {
            let mut parts = token.trim().split('.').filter(|part| part.len() > 20);
            assert!(parts.all(|part| !told.contains(part)), "no part of the token: {told}");
        }
        ended
    }

    /// What it prints, without what is different each time.
    fn explained(&self, token: &str, more: &[&str]) -> (i32, String) {
        let ended = self.asks(token, more);
        assert_eq!(ended.stderr, "");
        assert!(!ended.stdout.contains('\u{1b}'), "a pipe gets no colours");
        let text = ended.stdout.replace(self.idp.issuer(), "ISSUER");
        let text = text.replace(&self.dir.path().display().to_string(), "DIR");
        let lines = text.lines().map(|line| match line.strip_prefix("passed  key_id") {
            Some(_) => "passed  key_id      KID".to_owned(),
            None => line.split(' ').map(without_time).collect::<Vec<_>>().join(" "),
        });
        (ended.status, lines.collect::<Vec<_>>().join("\n"))
    }
}

fn without_time(word: &str) -> &str {
    let is_time = word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit());
    if is_time { "TIME" } else { word }
}

fn provider() -> IdpConfig {
    let user = |name: &str, scopes: &[&str]| User {
        username: name.into(),
        sub: Some(format!("sub-{name}")),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        ..User::default()
    };
    let scopes = vec!["orders.read".to_owned(), "orders.write".to_owned()];
    IdpConfig {
        signing_algorithm: Algorithm::ES256,
        users: vec![
            user("alice", &["orders.read", "orders.write"]),
            user("bob", &["orders.read"]),
        ],
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

fn configuration(issuer: &str) -> String {
    format!(
        r#"[server]
public_url = "http://127.0.0.1:8080"

[provider.dev]
issuer = "{issuer}"

[api.orders]
path = "/api/orders"
upstream = "http://127.0.0.1:5000"
provider = "dev"
audience = "api://orders"
policy = {{ GET = "Read", POST = "Write" }}
routes = [{{ path = "/api/orders/books", policy = "Write" }}]

[policy.Read]
scope = "orders.read"

[policy.Write]
scope = "orders.write"
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_passes_every_check() {
    let stage = Stage::new().await;
    let (status, told) = stage.explained(&stage.mint("alice", None), &["--path", "/api/orders/7"]);
    assert_eq!(status, 0);
    insta::assert_snapshot!(told, @"
    A call to api orders, GET /api/orders/7, policy Read

    passed  credential  Bearer
    passed  size
    passed  shape
    passed  encoding
    passed  header
    passed  critical
    passed  algorithm   ES256
    passed  type        at+jwt
    passed  issuer      ISSUER
    passed  key_id      KID
    passed  key         ES256
    passed  signature
    passed  claims
    passed  time        exp TIME
    passed  audience    api://orders
    passed  subject     sub-alice
    passed  proof       none needed
    -       revocation  not looked at: there is no store portcullis.db
    passed  policy      scope orders.read

    allowed
    ");
    let files: Vec<_> = fs::read_dir(stage.dir.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "it only looks: no store is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_api_is_told_with_cause_and_fix() {
    let stage = Stage::new().await;
    let token = stage.mint("alice", Some(Defect::WrongAudience));
    let (status, told) = stage.explained(&token, &["-", "--api", "orders", "--policy", "Write"]);
    assert_eq!(status, 1);
    let (checks, faults) = told.split_once("\n\nerror").unwrap();
    assert!(
        checks.starts_with("A call to api orders, GET /api/orders, policy Write\n"),
        "{checks}"
    );
    assert!(
        checks.contains("\nFAILED  audience    https://another-api.example\npassed  subject "),
        "{checks}"
    );
    insta::assert_snapshot!(faults, @r#"
    [token.audience_mismatch]: The token was made for another API
    --> standard input
     = note: expected api://orders
     = note: found https://another-api.example
     = note: None of the values in the claim `aud` is the `audience` of this API.
     = help: Compare `expected` and `found` of the event. If the client asked for the wrong API, correct its `scope`, `audience` or `resource` parameter; if the token is right, correct `audience` of the API in the configuration. With Entra ID the value is the client id for v2 tokens and the application ID URI (`api://...`) for v1 tokens.

    likely cause[cause.audience_other]: The token is for another API
      --> portcullis.toml:11:12
       |
    11 | audience = "api://orders"
       |            ^^^^^^^^^^^^^^
       |
       = note: found: aud is https://another-api.example, configured is api://orders
       = note: cause: None of its audiences is one of this API.
       = help: Ask for a token for this API (`scope`, `audience` or `resource` of the request), or
               correct `audience` of the API if the token is right.

    refused: 401 token.audience_mismatch
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_told_and_the_first_decides() {
    let stage = Stage::new().await;
    let cases: [(Defect, &str, &[&str]); 7] = [
        (Defect::Expired, "401 token.expired", &["time"]),
        (Defect::BadSignature, "401 token.signature_invalid", &["signature"]),
        (Defect::UnknownKid, "401 keys.unknown_kid", &["key_id"]),
        (
            Defect::IdTokenAsAccessToken,
            "401 token.type_mismatch",
            &["type", "audience", "policy"],
        ),
        (Defect::WrongIssuer, "401 token.issuer_mismatch", &["issuer"]),
        (Defect::AlgNone, "401 token.algorithm_not_allowed", &["algorithm"]),
        (Defect::MissingScope, "403 policy.scope_insufficient", &["policy"]),
    ];
    for (defect, verdict, failed) in cases {
        let (status, told) = stage.explained(&stage.mint("alice", Some(defect)), &["--path", "/api/orders"]);
        assert_eq!(status, 1, "{defect:?}");
        assert!(told.ends_with(&format!("\nrefused: {verdict}")), "{defect:?}: {told}");
        let lines = told.lines().filter_map(|line| line.strip_prefix("FAILED "));
        let checks: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(checks, failed, "{defect:?}");
        assert_eq!(told.matches("\nerror[").count(), failed.len(), "{defect:?}: {told}");
    }
    for garbage in ["garbage", "e30.e30.e30", "a.b.c.d.e"] {
        let (status, told) = stage.explained(garbage, &[]);
        assert_eq!(status, 1, "{garbage}");
        assert!(
            told.contains("\n-       policy      not reached\n"),
            "{garbage}: {told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_that_of_method_and_path() {
    let stage = Stage::new().await;
    let reader = stage.mint("bob", None);
    let ask = |more: &[&str]| stage.asks(&reader, &[&["--path", "/api/orders/7", "--json"], more].concat());
    assert_eq!(ask(&[]).status, 0);
    assert_eq!(ask(&["--policy", "authenticated"]).status, 0);
    for (called, status) in [
        ("/api/orders/7?books", 0),
        ("http://127.0.0.1:8080/api/orders/7?a=/api/orders/books", 0),
        ("/api/orders/books", 1),
        ("/api/orders/books?year=2026#end", 1),
        ("/api/orders//%62ooks", 1),
        ("https://shop.example/api/orders/books", 1),
    ] {
        let ended = stage.asks(&reader, &["--path", called]);
        assert_eq!((ended.status, ended.stderr.as_str()), (status, ""), "{called}");
    }
    let ended = ask(&["--method", "post"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (1, ""));
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(said["status"], 403);
    assert_eq!(said["refused"]["code"], "policy.scope_insufficient");
    let checks = said["checks"].as_array().unwrap();
    let policy = checks.last().unwrap();
    assert_eq!(
        (
            &policy["check"],
            &policy["outcome"],
            &policy["expected"],
            &policy["found"]
        ),
        (
            &"policy".into(),
            &"failed".into(),
            &"scope orders.write".into(),
            &"orders.read".into()
        )
    );
    insta::assert_snapshot!(
        "explain_token_json",
        fixed_json(&ended.stdout, &[(stage.idp.issuer(), "ISSUER")])
    );
    assert!(
        ended.stdout.starts_with(r#"{"status":403,"refused":{"#),
        "{}",
        ended.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_query_is_what_the_gateway_refuses_first() {
    let stage = Stage::new().await;
    let token = stage.mint("alice", None);
    for (called, refused) in [
        ("/api/orders/7?access_token=abc", true),
        ("http://127.0.0.1:8080/api/orders/7?a=1&access%5Ftoken=abc#end", true),
        ("/api/orders/7?token=abc&my_access_token=abc", false),
        ("/api/orders/7#?access_token=abc", false),
    ] {
        let ended = stage.asks(&token, &["--path", called, "--json"]);
        assert_eq!(
            (ended.status, ended.stderr.as_str()),
            (i32::from(refused), ""),
            "{called}"
        );
        let said: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(said["status"], if refused { 400 } else { 200 }, "{called}");
        assert_eq!(said["refused"]["code"] == "token.in_query", refused, "{called}: {said}");
        assert_eq!(said["checks"][0]["outcome"] == "failed", refused, "{called}: {said}");
        let (_, told) = stage.explained(&token, &["--path", called]);
        assert_eq!(told.ends_with("refused: 400 token.in_query"), refused, "{told}");
        // What is in an address may be a token.
        assert!(!told.contains("abc"), "{told}");
    }
    // Whatever else is wrong, it comes first.
    let forged = stage.asks("a.b.c", &["--path", "/api/orders/7?access_token=abc", "--json"]);
    let said: Value = serde_json::from_str(&forged.stdout).unwrap();
    assert_eq!(
        (said["status"].as_u64(), &said["refused"]["code"]),
        (Some(400), &"token.in_query".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_read_from_the_store_and_nothing_is_written() {
    let stage = Stage::new().await;
    let token = stage.mint("alice", None);
    let path = stage.dir.path().join("portcullis.db");
    let store = SqliteStore::open(&path, Arc::new(SystemClock)).unwrap();
    let (status, told) = stage.explained(&token, &[]);
    assert!(
        status == 0 && told.contains("\npassed  revocation  not revoked\n"),
        "{told}"
    );
    let revocation = Revocation {
        target: RevocationTarget::Subject {
            iss: stage.idp.issuer().into(),
            sub: "sub-alice".into(),
        },
        issued_before: None,
        expires: UnixTime::from_secs(4_000_000_000),
        reason: "left".into(),
    };
    store.add(revocation).await.unwrap();
    let (status, told) = stage.explained(&token, &[]);
    assert!(status == 1 && told.ends_with("\nrefused: 401 token.revoked"), "{told}");
    drop(store);
    let before = fs::read(&path).unwrap();
    assert_eq!(stage.explained(&token, &[]).0, 1, "while the gateway is down");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(stage.dir.path()).unwrap().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_from_a_file_too_as_it_stands_in_a_header_and_for_another_time() {
    let stage = Stage::new().await;
    let token = stage.mint("alice", None);
    for text in [
        format!("{token}\n"),
        format!("Authorization: Bearer {token}"),
        format!("bearer {token}"),
    ] {
        fs::write(stage.dir.path().join("token"), text).unwrap();
        let ended = stage.asks("", &["--token-file", "token", "--json"]);
        assert_eq!(ended.status, 0, "{ended:?}");
    }
    let (status, told) = stage.explained(&token, &["--now", "4000000000"]);
    assert!(status == 1 && told.ends_with("\nrefused: 401 token.expired"), "{told}");
    let (status, told) = stage.explained(&token, &["--now", "1000000000"]);
    assert!(
        status == 1 && told.ends_with("\nrefused: 401 token.not_yet_valid"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_is_not_the_tokens_fault() {
    let stage = Stage::new().await;
    let token = stage.mint("alice", None);
    let [closed] = free_ports::<1>();
    // The keys' address alone is wrong, so the issuer fits.
    let text = configuration(stage.idp.issuer());
    let away = format!("[provider.dev]\njwks_url = \"http://127.0.0.1:{closed}/jwks\"");
    fs::write(
        stage.dir.path().join("portcullis.toml"),
        text.replace("[provider.dev]", &away),
    )
    .unwrap();
    let (status, told) = stage.explained(&token, &[]);
    assert!(
        status == 1 && told.ends_with("\nrefused: 503 keys.unavailable"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_question_is_status_2() {
    let stage = Stage::new().await;
    let token = stage.mint("alice", None);
    let public = "\n[api.open]\npath = \"/open\"\nupstream = \"http://127.0.0.1:5000\"\naccept = [\"anyone\"]\n";
    let text = configuration(stage.idp.issuer()) + public;
    fs::write(stage.dir.path().join("portcullis.toml"), text).unwrap();
    for (more, says) in [
        (
            &["--api", "absent"][..],
            "there is no api absent; there are: open, orders",
        ),
        (&["--api", "open"], "api open is public"),
        (
            &["--api", "orders", "--path", "/open/7"],
            "/open/7 is not below /api/orders",
        ),
        (&["--path", "/nowhere"], "no api has the path /nowhere"),
        (
            &["--path", "/api/orders/x/../books"],
            "/api/orders/x/../books is refused before a token is looked at: path.not_canonical",
        ),
        (&["--path", "/api/orders/books;x"], "path.not_canonical"),
        (&["--policy", "Reed"], "there is no policy Reed; there are: Read, Write"),
        (
            &["--path", "/api/orders", "--method", "DELETE"],
            "route.method_not_allowed",
        ),
        (&["--token-file", "absent"], "cannot read the token from absent"),
        (&["--method", "POST"], "--path <PATH>"),
        (&["--config", "absent.toml"], "cannot be used multiple times"),
    ] {
        let ended = stage.asks(&token, more);
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{more:?}");
        assert!(ended.stderr.contains(says), "{more:?}: {}", ended.stderr);
    }
    let empty = stage.asks(" \n", &[]);
    assert_eq!((empty.status, empty.stdout.as_str()), (2, ""));
    assert!(
        empty.stderr.contains("there is no token in standard input"),
        "{}",
        empty.stderr
    );
}

#[test]
fn a_token_does_not_belong_on_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("portcullis.toml"), configuration("http://127.0.0.1:1")).unwrap();
    let token = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl";
    let ended = portcullis(dir.path(), &["explain-token", token, "--config", "portcullis.toml"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
    assert!(
        ended.stderr.contains("--token-file") && !ended.stderr.contains(token),
        "{}",
        ended.stderr
    );
}
