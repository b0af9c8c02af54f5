//! Tokens that are bound to a key, through a gateway that runs.

use std::net::SocketAddr;

use portcullis_idp::Mint;
use portcullis_jose::{Algorithm, Clock as _, SigningKey, base64url_encode, random_token, sha256};
use serde_json::{Value, json};

use super::Gate;
use super::raw::{self, Reply};

/// A client with a key of its own.
pub(super) struct Sender(pub(super) SigningKey);

impl Sender {
    pub(super) fn new() -> Sender {
        Sender(SigningKey::generate(Algorithm::ES256).unwrap())
    }

    fn token(&self, gate: &Gate) -> String {
        bound_token(gate, &json!({"jkt": self.0.kid()}))
    }

    /// A proof for a call of the gate's public address, with these claims changed.
    pub(super) fn proof(&self, gate: &Gate, token: Option<&str>, claims: &Value) -> String {
        let mut payload = json!({
            "jti": random_token(9), "htm": "GET", "htu": format!("{}/api/machine/1", gate.origin),
            "iat": gate.clock.now().as_secs(),
        });
        if let Some(token) = token {
            payload["ath"] = json!(base64url_encode(&sha256(token.as_bytes())));
        }
        for (name, value) in claims.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.0.public_jwk()});
        self.0
            .sign_with_header(&header, payload.to_string().as_bytes())
            .unwrap()
    }
}

pub(super) fn bound_token(gate: &Gate, cnf: &Value) -> String {
    let order = Mint {
        user: Some("alice".into()),
        client: Some("web".into()),
        cnf: cnf.as_object().cloned(),
        ..Mint::default()
    };
    gate.idp.control().mint(&order).unwrap()
}

async fn send_to(gate: &Gate, address: SocketAddr, token: &str, proof: &str) -> Reply {
    let authorization = format!("DPoP {token}");
    let headers = [("Authorization", authorization.as_str()), ("DPoP", proof)];
    raw::exchange(address, "GET", "/api/machine/1?page=2", gate.host(), &headers, "").await
}

async fn send(gate: &Gate, token: &str, proof: &str) -> Reply {
    send_to(gate, gate.address, token, proof).await
}

#[tokio::test]
async fn a_bound_token_reaches_the_upstream_with_a_proof_for_the_public_address() {
    let gate = Gate::start_on_https().await;
    let sender = Sender::new();
    let token = sender.token(&gate);
    let proof = sender.proof(&gate, Some(&token), &json!({}));
    let reply = send(&gate, &token, &proof).await;
    assert_eq!((reply.status, gate.upstream.hits()), (200, 1), "{}", reply.body);
    assert_eq!(gate.upstream.last().all("dpop"), [proof.as_str()]);

    for (changes, code) in [
        (
            json!({"htu": format!("http://{}/api/machine/1", gate.address)}),
            "dpop.uri_mismatch",
        ),
        (
            json!({"htu": format!("{}/api/machine/2", gate.origin)}),
            "dpop.uri_mismatch",
        ),
        (json!({"htm": "POST"}), "dpop.method_mismatch"),
        (json!({"iat": gate.clock.now().as_secs() - 600}), "dpop.expired"),
        (json!({"iat": gate.clock.now().as_secs() + 600}), "dpop.not_yet_valid"),
        (json!({"ath": "x"}), "dpop.token_mismatch"),
    ] {
        let bad = sender.proof(&gate, Some(&token), &changes);
        let reply = send(&gate, &token, &bad).await;
        assert_eq!(reply.problem(), (401, "invalid_dpop_proof".into()), "{code}");
        assert_eq!(gate.last_code(), code);
        let challenge = reply.header("www-authenticate");
        assert!(
            challenge.starts_with("DPoP realm=\"machine\", error=\"invalid_dpop_proof\"")
                && challenge.contains("algs="),
            "{challenge}"
        );
    }
    assert_eq!(gate.upstream.hits(), 1);
    let log = gate.logged();
    let event = log.lines().last().unwrap();
    assert!(event.contains("\"credential\":\"dpop\""), "{event}");
    for secret in [&token, &proof, proof.rsplit('.').next().unwrap()] {
        assert!(!log.contains(secret));
    }
}

