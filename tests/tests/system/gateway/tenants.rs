//! A provider of several tenants, whose metadata name a template: each tenant is an issuer of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::routing::{get, post};
use portcullis_jose::{Algorithm, Clock, SigningKey, base64url_decode, base64url_encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{AUDIENCE, Gate, raw};
use crate::demo::{Answer, Browser};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A provider that answers each code with the ID token that the code holds.
struct Tenants {
    address: SocketAddr,
    key: Arc<SigningKey>,
}

impl Tenants {
    /// With a gateway whose people sign in at the tenants `a` and `b`.
    async fn start() -> (Tenants, Gate) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let key = Arc::new(SigningKey::generate(Algorithm::ES256).unwrap());
        let base = format!("http://{address}");
        let metadata = json!({
            "issuer": format!("{base}/{{tenantid}}"), "jwks_uri": format!("{base}/jwks"),
            "authorization_endpoint": format!("{base}/authorize"), "token_endpoint": format!("{base}/token"),
            "authorization_response_iss_parameter_supported": true,
        });
        let keys = json!({ "keys": [key.public_jwk()] });
        let signer = key.clone();
        let app = axum::Router::new()
            .route(
                "/common/.well-known/openid-configuration",
                get(async move || Json(metadata)),
            )
            .route("/jwks", get(async move || Json(keys)))
            .route("/token", post(async move |body: String| Json(tokens(&signer, &body))));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut gate = Gate::start().await;
        let provider =
            format!("issuer = \"{base}/{{tenantid}}\"\ndiscovery = \"{base}/common\"\ntenants = [\"a\", \"b\"]");
        let issuer = format!("issuer = \"{}\"", gate.idp.issuer());
        gate.text = gate.text.replacen(&issuer, &provider, 1);
        gate.restart().await;
        (Tenants { address, key }, gate)
    }

    fn issuer(&self, tenant: &str) -> String {
        format!("http://{}/{tenant}", self.address)
    }

    /// Signs alice of a tenant in; the answer to the login says that it comes from `iss`.
    async fn sign_in(&self, gate: &Gate, browser: &mut Browser, tenant: &str, iss: &str) -> Answer {
        let begun = gate.visit(browser, &format!("{}/bff/login", gate.origin)).await;
        let asked = begun.location().unwrap();
        let of = |name: &str| asked.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        let now = gate.clock.now();
        let id_token = json!({
            "iss": self.issuer(tenant), "tid": tenant, "sub": "alice", "aud": "web", "iat": now, "exp": now.plus(300),
            "nonce": of("nonce"), "sid": "1",
        });
        let code = base64url_encode(id_token.to_string().as_bytes());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("code", code.as_str()), ("state", &of("state")), ("iss", iss)])
            .finish();
        gate.visit(browser, &format!("{}/bff/callback?{query}", gate.origin))
            .await
    }

    async fn signed_in(&self, gate: &Gate, tenant: &str) -> Browser {
        let mut browser = Browser::new();
        let answer = self.sign_in(gate, &mut browser, tenant, &self.issuer(tenant)).await;
        assert_eq!(answer.status, 303, "{}", gate.last_code());
        browser
    }

    /// The status of the answer to a logout message of a tenant.
    async fn says_over(&self, gate: &Gate, tenant: &str, whose: (&str, &str)) -> u16 {
        let now = gate.clock.now();
        let mut claims = json!({
            "iss": self.issuer(tenant), "aud": "web", "iat": now, "exp": now.plus(120), "events": { EVENT: {} },
            "jti": portcullis_jose::random_token(9),
        });
        claims[whose.0] = whose.1.into();
        let token = self.key.sign_jwt("logout+jwt", &claims).unwrap();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let (path, body) = ("/bff/backchannel-logout", format!("logout_token={token}"));
        raw::exchange(gate.address, "POST", path, gate.host(), &headers, &body)
            .await
            .status
    }
}

fn tokens(key: &SigningKey, body: &str) -> Value {
    let mut pairs = url::form_urlencoded::parse(body.as_bytes());
    let code = pairs.find(|(name, _)| name == "code").unwrap().1;
    let id_token: Value = serde_json::from_slice(&base64url_decode(&code).unwrap()).unwrap();
    let mut access = id_token.clone();
    access["aud"] = AUDIENCE.into();
    access["client_id"] = "web".into();
    access["jti"] = portcullis_jose::random_token(9).into();
    json!({
        "token_type": "Bearer", "expires_in": 300, "access_token": key.sign_jwt("at+jwt", &access).unwrap(),
        "id_token": key.sign_jwt("JWT", &id_token).unwrap(),
    })
}

async fn status(gate: &Gate, browser: &mut Browser) -> u16 {
    gate.fetch(browser, "/api/page").await.status.as_u16()
}

#[tokio::test]
async fn a_logout_at_one_tenant_ends_no_session_of_another() {
    let (tenants, gate) = Tenants::start().await;
    for whose in [("sub", "alice"), ("sid", "1")] {
        let mut first = tenants.signed_in(&gate, "a").await;
        let mut second = tenants.signed_in(&gate, "b").await;
        assert_eq!(
            (status(&gate, &mut first).await, status(&gate, &mut second).await),
            (200, 200)
        );
        assert_eq!(tenants.says_over(&gate, "c", whose).await, 400, "no tenant of ours");
        assert_eq!(tenants.says_over(&gate, "{tenantid}", whose).await, 400);
        assert_eq!(status(&gate, &mut first).await, 200);
        assert_eq!(tenants.says_over(&gate, "a", whose).await, 200);
        assert_eq!(
            (status(&gate, &mut first).await, status(&gate, &mut second).await),
            (401, 200),
            "{whose:?}"
        );
        gate.clock.advance(2);
    }
}

#[tokio::test]
async fn the_answer_to_a_login_comes_from_the_tenant_of_its_id_token() {
    let (tenants, gate) = Tenants::start().await;
    drop(tenants.signed_in(&gate, "a").await);
    for (tenant, iss) in [("a", "b"), ("a", "{tenantid}"), ("a", "c")] {
        let mut browser = Browser::new();
        let answer = tenants.sign_in(&gate, &mut browser, tenant, &tenants.issuer(iss)).await;
        assert!(answer.status.is_client_error(), "{iss}: {}", answer.status);
        assert_eq!(gate.last_code(), "login.issuer_mismatch", "{iss}");
        assert!(gate.session(&browser).is_none());
    }
    // A tenant whose people do not count.
    let mut browser = Browser::new();
    let answer = tenants.sign_in(&gate, &mut browser, "c", &tenants.issuer("a")).await;
    assert!(gate.session(&browser).is_none());
    assert_eq!(
        (answer.status.as_u16(), gate.last_code().as_str()),
        (502, "login.id_token_invalid")
    );
}
