//! A provider that is not there: at the start, and later.

use axum::body::Body;
use http::{Request, StatusCode};
use portcullis_console::{ConsoleInfo, ConsoleState, router};
use portcullis_idp::Behaviour;

use super::{Gate, START, STEP};

fn down() -> Behaviour {
    Behaviour {
        discovery_down: true,
        jwks_down: true,
        ..Behaviour::default()
    }
}

/// What the admin address answers.
async fn admin(gate: &Gate, path: &str) -> (StatusCode, String) {
    let readiness = gate.running.as_ref().unwrap().readiness();
    let info = ConsoleInfo::new("gateway", "0", readiness);
    let console = router(ConsoleState {
        audit: gate.audit.clone(),
        info,
    });
    let request = Request::get(path)
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap();
    let response = tower::ServiceExt::oneshot(console, request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1024 * 1024).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_start_without_the_provider_is_a_start() {
    let gate = Gate::begin(None, down()).await;
    let token = gate.token();
    assert_eq!(admin(&gate, "/livez").await.0, 200);
    let (status, body) = admin(&gate, "/readyz").await;
    assert_eq!(status, 503);
    for missing in ["keys of provider dev", "api orders", "missing: keys of provider dev"] {
        assert!(body.contains(missing), "{body}");
    }
    assert!(!body.contains("api public"), "it needs nothing: {body}");

    let reply = gate.bearer("GET", "/api/orders", &token).await;
    assert_eq!((reply.problem().0, reply.header("retry-after")), (503, "5"));
    assert_eq!(
        reply.header("www-authenticate"),
        "",
        "a good token must not be thrown away"
    );
    assert_eq!(gate.last_code(), "keys.unavailable");
    let reply = gate.call("GET", "/bff/login", &[("Accept", "text/html")]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "5"));
    assert!(reply.all("set-cookie").is_empty() && reply.header("location").is_empty());
    assert_eq!(gate.upstream.hits(), 0);
    // What needs no provider goes on.
    assert_eq!(gate.call("GET", "/api/public", &[]).await.status, 200);

    gate.idp.control().set_behaviour(Behaviour::default());
    let mut events = gate.audit.subscribe();
    let passed = async {
        while gate.bearer("GET", "/api/orders", &token).await.status != 200 {
            let _ = tokio::time::timeout(STEP, events.recv()).await;
        }
    };
    tokio::time::timeout(START, passed)
        .await
        .expect("requests pass without a restart");
    gate.ready().await;
    assert_eq!(admin(&gate, "/readyz").await.0, 200);
    gate.sign_in().await;
}

#[tokio::test]
async fn a_provider_that_goes_away_is_not_missed_for_a_day() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    gate.idp.control().set_behaviour(down());
    let cookie = gate.cookie(&browser);
    let session = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    assert_eq!(gate.call("GET", "/api/page", &session).await.status, 200);
    for hours in [1, 22] {
        gate.clock.advance(hours * 3600);
        assert_eq!(
            gate.bearer("GET", "/api/orders", &gate.token()).await.status,
            200,
            "{hours}"
        );
    }
    assert_eq!(admin(&gate, "/readyz").await.0, 200);
    // Keys that nobody has confirmed for a day are no keys.
    gate.clock.advance(2 * 3600);
    let hits = gate.upstream.hits();
    let reply = gate.bearer("GET", "/api/orders", &gate.token()).await;
    assert_eq!((reply.problem().0, gate.upstream.hits()), (503, hits));
    assert_eq!(admin(&gate, "/readyz").await.0, 503);
}

#[tokio::test]
async fn keys_on_demand_are_fetched_again_when_they_are_old_and_used() {
    let on_demand =
        |text: String, _: &std::path::Path| text.replace("[provider.dev]\n", "[provider.dev]\nkeys_on_demand = true\n");
    let gate = Gate::start_with(None, on_demand).await;
    let fetched = || {
        let log = gate.idp.control().request_log();
        log.iter().filter(|entry| entry.path.ends_with("jwks")).count()
    };
    assert_eq!(fetched(), 1, "so that the gateway is ready");
    gate.clock.advance(3600);
    assert_eq!(gate.bearer("GET", "/api/orders", &gate.token()).await.status, 200);
    let again = async {
        while fetched() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(STEP, again)
        .await
        .expect("the call has asked for newer keys");
    assert_eq!(gate.bearer("GET", "/api/orders", &gate.token()).await.status, 200);
    assert_eq!(fetched(), 2);
}