#[tokio::test]
async fn replicas_accept_a_proof_once_between_them() {
    let mut gate = Gate::start().await;
    let other = gate.replica().await;
    let sender = Sender::new();
    let token = sender.token(&gate);
    let proof = sender.proof(&gate, Some(&token), &json!({}));
    assert_eq!(send(&gate, &token, &proof).await.status, 200);
    for address in [other, gate.address] {
        let reply = send_to(&gate, address, &token, &proof).await;
        assert_eq!(reply.problem(), (401, "invalid_dpop_proof".into()));
        assert_eq!(gate.last_code(), "dpop.replayed");
    }
    let fresh = sender.proof(&gate, Some(&token), &json!({}));
    assert_eq!(send_to(&gate, other, &token, &fresh).await.status, 200);
    let fresh = sender.proof(&gate, Some(&token), &json!({}));
    let (one, two) = tokio::join!(send(&gate, &token, &fresh), send_to(&gate, other, &token, &fresh));
    assert_eq!(one.status + two.status, 200 + 401);
    assert_eq!(gate.upstream.hits(), 3);

    // A restart forgets nothing.
    gate.restart().await;
    assert_eq!(send(&gate, &token, &fresh).await.status, 401);
    assert_eq!(gate.last_code(), "dpop.replayed");
}

#[tokio::test]
async fn a_bound_token_is_refused_without_its_proof_at_a_route_that_asks_for_none() {
    let gate = Gate::start().await;
    let sender = Sender::new();
    let token = sender.token(&gate);
    let reply = gate.bearer("GET", "/api/machine/1", &token).await;
    assert_eq!(reply.problem(), (401, "invalid_token".into()));
    assert_eq!(gate.last_code(), "token.binding_required");
    let bad = gate.bearer("GET", "/api/machine/1", "x.y.z").await;
    assert_eq!(reply.all("www-authenticate"), bad.all("www-authenticate"));
    assert_eq!(bad.all("www-authenticate").len(), 1);

    let unbound = gate.token();
    let proof = sender.proof(&gate, Some(&unbound), &json!({}));
    assert_eq!(
        send(&gate, &unbound, &proof).await.problem(),
        (401, "invalid_token".into())
    );
    assert_eq!(gate.last_code(), "token.not_bound");
    assert_eq!(gate.upstream.hits(), 0);
    assert_eq!(gate.bearer("GET", "/api/machine/1", &unbound).await.status, 200);
}

#[tokio::test]
async fn an_api_can_ask_for_nonces_and_for_bound_tokens_alone() {
    let mut gate = Gate::start_on_https().await;
    gate.text = gate
        .text
        .replacen("[store]", "dpop_nonce = true\n\n[store]", 1)
        .replacen("[api.machine]\n", "[api.machine]\nsender_constrained = \"dpop\"\n", 1);
    gate.restart().await;
    let other = gate.replica().await;
    let sender = Sender::new();

    let reply = gate.call("GET", "/api/machine/1", &[]).await;
    let challenge = reply.header("www-authenticate");
    assert!(
        challenge.starts_with("DPoP realm=\"machine\"") && challenge.contains("algs=\""),
        "{challenge}"
    );
    assert!(!challenge.contains("error="), "{challenge}");
    let reply = gate.bearer("GET", "/api/machine/1", &gate.token()).await;
    assert_eq!(reply.problem(), (401, "invalid_token".into()));
    assert_eq!(gate.last_code(), "token.not_bound");
    assert!(reply.header("www-authenticate").starts_with("DPoP "));
    let well_known = "/.well-known/oauth-protected-resource/api/machine";
    let document = gate.call("GET", well_known, &[]).await.json();
    assert_eq!(document["dpop_bound_access_tokens_required"], true);

    let token = sender.token(&gate);
    let reply = send(&gate, &token, &sender.proof(&gate, Some(&token), &json!({}))).await;
    assert_eq!(reply.problem(), (401, "use_dpop_nonce".into()));
    assert_eq!(gate.last_code(), "dpop.nonce_required");
    let nonce = json!({"nonce": reply.header("dpop-nonce")});
    // The other replica knows it, and there is no other yet.
    let reply = send_to(&gate, other, &token, &sender.proof(&gate, Some(&token), &nonce)).await;
    assert_eq!(
        (reply.status, reply.all("dpop-nonce").len()),
        (200, 0),
        "{}",
        reply.body
    );

    gate.clock.advance(300);
    let token = sender.token(&gate);
    let reply = send(&gate, &token, &sender.proof(&gate, Some(&token), &nonce)).await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, "no-store"),
        "{}",
        reply.body
    );
    let next = json!({"nonce": reply.header("dpop-nonce")});
    assert_ne!(next, nonce);
    gate.clock.advance(300);
    let token = sender.token(&gate);
    let reply = send(&gate, &token, &sender.proof(&gate, Some(&token), &nonce)).await;
    assert_eq!(reply.problem(), (401, "use_dpop_nonce".into()));
    let reply = send(&gate, &token, &sender.proof(&gate, Some(&token), &next)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}
