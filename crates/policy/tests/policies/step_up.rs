//! A stronger or newer login is asked for (RFC 9470).

use super::*;

#[test]
fn acr_asks_for_step_up() {
    let policy = Policy::acr(["urn:mfa", "urn:hw"]);
    passes(&policy, json!({"acr": "urn:hw"}));
    let denied = policy.evaluate(&token(json!({"acr": "urn:pwd"})), &call()).unwrap_err();
    assert_eq!(
        (denied.code(), denied.acr_values.as_deref()),
        ("policy.acr_insufficient", Some("urn:mfa urn:hw"))
    );
    assert_eq!(denied.found.as_deref(), Some("urn:pwd"));
}

#[test]
fn max_age_asks_for_a_recent_authentication() {
    let policy = Policy::max_age(600);
    for good in [NOW, NOW - 600, NOW + 5] {
        passes(&policy, json!({"auth_time": good}));
    }
    for (bad, found) in [
        (json!({"auth_time": NOW - 601}), Some("authenticated 601 s ago")),
        // A time that never grows old.
        (json!({"auth_time": NOW + 3_600}), Some("authenticated -3600 s ago")),
        (json!({"auth_time": (NOW - 10).to_string()}), None),
        (json!({"auth_time": 1e300}), None),
        (json!({"iat": NOW}), None),
    ] {
        let denied = policy.evaluate(&token(bad), &call()).unwrap_err();
        assert_eq!(
            (denied.code(), denied.max_age, denied.found.as_deref()),
            ("policy.max_age_exceeded", Some(600), found)
        );
        assert!(denied.asks_for_step_up());
    }
}

#[test]
fn step_up_asks_once_for_all_that_is_needed() {
    let both = Policy::all([Policy::scope("a"), Policy::acr(["urn:mfa"]), Policy::max_age(60)]);
    let denied = both.evaluate(&token(json!({"scope": "a"})), &call()).unwrap_err();
    assert_eq!(
        (denied.acr_values.as_deref(), denied.max_age, denied.scope),
        (Some("urn:mfa"), Some(60), None)
    );
    // Another authentication does not give a scope.
    let denied = both.evaluate(&token(json!({"acr": "urn:mfa"})), &call()).unwrap_err();
    assert_eq!(
        (denied.code(), denied.asks_for_step_up(), denied.scope.as_deref()),
        ("policy.scope_insufficient", false, Some("a"))
    );
    let either = Policy::any([Policy::acr(["urn:mfa"]), Policy::acr(["urn:hw"])]);
    let denied = either.evaluate(&token(json!({})), &call()).unwrap_err();
    assert_eq!(denied.acr_values.as_deref(), Some("urn:mfa urn:hw"));
    // Where a role would do too, nobody knows that an authentication is what lacks.
    let role = Policy::any([Policy::role("admin"), Policy::acr(["urn:mfa"])]);
    let denied = role.evaluate(&token(json!({})), &call()).unwrap_err();
    assert_eq!((denied.code(), denied.asks_for_step_up()), ("policy.denied", false));
}
