//! Every rule with a token that passes and its twin that does not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "helpers of tests may fail loudly"
)]

mod routes;
mod scopes;
mod step_up;

use std::sync::OnceLock;

use portcullis_jose::{Algorithm, AlgorithmSet, Claims, JwkSet, Limits, SigningKey, UnixTime, UnverifiedJws, Verified};
use portcullis_policy::{
    CallContext, ClaimPath, Kind, MAX_DEPTH, MAX_RULES, NamedPolicy, Policy, PolicyError, client, scopes,
};
use serde_json::{Value, json};

/// Only a signature makes `Verified<Claims>`, so the tests sign.
fn token(claims: Value) -> Verified<Claims> {
    static KEY: OnceLock<(SigningKey, JwkSet)> = OnceLock::new();
    let (key, set) = KEY.get_or_init(|| {
        let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let jwks = json!({"keys": [key.public_jwk()]}).to_string();
        let (set, problems) = JwkSet::parse(jwks.as_bytes()).unwrap();
        assert!(problems.is_empty());
        (key, set)
    });
    let token = key.sign_jwt("at+jwt", &claims).unwrap();
    let limits = Limits::default();
    UnverifiedJws::parse(&token, &limits)
        .unwrap()
        .verify(set, AlgorithmSet::asymmetric())
        .unwrap()
}

const NOW: i64 = 1_800_000_000;

fn call() -> CallContext<'static> {
    CallContext::at(UnixTime::from_secs(NOW)).request("GET", "/orders/7")
}

#[track_caller]
fn passes(policy: &Policy, claims: Value) {
    let text = claims.to_string();
    if let Err(denied) = policy.evaluate(&token(claims), &call()) {
        panic!("{text} should pass {policy}: {denied}");
    }
}

/// Returns what is public of the refusal: code and the scopes to ask for.
#[track_caller]
fn refused(policy: &Policy, claims: Value) -> (&'static str, Option<String>) {
    let text = claims.to_string();
    match policy.evaluate(&token(claims), &call()) {
        Ok(_) => panic!("{text} should not pass {policy}"),
        Err(denied) => (denied.code(), denied.scope.map(Into::into)),
    }
}

#[test]
fn a_scope_is_a_whole_word() {
    let policy = Policy::scope("orders.read");
    for good in [
        json!({"scope": "orders.read"}),
        json!({"scope": "openid orders.read profile"}),
        json!({"scope": "openid  orders.read"}),
        json!({"scope": ["openid", "orders.read"]}),
        json!({"scp": "openid orders.read"}),
        json!({"scp": ["orders.read"]}),
    ] {
        passes(&policy, good);
    }
    for bad in [
        json!({}),
        json!({"scope": ""}),
        json!({"scope": "orders.read.own xorders.read"}),
        json!({"scope": "Orders.Read"}),
        json!({"scope": "openid\u{a0}orders.read"}),
        json!({"scope": "openid\torders.read"}),
        json!({"scope": "openid,orders.read"}),
        json!({"scope": {"orders.read": true}}),
        json!({"scope": ["openid orders.read"]}),
        json!({"scope": [["orders.read"]]}),
        json!({"scp": "orders.reader"}),
        json!({"scopes": "orders.read"}),
        // Only one of the claims counts: what a mapping put into `scp` adds nothing to `scope`.
        json!({"scope": "openid", "scp": "orders.read"}),
    ] {
        assert_eq!(
            refused(&policy, bad),
            ("policy.scope_insufficient", Some("orders.read".into()))
        );
    }
}

#[test]
fn all_scopes_are_needed_and_asked_for_together() {
    let policy = Policy::scopes(["orders.read", "orders.write"]);
    passes(&policy, json!({"scope": "orders.write orders.read"}));
    let (code, scope) = refused(&policy, json!({"scope": "orders.read"}));
    assert_eq!(
        (code, scope.as_deref()),
        ("policy.scope_insufficient", Some("orders.read orders.write"))
    );
}

