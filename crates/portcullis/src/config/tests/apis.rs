//! `[api.NAME]`: who may call, and where calls go.
//!
//! Each case changes one thing in [`super::GOOD`], which has no fault, and shows the whole answer.

use std::time::Duration;

use super::super::{Access, WhenStale};
use super::{GOOD, passes, read, shows, without};

#[test]
fn an_api_without_an_audience() {
    shows(
        &GOOD.replace(
            r#"audience = "api://orders"
"#,
            "",
        ),
        r#"
error[config.missing_audience]: [api.orders] has no `audience`
  --> t.toml:16:1
   |
16 | [api.orders]
   | ^^^^^^^^^^^^ add `audience = "..."`
   |
   = note: expected the text that the provider puts into `aud` for this API
   = help: without it, a token that was issued for any other API would be accepted here
"#,
    );
}

#[test]
fn an_api_without_a_policy() {
    shows(
        &GOOD.replace(
            r#"policy = "Read"
"#,
            "",
        ),
        r#"
error[config.missing_key]: [api.orders] has neither `policy` nor `routes`
  --> t.toml:16:1
   |
16 | [api.orders]
   | ^^^^^^^^^^^^ who may call?
   |
   = note: expected the NAME of a [policy.NAME] table, or a table { GET = "NAME", default = "NAME" }
   = help: where every valid token for this audience may pass, say so: policy = "authenticated"
"#,
    );
}

#[test]
fn an_api_with_an_empty_audience() {
    shows(
        &GOOD.replace(
            r#"audience = "api://orders"
"#,
            r#"audience = []
"#,
        ),
        r#"
error[config.empty]: `audience` in [api.orders] is an empty list
  --> t.toml:20:12
   |
20 | audience = []
   |            ^^ nothing in it
   |
   = note: expected an audience in quotes, one or a list
"#,
    );
}

#[test]
fn an_api_that_accepts_sessions_without_a_frontend() {
    shows(
        &without(GOOD, &["frontend.shop"]).replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
accept = ["session", "bearer"]"#,
        ),
        r#"
error[config.contradiction]: `accept` in [api.orders] has "session", but there is no [frontend.NAME]
  --> t.toml:18:11
   |
18 | accept = ["session", "bearer"]
   |           ^^^^^^^^^ nobody could have a session
   |
   = help: add a [frontend.NAME], or write accept = ["bearer"]
"#,
    );
}

#[test]
fn an_api_that_accepts_anyone_and_is_guarded() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"accept = ["anyone"]
policy = "Read""#,
        ),
        r#"
error[config.contradiction]: [api.orders] accepts "anyone", but also has `provider`, `audience`, `policy`
  --> t.toml:21:10
   |
19 | provider = "local"
   | -------- never looked at on a public route
20 | audience = "api://orders"
   | -------- never looked at on a public route
21 | accept = ["anyone"]
   |          ^^^^^^^^^^ makes it public
22 | policy = "Read"
   | ------ never looked at on a public route
   |
   = help: leave them out, or accept "session" or "bearer" instead of "anyone"
"#,
    );
}

#[test]
fn an_api_that_accepts_anyone_and_more() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
accept = ["anyone", "bearer"]"#,
        ),
        r#"
error[config.contradiction]: `accept` in [api.orders] has "anyone" beside others
  --> t.toml:22:11
   |
22 | accept = ["anyone", "bearer"]
   |           ^^^^^^^^ anyone needs no credential
   |
   = note: expected ["anyone"] alone, or "session" and "bearer"
"#,
    );
}

#[test]
fn an_api_that_accepts_something_misspelt_still_needs_an_audience() {
    shows(
        &GOOD.replace(
            r#"audience = "api://orders"
"#,
            r#"accept = ["sesion"]
"#,
        ),
        r#"
error[config.missing_audience]: [api.orders] has no `audience`
  --> t.toml:16:1
   |
16 | [api.orders]
   | ^^^^^^^^^^^^ add `audience = "..."`
   |
   = note: expected the text that the provider puts into `aud` for this API
   = help: without it, a token that was issued for any other API would be accepted here

error[config.invalid_value]: entry 1 of `accept` in [api.orders] cannot be `sesion`
  --> t.toml:20:11
   |
20 | accept = ["sesion"]
   |           ^^^^^^^^ did you mean "session"?
   |
   = note: expected "session", "bearer" or "anyone"
"#,
    );
}

