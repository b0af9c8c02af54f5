//! Tokens that are bound to a key: what passes with a proof, and what each other is told.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

use std::sync::Arc;

use crate::support::{Answer, NOW, World, bearer};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use portcullis_audit::Event;
use portcullis_guard::{
    Audiences, Authorities, BuildFault, Check, ClientCertificate, Dpop, DpopNonces, Guard, GuardBuilder, KeepUri,
    SenderConstraint,
};
use portcullis_jose::{Algorithm, AlgorithmSet, SigningKey, UnixTime, base64url_encode, random_token, sha256};
use portcullis_store::{BoxFuture, KeyRing, ReplayStore, SealingKey, SqliteStore, StoreError};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};

const ORIGIN: &str = "https://api.test";

/// A client with a key of its own.
struct Sender(SigningKey);

impl Sender {
    fn new() -> Sender {
        Sender(SigningKey::generate(Algorithm::ES256).unwrap())
    }

    fn token(&self, world: &World) -> String {
        world.token(json!({"cnf": {"jkt": self.0.kid()}}))
    }

    /// A good proof for `GET /orders`, with these claims changed.
    fn proof(&self, world: &World, token: &str, changes: &Value) -> String {
        let mut claims = json!({
            "jti": random_token(9), "htm": "GET", "htu": "https://api.test/orders",
            "iat": portcullis_jose::Clock::now(&*world.clock).as_secs(),
            "ath": base64url_encode(&sha256(token.as_bytes())),
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.0.public_jwk()});
        self.0.sign_with_header(&header, claims.to_string().as_bytes()).unwrap()
    }
}

fn request(token: &str, proofs: &[&str]) -> Request<()> {
    let mut request = Request::get("/orders?page=2").header("authorization", format!("DPoP {token}"));
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    request.body(()).unwrap()
}

fn guard(world: &World) -> Guard {
    world.builder().dpop(Dpop::at(ORIGIN)).build().unwrap()
}

fn challenges(answer: &Answer) -> Vec<&str> {
    let all = answer.headers.get_all("www-authenticate").iter();
    all.map(|value| value.to_str().unwrap()).collect()
}

fn code(world: &World) -> &'static str {
    world.last_event().event.refused().unwrap().code
}

#[tokio::test]
async fn a_bound_token_passes_with_its_proof_each_time_with_a_new_one() {
    let (world, sender) = (World::new(), Sender::new());
    let guard = guard(&world);
    let token = sender.token(&world);
    for reached in 1..=3 {
        let proof = sender.proof(&world, &token, &json!({}));
        let answer = world.send(&guard, "Read", request(&token, &[&proof])).await;
        assert_eq!((answer.status, world.reached()), (200, reached), "{}", answer.body);
        assert_eq!(answer.header("dpop-nonce"), None);
    }
    // A token that is bound to nothing passes as it did.
    assert_eq!(
        world.send_token(&guard, "Read", &world.token(json!({}))).await.status,
        200
    );
}

#[tokio::test]
async fn a_proof_is_good_once_also_for_a_remembered_token_and_for_two_at_once() {
    let (world, sender) = (World::new(), Sender::new());
    let guard = guard(&world);
    let token = sender.token(&world);
    let proof = sender.proof(&world, &token, &json!({}));
    assert_eq!(world.send(&guard, "Read", request(&token, &[&proof])).await.status, 200);
    let answer = world.send(&guard, "Read", request(&token, &[&proof])).await;
    assert_eq!(
        (answer.status, code(&world), world.reached()),
        (401, "dpop.replayed", 1)
    );
    assert_eq!(answer.json()["code"], "invalid_dpop_proof");

    let proof = sender.proof(&world, &token, &json!({}));
    let (one, two) = tokio::join!(
        world.send(&guard, "Read", request(&token, &[&proof])),
        world.send(&guard, "Read", request(&token, &[&proof]))
    );
    assert_eq!(one.status + two.status, 200 + 401);
    // When the mark is forgotten the proof is too old.
    world.clock.advance(125);
    assert_eq!(world.send(&guard, "Read", request(&token, &[&proof])).await.status, 401);
    assert_eq!(code(&world), "dpop.expired");
}

