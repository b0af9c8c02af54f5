//! The guard in an axum program.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use crate::support::World;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http_body_util::BodyExt as _;
use portcullis_guard::{BearerClaims, Claims, Guard, KeepUri, Policy, RouteError};
use serde_json::json;
use tower::ServiceExt as _;

#[derive(serde::Deserialize)]
struct User {
    sub: String,
    #[serde(default)]
    scope: String,
    tenant: u32,
}

async fn list(claims: BearerClaims) -> String {
    let scopes: Vec<&str> = claims.scopes().collect();
    format!(
        "{} {} {scopes:?} {}",
        claims.subject().unwrap_or("-"),
        claims.client().unwrap_or("-"),
        claims.authorized().policy()
    )
}

async fn greet(claims: Option<BearerClaims>) -> String {
    format!(
        "hello {}",
        claims
            .as_ref()
            .and_then(|claims| claims.subject())
            .unwrap_or("stranger")
    )
}

async fn typed(Claims(user): Claims<User>) -> String {
    format!("{} {} {}", user.sub, user.scope, user.tenant)
}

async fn typed_or_not(user: Option<Claims<User>>) -> String {
    user.map_or_else(|| "nobody".to_owned(), |Claims(user)| user.sub)
}

fn app(guard: &Guard) -> Router {
    Router::new()
        .route("/list", get(list).route_layer(guard.require("Read").unwrap()))
        .route("/typed", get(typed).route_layer(guard.require("Read").unwrap()))
        .route("/greet", get(greet).route_layer(guard.optional("Read").unwrap()))
        .route(
            "/typed-or-not",
            get(typed_or_not).route_layer(guard.optional("Read").unwrap()),
        )
        .route("/needs-token", get(list).route_layer(guard.optional("Read").unwrap()))
        .route("/forgotten", get(list))
        .route("/forgotten-too", get(greet))
        .route("/forgotten-typed", get(typed))
        .nest(
            "/nested",
            Router::new()
                .route("/list", get(list))
                .route_layer(guard.require("Write").unwrap()),
        )
}