#[test]
fn the_refusal_names_the_rule_and_what_the_token_has() {
    let policy = Policy::all([
        Policy::scope("orders.read"),
        Policy::scope("orders.write"),
        Policy::role("Admin"),
    ]);
    let denied = policy
        .evaluate(
            &token(json!({"scope": "orders.read openid", "roles": "Admin"})),
            &call(),
        )
        .unwrap_err();
    assert_eq!(&*denied.expected, "scope orders.write");
    assert_eq!(denied.found.as_deref(), Some("orders.read openid"));
    assert_eq!(denied.scope.as_deref(), Some("orders.read orders.write"));

    let denied = policy
        .evaluate(
            &token(json!({"scope": "orders.read orders.write", "roles": ["Reader"]})),
            &call(),
        )
        .unwrap_err();
    assert_eq!(
        (denied.code(), &*denied.expected),
        ("policy.role_missing", "role Admin")
    );
    assert_eq!(denied.found.as_deref(), Some("[Reader]"));
    assert_eq!(denied.scope, None, "another scope would not help");

    passes(
        &policy,
        json!({"scope": "orders.read orders.write", "roles": ["Reader", "Admin"]}),
    );
}

#[test]
fn what_a_refusal_quotes_is_bounded() {
    let long = "\u{e9}".repeat(2_000);
    let denied = Policy::claim("tenant")
        .equals("acme")
        .evaluate(&token(json!({"tenant": long})), &call())
        .unwrap_err();
    assert_eq!(denied.found.map(|found| found.len()), Some(256));
}

#[test]
fn roles_and_groups_come_from_the_claims_named() {
    let policy = Policy::role("Orders.Admin");
    passes(&policy, json!({"roles": ["Orders.Admin"]}));
    passes(&policy, json!({"roles": "Orders.Admin"}));
    passes(&policy, json!({"realm_access": {"roles": ["x", "Orders.Admin"]}}));
    for bad in [
        json!({}),
        json!({"roles": ["orders.admin"]}),
        json!({"roles": "Reader Orders.Admin"}),
        json!({"roles": [["Orders.Admin"]]}),
        json!({"roles": {"Orders.Admin": true}}),
        json!({"realm_access": ["Orders.Admin"]}),
        json!({"role": "Orders.Admin"}),
    ] {
        assert_eq!(refused(&policy, bad).0, "policy.role_missing");
    }

    let namespaced = Policy::role_in(["https://example.com/roles"], "Admin");
    passes(&namespaced, json!({"https://example.com/roles": ["Admin"]}));
    refused(&namespaced, json!({"roles": ["Admin"]}));

    let client_role = Policy::role_in([ClaimPath::from(["resource_access", "orders.web", "roles"])], "Admin");
    passes(
        &client_role,
        json!({"resource_access": {"orders.web": {"roles": ["Admin"]}}}),
    );
    refused(
        &client_role,
        json!({"resource_access": {"orders": {"web": {"roles": ["Admin"]}}}}),
    );
    refused(&client_role, json!({"resource_access.orders.web.roles": ["Admin"]}));

    passes(&Policy::group("staff"), json!({"groups": ["staff"]}));
    assert_eq!(
        refused(&Policy::group("staff"), json!({"groups": ["staff-guests", ""]})).0,
        "policy.role_missing"
    );
}