#[test]
fn an_api_whose_sessions_come_from_another_provider() {
    shows(
        &(GOOD.replace(
            r#"provider = "local"
audience"#,
            r#"provider = "other"
audience"#,
        ) + "\n[provider.other]\nissuer = \"http://127.0.0.1:9001\"\n"),
        r#"
error[config.contradiction]: [api.orders] accepts sessions, but their tokens come from another provider
  --> t.toml:19:12
   |
19 | provider = "other"
   |            ^^^^^^^ sessions are made with `local`
   |
   = help: name that provider, or write accept = ["bearer"]
"#,
    );
}

#[test]
fn an_upstream_over_plain_http() {
    shows(
        &GOOD.replace(
            r#"upstream = "http://127.0.0.1:5000""#,
            r#"upstream = "http://orders:5000""#,
        ),
        r#"
error[config.insecure_url]: `upstream` in [api.orders] is plain http to a host that is not loopback
  --> t.toml:18:12
   |
18 | upstream = "http://orders:5000"
   |            ^^^^^^^^^^^^^^^^^^^^ who listens on the way could read and change what is sent
   |
   = note: expected https://, or http:// to localhost, 127.0.0.1 or [::1]
   = help: calls carry tokens there; where that network is trusted, say so: [danger] dangerous_allow_plain_http_upstream_hosts = ["orders"]
"#,
    );
}

#[test]
fn an_upstream_with_a_query() {
    shows(
        &GOOD.replace(
            r#"upstream = "http://127.0.0.1:5000""#,
            r#"upstream = "http://127.0.0.1:5000/?x=1""#,
        ),
        r#"
error[config.invalid_url]: `upstream` in [api.orders] has a query
  --> t.toml:18:12
   |
18 | upstream = "http://127.0.0.1:5000/?x=1"
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ leave out what follows the `?`
   |
   = note: expected an absolute URL such as "https://host.example"
"#,
    );
}

#[test]
fn two_apis_with_one_path() {
    shows(
        &GOOD.replace(
            "[policy.Read]",
            r#"[api.copy]
path = "/api/orders"
upstream = "http://127.0.0.1:5001"
accept = ["anyone"]

[policy.Read]"#,
        ),
        r#"
error[config.overlapping_paths]: [api.copy] and [api.orders] have the same `path`
  --> t.toml:24:8
   |
17 | path = "/api/orders"
   |        ------------- it is here already
...
24 | path = "/api/orders"
   |        ^^^^^^^^^^^^^ the same path
   |
   = note: expected a path of its own for each API
"#,
    );
}

#[test]
fn two_apis_one_inside_the_other() {
    shows(
        &GOOD.replace(
            "[policy.Read]",
            r#"[api.all]
path = "/api"
upstream = "http://127.0.0.1:5001"
accept = ["anyone"]

[policy.Read]"#,
        ),
        r#"
error[config.overlapping_paths]: the `path` of [api.orders] lies inside that of [api.all]
  --> t.toml:17:8
   |
17 | path = "/api/orders"
   |        ^^^^^^^^^^^^^ inside the other
...
24 | path = "/api"
   |        ------ everything below is included
   |
   = note: expected paths that do not overlap
   = help: for a stricter policy on a part of an API, use `routes` in [api.all]
"#,
    );
}

