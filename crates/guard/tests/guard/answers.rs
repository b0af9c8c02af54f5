//! Each refusal: status, challenge, body, audit event; and its good twin.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use crate::support::{AUDIENCE, Answer, ISSUER, NOW, World, bearer};
use http::Request;
use portcullis_audit::Event;
use portcullis_guard::Policy;
use portcullis_jose::{Algorithm, SigningKey};
use serde_json::{Value, json};

const INVALID_TOKEN: &str = "Bearer realm=\"orders\", error=\"invalid_token\", \
    error_description=\"The access token is not valid here. The operator finds the reason under the request id.\"";

/// Everything of an answer that the caller sees, but for the request id.
fn public(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let id = answer.header("x-request-id").expect("an id");
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().replace(id, "ID")))
        .collect();
    headers.sort();
    (answer.status, headers, answer.body.replace(id, "ID"))
}

/// The code of the audit event, once everything that must agree with the answer was compared.
#[track_caller]
fn event_code(world: &World, answer: &Answer) -> &'static str {
    let record = world.last_event();
    assert_eq!(
        record.request_id.as_ref().map(|id| id.as_str()),
        answer.header("x-request-id"),
        "one id in both"
    );
    let Event::CallRefused {
        method,
        path,
        status,
        refused,
        ..
    } = &record.event
    else {
        panic!("{:?}", record.event);
    };
    assert_eq!(
        (method.as_str(), path.as_str(), *status),
        ("GET", "/orders", answer.status)
    );
    assert!(!refused.cause.is_empty() && !refused.fix.is_empty());
    refused.code
}

#[tokio::test]
async fn a_good_token_reaches_the_service() {
    let world = World::new();
    let guard = world.guard();
    let answer = world.send_token(&guard, "Read", &world.token(json!({}))).await;
    assert_eq!(
        (answer.status, answer.body.as_str(), world.reached()),
        (200, "reached", 1)
    );
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(world.audit.recent(0).len(), 0, "what passes is the gateway's to report");
}

#[tokio::test]
async fn no_credential_is_a_bare_challenge() {
    let world = World::new();
    let guard = world.guard();
    let answer = world
        .send(&guard, "Read", Request::get("/orders").body(()).unwrap())
        .await;
    assert_eq!(answer.status, 401);
    // RFC 6750 s3: no error code where there was no credential.
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"orders\""));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(
        answer.json(),
        json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "unauthorized", "request_id": id,
            "detail": "This resource needs an access token in the Authorization header."})
    );
    assert_eq!(event_code(&world, &answer), "token.missing");
    assert_eq!(world.reached(), 0);
}

#[tokio::test]
async fn a_request_with_a_bad_credential_is_a_bad_request() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({}));
    let get = |uri: String| Request::get(uri);
    let bearer = format!("Bearer {token}");
    for (request, code) in [
        (get(format!("/orders?access_token={token}")).body(()), "token.in_query"),
        (
            get(format!("/orders?access_token={token}"))
                .header("authorization", &bearer)
                .body(()),
            "token.in_query",
        ),
        (
            get("/orders".into())
                .header("authorization", format!("{bearer}, {bearer}"))
                .body(()),
            "token.multiple_credentials",
        ),
        (
            get("/orders".into())
                .header("authorization", &bearer)
                .header("authorization", &bearer)
                .body(()),
            "token.multiple_credentials",
        ),
        (
            get("/orders".into()).header("authorization", "Bearer ").body(()),
            "token.malformed",
        ),
    ] {
        let answer = world.send(&guard, "Read", request.unwrap()).await;
        assert_eq!(answer.status, 400, "{code}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("Bearer realm=\"orders\", error=\"invalid_request\", error_description=\""),
            "{challenge}"
        );
        assert_eq!(answer.json()["code"], "invalid_request");
        assert_eq!(event_code(&world, &answer), code);
        let record = world.last_event().json();
        let signature = token.rsplit('.').next().unwrap();
        assert!(
            !record.contains(signature) && !answer.body.contains(signature),
            "no token in {record}"
        );
    }
    assert_eq!(world.reached(), 0);
    let good = get("/orders?x=access_token".into())
        .header("authorization", format!("bEARER  {token}"))
        .body(())
        .unwrap();
    assert_eq!(world.send(&guard, "Read", good).await.status, 200);
}