#[test]
fn claims_are_compared_with_their_kind() {
    passes(&Policy::claim("tenant").equals("acme"), json!({"tenant": "acme"}));
    passes(&Policy::claim("level").equals(3), json!({"level": 3}));
    passes(
        &Policy::claim("email_verified").equals(true),
        json!({"email_verified": true}),
    );
    passes(
        &Policy::claim("address.country").one_of(["CH", "LI"]),
        json!({"address": {"country": "LI"}}),
    );
    passes(&Policy::claim("amr").contains("mfa"), json!({"amr": ["pwd", "mfa"]}));
    passes(&Policy::claim("amr").contains("mfa"), json!({"amr": "mfa"}));
    for there in [json!("x"), json!(0), json!(false), json!([null]), json!({"a": 1})] {
        passes(&Policy::claim("tenant").present(), json!({ "tenant": there }));
    }
    passes(&Policy::claim("a.b").present(), json!({"a": {"b": 1}}));
    for (policy, bad) in [
        (Policy::claim("tenant").present(), json!({"tenants": "x"})),
        (Policy::claim("tenant").present(), json!({"tenant": null})),
        (Policy::claim("tenant").present(), json!({"tenant": ""})),
        (Policy::claim("tenant").present(), json!({"tenant": []})),
        (Policy::claim("tenant").present(), json!({"tenant": {}})),
        (Policy::claim("a.b").present(), json!({"a": "b"})),
        (Policy::claim("tenant").equals("acme"), json!({"tenant": "acme2"})),
        (Policy::claim("tenant").equals("acme"), json!({"tenant": ["acme"]})),
        (Policy::claim("tenant").equals("acme"), json!({"tenant": null})),
        (Policy::claim("level").equals(3), json!({"level": "3"})),
        (Policy::claim("level").equals(3), json!({"level": 3.5})),
        (
            Policy::claim("email_verified").equals(true),
            json!({"email_verified": "true"}),
        ),
        (
            Policy::claim("address.country").one_of(["CH", "LI"]),
            json!({"address": {"country": "AT"}}),
        ),
        (
            Policy::claim("address.country").one_of(["CH", "LI"]),
            json!({"address": "LI"}),
        ),
        (Policy::claim("amr").contains("mfa"), json!({"amr": "pwd mfa"})),
        (Policy::claim("amr").contains("mfa"), json!({"amr": {"mfa": true}})),
        (Policy::claim("amr").contains("mfa"), json!({})),
    ] {
        assert_eq!(refused(&policy, bad).0, "policy.claim_mismatch");
    }
}

#[test]
fn the_client_is_what_providers_call_it_and_client_id_first() {
    let policy = Policy::clients(["web", "daemon"]);
    passes(&policy, json!({"client_id": "web"}));
    passes(&policy, json!({"azp": "daemon"}));
    passes(&policy, json!({"appid": "daemon", "ver": "1.0"}));
    passes(&policy, json!({"cid": "daemon", "ver": 1}));
    for bad in [
        json!({}),
        json!({"client_id": "other"}),
        json!({"client_id": "other", "azp": "web"}),
        json!({"azp": "other", "appid": "web"}),
        json!({"appid": "other", "cid": "web"}),
        json!({"client_id": 7, "cid": "web"}),
        json!({"azp": ["web"]}),
        json!({"client_id": ""}),
    ] {
        assert_eq!(refused(&policy, bad).0, "policy.client_not_allowed");
    }
    assert_eq!(client(&token(json!({"client_id": "a", "azp": "b"}))), Some("a"));
    assert_eq!(client(&token(json!({"sub": "a"}))), None);
}

#[test]
fn a_service_is_told_from_a_person() {
    let (user, service) = (Policy::kind(Kind::User), Policy::kind(Kind::Service));
    for person in [
        json!({"sub": "alice", "client_id": "web"}),
        json!({"sub": "alice", "azp": "web", "idtyp": "user"}),
        json!({"sub": "web", "client_id": "web", "idtyp": "user"}),
        json!({"sub": "web@clients", "azp": "web", "gty": "authorization_code"}),
        json!({"sub": "alice@acme.example", "cid": "0oaM2M", "uid": "00u1"}),
        json!({"sub": "0oaM2M", "cid": "0oaM2M", "uid": "00u1"}),
        json!({"sub": "AAAA", "oid": "4f1c", "tid": "t", "appid": "web"}),
        json!({"sub": "4f1c", "oid": "4f1c", "client_id": "web"}),
    ] {
        assert_eq!(refused(&service, person.clone()).0, "policy.kind_mismatch");
        passes(&user, person);
    }
    for program in [
        json!({"sub": "daemon", "client_id": "daemon"}),
        json!({"sub": "daemon", "azp": "daemon"}),
        json!({"sub": "4f1c", "azp": "daemon", "idtyp": "app"}),
        json!({"client_id": "daemon"}),
        json!({"sub": "daemon@clients", "azp": "daemon", "gty": "client-credentials"}),
        json!({"sub": "0oaM2M", "cid": "0oaM2M"}),
        json!({"sub": "4f1c", "oid": "4f1c", "tid": "t", "appid": "daemon"}),
    ] {
        assert_eq!(refused(&user, program.clone()).0, "policy.kind_mismatch");
        passes(&service, program);
    }
}

