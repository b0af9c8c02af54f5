//! `portcullis-reqwest`: what an API gets to see, and whoever it redirects to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use http::{HeaderMap, StatusCode};
use portcullis_idp::{Behaviour, Endpoint, FailNext, Idp, IdpConfig};
use portcullis_jose::{Clock, ManualClock, Secret, SystemClock};
use portcullis_oidc::{Client, ClientAuth, HyperClient, Provider, ProviderSettings, TokenSource};
use portcullis_reqwest::{TokenError, TokenMiddleware};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::json;
use tokio::net::TcpListener;

/// A server that writes down `Authorization` and body of each request.
struct Server {
    origin: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<(String, String)>>,
    /// The next request is refused.
    refuses: AtomicBool,
}

impl Server {
    /// `/away` redirects to another origin.
    async fn start(away: &str) -> Server {
        let (seen, away) = (Arc::new(Seen::default()), format!("{away}/landed"));
        let router = Router::new()
            .route("/away", get(async move || Redirect::temporary(&away)))
            .fallback(any(answer))
            .with_state(Arc::clone(&seen));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Server { origin, seen }
    }

    fn taken(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.seen.requests.lock().unwrap())
    }
}

async fn answer(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let token = headers.get("authorization").map(|value| text(value.as_bytes()));
    let request = (token.unwrap_or_default(), text(&body));
    seen.requests.lock().unwrap().push(request);
    match seen.refuses.swap(false, Ordering::SeqCst) {
        true => StatusCode::UNAUTHORIZED.into_response(),
        false => "orders".into_response(),
    }
}

struct Stage {
    idp: Idp,
    clock: Arc<ManualClock>,
    api: Server,
    elsewhere: Server,
    client: ClientWithMiddleware,
}

impl Stage {
    async fn new() -> Stage {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let config = json!({
            "client": [{ "client_id": "job", "secret": "job-secret", "grants": ["client_credentials"], "scopes": ["orders.read"] }],
            "api": [{ "audience": "api://orders", "scopes": ["orders.read"] }],
        });
        let config: IdpConfig = serde_json::from_value(config).unwrap();
        let idp = Idp::start(config, clock.clone()).await.unwrap();
        let provider = Provider::new(
            ProviderSettings::new("dev", idp.issuer()),
            Arc::new(HyperClient::new().unwrap()),
            clock.clone(),
            Arc::new(|_, _| {}),
        );
        let job = Client::new(provider, "job", ClientAuth::Basic(Secret::new("job-secret")));
        let tokens = TokenSource::client_credentials(job).scope("orders.read");
        let elsewhere = Server::start("http://127.0.0.1:1").await;
        let api = Server::start(&elsewhere.origin).await;
        let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
            .with(TokenMiddleware::new(tokens))
            .build();
        Stage {
            idp,
            clock,
            api,
            elsewhere,
            client,
        }
    }

    async fn status(&self, path: &str) -> u16 {
        let url = format!("{}{path}", self.api.origin);
        self.client.get(url).send().await.unwrap().status().as_u16()
    }

    /// How many tokens were asked for since this was last asked.
    fn asked(&self) -> usize {
        let log = self.idp.control().request_log();
        self.idp.control().clear_request_log();
        log.iter().filter(|entry| entry.path == "/token").count()
    }
}

#[tokio::test]
async fn a_request_has_a_token_and_a_401_makes_one_more_try() {
    let stage = Stage::new().await;
    assert_eq!(stage.status("/orders").await, 200);
    let first = stage.api.taken();
    assert!(first[0].0.starts_with("Bearer eyJ"), "{first:?}");
    assert_eq!(stage.status("/orders").await, 200);
    assert_eq!((stage.api.taken(), stage.asked()), (first.clone(), 1), "the same token");

    stage.clock.advance(60);
    stage.api.seen.refuses.store(true, Ordering::SeqCst);
    let order = stage
        .client
        .post(format!("{}/orders", stage.api.origin))
        .body("one book");
    assert_eq!(order.send().await.unwrap().status(), 200);
    let tries = stage.api.taken();
    assert_eq!(tries.len(), 2);
    assert_eq!((&tries[0].0, stage.asked()), (&first[0].0, 1));
    assert!(tries[1].0.starts_with("Bearer eyJ") && tries[1].0 != tries[0].0);
    assert!(tries.iter().all(|(_, body)| body == "one book"), "{tries:?}");
    // The new one is refused as well: there is no point in another.
    stage.api.seen.refuses.store(true, Ordering::SeqCst);
    assert_eq!(stage.status("/orders").await, 401);
    assert_eq!((stage.api.taken().len(), stage.asked()), (1, 0));
}

#[tokio::test]
async fn a_token_goes_to_nobody_else() {
    let stage = Stage::new().await;
    assert_eq!(stage.status("/away").await, 200);
    assert_eq!(stage.elsewhere.taken(), [(String::new(), String::new())]);
    // A refusal there is not about the token.
    stage.clock.advance(60);
    stage.elsewhere.seen.refuses.store(true, Ordering::SeqCst);
    assert_eq!(stage.status("/away").await, 401);
    assert_eq!((stage.elsewhere.taken().len(), stage.asked()), (1, 1));

    let refused = stage
        .client
        .get("http://api.example.test/orders")
        .send()
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("a token is not sent to this address"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_stream_is_sent_once() {
    let stage = Stage::new().await;
    assert_eq!(stage.status("/orders").await, 200);
    stage.clock.advance(60);
    stage.api.taken();
    let stream = || {
        let pieces = futures_util::stream::iter(["one ", "book"].map(Ok::<_, std::io::Error>));
        let url = format!("{}/orders", stage.api.origin);
        stage.client.post(url).body(reqwest::Body::wrap_stream(pieces)).send()
    };
    stage.api.seen.refuses.store(true, Ordering::SeqCst);
    assert_eq!(stream().await.unwrap().status(), 401);
    assert_eq!(stage.api.taken().len(), 1);
    assert_eq!(stream().await.unwrap().status(), 200);
    assert_eq!(stage.api.taken()[0].1, "one book");
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let stage = Stage::new().await;
    let fails = FailNext {
        endpoint: Endpoint::Token,
        status: 503,
        times: 1,
    };
    stage.idp.control().set_behaviour(Behaviour {
        fail_next: vec![fails],
        ..Behaviour::default()
    });
    let url = format!("{}/orders", stage.api.origin);
    let error = stage.client.get(&url).send().await.unwrap_err();
    let reqwest_middleware::Error::Middleware(inside) = error else {
        panic!("{error}");
    };
    assert!(matches!(inside.downcast_ref(), Some(TokenError::Token(_))), "{inside}");
    assert_eq!(stage.api.taken(), []);
    // The provider is back.
    stage.clock.advance(5);
    assert_eq!(stage.status("/orders").await, 200);
}