#[tokio::test]
async fn every_bad_token_gets_the_same_answer_and_its_own_event() {
    let world = World::new();
    let guard = world.guard();
    let now = crate::support::NOW;
    let other_key = SigningKey::generate(Algorithm::ES256).unwrap();
    let same_kid = other_key.clone().with_kid(world.key.kid().to_owned());
    let signed = |key: &SigningKey, typ: &str, changes: Value| key.sign_jwt(typ, &world.claims(changes)).unwrap();
    let good = |changes: Value| signed(&world.key, "at+jwt", changes);

    let bad = [
        ("token.malformed", "abc".to_owned()),
        ("token.bad_base64", good(json!({})) + "="),
        ("token.too_large", format!("{}.a.b", "a".repeat(20_000))),
        ("token.type_mismatch", signed(&world.key, "JWT", json!({"nonce": "n"}))),
        ("token.issuer_mismatch", good(json!({"iss": "https://issuer.test/"}))),
        ("token.issuer_mismatch", good(json!({"iss": null}))),
        ("token.issuer_type", good(json!({"iss": [ISSUER]}))),
        ("keys.unknown_kid", signed(&other_key, "at+jwt", json!({}))),
        ("token.signature_invalid", signed(&same_kid, "at+jwt", json!({}))),
        ("token.expiry_missing", good(json!({"exp": null}))),
        ("token.expired", good(json!({"exp": now - 31}))),
        ("token.not_yet_valid", good(json!({"nbf": now + 31}))),
        ("token.claim_type", good(json!({"exp": "9999999999"}))),
        ("token.audience_missing", good(json!({"aud": null}))),
        ("token.audience_mismatch", good(json!({"aud": "https://other.test"}))),
        ("token.subject_missing", good(json!({"sub": null}))),
        ("token.binding_required", good(json!({"cnf": {"jkt": "x"}}))),
    ];
    let mut answers = Vec::new();
    for (code, token) in &bad {
        let answer = world.send_token(&guard, "Read", token).await;
        assert_eq!(event_code(&world, &answer), *code);
        answers.push(public(&answer));
    }
    assert_eq!(answers[0].0, 401);
    assert!(
        answers[0]
            .1
            .contains(&("www-authenticate".into(), INVALID_TOKEN.into())),
        "{:?}",
        answers[0].1
    );
    assert!(answers[0].2.contains("\"code\":\"invalid_token\""));
    for (answer, (code, _)) in answers.iter().zip(&bad) {
        assert_eq!(*answer, answers[0], "{code} can be told from the others");
    }
    assert_eq!(world.reached(), 0);

    // The twins: as close to the edge as is allowed.
    for changes in [
        json!({"exp": now - 29}),
        json!({"nbf": now + 30, "iat": now + 30}),
        json!({"aud": ["https://other.test", AUDIENCE]}),
        json!({"unknown": {"nested": [1]}}),
    ] {
        assert_eq!(
            world.send_token(&guard, "Read", &good(changes.clone())).await.status,
            200,
            "{changes}"
        );
    }
    assert_eq!(
        world
            .send_token(&guard, "Read", &signed(&world.key, "application/AT+JWT", json!({})))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_event_says_what_was_expected_and_found() {
    let world = World::new();
    let answer = world
        .send_token(
            &world.guard(),
            "Read",
            &world.token(json!({"aud": "https://other.test"})),
        )
        .await;
    assert_eq!(event_code(&world, &answer), "token.audience_mismatch");
    let record: Value = serde_json::from_str(&world.last_event().json()).unwrap();
    assert_eq!(
        (&record["expected"], &record["found"]),
        (&json!(AUDIENCE), &json!("https://other.test"))
    );
    assert_eq!(record["credential"], "bearer");
    assert_eq!(record.get("subject"), None, "nothing of a bad token is proven");
}

#[tokio::test]
async fn a_refusal_tells_people_which_permission_would_do_only_where_it_would() {
    let world = World::new();
    let guard = world
        .builder()
        .policy(
            "Either",
            Policy::any([Policy::scope("orders:admin"), Policy::role("Admin")]),
        )
        .build()
        .unwrap();
    for (policy, scope, detail, challenge) in [
        (
            "Read",
            "",
            "The access token does not carry the permission that this needs: orders:read.",
            r#"scope="orders:read""#,
        ),
        (
            "Write",
            "orders:read",
            "The access token does not carry all the permissions that this needs: orders:read orders:write.",
            r#"scope="orders:read orders:write""#,
        ),
        (
            "Either",
            "orders:read",
            "The access token does not carry the rights that this resource needs.",
            r#"scope="orders:admin""#,
        ),
    ] {
        let token = world.token(json!({ "scope": scope, "roles": [] }));
        let answer = world.send_token(&guard, policy, &token).await;
        assert_eq!((answer.status, &answer.json()["detail"]), (403, &json!(detail)));
        assert!(
            answer.header("www-authenticate").unwrap().ends_with(challenge),
            "{policy}"
        );
    }
    let token = world.token(json!({ "roles": ["Admin"] }));
    assert_eq!(world.send_token(&guard, "Either", &token).await.status, 200);
}

#[tokio::test]
async fn a_good_token_without_the_right_is_forbidden_and_told_the_scope() {
    let world = World::new();
    let guard = world.guard();
    let description = "The access token does not carry the rights that this resource needs.";
    let forbidden =
        format!("Bearer realm=\"orders\", error=\"insufficient_scope\", error_description=\"{description}\"");
    for (policy, changes, code, scope, twin) in [
        (
            "Read",
            json!({"scope": null}),
            "policy.scope_insufficient",
            Some("orders:read"),
            json!({"scope": "a orders:read"}),
        ),
        (
            "Read",
            json!({"scope": "orders:read:own xorders:read"}),
            "policy.scope_insufficient",
            Some("orders:read"),
            json!({}),
        ),
        (
            "Write",
            json!({}),
            "policy.scope_insufficient",
            Some("orders:read orders:write"),
            json!({"scope": "orders:write orders:read"}),
        ),
        (
            "Admin",
            json!({"roles": ["Reader"]}),
            "policy.role_missing",
            None,
            json!({"roles": ["Admin"]}),
        ),
        (
            "Spa",
            json!({"client_id": "evil-client"}),
            "policy.client_not_allowed",
            None,
            json!({}),
        ),
        (
            "Service",
            json!({}),
            "policy.kind_mismatch",
            None,
            json!({"sub": "spa"}),
        ),
        ("User", json!({"sub": "spa"}), "policy.kind_mismatch", None, json!({})),
    ] {
        let answer = world.send_token(&guard, policy, &world.token(changes)).await;
        assert_eq!(answer.status, 403, "{policy}");
        let challenge = match scope {
            Some(scope) => format!("{forbidden}, scope=\"{scope}\""),
            None => forbidden.clone(),
        };
        assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
        assert_eq!(answer.json()["code"], "insufficient_scope");
        assert_eq!(event_code(&world, &answer), code);
        let record: Value = serde_json::from_str(&world.last_event().json()).unwrap();
        assert!(
            record["subject"].is_string(),
            "a verified token has a proven subject: {record}"
        );
        assert_eq!(
            world.send_token(&guard, policy, &world.token(twin)).await.status,
            200,
            "{policy}"
        );
    }
}

#[tokio::test]
async fn a_weak_authentication_is_asked_to_step_up() {
    let world = World::new();
    let guard = world.guard();
    let answer = world
        .send_token(&guard, "StepUp", &world.token(json!({"acr": "urn:pwd"})))
        .await;
    assert_eq!(answer.status, 401);
    // RFC 9470 s3
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            "Bearer realm=\"orders\", error=\"insufficient_user_authentication\", \
             error_description=\"A different authentication level is required.\", acr_values=\"urn:mfa\""
        )
    );
    assert_eq!(event_code(&world, &answer), "policy.acr_insufficient");
    assert_eq!(
        world
            .send_token(&guard, "StepUp", &world.token(json!({"acr": "urn:mfa"})))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_request_id_of_an_outer_layer_is_kept() {
    let world = World::new();
    let mut request = bearer("abc");
    request
        .extensions_mut()
        .insert(portcullis_audit::RequestId::accept("req-1234567890").unwrap());
    let answer = world.send(&world.guard(), "Read", request).await;
    assert_eq!(
        (answer.header("x-request-id"), &answer.json()["request_id"]),
        (Some("req-1234567890"), &json!("req-1234567890"))
    );
    assert_eq!(event_code(&world, &answer), "token.malformed");
}

#[tokio::test]
async fn an_old_authentication_is_asked_for_again_with_its_level() {
    let world = World::new();
    let guard = world.guard();
    let recent = |age: i64| json!({"acr": "urn:mfa", "auth_time": NOW - age});
    assert_eq!(
        world
            .send_token(&guard, "Recent", &world.token(recent(60)))
            .await
            .status,
        200
    );
    for changes in [recent(61), json!({"acr": "urn:mfa"}), json!({"auth_time": NOW})] {
        let answer = world.send_token(&guard, "Recent", &world.token(changes)).await;
        assert_eq!(answer.status, 401);
        // RFC 9470 s3: both may be asked for at once.
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("error=\"insufficient_user_authentication\""),
            "{challenge}"
        );
        assert!(
            challenge.ends_with("acr_values=\"urn:mfa\", max_age=\"60\""),
            "{challenge}"
        );
    }
}

#[tokio::test]
async fn a_function_sees_the_call_that_the_layer_guards() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({"order": "7"}));
    for (method, path, status) in [
        ("GET", "/orders/7", 200),
        ("GET", "/orders/8", 403),
        ("POST", "/orders/7", 403),
    ] {
        let mut request = bearer(&token);
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(
            world.send(&guard, "Own", request).await.status,
            status,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn the_reason_is_told_where_the_program_says_so_and_nothing_else_changes() {
    let world = World::new();
    let quiet = world.guard();
    let open = world.builder().dangerous_reason_header().build().unwrap();
    let tokens = [
        (world.token(json!({"aud": "api://other"})), "token.audience_mismatch"),
        (world.token(json!({"scope": "x"})), "policy.scope_insufficient"),
        ("garbage".to_owned(), "token.malformed"),
    ];
    for (token, reason) in tokens {
        let (told, not_told) = (
            world.send_token(&open, "Read", &token).await,
            world.send_token(&quiet, "Read", &token).await,
        );
        assert_eq!(told.header("portcullis-reason"), Some(reason));
        assert_eq!(not_told.header("portcullis-reason"), None);
        let (status, mut headers, body) = public(&told);
        headers.retain(|(name, _)| name != "portcullis-reason");
        assert_eq!((status, headers, body), public(&not_told), "{reason}");
    }
    let none = world.send(&open, "Read", Request::get("/").body(()).unwrap()).await;
    assert_eq!(none.header("portcullis-reason"), Some("token.missing"));
    let good = world.send_token(&open, "Read", &world.token(json!({}))).await;
    assert_eq!((good.status, good.header("portcullis-reason")), (200, None));
}

#[tokio::test]
async fn a_grpc_client_gets_a_grpc_answer() {
    let world = World::new();
    let guard = world.guard();
    let call = |content_type: &str, token: Option<&str>| {
        let mut request = Request::post("/orders.Orders/List").header("content-type", content_type);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(()).unwrap()
    };
    let poor = world.token(json!({"scope": "x"}));
    for (token, status, challenge) in [
        (None, "16", "Bearer realm=\"orders\""),
        (Some("garbage"), "16", INVALID_TOKEN),
        (
            Some(poor.as_str()),
            "7",
            "Bearer realm=\"orders\", error=\"insufficient_scope\"",
        ),
    ] {
        for content_type in ["application/grpc", "application/grpc+proto"] {
            let answer = world.send(&guard, "Read", call(content_type, token)).await;
            assert_eq!(
                (answer.status, answer.header("content-type"), answer.body.as_str()),
                (200, Some("application/grpc"), "")
            );
            assert_eq!(answer.header("grpc-status"), Some(status));
            // It is a 200, which caches would keep.
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(
                answer
                    .header("grpc-message")
                    .is_some_and(|message| message.ends_with('.'))
            );
            assert!(answer.header("www-authenticate").unwrap().starts_with(challenge));
            assert_eq!(
                world.last_event().request_id.as_ref().map(|id| id.as_str()),
                answer.header("x-request-id")
            );
        }
    }
    let good = world.token(json!({}));
    let answer = world.send(&guard, "Read", call("application/grpc", Some(&good))).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "reached"));
    for other in ["application/json", "application/grpc-web", "application/grpcx"] {
        let answer = world.send(&guard, "Read", call(other, None)).await;
        assert_eq!((answer.status, answer.header("grpc-status")), (401, None), "{other}");
    }
    // gRPC is always a POST; of anything else, 200 would be no refusal.
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let mut request = call("application/grpc", None);
        *request.method_mut() = method.parse().unwrap();
        let answer = world.send(&guard, "Read", request).await;
        assert_eq!((answer.status, answer.header("grpc-status")), (401, None), "{method}");
    }
}
