//! A provider that remembers what it was asked, and signs people in with what a test gives it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{RawQuery, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use portcullis_jose::{Algorithm, Clock, SigningKey, UnixTime, base64url_decode, base64url_encode, random_token};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::{AUDIENCE, Gate};
use crate::demo::{Answer, Browser};

/// Parameters by their names.
pub(super) type Form = BTreeMap<String, String>;

/// The provider. Alice is there already: it asks nobody for a password.
#[derive(Clone)]
pub(super) struct Scripted {
    base: String,
    key: Arc<SigningKey>,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    /// Since when alice is signed in here.
    since: Option<UnixTime>,
    /// The classes of authentication that can be had.
    classes: Vec<&'static str>,
    /// What ID tokens say besides.
    more: Map<String, Value>,
    pushed: BTreeMap<String, Form>,
    authorizations: Vec<Form>,
    token_requests: Vec<(Option<String>, Form)>,
}

impl Scripted {
    /// In the place of the gateway's usual provider; these members are added to its metadata.
    pub(super) async fn before(gate: &mut Gate, metadata: Value) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let provider = Scripted {
            base: format!("http://{address}"),
            key: Arc::new(SigningKey::generate(Algorithm::ES256).unwrap()),
            clock: gate.clock.clone(),
            state: Arc::default(),
        };
        let document = provider.document(&metadata);
        let keys = json!({ "keys": [provider.key.public_jwk()] });
        let app = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async move || Json(document.clone())),
            )
            .route("/jwks", get(async move || Json(keys.clone())))
            .route("/par", post(par))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let usual = format!("issuer = \"{}\"", gate.idp.issuer());
        gate.text = gate
            .text
            .replacen(&usual, &format!("issuer = \"{}\"", provider.base), 1);
        gate.restart().await;
        provider
    }

    /// Alice signs in by this address, up to the answer that leads to where she wanted to go.
    pub(super) async fn sign_in(&self, gate: &Gate, browser: &mut Browser, login: &str) -> Answer {
        let mut answer = gate.visit(browser, &format!("{}{login}", gate.origin)).await;
        for _ in 0..2 {
            let next = answer.location().unwrap_or_else(|| panic!("{}", answer.body));
            answer = gate.visit(browser, next.as_str()).await;
        }
        assert_eq!(answer.url.path(), "/bff/callback");
        answer
    }

    fn document(&self, more: &Value) -> Value {
        let base = &self.base;
        let mut document = json!({
            "issuer": base, "jwks_uri": format!("{base}/jwks"), "token_endpoint": format!("{base}/token"),
            "authorization_endpoint": format!("{base}/authorize"),
            "pushed_authorization_request_endpoint": format!("{base}/par"),
            "authorization_response_iss_parameter_supported": true,
        });
        let members = document.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        document
    }

    /// The classes of authentication that alice can prove; without any of them she has the class `basic`.
    pub(super) fn can(&self, classes: &[&'static str]) {
        self.state.lock().unwrap().classes = classes.to_vec();
    }

    /// ID tokens say this besides.
    pub(super) fn says(&self, claim: &str, value: Value) {
        self.state.lock().unwrap().more.insert(claim.to_owned(), value);
    }

    /// The parameters of the newest authorization request, wherever they came from.
    pub(super) fn asked(&self) -> Form {
        self.state.lock().unwrap().authorizations.last().cloned().unwrap()
    }

    /// How many authorization requests were pushed.
    pub(super) fn pushed(&self) -> usize {
        self.state.lock().unwrap().pushed.len()
    }

    /// What came to the token endpoint: `Authorization`, and the form.
    pub(super) fn token_requests(&self) -> Vec<(Option<String>, Form)> {
        self.state.lock().unwrap().token_requests.clone()
    }
}

fn form(text: &str) -> Form {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

async fn par(State(provider): State<Scripted>, body: String) -> (StatusCode, Json<Value>) {
    let uri = format!("urn:ietf:params:oauth:request_uri:{}", random_token(9));
    provider.state.lock().unwrap().pushed.insert(uri.clone(), form(&body));
    (
        StatusCode::CREATED,
        Json(json!({ "request_uri": uri, "expires_in": 60 })),
    )
}

/// The code is what the ID token will say: nothing has to be remembered.
async fn authorize(State(provider): State<Scripted>, RawQuery(query): RawQuery) -> Redirect {
    let query = form(&query.unwrap());
    let mut state = provider.state.lock().unwrap();
    let asked = match query.get("request_uri") {
        Some(uri) => state.pushed[uri].clone(),
        None => query,
    };
    state.authorizations.push(asked.clone());
    let now = provider.clock.now();
    let age = asked.get("max_age").map(|age| age.parse::<i64>().unwrap());
    let since = state
        .since
        .filter(|since| age.is_none_or(|age| now.since(*since) <= age));
    let since = *state.since.insert(since.unwrap_or(now));
    let mut wanted = asked.get("acr_values").map_or("", String::as_str).split(' ');
    let acr = wanted.find(|class| state.classes.contains(class)).unwrap_or("basic");
    let claims = json!({ "nonce": asked["nonce"], "auth_time": since, "acr": acr });
    let code = base64url_encode(claims.to_string().as_bytes());
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("code", &code), ("state", &asked["state"]), ("iss", &provider.base)])
        .finish();
    Redirect::to(&format!("{}?{query}", asked["redirect_uri"]))
}

async fn token(State(provider): State<Scripted>, headers: HeaderMap, body: String) -> Json<Value> {
    let asked = form(&body);
    let claims: Value = serde_json::from_slice(&base64url_decode(&asked["code"]).unwrap()).unwrap();
    let now = provider.clock.now();
    let access = json!({
        "iss": provider.base, "sub": "alice", "aud": AUDIENCE, "iat": now, "exp": now.plus(300), "client_id": "web",
        "jti": random_token(9), "scope": "orders.read orders.write", "acr": claims["acr"],
        "auth_time": claims["auth_time"],
    });
    let mut id = json!({
        "iss": provider.base, "sub": "alice", "aud": "web", "iat": now, "exp": now.plus(300),
        "nonce": claims["nonce"], "acr": claims["acr"], "auth_time": claims["auth_time"],
    });
    let mut state = provider.state.lock().unwrap();
    id.as_object_mut().unwrap().extend(state.more.clone());
    let authorization = headers
        .get("authorization")
        .map(|value| value.to_str().unwrap().to_owned());
    state.token_requests.push((authorization, asked));
    Json(json!({
        "token_type": "Bearer", "expires_in": 300, "access_token": provider.key.sign_jwt("at+jwt", &access).unwrap(),
        "id_token": provider.key.sign_jwt("JWT", &id).unwrap(),
    }))
}