#[test]
fn a_pattern_is_about_the_whole_value() {
    let policy = Policy::claim("tenant").matches("acme-[a-z]{2}|globex");
    for good in ["acme-ch", "globex"] {
        passes(&policy, json!({ "tenant": good }));
    }
    for bad in [
        json!({"tenant": "acme-chx"}),
        json!({"tenant": "xacme-ch"}),
        json!({"tenant": "globex\nacme-ch"}),
        json!({"tenant": "globex\n"}),
        json!({"tenant": "acme-c\u{e9}"}),
        json!({"tenant": ["globex"]}),
        json!({"tenant": 7}),
        json!({"tenant": ""}),
        json!({}),
    ] {
        assert_eq!(refused(&policy, bad).0, "policy.claim_mismatch");
    }
    // Several lines of the value do not make several values.
    let lines = Policy::claim("tenant").matches("(?m)^a$");
    passes(&lines, json!({"tenant": "a"}));
    refused(&lines, json!({"tenant": "b\na\nb"}));
    // The time is linear: this would take others for ever.
    refused(&Policy::claim("t").matches("(a*)*b"), json!({"t": "a".repeat(4_000)}));
    for bad in [
        "",
        "(",
        "a)|(b",
        "[",
        "*a",
        r"\p{Greek}",
        "(?x)a #",
        "(a{1000}){1000}",
        &"a".repeat(513),
    ] {
        let policy = Policy::claim("tenant").matches(bad);
        assert_eq!(
            policy.fault().map(PolicyError::code),
            Some("policy.pattern_syntax"),
            "{bad}"
        );
    }
}

#[test]
fn an_address_is_in_a_domain_only_if_it_is_verified_and_plain() {
    let policy = Policy::email_domains(["corp.com", "Corp.Example"]);
    for good in ["a@corp.com", "A.b+c@CORP.com", "a@corp.example"] {
        passes(&policy, json!({"email": good, "email_verified": true}));
    }
    for bad in [
        "a@evil.com@corp.com",
        "a@corp.com@evil.com",
        "\"a@evil.com\"@corp.com",
        "\"a\"@corp.com",
        "@corp.com",
        "corp.com",
        "a@",
        "",
        "a@corp.com.",
        "a@.corp.com",
        "a@sub.corp.com",
        "a@evilcorp.com",
        "a@corp.com.evil.com",
        "a@corp.com ",
        "a b@corp.com",
        "a@evil.com\n@corp.com",
        "a@corp.com\u{0}",
        "a\u{ff20}evil.com@corp.com",
        "a@c\u{43e}rp.com",
        "a@corp\u{3002}com",
    ] {
        let claims = json!({"email": bad, "email_verified": true});
        assert_eq!(refused(&policy, claims).0, "policy.claim_mismatch", "{bad:?}");
    }
    for bad in [
        json!({"email": "a@corp.com"}),
        json!({"email": "a@corp.com", "email_verified": false}),
        json!({"email": "a@corp.com", "email_verified": "true"}),
        json!({"email": "a@corp.com", "email_verified": 1}),
        json!({"email": ["a@corp.com"], "email_verified": true}),
        json!({"upn": "a@corp.com", "email_verified": true}),
    ] {
        assert_eq!(refused(&policy, bad).0, "policy.claim_mismatch");
    }
    for bad in [
        "",
        "@corp.com",
        "corp..com",
        ".corp.com",
        "c\u{f6}rp.com",
        "corp.com.",
        "-corp.com",
        "a b.com",
    ] {
        let policy = Policy::email_domain(bad);
        assert_eq!(
            policy.fault().map(PolicyError::code),
            Some("policy.domain_syntax"),
            "{bad}"
        );
    }
    assert_eq!(
        Policy::email_domains([] as [&str; 0]).fault(),
        Some(&PolicyError::Empty("email_domain"))
    );
}