#[tokio::test]
async fn every_bad_proof_is_told_in_a_challenge_of_its_scheme() {
    let (world, sender, other) = (World::new(), Sender::new(), Sender::new());
    let guard = guard(&world);
    let token = sender.token(&world);
    let good = sender.proof(&world, &token, &json!({}));
    let with = |changes: Value| sender.proof(&world, &token, &changes);
    let now = portcullis_jose::Clock::now(&*world.clock).as_secs();
    for (proofs, expected) in [
        (vec![], "dpop.proof_missing"),
        (vec![good.clone(), good.clone()], "dpop.multiple_proofs"),
        (vec!["x".to_owned()], "dpop.malformed"),
        (vec![token.clone()], "dpop.key_unusable"),
        (vec![with(json!({"htm": "POST"}))], "dpop.method_mismatch"),
        (
            vec![with(json!({"htu": "https://evil.test/orders"}))],
            "dpop.uri_mismatch",
        ),
        (vec![with(json!({"iat": now - 600}))], "dpop.expired"),
        (vec![with(json!({"iat": now + 600}))], "dpop.not_yet_valid"),
        (vec![with(json!({"jti": ""}))], "dpop.claim_missing"),
        (vec![with(json!({"ath": "x"}))], "dpop.token_mismatch"),
        (vec![other.proof(&world, &token, &json!({}))], "dpop.key_mismatch"),
    ] {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        let answer = world.send(&guard, "Read", request(&token, &proofs)).await;
        assert_eq!((answer.status, code(&world)), (401, expected));
        let [challenge] = challenges(&answer)[..] else {
            panic!("{:?}", challenges(&answer))
        };
        assert!(
            challenge.starts_with("DPoP realm=\"orders\", error=\"invalid_dpop_proof\", error_description="),
            "{challenge}"
        );
        assert!(
            challenge.contains(", algs=\"RS256 ") && challenge.contains(" ES256 "),
            "{challenge}"
        );
        let record = world.last_event();
        let Event::CallRefused { credential, checks, .. } = &record.event else {
            panic!("{record:?}");
        };
        assert_eq!(credential.as_str(), "dpop");
        assert_eq!(
            checks
                .iter()
                .find(|line| line.result == "failed")
                .map(|line| line.check),
            Some("proof")
        );
        assert!(!record.json().contains(&good) && !record.json().contains(&token));
    }
    assert_eq!(world.reached(), 0);
    // None of these used anything up.
    assert_eq!(world.send(&guard, "Read", request(&token, &[&good])).await.status, 200);
}

#[tokio::test]
async fn a_bound_token_is_never_a_bearer_token_and_an_unbound_one_never_comes_with_dpop() {
    let (world, sender) = (World::new(), Sender::new());
    let guard = guard(&world);
    let token = sender.token(&world);
    let answer = world.send(&guard, "Read", bearer(&token)).await;
    assert_eq!((answer.status, code(&world)), (401, "token.binding_required"));
    // RFC 9449 s7.2: the error at the scheme that was used, and the one that would do beside it.
    let [first, second] = challenges(&answer)[..] else {
        panic!("{:?}", challenges(&answer))
    };
    assert!(
        first.starts_with("Bearer realm=\"orders\", error=\"invalid_token\""),
        "{first}"
    );
    assert!(second.starts_with("DPoP realm=\"orders\", algs=\""), "{second}");

    let mut with_proof = bearer(&token);
    let proof = sender.proof(&world, &token, &json!({}));
    with_proof.headers_mut().insert("dpop", proof.parse().unwrap());
    assert_eq!(world.send(&guard, "Read", with_proof).await.status, 401);
    assert_eq!(code(&world), "token.binding_required");

    let unbound = world.token(json!({}));
    let proof = sender.proof(&world, &unbound, &json!({}));
    let answer = world.send(&guard, "Read", request(&unbound, &[&proof])).await;
    assert_eq!((answer.status, code(&world)), (401, "token.not_bound"));
    let [challenge] = challenges(&answer)[..] else {
        panic!("{:?}", challenges(&answer))
    };
    assert!(
        challenge.starts_with("DPoP realm=\"orders\", error=\"invalid_token\""),
        "{challenge}"
    );
    assert_eq!(world.reached(), 0);
}

#[tokio::test]
async fn without_the_setting_a_bound_token_is_refused_with_its_proof_too() {
    let (world, sender) = (World::new(), Sender::new());
    let guard = world.guard();
    let token = sender.token(&world);
    let proof = sender.proof(&world, &token, &json!({}));
    let answer = world.send(&guard, "Read", request(&token, &[&proof])).await;
    assert_eq!((answer.status, code(&world)), (401, "token.binding_required"));
    let fix = world.last_event().event.refused().unwrap().fix.clone();
    assert!(fix.contains(".dpop(Dpop::at(...))"), "{fix}");
    assert_eq!(challenges(&answer).len(), 1);
    assert!(challenges(&answer)[0].starts_with("Bearer "));
}

