//! `[frontend.NAME]`.
//!
//! Each case changes one thing in [`super::GOOD`], which has no fault, and shows the whole answer.

use super::{GOOD, shows};

#[test]
fn a_second_frontend() {
    shows(
        &GOOD.replace(
            "[api.orders]",
            r#"[frontend.other]
client = "web"
scopes = ["openid"]

[api.orders]"#,
        ),
        r#"
error[config.contradiction]: [frontend.other] is a second frontend on the same `public_url`
  --> t.toml:16:1
   |
12 | [frontend.shop]
   | --------------- [frontend.shop] has it
...
16 | [frontend.other]
   | ^^^^^^^^^^^^^^^^ one too many
   |
   = note: expected one [frontend.NAME] in this version
   = help: run a second portcullis with a public_url of its own
"#,
    );
}

#[test]
fn scopes_without_openid() {
    shows(
        &GOOD.replace(r#"scopes = ["openid", "orders.read"]"#, r#"scopes = ["orders.read"]"#),
        r#"
error[config.invalid_value]: `scopes` in [frontend.shop] lacks "openid"
  --> t.toml:14:10
   |
14 | scopes = ["orders.read"]
   |          ^^^^^^^^^^^^^^^ nobody would be logged in
   |
   = note: expected a list of scopes with "openid" (OpenID Connect Core s3.1.2.1)
"#,
    );
}

#[test]
fn a_scope_with_a_space() {
    shows(
        &GOOD.replace(
            r#"scopes = ["openid", "orders.read"]"#,
            r#"scopes = ["openid orders.read"]"#,
        ),
        r#"
error[config.invalid_value]: entry 1 of `scopes` in [frontend.shop] is no scope
  --> t.toml:14:11
   |
14 | scopes = ["openid orders.read"]
   |           ^^^^^^^^^^^^^^^^^^^^
   |
   = note: expected visible ASCII characters without space, quote and backslash (RFC 6749 s3.3)
   = help: several scopes are a list: put each in quotes of its own
"#,
    );
}

#[test]
fn assets_from_two_places() {
    shows(
        &GOOD.replace(
            r#"scopes = ["openid", "orders.read"]"#,
            r#"scopes = ["openid", "orders.read"]
assets = { dir = "dist", upstream = "http://127.0.0.1:5173" }"#,
        ),
        r#"
error[config.contradiction]: `assets` in [frontend.shop] has both `dir` and `upstream`
  --> t.toml:15:26
   |
15 | assets = { dir = "dist", upstream = "http://127.0.0.1:5173" }
   |            ---           ^^^^^^^^ one too many
   |            |
   |            this is there already
   |
   = note: expected exactly one of `dir`, `upstream`
"#,
    );
}

#[test]
fn assets_from_a_directory_that_is_not_there() {
    shows(
        &GOOD.replace(
            r#"scopes = ["openid", "orders.read"]"#,
            r#"scopes = ["openid", "orders.read"]
assets = { dir = "dist" }"#,
        ),
        r#"
error[config.missing_file]: `assets.dir` in [frontend.shop] is no directory
  --> t.toml:15:18
   |
15 | assets = { dir = "dist" }
   |                  ^^^^^^ not there, or not a directory
   |
   = note: expected a path in quotes
   = help: the path is /nonexistent/dist
"#,
    );
}

#[test]
fn a_session_that_is_idle_longer_than_it_lives() {
    shows(
        &GOOD.replace(
            r#"scopes = ["openid", "orders.read"]"#,
            r#"scopes = ["openid", "orders.read"]
session = { idle = "24h" }"#,
        ),
        r#"
error[config.contradiction]: `session` in [frontend.shop]: `idle` is longer than `lifetime`
  --> t.toml:15:20
   |
15 | session = { idle = "24h" }
   |                    ^^^^^ the session would end before it is idle
   |
   = note: expected idle <= lifetime; their defaults are 30m and 12h
"#,
    );
}

#[test]
fn a_return_url_over_plain_http() {
    shows(
        &GOOD.replace(
            r#"scopes = ["openid", "orders.read"]"#,
            r#"scopes = ["openid", "orders.read"]
return_to = ["http://www.example.com/"]"#,
        ),
        r#"
error[config.insecure_url]: entry 1 of `return_to` in [frontend.shop] is plain http to a host that is not loopback
  --> t.toml:15:14
   |
15 | return_to = ["http://www.example.com/"]
   |              ^^^^^^^^^^^^^^^^^^^^^^^^^ who listens on the way could read and change what is sent
   |
   = note: expected https://, or http:// to localhost, 127.0.0.1 or [::1]
   = help: write https://
"#,
    );
}

#[test]
fn a_same_site_of_no_kind() {
    shows(
        &GOOD.replace(
            r#"scopes = ["openid", "orders.read"]"#,
            r#"scopes = ["openid", "orders.read"]
same_site = "none""#,
        ),
        r#"
error[config.invalid_value]: `same_site` in [frontend.shop] cannot be `none`
  --> t.toml:15:13
   |
15 | same_site = "none"
   |             ^^^^^^ not known here
   |
   = note: expected "lax" or "strict"
"#,
    );
}