#[test]
fn a_function_sees_the_call() {
    let policy = Policy::custom("reads of its own order in the hour", |claims, call| {
        let own = claims.get("order").and_then(|order| order.as_str());
        call.method == "GET" && call.path.rsplit('/').next() == own && call.now.as_secs() % 3_600 == 0
    });
    let claims = token(json!({"order": "7"}));
    let at = |now| CallContext::at(UnixTime::from_secs(now));
    assert!(policy.evaluate(&claims, &at(NOW).request("GET", "/orders/7")).is_ok());
    for other in [
        at(NOW).request("POST", "/orders/7"),
        at(NOW).request("GET", "/orders/8"),
        at(NOW + 1).request("GET", "/orders/7"),
        at(NOW),
    ] {
        assert!(policy.evaluate(&claims, &other).is_err(), "{other:?}");
    }
}

#[test]
fn the_scopes_of_a_policy_can_be_told() {
    let policy = Policy::all([
        Policy::scopes(["a", "b"]),
        Policy::any([Policy::scope("c"), Policy::scope("a"), Policy::role("r")]),
        Policy::not(Policy::scope("never")),
    ]);
    assert_eq!(policy.scope_names(), ["a", "b", "c"]);
}

#[test]
fn policies_compose() {
    let either = Policy::any([Policy::scope("a"), Policy::role("r")]);
    passes(&either, json!({"scope": "a"}));
    passes(&either, json!({"roles": ["r"]}));
    // Alternatives of two sorts: no one code fits, but the scope that would help is known.
    assert_eq!(
        refused(&either, json!({"scope": "b"})),
        ("policy.denied", Some("a".into()))
    );

    let scopes = Policy::any([Policy::scope("a"), Policy::scope("b")]);
    assert_eq!(
        refused(&scopes, json!({})),
        ("policy.scope_insufficient", Some("a".into()))
    );

    let not = Policy::not(Policy::client("old"));
    passes(&not, json!({"client_id": "new"}));
    assert_eq!(refused(&not, json!({"client_id": "old"})).0, "policy.denied");

    let office = Policy::custom("short subject", |claims, _| {
        claims
            .get("sub")
            .and_then(|sub| sub.as_str())
            .is_some_and(|sub| sub.len() < 4)
    });
    passes(&office, json!({"sub": "bob"}));
    let denied = office.evaluate(&token(json!({"sub": "alice"})), &call()).unwrap_err();
    assert_eq!((denied.code(), &*denied.expected), ("policy.denied", "short subject"));

    passes(&Policy::authenticated(), json!({}));
}