#[tokio::test]
async fn a_proof_is_not_used_up_by_a_call_that_is_refused_for_its_token() {
    let (world, sender) = (World::new(), Sender::new());
    let guard = guard(&world);
    let token = sender.token(&world);
    let verified = guard
        .verify(&Guard::credential(&parts(&request(&token, &[&sender.proof(&world, &token, &json!({}))]))).unwrap())
        .await
        .unwrap();
    let proof = sender.proof(&world, &token, &json!({}));
    let explained = guard
        .explain(&Guard::credential(&parts(&request(&token, &[&proof]))).unwrap(), None)
        .await;
    assert!(explained.allowed(), "{explained}");
    // Asking used nothing up.
    assert_eq!(world.send(&guard, "Read", request(&token, &[&proof])).await.status, 200);
    guard.revoke_token(&verified, "test").await.unwrap();
    let proof = sender.proof(&world, &token, &json!({}));
    assert_eq!(world.send(&guard, "Read", request(&token, &[&proof])).await.status, 401);
    assert_eq!(code(&world), "token.revoked");

    let bad = sender.proof(&world, &token, &json!({"htm": "POST"}));
    let explained = guard
        .explain(&Guard::credential(&parts(&request(&token, &[&bad]))).unwrap(), None)
        .await;
    assert_eq!(
        explained.check(Check::Proof).unwrap().code,
        Some("dpop.method_mismatch")
    );
}

fn parts(request: &Request<()>) -> http::request::Parts {
    request.clone().into_parts().0
}

#[tokio::test]
async fn a_request_that_meets_two_guards_needs_one_proof() {
    let (world, sender) = (World::new(), Sender::new());
    let guard = guard(&world);
    let token = sender.token(&world);
    let inner = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(
            bytes::Bytes::new(),
        )))
    });
    let service = guard
        .require("Anyone")
        .unwrap()
        .layer(guard.require("Read").unwrap().layer(inner));
    let proof = sender.proof(&world, &token, &json!({}));
    let answer = service.clone().oneshot(request(&token, &[&proof])).await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = service.oneshot(request(&token, &[&proof])).await.unwrap();
    assert_eq!((answer.status().as_u16(), code(&world)), (401, "dpop.replayed"));
}

#[tokio::test]
async fn inside_of_a_nested_router_a_proof_names_the_whole_path() {
    let (world, sender) = (World::new(), Sender::new());
    let token = sender.token(&world);
    let app = |address: &str, kept: bool| {
        let guard = world.builder().dpop(Dpop::at(address)).build().unwrap();
        let inner = Router::new()
            .route("/list", get(|| async { "orders" }))
            .route_layer(guard.require("Read").unwrap());
        let app = Router::new().nest("/orders", inner);
        if kept { app.layer(KeepUri) } else { app }
    };
    for (address, kept, status) in [
        (ORIGIN, true, 200),
        (ORIGIN, false, 401),
        ("https://api.test/orders", false, 200),
    ] {
        let proof = sender.proof(&world, &token, &json!({"htu": "https://api.test/orders/list"}));
        let sent = Request::get("/orders/list")
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof)
            .body(Body::empty())
            .unwrap();
        let answer = app(address, kept).oneshot(sent).await.unwrap();
        assert_eq!(answer.status(), status, "{address} {kept}");
    }
    assert_eq!(code(&world), "dpop.uri_mismatch");
}

#[tokio::test]
async fn replicas_that_share_a_store_share_the_marks() {
    let (world, sender) = (World::new(), Sender::new());
    let dir = tempfile::tempdir().unwrap();
    let replica = || {
        let store = SqliteStore::open(dir.path().join("marks.db"), world.clock.clone()).unwrap();
        let dpop = Dpop::at(ORIGIN).replay(Arc::new(store));
        world.builder().dpop(dpop).build().unwrap()
    };
    let (one, two) = (replica(), replica());
    let token = sender.token(&world);
    let proof = sender.proof(&world, &token, &json!({}));
    assert_eq!(world.send(&one, "Read", request(&token, &[&proof])).await.status, 200);
    assert_eq!(world.send(&two, "Read", request(&token, &[&proof])).await.status, 401);
    assert_eq!(code(&world), "dpop.replayed");
    let fresh = sender.proof(&world, &token, &json!({}));
    assert_eq!(world.send(&two, "Read", request(&token, &[&fresh])).await.status, 200);
}

#[derive(Debug)]
struct Down;