async fn send(guard: &Guard, path: &str, authorization: Option<&str>) -> (u16, String) {
    let mut request = Request::get(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let response = app(guard).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn handlers_get_the_claims() {
    let world = World::new();
    let guard = world.guard();
    let bearer = format!("Bearer {}", world.token(json!({"tenant": 7})));
    assert_eq!(
        send(&guard, "/list", Some(&bearer)).await,
        (200, "user-1 spa [\"orders:read\"] Read".into())
    );
    assert_eq!(
        send(&guard, "/typed", Some(&bearer)).await,
        (200, "user-1 orders:read 7".into())
    );
    assert_eq!(send(&guard, "/list", None).await.0, 401);
    assert_eq!(send(&guard, "/list?access_token=x", Some(&bearer)).await.0, 400);
    assert_eq!(send(&guard, "/nested/list", Some(&bearer)).await.0, 403);
    let writer = format!("Bearer {}", world.token(json!({"scope": "orders:read orders:write"})));
    assert_eq!(send(&guard, "/nested/list", Some(&writer)).await.0, 200);
}

#[tokio::test]
async fn claims_that_do_not_fit_the_type_are_forbidden() {
    let world = World::new();
    let guard = world.guard();
    for changes in [json!({}), json!({"tenant": "seven"})] {
        let (status, body) = send(&guard, "/typed", Some(&format!("Bearer {}", world.token(changes)))).await;
        assert_eq!(status, 403);
        assert!(!body.contains("tenant") && !body.contains("seven"), "{body}");
        let record = world.last_event();
        let refused = record.event.refused().unwrap();
        assert_eq!(refused.code, "policy.claim_mismatch");
        assert!(
            refused
                .found
                .as_deref()
                .is_some_and(|found| found.contains("tenant") || found.contains("seven"))
        );
    }
}

#[tokio::test]
async fn an_optional_token_may_be_absent_but_not_bad() {
    let world = World::new();
    let guard = world.guard();
    assert_eq!(send(&guard, "/greet", None).await, (200, "hello stranger".into()));
    let good = format!("Bearer {}", world.token(json!({"tenant": 7})));
    assert_eq!(send(&guard, "/greet", Some(&good)).await, (200, "hello user-1".into()));
    assert_eq!(send(&guard, "/typed-or-not", None).await, (200, "nobody".into()));
    assert_eq!(send(&guard, "/typed-or-not", Some(&good)).await, (200, "user-1".into()));
    for (bad, status) in [("Bearer abc", 401), ("Bearer", 400), ("Basic dXNlcjpw", 401)] {
        assert_eq!(send(&guard, "/greet", Some(bad)).await.0, status, "{bad}");
    }
    let poor = format!("Bearer {}", world.token(json!({"scope": "x"})));
    assert_eq!(send(&guard, "/greet", Some(&poor)).await.0, 403);
    assert_eq!(send(&guard, "/greet?access_token=x", None).await.0, 400);
    // A handler that insists gets no anonymous caller.
    assert_eq!(send(&guard, "/needs-token", None).await.0, 401);
    assert_eq!(send(&guard, "/needs-token", Some(&good)).await.0, 200);
}

#[tokio::test]
async fn a_forgotten_guard_lets_nobody_in() {
    let world = World::new();
    let guard = world.guard();
    let good = format!("Bearer {}", world.token(json!({"tenant": 7})));
    for path in ["/forgotten", "/forgotten-too", "/forgotten-typed"] {
        for authorization in [None, Some(good.as_str())] {
            let (status, body) = send(&guard, path, authorization).await;
            assert_eq!(status, 500, "{path}");
            assert!(body.contains("\"code\":\"server_error\""), "{body}");
        }
    }
}

#[tokio::test]
async fn the_handler_sees_a_header_that_prints_as_sensitive() {
    let world = World::new();
    let guard = world.guard();
    let show = |headers: http::HeaderMap| async move { format!("{headers:?}") };
    let app = Router::new().route("/", get(show).route_layer(guard.require("Read").unwrap()));
    let token = world.token(json!({}));
    let request = Request::get("/")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let body = app
        .oneshot(request)
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(body.contains("Sensitive") && !body.contains(&token), "{body}");
}

#[tokio::test]
async fn a_client_finds_the_provider_from_the_challenge_on() {
    let world = World::new();
    let guard = world
        .builder()
        .resource("https://api.example.com/list")
        .build()
        .unwrap();
    let metadata = guard.metadata().unwrap().clone();
    let app = app(&guard).route_service(metadata.path(), metadata.clone());
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap()
    };
    let refused = get("/list").await;
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.headers()["www-authenticate"],
        "Bearer realm=\"orders\", resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource/list\""
    );
    let found = get("/.well-known/oauth-protected-resource/list").await;
    assert_eq!(found.status(), 200);
    assert_eq!(found.headers()["content-type"], "application/json");
    let body = found.into_body().collect().await.unwrap().to_bytes();
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["resource"], "https://api.example.com/list");
    assert_eq!(document["authorization_servers"], json!(["https://issuer.test"]));
    assert_eq!(document["resource_name"], "orders");
    let scopes = document["scopes_supported"].as_array().unwrap();
    assert!(
        scopes.contains(&json!("orders:read")) && scopes.contains(&json!("orders:write")),
        "{scopes:?}"
    );

    // Without a resource nothing is said, and a good token passes either way.
    assert!(world.guard().metadata().is_none());
    let bearer = format!("Bearer {}", world.token(json!({})));
    assert_eq!(send(&guard, "/list", Some(&bearer)).await.0, 200);
}

