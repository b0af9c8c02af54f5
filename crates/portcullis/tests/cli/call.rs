//! `portcullis call`: a request with a fresh token, and the answer explained.

use std::fs;
use std::sync::Arc;

use portcullis_idp::{Api, Client, GrantType, Idp, IdpConfig};
use portcullis_jose::{Algorithm, Secret, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake::{Asked, Fake, Reply};
use crate::fixed::fixed_json;
use crate::process::{Ended, free_ports, portcullis_reads};

struct Stage {
    dir: TempDir,
    idp: Idp,
}

impl Stage {
    /// `gateway` is where the configuration believes to be reached.
    async fn new(gateway: &str) -> Stage {
        let scopes = vec!["orders.read".to_owned(), "orders.write".to_owned()];
        let config = IdpConfig {
            signing_algorithm: Algorithm::ES256,
            clients: vec![Client {
                client_id: "job".into(),
                secret: Some(Secret::new("job-demo")),
                grants: vec![GrantType::ClientCredentials],
                scopes: scopes.clone(),
                ..Client::default()
            }],
            apis: vec![Api {
                audience: "api://orders".into(),
                scopes,
            }],
            ..IdpConfig::default()
        };
        let idp = Idp::start(config, Arc::new(SystemClock)).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            r#"[server]
public_url = "{gateway}"

[provider.dev]
issuer = "{}"

[client.job]
provider = "dev"
client_id = "job"
secret = {{ dev_only = "job-demo" }}

[api.orders]
path = "/api/orders"
upstream = "http://127.0.0.1:5000"
provider = "dev"
audience = "api://orders"
policy = {{ GET = "Read", default = "Write" }}

[policy.Read]
scope = "orders.read"

[policy.Write]
scope = "orders.write"
"#,
            idp.issuer()
        );
        fs::write(dir.path().join("portcullis.toml"), text).unwrap();
        Stage { dir, idp }
    }

    fn calls(&self, url: &str, more: &[&str], input: &str) -> Ended {
        let arguments = [&["call", url, "--client", "job", "--config", "portcullis.toml"], more].concat();
        let ended = tokio::task::block_in_place(|| portcullis_reads(self.dir.path(), &arguments, input));
        for told in [&ended.stdout, &ended.stderr] {
            assert!(!told.contains("job-demo"), "{told}");
            for secret in self.idp.control().issued_secrets() {
                let mut parts = secret.split('.').filter(|part| part.len() > 20);
                assert!(parts.all(|part| !told.contains(part)), "{told}");
            }
        }
        ended
    }
}