impl ReplayStore for Down {
    fn mark(&self, _: &str, _: &[u8], _: UnixTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(std::future::ready(Err(StoreError::Unavailable {
            cause: "disk".into(),
        })))
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_503() {
    let (world, sender) = (World::new(), Sender::new());
    let guard = world
        .builder()
        .dpop(Dpop::at(ORIGIN).replay(Arc::new(Down)))
        .build()
        .unwrap();
    let token = sender.token(&world);
    let proof = sender.proof(&world, &token, &json!({}));
    let answer = world.send(&guard, "Read", request(&token, &[&proof])).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!((code(&world), challenges(&answer).len()), ("store.unavailable", 0));
    assert_eq!(world.reached(), 0);
}

#[tokio::test]
async fn a_nonce_is_asked_for_given_and_renewed() {
    let (world, sender) = (World::new(), Sender::new());
    let ring = KeyRing::from_keys(vec![SealingKey::generate()]).unwrap();
    let replica = || {
        let nonces = DpopNonces::of_keys(&ring).unwrap().period(300);
        world.builder().dpop(Dpop::at(ORIGIN).nonces(nonces)).build().unwrap()
    };
    let (one, two) = (replica(), replica());
    let token = world.token(json!({"cnf": {"jkt": sender.0.kid()}, "exp": NOW + 3_600}));
    let send = async |guard: &Guard, nonce: &Value| {
        let proof = sender.proof(&world, &token, &json!({"nonce": nonce}));
        world.send(guard, "Read", request(&token, &[&proof])).await
    };
    let without = sender.proof(&world, &token, &json!({}));
    let answer = world.send(&one, "Read", request(&token, &[&without])).await;
    assert_eq!((answer.status, code(&world)), (401, "dpop.nonce_required"));
    assert!(challenges(&answer)[0].contains("error=\"use_dpop_nonce\""));
    let nonce = json!(answer.header("dpop-nonce").unwrap());

    let answer = send(&one, &nonce).await;
    assert_eq!((answer.status, answer.header("dpop-nonce")), (200, None));
    assert_eq!(send(&two, &nonce).await.status, 200, "the other replica knows it");
    world.clock.advance(300);
    let answer = send(&one, &nonce).await;
    assert_eq!(answer.status, 200);
    let next = json!(answer.header("dpop-nonce").expect("the next one, in time"));
    world.clock.advance(299);
    assert_eq!(send(&one, &next).await.status, 200);
    world.clock.advance(1);
    let answer = send(&one, &nonce).await;
    assert_eq!((answer.status, code(&world)), (401, "dpop.nonce_stale"));
    assert!(
        answer
            .header("dpop-nonce")
            .is_some_and(|new| *new != nonce && *new != next)
    );
}

#[tokio::test]
async fn an_api_can_ask_for_bound_tokens_alone() {
    let (world, sender) = (World::new(), Sender::new());
    let certificate = ClientCertificate::from_der(b"a certificate");
    let by_certificate = world.token(json!({"cnf": {"x5t#S256": base64url_encode(certificate.thumbprint())}}));
    let by_key = sender.token(&world);
    let plain = world.token(json!({}));
    for (constraint, key, cert, schemes) in [
        (SenderConstraint::Dpop, 200, 401, vec!["DPoP"]),
        (SenderConstraint::MutualTls, 401, 200, vec!["Bearer"]),
        (SenderConstraint::Any, 200, 200, vec!["Bearer", "DPoP"]),
    ] {
        let guard = world
            .builder()
            .dpop(Dpop::at(ORIGIN))
            .sender_constrained(constraint)
            .build()
            .unwrap();
        let answer = world.send_token(&guard, "Read", &plain).await;
        assert_eq!(
            (answer.status, code(&world)),
            (401, "token.not_bound"),
            "{constraint:?}"
        );
        let offered: Vec<&str> = challenges(&answer)
            .iter()
            .map(|challenge| challenge.split(' ').next().unwrap())
            .collect();
        assert_eq!(offered, schemes, "{constraint:?}");
        let proof = sender.proof(&world, &by_key, &json!({}));
        let answer = world.send(&guard, "Read", request(&by_key, &[&proof])).await;
        assert_eq!(answer.status, key, "{constraint:?}");
        let mut with_certificate = bearer(&by_certificate);
        with_certificate.extensions_mut().insert(certificate.clone());
        assert_eq!(
            world.send(&guard, "Read", with_certificate).await.status,
            cert,
            "{constraint:?}"
        );
    }
}

#[test]
fn the_metadata_says_what_must_be_proven() {
    let world = World::new();
    let document = |builder: GuardBuilder<Authorities, Audiences>| -> Value {
        let guard = builder.resource("https://api.test/orders").build().unwrap();
        let response = guard.metadata().unwrap().response(&http::Method::GET);
        serde_json::from_slice(response.body()).unwrap()
    };
    let members = [
        "dpop_bound_access_tokens_required",
        "tls_client_certificate_bound_access_tokens",
    ];
    let dpop = || Dpop::at(ORIGIN).algorithms(AlgorithmSet::of(&[Algorithm::ES256]));
    for (constraint, expected) in [
        (None, [json!(null), json!(null)]),
        (Some(SenderConstraint::Dpop), [json!(true), json!(null)]),
        (Some(SenderConstraint::MutualTls), [json!(null), json!(true)]),
        (Some(SenderConstraint::Any), [json!(null), json!(true)]),
    ] {
        let builder = world.builder().dpop(dpop());
        let document = document(match constraint {
            Some(constraint) => builder.sender_constrained(constraint),
            None => builder,
        });
        let algorithms = match constraint {
            // A proof of a key alone would not do.
            Some(SenderConstraint::MutualTls) => json!(null),
            _ => json!(["ES256"]),
        };
        assert_eq!(document["dpop_signing_alg_values_supported"], algorithms);
        assert_eq!(
            members.map(|member| document[member].clone()),
            expected,
            "{constraint:?}"
        );
    }
    assert_eq!(
        document(world.builder())["dpop_signing_alg_values_supported"],
        json!(null)
    );
}

#[tokio::test]
async fn a_certificate_is_proven_by_the_connection_alone() {
    let (world, sender) = (World::new(), Sender::new());
    let guard = guard(&world);
    let certificate = ClientCertificate::from_der(b"a certificate");
    let thumbprint = base64url_encode(certificate.thumbprint());
    let token = world.token(json!({"cnf": {"x5t#S256": thumbprint}}));
    for (on_connection, status) in [
        (None, 401),
        (Some(ClientCertificate::from_der(b"another")), 401),
        (Some(certificate.clone()), 200),
    ] {
        let mut request = bearer(&token);
        if let Some(certificate) = on_connection {
            request.extensions_mut().insert(certificate);
        }
        assert_eq!(world.send(&guard, "Read", request).await.status, status);
    }
    // Both conditions: both proofs.
    let token = world.token(json!({"cnf": {"x5t#S256": thumbprint, "jkt": sender.0.kid()}}));
    let proof = sender.proof(&world, &token, &json!({}));
    let mut with_both = request(&token, &[&proof]);
    assert_eq!(world.send(&guard, "Read", request(&token, &[&proof])).await.status, 401);
    assert_eq!(code(&world), "token.binding_required");
    with_both.extensions_mut().insert(certificate);
    assert_eq!(world.send(&guard, "Read", with_both).await.status, 200);
}

#[tokio::test]
async fn the_address_is_the_configured_one_with_its_prefix() {
    let (world, sender) = (World::new(), Sender::new());
    let dpop = Dpop::at("https://example.com/api/v1/").not_offered();
    let guard = world.builder().dpop(dpop).build().unwrap();
    let token = sender.token(&world);
    for (htu, status) in [
        ("https://example.com/api/v1/orders", 200),
        ("https://example.com/orders", 401),
        ("https://api.test/orders", 401),
    ] {
        let proof = sender.proof(&world, &token, &json!({"htu": htu}));
        let mut request = request(&token, &[&proof]);
        request.headers_mut().insert("host", "api.test".parse().unwrap());
        assert_eq!(world.send(&guard, "Read", request).await.status, status, "{htu}");
    }
    // Who does not use the scheme is not told of it, nor whether a token is a bound one.
    let answer = world.send_token(&guard, "Read", "x.y.z").await;
    assert_eq!(challenges(&answer).len(), 1);
    let bound = world.send(&guard, "Read", bearer(&token)).await;
    assert_eq!(challenges(&bound), challenges(&answer));
}

#[test]
fn what_cannot_work_is_an_error_at_the_start() {
    let world = World::new();
    let fault = |dpop: Dpop| world.builder().dpop(dpop).build().unwrap_err().faults.remove(0);
    for address in [
        "",
        "api.test",
        "http://api.test",
        "https://api.test?x",
        "https://u@api.test",
    ] {
        assert!(
            matches!(fault(Dpop::at(address)), BuildFault::DpopAddress { .. }),
            "{address}"
        );
    }
    for window in [0, 301] {
        assert_eq!(fault(Dpop::at(ORIGIN).window(window)), BuildFault::DpopWindow(window));
    }
    let error = world.builder().sender_constrained(SenderConstraint::Dpop).build();
    assert_eq!(error.unwrap_err().faults, [BuildFault::ConstraintWithoutDpop]);
    assert!(
        world
            .builder()
            .dpop(Dpop::at("http://localhost:8080").window(1))
            .build()
            .is_ok()
    );
}
