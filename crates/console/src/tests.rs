use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use portcullis_audit::{Audit, Credential, Event, Refused, RequestId};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{Check, ConsoleInfo, ConsoleState, Readiness, router};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

fn info() -> ConsoleInfo {
    ConsoleInfo::new(
        "gateway",
        "1.2.3",
        Arc::new(|| Readiness::of(vec![Check::ready("store")])),
    )
}

async fn send(state: &ConsoleState, request: Request<Body>) -> Answer {
    let response = router(state.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

async fn get(state: &ConsoleState, path: &str) -> Answer {
    send(
        state,
        Request::get(path)
            .header("host", "127.0.0.1:9090")
            .body(Body::empty())
            .unwrap(),
    )
    .await
}

fn state() -> ConsoleState {
    ConsoleState {
        audit: Audit::for_tests(),
        info: info(),
    }
}

fn refuse(audit: &Audit, code: &str) {
    let refused = Refused::new(code).found("<script>alert(1)</script>");
    let event = Event::CallRefused {
        route: Some("orders".into()),
        method: "GET".into(),
        path: "/api/orders".into(),
        credential: Credential::Bearer,
        subject: None,
        client: None,
        checks: Vec::new(),
        status: refused.status(),
        refused,
    };
    audit.emit(Some(&RequestId::new()), event);
}

fn login(audit: &Audit) {
    audit.emit(
        None,
        Event::LoginSucceeded {
            frontend: "shop".into(),
            subject: "alice".into(),
            client_id: None,
        },
    );
}

#[tokio::test]
async fn every_answer_has_the_safe_headers() {
    let state = state();
    for path in [
        "/",
        "/console.css",
        "/console.js",
        "/favicon.svg",
        "/events.json",
        "/metrics",
        "/livez",
        "/readyz",
        "/nothing",
    ] {
        let answer = get(&state, path).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        assert!(!answer.header("content-type").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn the_page_loads_only_its_own_files() {
    let state = ConsoleState {
        audit: Audit::for_tests(),
        info: info().dangers(vec!["dangerous_<b>".into()]),
    };
    let page = get(&state, "/").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    assert!(page.body.contains("gateway 1.2.3"));
    assert!(
        page.body.contains("dangerous_&#60;b&#62;") && !page.body.contains("dangerous_<b>"),
        "{}",
        page.body
    );
    for forbidden in [
        "<style",
        " style=",
        " onclick=",
        "<script>",
        "http://",
        "https://",
        "//cdn",
    ] {
        assert!(!page.body.contains(forbidden), "{forbidden}");
    }
    let mut files = 0;
    for (_, rest) in ["src=\"", "href=\""].iter().flat_map(|mark| {
        page.body
            .match_indices(mark)
            .map(|(at, m)| ((), &page.body[at + m.len()..]))
    }) {
        let path = &rest[..rest.find('"').unwrap()];
        assert_eq!(get(&state, path).await.status, StatusCode::OK, "{path}");
        files += 1;
    }
    assert!(files >= 4, "{files}");
    let script = get(&state, "/console.js").await;
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    assert!(!script.body.contains("innerHTML"), "events go into the page as text");
    for name in Event::NAMES {
        assert!(
            script.body.contains(&format!("\n  {name}: (e)")),
            "the page has no sentence for {name}"
        );
    }
    assert!(
        get(&state, "/console.css")
            .await
            .body
            .contains("prefers-color-scheme: dark")
    );
}

#[tokio::test]
async fn no_danger_no_banner() {
    assert!(!get(&state(), "/").await.body.contains("weaken"));
}

#[tokio::test]
async fn events_come_once_and_can_be_filtered() {
    let state = state();
    login(&state.audit);
    refuse(&state.audit, "token.expired");
    let all = get(&state, "/events.json").await;
    assert_eq!(
        (all.status, all.header("content-type")),
        (StatusCode::OK, "application/json")
    );
    let all = all.json();
    assert_eq!(all["last"], 2);
    assert_eq!(all["events"].as_array().unwrap().len(), 2);
    assert_eq!(all["events"][0]["event"], "login_succeeded");
    assert_eq!(all["events"][1]["code"], "token.expired");
    assert!(all["events"][1]["fix"].as_str().unwrap().contains("refresh token"));
    assert_eq!(all["counts"]["refusals"][0], serde_json::json!(["token.expired", 1]));

    let refused = get(&state, "/events.json?refused=true").await.json();
    assert_eq!(refused["events"].as_array().unwrap().len(), 1);
    assert_eq!((&refused["events"][0]["seq"], &refused["last"]), (&2.into(), &2.into()));

    let none = get(&state, "/events.json?after=2").await.json();
    assert_eq!(
        (none["events"].as_array().unwrap().len(), &none["last"]),
        (0, &2.into())
    );
    login(&state.audit);
    let next = get(&state, "/events.json?after=2").await.json();
    assert_eq!((&next["events"][0]["seq"], &next["last"]), (&3.into(), &3.into()));
}

#[tokio::test]
async fn a_reader_from_before_a_restart_gets_everything() {
    let state = state();
    login(&state.audit);
    let events = get(&state, "/events.json?after=5000").await.json();
    assert_eq!(
        (events["events"].as_array().unwrap().len(), &events["last"]),
        (1, &1.into())
    );
}

#[tokio::test]
async fn a_bad_question_is_a_problem() {
    let state = state();
    for query in ["after=x", "after=-1", "refused=perhaps", "unknown=1"] {
        let answer = get(&state, &format!("/events.json?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["code"], "invalid_request");
    }
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let state = state();
    refuse(&state.audit, "token.expired");
    let answer = get(&state, "/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(
        answer
            .body
            .contains("portcullis_refusals_total{code=\"token.expired\"} 1\n"),
        "{}",
        answer.body
    );
    assert!(answer.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn live_is_not_ready() {
    let readiness = || {
        Readiness::of(vec![
            Check::ready("store"),
            Check::failed("provider.entra", "no keys yet"),
        ])
    };
    let state = ConsoleState {
        audit: Audit::for_tests(),
        info: ConsoleInfo::new("gateway", "1", Arc::new(readiness)),
    };
    assert_eq!(get(&state, "/livez").await.status, StatusCode::OK);
    let answer = get(&state, "/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let expected = serde_json::json!({ "ready": false, "checks": [
        { "name": "store", "ready": true, "detail": "" },
        { "name": "provider.entra", "ready": false, "detail": "no keys yet" },
    ]});
    assert_eq!(answer.json(), expected);

    let ready = get(&self::state(), "/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (StatusCode::OK, &true.into()));
}

#[tokio::test]
async fn only_known_hosts_are_served() {
    let state = ConsoleState {
        audit: Audit::for_tests(),
        info: info().host("admin.internal.example"),
    };
    let good = [
        "localhost",
        "LOCALHOST:9090",
        "127.0.0.1:9090",
        "127.8.8.8",
        "[::1]:9090",
        "[::1]",
        "10.1.2.3:9090",
        "admin.internal.example",
        "Admin.Internal.Example:443",
    ];
    for host in good {
        let request = Request::get("/events.json")
            .header("host", host)
            .body(Body::empty())
            .unwrap();
        assert_eq!(send(&state, request).await.status, StatusCode::OK, "{host}");
    }
    let bad = [
        "evil.example",
        "evil.example:9090",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "user@localhost",
        "localhost@evil.example",
        "evillocalhost",
        "admin.internal.example.evil.example",
        "",
        "loc alhost",
        "[::1].evil.example",
        "2130706433.evil.example",
        "0x7f.1",
    ];
    for host in bad {
        for path in ["/", "/events.json", "/metrics", "/livez", "/readyz", "/nothing"] {
            let request = Request::get(path).header("host", host).body(Body::empty()).unwrap();
            let answer = send(&state, request).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host} {path}");
            assert_eq!(answer.json()["code"], "misdirected_request");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    let record = state.audit.recent(0).pop().unwrap();
    assert_eq!(
        record.event.refused().map(|refused| refused.code),
        Some("request.misdirected")
    );
}

#[tokio::test]
async fn a_host_must_be_named_once_and_everywhere_the_same() {
    let state = state();
    let without = Request::get("/").body(Body::empty()).unwrap();
    assert_eq!(send(&state, without).await.status, StatusCode::MISDIRECTED_REQUEST);
    let twice = Request::get("/")
        .header("host", "localhost")
        .header("host", "127.0.0.1")
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&state, twice).await.status, StatusCode::MISDIRECTED_REQUEST);
    // As HTTP/2 has it: the name is in the URI alone.
    let http2 = Request::get("http://localhost:9090/").body(Body::empty()).unwrap();
    assert_eq!(send(&state, http2).await.status, StatusCode::OK);
    let differ = Request::get("http://evil.example/")
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&state, differ).await.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn it_can_only_be_read() {
    let state = state();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = Request::builder()
            .method(method)
            .uri("/events.json")
            .header("host", "localhost")
            .body(Body::empty())
            .unwrap();
        let answer = send(&state, request).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.header("allow"), "GET,HEAD", "{method}");
        assert_eq!(answer.json()["code"], "method_not_allowed");
    }
    assert_eq!(get(&state, "/nothing").await.json()["status"], 404);
}