#[tokio::test]
async fn routes_for_a_whole_program_refuse_what_nobody_spoke_of() {
    let world = World::new();
    let guard = world.guard();
    let layer = guard
        .routes()
        .route(&["GET"], "/orders", "Read")
        .and_then(|routes| routes.route(&[], "/orders/{id}/lines", "Write"))
        .and_then(|routes| routes.route(&["POST"], "/{name}", "authenticated"))
        .unwrap()
        .layer();
    // The service takes any path, as one that reads paths in its own way would.
    let app = Router::new().fallback(list).layer(layer);
    let send = async |method: &str, path: &str, token: Option<&str>| {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    let reader = world.token(json!({}));
    let writer = world.token(json!({"scope": "orders:read orders:write"}));
    for (method, path, token, status) in [
        ("GET", "/orders", &reader, 200),
        ("HEAD", "/Orders/7/", &reader, 200),
        ("GET", "/orders/7/lines", &reader, 403),
        ("GET", "/orders/7/lines", &writer, 200),
        ("POST", "/anything", &reader, 200),
        ("POST", "/orders/7", &writer, 403),
        ("GET", "/other", &writer, 403),
        ("GET", "/", &writer, 403),
        ("GET", "/orders/7%2Flines", &writer, 403),
        ("GET", "/orders/../other", &writer, 403),
        ("GET", "//orders", &writer, 403),
        ("GET", "/%6Frders", &writer, 403),
    ] {
        assert_eq!(send(method, path, Some(token)).await, status, "{method} {path}");
    }
    assert_eq!(send("GET", "/orders", None).await, 401);
    assert_eq!(send("GET", "/other", None).await, 401);

    assert!(matches!(
        guard.routes().route(&[], "/a", "read"),
        Err(RouteError::Policy(_))
    ));
    assert!(matches!(
        guard.routes().route(&[], "/a/", "Read"),
        Err(RouteError::Path { .. })
    ));
    let twice = guard.routes().route(&["GET"], "/{a}", "Read").unwrap();
    assert!(matches!(
        twice.route(&["GET"], "/{b}", "Read"),
        Err(RouteError::Conflict(_))
    ));
}

/// A policy on the outside, a stricter one inside, a state, and a layer around all of it.
fn composed(guard: &Guard) -> Router {
    let seen = |axum::extract::State(shop): axum::extract::State<&'static str>, claims: BearerClaims| async move {
        format!("{shop} {}", claims.authorized().policy())
    };
    let books = Router::new()
        .route("/close", get(seen))
        .route_layer(guard.require("Write").unwrap());
    let orders = Router::new()
        .route("/", get(seen))
        .nest("/books", books)
        .route_layer(guard.require("Read").unwrap());
    let health = Router::new().route("/health", get(|| async { "up" }));
    // What is outside of the guard sees its refusals too, as a CORS layer has to.
    let cors = axum::middleware::map_response(|mut response: axum::response::Response| async move {
        response.headers_mut().insert(
            "access-control-allow-origin",
            http::HeaderValue::from_static("https://app.test"),
        );
        response
    });
    Router::new()
        .nest("/orders", orders)
        .merge(health)
        .fallback(|| async { (http::StatusCode::NOT_FOUND, "nothing here") })
        .layer(cors)
        .with_state("corner shop")
}

#[tokio::test]
async fn guards_compose_with_nested_routers_layers_and_state() {
    let world = World::new();
    let guard = world.guard();
    let reader = format!("Bearer {}", world.token(json!({})));
    let writer = format!("Bearer {}", world.token(json!({"scope": "orders:read orders:write"})));
    let stranger = format!("Bearer {}", world.token(json!({"scope": "orders:write"})));
    for (path, authorization, status, body) in [
        ("/orders", Some(&reader), 200, "corner shop Read"),
        ("/orders", None, 401, ""),
        // The inner policy is the one that the handler's proof is of.
        ("/orders/books/close", Some(&writer), 200, "corner shop Write"),
        ("/orders/books/close", Some(&reader), 403, ""),
        ("/orders/books/close", Some(&stranger), 403, ""),
        // What is not behind a guard is open, and what does not exist is not found.
        ("/health", None, 200, "up"),
        ("/orders/none", None, 404, ""),
        ("/nowhere", Some(&reader), 404, "nothing here"),
    ] {
        let mut request = Request::get(path);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let response = composed(&guard)
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{path} {authorization:?}");
        assert_eq!(
            response.headers()["access-control-allow-origin"],
            "https://app.test",
            "{path}"
        );
        let told = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty() || told == body, "{path}: {told:?}");
    }
    // The outer policy refuses first: it names its own scope.
    let refused = world.audit.recent(0);
    let refused = refused.iter().filter_map(|record| record.event.refused());
    let expected: Vec<_> = refused.filter_map(|refused| refused.expected.as_deref()).collect();
    assert!(
        expected.contains(&"scope orders:read") && expected.contains(&"scope orders:read orders:write"),
        "{expected:?}"
    );
}

#[tokio::test]
async fn a_nested_guard_sees_the_path_that_the_caller_sent() {
    let world = World::new();
    let guard = world
        .builder()
        .policy(
            "Books",
            Policy::custom("books", |_, call| call.path == "/orders/books/close"),
        )
        .build()
        .unwrap();
    let books = Router::new()
        .route("/close", get(|| async { "closed" }))
        .route_layer(guard.require("Books").unwrap());
    let app = Router::new()
        .nest("/orders", Router::new().nest("/books", books))
        .layer(KeepUri);
    let good = format!("Bearer {}", world.token(json!({})));
    for (authorization, status) in [(Some(&good), 200), (None, 401)] {
        let mut request = Request::get("/orders/books/close?page=1");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status);
    }
    let record = world.last_event();
    let portcullis_audit::Event::CallRefused { path, .. } = &record.event else {
        panic!("{record:?}");
    };
    assert_eq!(path, "/orders/books/close");
}
