//! A policy in TOML and the same in Rust decide alike, about every token that somebody might try.

use portcullis_jose::{Algorithm, AlgorithmSet, Claims, JwkSet, Limits, SigningKey, UnixTime, UnverifiedJws, Verified};
use portcullis_policy::{CallContext, ClaimPath, Kind, NamedPolicy, Policy};
use serde_json::{Value, json};

use super::super::schema::{CLAIM, MEMBER, POLICY};
use super::{GOOD, passes};

const NOW: i64 = 1_800_000_000;

/// A rule in both notations, tokens that pass and tokens that do not.
type Row = (&'static str, Policy, Vec<Value>, Vec<Value>);

fn rows() -> Vec<Row> {
    let mut rows = about_scopes();
    rows.extend(about_members());
    rows.extend(about_claims());
    rows.extend(about_the_rest());
    rows.extend(combined());
    rows
}

fn about_scopes() -> Vec<Row> {
    let none = |scope: &str| {
        vec![
            json!({}),
            json!({ "scope": "" }),
            json!({ "scope": format!("{scope}.own x{scope}") }),
            json!({ "scope": format!("openid\u{a0}{scope}") }),
            json!({ "scope": format!("openid,{scope}") }),
            json!({ "scope": format!("openid\t{scope}") }),
            json!({ "scope": [format!("openid {scope}")] }),
            json!({ "scope": scope.to_uppercase() }),
            json!({ "scope": "openid", "scp": scope }),
        ]
    };
    vec![
        (
            r#"scope = "a.b""#,
            Policy::scope("a.b"),
            vec![
                json!({"scope": "openid a.b"}),
                json!({"scp": ["x", "a.b"]}),
                json!({"scp": "a.b"}),
                json!({"scope": ["a.b"]}),
            ],
            none("a.b"),
        ),
        (
            r#"scopes = ["a", "b"]"#,
            Policy::scopes(["a", "b"]),
            vec![json!({"scope": "b a"}), json!({"scp": ["a", "b", "c"]})],
            vec![
                json!({"scope": "a"}),
                json!({"scope": "a,b"}),
                json!({"scope": "a", "scp": "b"}),
            ],
        ),
    ]
}

fn about_members() -> Vec<Row> {
    vec![
        (
            r#"role = "admin""#,
            Policy::role("admin"),
            vec![
                json!({"roles": ["admin"]}),
                json!({"realm_access": {"roles": ["x", "admin"]}}),
            ],
            vec![
                json!({"roles": ["Admin"]}),
                json!({"roles": "x admin"}),
                json!({"groups": ["admin"]}),
                json!({"roles": [""]}),
            ],
        ),
        (
            r#"role = { name = "admin", in = ["https://example.com/roles", ["resource_access", "orders.web", "roles"]] }"#,
            Policy::role_in(
                [
                    ClaimPath::from("https://example.com/roles"),
                    ClaimPath::from(["resource_access", "orders.web", "roles"]),
                ],
                "admin",
            ),
            vec![
                json!({"https://example.com/roles": "admin"}),
                json!({"resource_access": {"orders.web": {"roles": ["admin"]}}}),
            ],
            vec![
                json!({"roles": ["admin"]}),
                json!({"resource_access": {"orders": {"web": {"roles": ["admin"]}}}}),
            ],
        ),
        (
            r#"group = "staff""#,
            Policy::group("staff"),
            vec![json!({"groups": ["staff"]})],
            vec![
                json!({"groups": ["staff2", ""]}),
                json!({"roles": ["staff"]}),
                json!({}),
            ],
        ),
        (
            r#"group = { name = "staff", in = "cognito:groups" }"#,
            Policy::group_in(["cognito:groups"], "staff"),
            vec![json!({"cognito:groups": ["staff"]})],
            vec![json!({"groups": ["staff"]})],
        ),
    ]
}

fn about_claims() -> Vec<Row> {
    vec![
        (
            r#"claim = { path = "tenant.id", equals = 7 }"#,
            Policy::claim("tenant.id").equals(7),
            vec![json!({"tenant": {"id": 7}}), json!({"tenant.id": 7})],
            vec![
                json!({"tenant": {"id": "7"}}),
                json!({"tenant": {"id": [7]}}),
                json!({"tenant.id": 8, "tenant": {"id": 7}}),
            ],
        ),
        (
            r#"claim = { path = ["tenant", "a.b"], one_of = ["x", true] }"#,
            Policy::claim(["tenant", "a.b"]).one_of([portcullis_policy::Literal::from("x"), true.into()]),
            vec![json!({"tenant": {"a.b": "x"}}), json!({"tenant": {"a.b": true}})],
            vec![
                json!({"tenant.a.b": "x"}),
                json!({"tenant": {"a.b": "true"}}),
                json!({"tenant": {"a.b": ""}}),
            ],
        ),
        (
            r#"claim = { path = "tenant", present = true }"#,
            Policy::claim("tenant").present(),
            vec![json!({"tenant": "acme"}), json!({"tenant": [1]})],
            vec![json!({}), json!({"tenant": null}), json!({"tenant": ""})],
        ),
        (
            r#"claim = { path = "amr", contains = "mfa" }"#,
            Policy::claim("amr").contains("mfa"),
            vec![json!({"amr": ["pwd", "mfa"]}), json!({"amr": "mfa"})],
            vec![json!({"amr": "pwd mfa"}), json!({"amr": ["mfa2"]}), json!({})],
        ),
        (
            r#"claim = { path = "tenant", matches = "acme-[a-z]+|globex" }"#,
            Policy::claim("tenant").matches("acme-[a-z]+|globex"),
            vec![json!({"tenant": "acme-ch"}), json!({"tenant": "globex"})],
            vec![
                json!({"tenant": "acme-"}),
                json!({"tenant": "acme-ch2"}),
                json!({"tenant": "xglobex"}),
                json!({"tenant": "globex\n"}),
                json!({"tenant": ["globex"]}),
            ],
        ),
    ]
}

fn about_the_rest() -> Vec<Row> {
    let address = |email: &str| json!({ "email": email, "email_verified": true });
    vec![
        (
            r#"client = ["web", "app"]"#,
            Policy::clients(["web", "app"]),
            vec![json!({"client_id": "web"}), json!({"azp": "app"})],
            vec![
                json!({"client_id": "x", "azp": "web"}),
                json!({}),
                json!({"client_id": ""}),
            ],
        ),
        (
            r#"kind = "service""#,
            Policy::kind(Kind::Service),
            vec![
                json!({"sub": "d", "client_id": "d"}),
                json!({"sub": "x", "idtyp": "app"}),
            ],
            vec![json!({"sub": "alice", "client_id": "web"})],
        ),
        (
            r#"kind = "user""#,
            Policy::kind(Kind::User),
            vec![json!({"sub": "alice", "client_id": "web"})],
            vec![json!({"sub": "d", "client_id": "d"}), json!({})],
        ),
        (
            r#"acr = ["urn:mfa", "urn:hw"]"#,
            Policy::acr(["urn:mfa", "urn:hw"]),
            vec![json!({"acr": "urn:hw"})],
            vec![
                json!({"acr": "urn:pwd"}),
                json!({"acr": ["urn:hw"]}),
                json!({"acr": "urn:mfa urn:hw"}),
                json!({}),
            ],
        ),
        (
            r#"max_age = "1h30m""#,
            Policy::max_age(5_400),
            vec![json!({"auth_time": NOW - 5_400}), json!({"auth_time": NOW})],
            vec![
                json!({"auth_time": NOW - 5_401}),
                json!({"auth_time": NOW + 3_600}),
                json!({"auth_time": NOW.to_string()}),
                json!({"iat": NOW}),
            ],
        ),
        (
            r#"email_domain = ["corp.com", "Corp.example"]"#,
            Policy::email_domains(["corp.com", "Corp.example"]),
            vec![address("a@corp.com"), address("A@CORP.EXAMPLE")],
            vec![
                address("a@evil.com@corp.com"),
                address("a@corp.com@evil.com"),
                address("a@sub.corp.com"),
                address("a@corp.com.evil.com"),
                address("\"a@b\"@corp.com"),
                address("@corp.com"),
                address("a@corp.com."),
                address(""),
                json!({"email": "a@corp.com"}),
                json!({"email": "a@corp.com", "email_verified": "true"}),
                json!({"email": "a@corp.com", "email_verified": false}),
            ],
        ),
        (
            "authenticated = true",
            Policy::authenticated(),
            vec![json!({}), json!({"sub": "alice"})],
            vec![],
        ),
    ]
}

fn combined() -> Vec<Row> {
    vec![
        (
            r#"all = [{ scope = "a" }, { any = [{ role = "r" }, { client = "c" }] }]"#,
            Policy::all([
                Policy::scope("a"),
                Policy::any([Policy::role("r"), Policy::client("c")]),
            ]),
            vec![
                json!({"scope": "a", "roles": ["r"]}),
                json!({"scope": "a", "client_id": "c"}),
            ],
            vec![json!({"scope": "a"}), json!({"roles": ["r"]})],
        ),
        (
            r#"any = [{ scope = "a" }, { scope = "b" }]"#,
            Policy::any([Policy::scope("a"), Policy::scope("b")]),
            vec![json!({"scope": "b"}), json!({"scope": "a"})],
            vec![json!({"scope": "c"}), json!({})],
        ),
        (
            r#"not = { client = "legacy" }"#,
            Policy::not(Policy::client("legacy")),
            vec![json!({}), json!({"client_id": "web"})],
            vec![json!({"client_id": "legacy"})],
        ),
        // A policy by its name is its value.
        (
            r#"all = ["Other", "authenticated", { not = "Legacy" }]"#,
            Policy::all([
                Policy::scope("o"),
                Policy::authenticated(),
                Policy::not(Policy::client("legacy")),
            ]),
            vec![json!({"scope": "o"})],
            vec![json!({}), json!({"scope": "o", "azp": "legacy"})],
        ),
    ]
}

#[test]
fn both_notations_decide_alike() {
    let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
    let jwks = json!({"keys": [key.public_jwk()]}).to_string();
    let (set, _) = JwkSet::parse(jwks.as_bytes()).unwrap();
    let verified = |claims: &Value| -> Verified<Claims> {
        let token = key.sign_jwt("at+jwt", claims).unwrap();
        let limits = Limits::default();
        let jws = UnverifiedJws::parse(&token, &limits).unwrap();
        jws.verify(&set, AlgorithmSet::asymmetric()).unwrap()
    };
    let call = CallContext::at(UnixTime::from_secs(NOW));
    let rows = rows();
    // Every row sees the tokens of all of them.
    let tokens: Vec<(Value, Verified<Claims>)> = rows
        .iter()
        .flat_map(|(_, _, good, bad)| good.iter().chain(bad))
        .map(|claims| (claims.clone(), verified(claims)))
        .collect();
    for (toml, policy, good, bad) in rows {
        let others = "\n[policy.Other]\nscope = \"o\"\n[policy.Legacy]\nclient = \"legacy\"\n";
        let settings = passes(&(GOOD.replace("scope = \"orders.read\"\n", &format!("{toml}\n")) + others));
        let configured = &settings.policies["Read"];
        let programmed = NamedPolicy::new("Read", policy).unwrap();
        assert_eq!(
            configured.policy().to_string(),
            programmed.policy().to_string(),
            "{toml}"
        );
        for (claims, token) in &tokens {
            let decided = configured.evaluate(token, &call);
            assert_eq!(decided, programmed.evaluate(token, &call), "{toml}: {claims}");
            if good.contains(claims) {
                assert!(decided.is_ok(), "{toml}: {claims}");
            }
            if bad.contains(claims) {
                assert!(decided.is_err(), "{toml}: {claims}");
            }
        }
    }
}

#[test]
fn every_rule_is_compared() {
    let rows = rows();
    for table in [&POLICY, &MEMBER, &CLAIM] {
        for key in table.names() {
            let written = |row: &Row| {
                row.0
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .windows(2)
                    .any(|words| words == [key, "="])
            };
            assert!(rows.iter().any(written), "{key} of {}", table.name);
        }
    }
}