fn bearer(asked: &Asked) -> &str {
    asked
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_out_with_a_fresh_token_and_the_body_is_what_is_printed() {
    let api = Fake::start(|_, _| Reply::status(201).with("X-Request-Id", "r-1").holds("{\"id\":7}"));
    let stage = Stage::new(&api.origin).await;
    let url = format!("{}/api/orders?x=1", api.origin);
    let more = &[
        "--data",
        "-",
        "-H",
        "Content-Type: text/plain",
        "--scope",
        "orders.write",
    ];
    let ended = stage.calls(&url, more, "two apples");
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "{\"id\":7}"),
        "{}",
        ended.stderr
    );
    insta::assert_snapshot!("call_good", ended.stderr);
    let asked = api.seen().pop().unwrap();
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/api/orders?x=1")
    );
    assert_eq!(
        (asked.header("content-type"), asked.body.as_str()),
        (Some("text/plain"), "two apples")
    );
    assert!(
        stage
            .idp
            .control()
            .issued_secrets()
            .iter()
            .any(|token| token == bearer(&asked))
    );

    let ended = stage.calls(&url, &["-X", "delete", "--json"], "");
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (ended.status, ended.stderr.as_str(), &told["status"]),
        (0, "", &json!(201))
    );
    assert_eq!((&told["body"], &told["request_id"]), (&json!({"id": 7}), &json!("r-1")));
    assert_eq!(told["token"]["audience"], json!(["api://orders"]));
    let asked = api.seen();
    assert_eq!(asked.last().unwrap().method, "DELETE");
    assert_ne!(bearer(&asked[0]), bearer(&asked[1]), "a fresh one each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_explained_by_the_gateways_own_rules() {
    let api = Fake::start(|_, _| {
        let challenge = "Bearer realm=\"orders\", error=\"insufficient_scope\", scope=\"orders.write\"";
        Reply {
            status: 403,
            ..Reply::json(&json!({"code": "insufficient_scope", "status": 403}))
        }
        .with("WWW-Authenticate", challenge)
    });
    let stage = Stage::new(&api.origin).await;
    let url = format!("{}/api/orders", api.origin);
    let ended = stage.calls(&url, &["-X", "PUT", "--scope", "orders.read"], "");
    assert_eq!(ended.status, 1);
    insta::assert_snapshot!("call_refused", ended.stderr);

    let elsewhere = Stage::new("http://127.0.0.1:1").await;
    let ended = elsewhere.calls(&url, &["--json"], "");
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (ended.status, &told["causes"]),
        (1, &json!([])),
        "another gateway's rules are not known here"
    );
    assert_eq!(told["explained"]["code"], "insufficient_scope");
    let known = [(api.origin.as_str(), "API"), (elsewhere.idp.issuer(), "ISSUER")];
    insta::assert_snapshot!("call_json", fixed_json(&ended.stdout, &known));
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_of_ours_and_lost_headers_are_told() {
    let away = Fake::start(|_, _| Reply {
        status: 502,
        ..Reply::json(&json!({"code": "upstream.unreachable"}))
    });
    let stage = Stage::new(&away.origin).await;
    let ended = stage.calls(&format!("{}/api/orders", away.origin), &["--json"], "");
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (ended.status, &told["explained"]["code"]),
        (1, &json!("upstream.unreachable"))
    );
    assert!(told["explained"]["fix"].as_str().unwrap().len() > 20);

    let proxy = Fake::start(|_, _| Reply::status(401).with("WWW-Authenticate", "Bearer realm=\"orders\""));
    for stage in [Stage::new(&proxy.origin).await, Stage::new("http://127.0.0.1:1").await] {
        let ended = stage.calls(&format!("{}/api/orders", proxy.origin), &[], "");
        assert_eq!(ended.status, 1);
        assert!(
            ended.stderr.contains("likely cause[cause.header_stripped]"),
            "{}",
            ended.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_told() {
    let stage = Stage::new("http://127.0.0.1:8080").await;
    let [closed] = free_ports::<1>();
    let away = format!("http://127.0.0.1:{closed}/api/orders");
    for (url, more, status, says) in [
        (away.as_str(), &[][..], 1, "no answer"),
        (&away, &["--scope", "nonsense"], 1, "client job got no token"),
        (
            &away,
            &["-H", "Authorization: Bearer x"],
            2,
            "is what this command sets",
        ),
        (&away, &["-H", "nonsense"], 2, "NAME: VALUE"),
        (&away, &["-X", "a b"], 2, "is no method"),
        (&away, &["--data", "nowhere"], 2, "cannot read the body from nowhere"),
        ("http://api.example.com/", &[], 2, "is not https"),
    ] {
        let ended = stage.calls(url, more, "");
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (status, ""),
            "{url} {more:?} {}",
            ended.stderr
        );
        assert!(ended.stderr.contains(says), "{url} {more:?}: {}", ended.stderr);
    }
    let arguments = ["call", &away, "--client", "nobody", "--config", "portcullis.toml"];
    let ended = tokio::task::block_in_place(|| portcullis_reads(stage.dir.path(), &arguments, ""));
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(
        ended.stderr.contains("there is no client nobody; there are: job"),
        "{}",
        ended.stderr
    );
}
