//! A decision as a value.

use portcullis_audit::Event;
use portcullis_guard::{Check, Outcome};
use portcullis_jose::{Algorithm, SigningKey};
use serde_json::json;

use crate::support::{ISSUER, World, alone};

#[tokio::test]
async fn a_good_call_passes_every_check_in_order() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({}));
    let policy = guard.policy("Read").unwrap();
    let explanation = guard.explain(&alone(&token), Some(&policy)).await;
    assert!(explanation.allowed(), "{explanation}");
    assert_eq!(explanation.status, 200);
    let checks: Vec<Check> = explanation.checks.iter().map(|explained| explained.check).collect();
    assert_eq!(checks, Check::ALL);
    assert!(
        explanation
            .checks
            .iter()
            .all(|explained| explained.outcome == Outcome::Passed)
    );
    let audience = explanation.check(Check::Audience).unwrap();
    assert_eq!(audience.expected.as_deref(), Some("https://api.test"));
    assert_eq!(audience.found.as_deref(), Some("https://api.test"));
    assert!(explanation.to_string().ends_with("allowed"));
}

#[tokio::test]
async fn all_that_is_wrong_is_seen_at_once_and_the_first_decides() {
    let world = World::new();
    let guard = world.guard();
    let token = world
        .key
        .sign_jwt(
            "JWT",
            &world.claims(json!({"exp": 1_700_000_000, "aud": "https://other.test", "scope": "orders:write"})),
        )
        .unwrap();
    let policy = guard.policy("Read").unwrap();
    let explanation = guard.explain(&alone(&token), Some(&policy)).await;
    let failed: Vec<_> = explanation
        .checks
        .iter()
        .filter(|explained| explained.outcome == Outcome::Failed)
        .map(|explained| (explained.check, explained.code.unwrap()))
        .collect();
    assert_eq!(
        failed,
        [
            (Check::Type, "token.type_mismatch"),
            (Check::Time, "token.expired"),
            (Check::Audience, "token.audience_mismatch"),
            (Check::Policy, "policy.scope_insufficient"),
        ]
    );
    assert_eq!(explanation.check(Check::Signature).unwrap().outcome, Outcome::Passed);
    assert_eq!(
        (explanation.status, explanation.refused.as_ref().unwrap().code),
        (401, "token.type_mismatch")
    );
    // It is the decision that the call gets.
    let answer = world.send_token(&guard, "Read", &token).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        guard.verify(&alone(&token)).await.unwrap_err().code(),
        "token.type_mismatch"
    );
}

#[tokio::test]
async fn what_is_not_proven_is_not_judged_and_the_token_is_not_told() {
    let world = World::new();
    let guard = world.guard();
    let forged = SigningKey::generate(Algorithm::ES256)
        .unwrap()
        .with_kid(world.key.kid().to_owned())
        .sign_jwt("at+jwt", &world.claims(json!({})))
        .unwrap();
    let explanation = guard.explain(&alone(&forged), None).await;
    assert_eq!(explanation.check(Check::Signature).unwrap().outcome, Outcome::Failed);
    for check in [Check::Claims, Check::Audience, Check::Policy] {
        assert_eq!(
            explanation.check(check).unwrap().outcome,
            Outcome::NotReached,
            "{check}"
        );
    }
    let told = format!(
        "{explanation} {explanation:?} {}",
        serde_json::to_string(&explanation).unwrap()
    );
    let signature = forged.rsplit('.').next().unwrap();
    assert!(!told.contains(signature) && !told.contains(&forged[..40]), "{told}");

    for (text, check) in [
        ("a.b", Check::Shape),
        ("a.b.c", Check::Encoding),
        ("e30.e30.", Check::Algorithm),
        ("eyJhbGciOiJub25lIn0.e30.", Check::Algorithm),
        (&format!("{forged}x"), Check::Encoding),
        (&"a".repeat(20_000), Check::Size),
    ] {
        let explanation = guard.explain(&alone(text), None).await;
        let first = explanation
            .checks
            .iter()
            .find(|explained| explained.outcome != Outcome::Passed);
        assert_eq!(first.unwrap().check, check, "{explanation}");
        assert_eq!(explanation.status, 401);
    }
}

#[tokio::test]
async fn revocation_and_binding_are_told_and_asking_uses_nothing_up() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({"cnf": {"x5t#S256": portcullis_jose::base64url_encode(&[7; 32])}}));
    let explanation = guard.explain(&alone(&token), None).await;
    assert_eq!(
        explanation.check(Check::Proof).unwrap().code,
        Some("token.binding_required")
    );

    let token = world.token(json!({}));
    let verified = guard.verify(&alone(&token)).await.unwrap();
    guard.revoke_token(&verified, "test").await.unwrap();
    let events = world.audit.recent(0).len();
    let explanation = guard.explain(&alone(&token), None).await;
    assert_eq!(explanation.refused.as_ref().unwrap().code, "token.revoked");
    assert_eq!(world.audit.recent(0).len(), events, "no event for an explanation");
}

#[tokio::test]
async fn the_event_of_a_refusal_lists_the_checks() {
    let world = World::new();
    let guard = world.guard();
    world
        .send_token(&guard, "Read", &world.token(json!({"aud": "https://other.test"})))
        .await;
    let record = world.last_event();
    let Event::CallRefused { checks, refused, .. } = &record.event else {
        panic!("{record:?}");
    };
    assert_eq!(refused.code, "token.audience_mismatch");
    let of = |result: &str| checks.iter().filter(|line| line.result == result).count();
    assert_eq!((of("passed"), of("failed"), of("not_reached")), (14, 1, 4));
    let names: Vec<&str> = checks.iter().map(|line| line.check).collect();
    assert_eq!(names, Check::ALL.map(Check::name));
    let json = record.json();
    // Nobody has proven who sent it, so nothing is told of what passed.
    assert!(json.contains(r#"{"check":"signature","result":"passed"}"#), "{json}");
    let failed = r#"{"check":"audience","result":"failed","expected":"https://api.test","found":"https://other.test"}"#;
    assert!(json.contains(failed), "{json}");
    assert!(json.contains(r#"{"check":"policy","result":"not_reached"}"#), "{json}");
}

#[tokio::test]
async fn the_event_of_a_denial_tells_what_the_token_had() {
    let world = World::new();
    let guard = world.guard();
    let token = world.token(json!({"scope": "orders.list", "sub": "alice"}));
    world.send_token(&guard, "Read", &token).await;
    let record = world.last_event();
    let Event::CallRefused { checks, .. } = &record.event else {
        panic!("{record:?}");
    };
    let told = |check: Check| {
        let line = checks.iter().find(|line| line.check == check.name()).unwrap();
        (line.result, line.expected.as_deref(), line.found.as_deref())
    };
    assert_eq!(told(Check::Issuer), ("passed", None, Some(ISSUER)));
    assert_eq!(
        told(Check::Audience),
        ("passed", Some("https://api.test"), Some("https://api.test"))
    );
    assert_eq!(told(Check::Subject), ("passed", None, Some("alice")));
    assert_eq!(
        told(Check::Policy),
        ("failed", Some("scope orders:read"), Some("orders.list"))
    );
    assert!(!record.json().contains(&token));
}