#[test]
fn an_api_in_the_place_of_the_login() {
    shows(
        &GOOD.replace(r#"path = "/api/orders""#, r#"path = "/bff/orders""#),
        r#"
error[config.overlapping_paths]: `path` of [api.orders] takes the place of the frontend's `/bff`
  --> t.toml:17:8
   |
17 | path = "/bff/orders"
   |        ^^^^^^^^^^^^^ nobody could log in
   |
   = note: expected a path of its own, such as "/api"
"#,
    );
}

#[test]
fn bound_tokens_alone_and_sessions() {
    shows(
        &GOOD.replace("[api.orders]\n", "[api.orders]\nsender_constrained = \"dpop\"\n"),
        r#"
error[config.contradiction]: [api.orders] has `sender_constrained`, and accepts sessions, whose tokens are bound to no key
  --> t.toml:17:22
   |
17 | sender_constrained = "dpop"
   |                      ^^^^^^ no call with a session would pass
   |
   = help: write accept = ["bearer"], or make an [api.NAME] for each of the two
"#,
    );
}

#[test]
fn a_stale_list_of_revocations_refuses_unless_told_otherwise() {
    let revocations = |text: &str| {
        let settings = passes(text);
        match &settings.apis["orders"].access {
            Access::Guarded(guarded) => guarded.revocations,
            Access::Anyone => panic!("it is guarded"),
        }
    };
    let by_default = revocations(GOOD);
    assert_eq!(
        (by_default.max_age, by_default.when_stale),
        (Duration::from_secs(60), WhenStale::Refuse)
    );
    assert!(!by_default.require_jti);
    let line = "policy = \"Read\"\n";
    let text = GOOD.replace(
        line,
        &format!("{line}revocations = {{ max_age = \"5s\", when_stale = \"serve\", require_jti = true }}\n"),
    );
    let given = revocations(&text);
    assert_eq!(
        (given.max_age, given.when_stale),
        (Duration::from_secs(5), WhenStale::Serve)
    );
    assert!(given.require_jti);
    for wrong in [
        text.replace("5s", "1s"),
        text.replace("\"serve\"", "\"ignore\""),
        text.replace("true", "false"),
        text.replace("max_age", "maximum_age"),
    ] {
        assert_eq!(read(&wrong).unwrap_err().count(), 1, "{wrong}");
    }
}

#[test]
fn pages_are_for_people_with_a_session() {
    shows(
        &GOOD.replace("[api.orders]\n", "[api.orders]\naccept = [\"bearer\"]\npages = true\n"),
        r#"
error[config.contradiction]: [api.orders] has `pages`, and accepts no sessions
  --> t.toml:18:1
   |
18 | pages = true
   | ^^^^^ who follows a link brings a session
   |
   = help: write accept = ["session"], or leave `pages` out
"#,
    );
}

#[test]
fn another_path_at_the_upstream() {
    let with = |lines: &str| {
        GOOD.replace(
            "path = \"/api/orders\"\n",
            &format!("path = \"/api/orders\"\n{lines}\n"),
        )
    };
    let path = |text: &str| passes(text).apis["orders"].upstream_path.clone();
    assert_eq!(path(GOOD), None);
    for good in ["/v1/orders", "/"] {
        assert_eq!(
            path(&with(&format!("upstream_path = \"{good}\""))).as_deref(),
            Some(good)
        );
    }
    for (wrong, why) in [
        ("v1", "must begin with `/`"),
        ("/v1/", "leave out the `/` at the end"),
        ("/v1/../x", "has `.` or `..`"),
        ("/v1%2fx", "must be encoded"),
        ("/v1?x=1", "must be encoded"),
        ("http://127.0.0.1/v1", "must begin with `/`"),
    ] {
        let said = read(&with(&format!("upstream_path = \"{wrong}\"")))
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("`upstream_path` in [api.orders] is no plain path") && said.contains(why),
            "{said}"
        );
    }
    shows(
        &with("upstream_path = \"/v1\"").replace("127.0.0.1:5000", "127.0.0.1:5000/base"),
        r#"
error[config.contradiction]: [api.orders] has an `upstream` with a path, and `upstream_path`
  --> t.toml:18:17
   |
18 | upstream_path = "/v1"
   |                 ^^^^^ which of the two is put in front?
19 | upstream = "http://127.0.0.1:5000/base"
   |            ---------------------------- has the path /base
   |
   = help: leave the path of `upstream` out, and write all of it as `upstream_path`
"#,
    );
}