#[test]
fn a_policy_that_makes_no_sense_refuses_everybody_wherever_it_stands() {
    let everything = json!({"scope": "a", "roles": ["a", ""], "client_id": "a", "acr": "a", "sub": "a", "a": ""});
    let bad = || {
        vec![
            Policy::all([]),
            Policy::any([]),
            Policy::scopes(Vec::<String>::new()),
            Policy::scope(""),
            Policy::scope("a b"),
            Policy::scope("a\"b"),
            Policy::scope("\u{e9}"),
            Policy::role(""),
            Policy::role_in(Vec::<ClaimPath>::new(), "a"),
            Policy::role_in(["a..b"], "a"),
            Policy::clients([""]),
            Policy::clients(Vec::<String>::new()),
            Policy::acr(Vec::<String>::new()),
            Policy::claim("").equals("a"),
            Policy::claim("a").one_of(Vec::<i64>::new()),
            Policy::claim("a").equals(""),
            Policy::claim("a").one_of(["b", ""]),
            Policy::claim("a").contains(""),
            Policy::claim("a").matches(""),
            Policy::custom("", |_, _| true),
        ]
    };
    for policy in bad() {
        assert!(policy.fault().is_some(), "{policy}");
        assert_eq!(refused(&policy, everything.clone()).0, "policy.denied");
        assert_eq!(
            NamedPolicy::new("p", policy.clone()).unwrap_err().code(),
            policy.fault().unwrap().code()
        );
    }
    for policy in bad() {
        for wrapped in [
            Policy::not(policy.clone()),
            Policy::not(Policy::not(policy.clone())),
            Policy::any([Policy::authenticated(), policy.clone()]),
            Policy::all([Policy::authenticated(), policy.clone()]),
        ] {
            refused(&wrapped, everything.clone());
        }
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| (1..depth).fold(Policy::scope("a"), |policy, _| Policy::all([policy]));
    passes(&nested(MAX_DEPTH), json!({"scope": "a"}));
    assert_eq!(nested(MAX_DEPTH + 1).fault(), Some(&PolicyError::TooDeep));
    refused(&nested(MAX_DEPTH + 1), json!({"scope": "a"}));
    refused(&nested(100_000), json!({"scope": "a"}));

    let wide = |rules: usize| Policy::any((1..rules).map(|_| Policy::scope("a")));
    passes(&wide(MAX_RULES), json!({"scope": "a"}));
    assert_eq!(wide(MAX_RULES + 1).fault(), Some(&PolicyError::TooLarge));
    assert_eq!(
        Policy::scopes(vec!["a"; MAX_RULES + 1]).fault(),
        Some(&PolicyError::TooLarge)
    );
}

#[test]
fn a_named_policy_puts_its_name_on_both_answers() {
    let read = NamedPolicy::new("ReadOrders", Policy::scope("orders.read")).unwrap();
    assert_eq!(
        read.evaluate(&token(json!({"scope": "orders.read"})), &call())
            .unwrap()
            .policy(),
        "ReadOrders"
    );
    assert_eq!(
        read.evaluate(&token(json!({})), &call()).unwrap_err().policy.as_deref(),
        Some("ReadOrders")
    );
    for name in ["", "two words", "quo\"te", "line\n", &"x".repeat(129)] {
        assert_eq!(
            NamedPolicy::new(name, Policy::authenticated()).unwrap_err(),
            PolicyError::Name,
            "{name:?}"
        );
    }
}

#[test]
fn a_policy_reads_as_a_sentence() {
    for (policy, text) in [
        (Policy::authenticated(), "a verified token"),
        (Policy::scopes(["a", "b"]), "scope a b"),
        (Policy::clients(["a", "b"]), "client a or b"),
        (Policy::claim("t").equals("x"), "claim t = \"x\""),
        (Policy::claim("t").one_of([1, 2]), "claim t one of 1, 2"),
        (Policy::claim("t").contains(true), "claim t with true"),
        (Policy::claim("t").matches("a|b"), "claim t matching \"a|b\""),
        (Policy::max_age(60), "authenticated within 60 s"),
        (
            Policy::email_domains(["a.com", "B.com"]),
            "verified e-mail address at a.com or b.com",
        ),
        (
            Policy::not(Policy::any([Policy::scope("a"), Policy::group("g")])),
            "not (scope a or group g)",
        ),
        (
            Policy::all([
                Policy::scope("a"),
                Policy::any([Policy::scope("b"), Policy::acr(["c"])]),
            ]),
            "scope a and (scope b or acr c)",
        ),
    ] {
        assert_eq!(policy.to_string(), text);
    }
}

#[test]
fn scopes_are_read_one_by_one() {
    let list = |claims: Value| scopes(&token(claims)).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(list(json!({"scope": " a  b "})), ["a", "b"]);
    assert_eq!(list(json!({"scp": ["a b", "", 7, "c"]})), ["a b", "c"]);
    assert_eq!(list(json!({"scope": 7})), [] as [&str; 0]);
}
