//! The examples as they are: an API that protects itself with the guard, and a daemon that calls it.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, Response};
use portcullis_idp::{Api, Client, GrantType, Idp, IdpConfig, Mint, User};
use portcullis_jose::{Algorithm, Secret, SystemClock};
use portcullis_oidc::{HttpClient, HyperClient};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_gets_the_orders_from_the_api_with_its_own_token() {
    let programs = build();
    let idp = provider().await;
    let (_api, url) = orders(&programs, idp.issuer());
    let call = |client, scope| daemon(&programs, &idp, client, scope, &url);

    let got = call("nightly", "orders.read");
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    assert_eq!(answer(&got), json!({ "for": "nightly", "orders": [] }));

    // A person who may write orders something, and the daemon sees it.
    let alice = Mint {
        user: Some("alice".into()),
        client: Some("shop".into()),
        ..Mint::default()
    };
    let token = idp.control().mint(&alice).unwrap();
    let order = json!({ "item": "rope", "by": "sub-alice", "client": "shop" });
    let made = request(&url, Some(&token), Some(r#"{"item":"rope"}"#)).await;
    assert_eq!(made.status(), 201, "{:?}", made.body());
    assert_eq!(serde_json::from_slice::<Value>(made.body()).unwrap(), order);
    assert_eq!(answer(&call("nightly", "orders.read"))["orders"], json!([order]));

    for told in [&got.stdout, &got.stderr].map(|bytes| String::from_utf8_lossy(bytes)) {
        let issued = idp.control().issued_secrets();
        assert!(
            !issued.is_empty() && !issued.iter().any(|secret| told.contains(secret)),
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_refuses_what_it_should() {
    let programs = build();
    let idp = provider().await;
    let (api, url) = orders(&programs, idp.issuer());

    let none = request(&url, None, None).await;
    assert_eq!(
        (none.status().as_u16(), challenge(&none).contains("error=")),
        (401, false)
    );
    let wrong = request(&url, Some("no.token.atall"), None).await;
    assert_eq!(wrong.status(), 401);
    assert!(
        challenge(&wrong).contains("error=\"invalid_token\""),
        "{}",
        challenge(&wrong)
    );
    let reader = Mint {
        client: Some("nightly".into()),
        ..Mint::default()
    };
    let token = idp.control().mint(&reader).unwrap();
    assert_eq!(request(&url, Some(&token), None).await.status(), 200);
    let write = request(&url, Some(&token), Some(r#"{"item":"rope"}"#)).await;
    assert_eq!(write.status(), 403);
    assert!(
        challenge(&write).contains("scope=\"orders.write\""),
        "{}",
        challenge(&write)
    );

    for (client, scope, status, error) in [
        ("packer", "orders.write", "403", "insufficient_scope"),
        ("stocktaker", "stock.read", "401", "invalid_token"),
    ] {
        let refused = daemon(&programs, &idp, client, scope, &url);
        let why = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(
            (refused.status.code(), refused.stdout.len()),
            (Some(1), 0),
            "{client}: {why}"
        );
        assert!(why.contains(status) && why.contains(error), "{client}: {why}");
    }
    // The answer says little; the API's own log says what to change.
    let told = api.wait_for("token.audience_mismatch");
    assert_eq!(
        (&told["expected"], &told["found"]),
        (&json!("api://orders"), &json!("api://stock")),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_says_why_it_cannot_and_nothing_of_its_secret() {
    let programs = build();
    let idp = provider().await;
    let fails = |output: Output| {
        let why = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{why}");
        assert!(!why.contains(SECRET), "{why}");
        why
    };
    let absent = fails(daemon(
        &programs,
        &idp,
        "absent",
        "orders.read",
        "http://127.0.0.1:9/orders",
    ));
    assert!(absent.contains("invalid_client"), "{absent}");
    let scope = fails(daemon(
        &programs,
        &idp,
        "nightly",
        "orders.write",
        "http://127.0.0.1:9/orders",
    ));
    assert!(scope.contains("invalid_scope"), "{scope}");

    idp.control().clear_request_log();
    let open = fails(daemon(
        &programs,
        &idp,
        "nightly",
        "orders.read",
        "http://api.example.test/orders",
    ));
    assert!(open.contains("NotHttps"), "{open}");
    assert!(
        idp.control().request_log().is_empty(),
        "no token is asked for that has nowhere to go"
    );
}

const SECRET: &str = "what-a-daemon-knows";

async fn provider() -> Idp {
    let service = |client_id: &str, scope: &str| Client {
        client_id: client_id.into(),
        secret: Some(Secret::new(SECRET)),
        grants: vec![GrantType::ClientCredentials],
        scopes: vec![scope.into()],
        ..Client::default()
    };
    let api = |audience: &str, scopes: &[&str]| Api {
        audience: audience.into(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    };
    let config = IdpConfig {
        signing_algorithm: Algorithm::ES256,
        users: vec![User {
            username: "alice".into(),
            password: Some(Secret::new("alice-demo")),
            sub: Some("sub-alice".into()),
            scopes: vec!["orders.read".into(), "orders.write".into()],
            ..User::default()
        }],
        clients: vec![
            Client {
                client_id: "shop".into(),
                redirect_uris: vec!["http://127.0.0.1:8080/bff/callback".into()],
                scopes: vec!["orders.read".into(), "orders.write".into()],
                ..Client::default()
            },
            service("nightly", "orders.read"),
            service("packer", "orders.write"),
            service("stocktaker", "stock.read"),
        ],
        apis: vec![
            api("api://orders", &["orders.read", "orders.write"]),
            api("api://stock", &["stock.read"]),
        ],
        ..IdpConfig::default()
    };
    Idp::start(config, Arc::new(SystemClock)).await.unwrap()
}

/// The API of `axum-api`, and where its orders are.
fn orders(programs: &Path, issuer: &str) -> (Server, String) {
    let api = Server::start(programs, "example-axum-api", &[("AUTHORITY", issuer)]);
    let url = format!("{}/orders", api.url);
    (api, url)
}

/// An example's server, as a process of its own. It ends with this value.
pub(crate) struct Server {
    child: Child,
    events: Receiver<String>,
    /// Where it listens, without a path.
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(programs: &Path, name: &str, variables: &[(&str, &str)]) -> Server {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut child = Command::new(programs.join(name))
            .envs(variables.iter().copied())
            .env("AUDIENCE", "api://orders")
            .env("LISTEN", &address)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, events) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        let url = format!("http://{address}");
        let api = Server { child, events, url };
        let begun = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "{name} never listens");
            let paused = api.events.recv_timeout(STEP);
            assert_ne!(paused, Err(RecvTimeoutError::Disconnected), "{name} ended");
        }
        api
    }

    /// The event with this code.
    pub(crate) fn wait_for(&self, code: &str) -> Value {
        loop {
            let line = self.events.recv_timeout(PATIENCE).expect("the event");
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["code"] == code {
                return event;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn daemon(programs: &Path, idp: &Idp, client: &str, scope: &str, api: &str) -> Output {
    // The provider answers on the test's other threads meanwhile.
    tokio::task::block_in_place(|| {
        Command::new(programs.join("example-daemon"))
            .envs([
                ("ISSUER", idp.issuer()),
                ("CLIENT_ID", client),
                ("CLIENT_SECRET", SECRET),
            ])
            .envs([("SCOPE", scope), ("API_URL", api)])
            .output()
            .unwrap()
    })
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) async fn request(url: &str, token: Option<&str>, body: Option<&'static str>) -> Response<Bytes> {
    let mut request = Request::builder().uri(url);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.method("POST").header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Bytes::from(body.unwrap_or_default())).unwrap();
    HyperClient::new().unwrap().send(request, 64 * 1024).await.unwrap()
}

pub(crate) fn challenge(response: &Response<Bytes>) -> &str {
    response.headers()[WWW_AUTHENTICATE].to_str().unwrap()
}

/// Builds the examples with the profile of this test, and says where they are.
pub(crate) fn build() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/PROFILE/deps/system-HASH
    let programs = test.ancestors().nth(2).unwrap();
    let profile = match programs.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--profile", profile])
        .args([
            "-p",
            "example-axum-api",
            "-p",
            "example-daemon",
            "-p",
            "example-guard",
            "-p",
            "example-tonic",
        ])
        .arg("--target-dir")
        .arg(programs.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    programs.to_owned()
}
