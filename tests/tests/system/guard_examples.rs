//! The other examples of the guard: several issuers, claims of one's own, DPoP.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_idp::{Api, Client, GrantType, Idp, IdpConfig, Mint, User};
use portcullis_jose::{Algorithm, Secret, SystemClock};
use serde_json::{Value, json};

use crate::examples::{Server, build, challenge, request};

const SECRET: &str = "what-a-client-knows";

#[tokio::test(flavor = "multi_thread")]
async fn each_issuer_answers_for_its_own_people_and_no_other() {
    let programs = build();
    let (customers, employees, strangers) = (provider().await, provider().await, provider().await);
    let api = Server::start(
        &programs,
        "example-multi-issuer",
        &[("CUSTOMERS", customers.issuer()), ("EMPLOYEES", employees.issuer())],
    );
    let get = async |path: &str, token: &str| {
        let answer = request(&format!("{}{path}", api.url), Some(token), None).await;
        (
            answer.status().as_u16(),
            serde_json::from_slice::<Value>(answer.body()).unwrap(),
        )
    };
    // The same name at two issuers is two people.
    for (idp, percent) in [(&customers, 0), (&employees, 20)] {
        let token = mint(idp, "carol");
        let who = json!({ "issuer": idp.issuer(), "subject": "sub-carol" });
        assert_eq!(get("/who", &token).await, (200, who));
        assert_eq!(get("/discount", &token).await, (200, json!({ "percent": percent })));
    }
    assert_eq!(get("/who", &mint(&strangers, "carol")).await.0, 401);
    let told = api.wait_for("token.issuer_mismatch");
    let trusted = format!("{} or {}", customers.issuer(), employees.issuer());
    assert_eq!(
        (&told["expected"], &told["found"]),
        (&json!(trusted), &json!(strangers.issuer()))
    );

    // An administrator is made by one of them alone.
    assert_eq!(get("/admin", &mint(&employees, "carol")).await.0, 200);
    assert_eq!(get("/admin", &mint(&employees, "alice")).await.0, 403);
    assert_eq!(get("/admin", &mint(&customers, "carol")).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_become_a_type_and_a_token_may_be_absent() {
    let programs = build();
    let idp = provider().await;
    let api = Server::start(&programs, "example-custom-claims", &[("AUTHORITY", idp.issuer())]);
    let get = async |path: &str, token: Option<&str>| {
        let answer = request(&format!("{}{path}", api.url), token, None).await;
        (
            answer.status().as_u16(),
            String::from_utf8(answer.body().to_vec()).unwrap(),
        )
    };
    let (carol, alice, bob) = (mint(&idp, "carol"), mint(&idp, "alice"), mint(&idp, "bob"));
    let (status, exported) = get("/export", Some(&carol)).await;
    assert_eq!(status, 200, "{exported}");
    let expected = json!({ "for": "sub-carol", "groups": ["staff"], "entitlements": 2 });
    assert_eq!(serde_json::from_str::<Value>(&exported).unwrap(), expected);
    // Too many groups for the function; no entitlement for the rule; no claim for the type.
    assert_eq!(get("/export", Some(&alice)).await.0, 403);
    api.wait_for("policy.denied");
    assert_eq!(get("/export", Some(&bob)).await.0, 403);
    api.wait_for("policy.claim_mismatch");

    assert_eq!(get("/", None).await, (200, "Hello stranger".into()));
    assert_eq!(get("/", Some(&carol)).await, (200, "Hello sub-carol".into()));
    assert_eq!(get("/", Some("no.token.atall")).await.0, 401);
    assert_eq!(get("/", Some(&bob)).await.0, 403, "his claims do not fit");
    let told = api.wait_for("policy.claim_mismatch");
    assert!(told["found"].as_str().unwrap().contains("entitlements"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_proves_its_key_and_a_stolen_token_is_worth_nothing() {
    let programs = build();
    let idp = provider().await;
    let api = Server::start(&programs, "example-dpop-api", &[("AUTHORITY", idp.issuer())]);
    let url = format!("{}/orders", api.url);
    let got = tokio::task::block_in_place(|| {
        std::process::Command::new(programs.join("example-dpop-client"))
            .envs([
                ("ISSUER", idp.issuer()),
                ("CLIENT_ID", "nightly"),
                ("CLIENT_SECRET", SECRET),
            ])
            .envs([("SCOPE", "orders.read"), ("API_URL", &url)])
            .output()
            .unwrap()
    });
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    let answer: Value = serde_json::from_slice(&got.stdout).unwrap();
    assert_eq!((&answer["for"], &answer["orders"]), (&json!("nightly"), &json!([])));
    let jkt = answer["key"].as_str().unwrap();
    assert_eq!(jkt.len(), 43, "{jkt}");
    // The first proof had no nonce.
    api.wait_for("dpop.nonce_required");

    // The token is good, and nobody else can use it; and one that is bound to nothing is not taken here at all.
    let mut bound = Mint {
        user: Some("carol".into()),
        cnf: json!({ "jkt": jkt }).as_object().cloned(),
        ..Mint::default()
    };
    for code in ["token.binding_required", "token.not_bound"] {
        let token = idp.control().mint(&bound).unwrap();
        assert_eq!(request(&url, Some(&token), None).await.status(), 401);
        api.wait_for(code);
        bound.cnf = None;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_is_told_in_its_own_language() {
    let programs = build();
    let idp = provider().await;
    let api = Server::start(&programs, "example-tonic", &[("AUTHORITY", idp.issuer())]);
    let (carol, bob) = (mint(&idp, "carol"), mint(&idp, "bob"));

    let good = grpc(&api.url, "/orders.Orders/List", Some(&carol)).await;
    assert_eq!(
        (good.status().as_u16(), &good.headers()[CONTENT_TYPE]),
        (200, &"application/grpc".parse().unwrap())
    );
    let (head, body) = good.into_parts();
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0", "{head:?}");
    let message = b"\x0a\x09sub-carol\x12\x04rope";
    let frame = [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], &message[..]].concat();
    assert_eq!(collected.to_bytes(), frame);
    assert_eq!(
        status(&grpc(&api.url, "/orders.Orders/ListAll", Some(&carol)).await),
        None
    );

    for (path, token, code, error) in [
        ("/orders.Orders/List", None, "16", None),
        (
            "/orders.Orders/List",
            Some("no.token.atall"),
            "16",
            Some("invalid_token"),
        ),
        (
            "/orders.Orders/ListAll",
            Some(bob.as_str()),
            "7",
            Some("insufficient_scope"),
        ),
    ] {
        let refused = grpc(&api.url, path, token).await;
        assert_eq!(
            (refused.status().as_u16(), status(&refused)),
            (200, Some(code)),
            "{path}"
        );
        let challenge = refused.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with("Bearer realm=\"api://orders\""), "{challenge}");
        let error = error.map(|error| format!("error=\"{error}\""));
        assert_eq!(challenge.contains("error="), error.is_some(), "{challenge}");
        assert!(error.is_none_or(|error| challenge.contains(&error)), "{challenge}");
    }
    api.wait_for("policy.role_missing");
    // Whoever does not speak gRPC gets HTTP.
    let plain = request(&format!("{}/orders.Orders/List", api.url), None, Some("{}")).await;
    assert_eq!(plain.status(), 401);
    assert!(!challenge(&plain).contains("error="));
}

#[test]
fn whoever_only_checks_tokens_compiles_no_database() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "portcullis-guard",
            "-e",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(
        tree.contains("portcullis-store ") && tree.contains("axum-core "),
        "{tree}"
    );
    for heavy in [
        "redis ",
        "rusqlite ",
        "tokio-postgres ",
        "libsqlite3-sys ",
        "axum ",
        "clap ",
        "portcullis-bff ",
        "portcullis-proxy ",
    ] {
        assert!(!tree.lines().any(|line| line.starts_with(heavy)), "{heavy}");
    }
}

/// Alice has too many groups, bob has nothing, carol may do everything.
async fn provider() -> Idp {
    let user = |name: &str, claims: Value| User {
        username: name.into(),
        sub: Some(format!("sub-{name}")),
        claims: claims.as_object().unwrap().clone(),
        scopes: vec!["orders.read".into()],
        ..User::default()
    };
    let config = IdpConfig {
        signing_algorithm: Algorithm::ES256,
        users: vec![
            user(
                "alice",
                json!({ "groups": ["a", "b", "c"], "entitlements": ["export"] }),
            ),
            user("bob", json!({})),
            user(
                "carol",
                json!({ "roles": ["Orders.Admin"], "groups": ["staff"], "entitlements": ["export", "import", "more"] }),
            ),
        ],
        clients: vec![
            Client {
                client_id: "shop".into(),
                redirect_uris: vec!["http://127.0.0.1:8080/bff/callback".into()],
                scopes: vec!["orders.read".into()],
                ..Client::default()
            },
            Client {
                client_id: "nightly".into(),
                secret: Some(Secret::new(SECRET)),
                grants: vec![GrantType::ClientCredentials],
                scopes: vec!["orders.read".into()],
                ..Client::default()
            },
        ],
        apis: vec![Api {
            audience: "api://orders".into(),
            scopes: vec!["orders.read".into()],
        }],
        ..IdpConfig::default()
    };
    Idp::start(config, Arc::new(SystemClock)).await.unwrap()
}

fn mint(idp: &Idp, user: &str) -> String {
    let order = Mint {
        user: Some(user.into()),
        ..Mint::default()
    };
    idp.control().mint(&order).unwrap()
}

/// A call with an empty message, over HTTP/2.
async fn grpc(url: &str, path: &str, token: Option<&str>) -> Response<hyper::body::Incoming> {
    let stream = tokio::net::TcpStream::connect(url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("{url}{path}"))
        .header(CONTENT_TYPE, "application/grpc")
        .header("te", "trailers");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from_static(&[0; 5]))).unwrap();
    sender.send_request(request).await.unwrap()
}

/// The status of a refusal, which has no body: it stands in the headers.
fn status<B>(response: &Response<B>) -> Option<&str> {
    response
        .headers()
        .get("grpc-status")
        .map(|status| status.to_str().unwrap())
}
