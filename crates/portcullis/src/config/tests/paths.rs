//! `[api.NAME]`: paths, methods and routes.
//!
//! Each case changes one thing in [`super::GOOD`], which has no fault, and shows the whole answer.

use super::{GOOD, shows};

#[test]
fn an_api_path_with_a_star() {
    shows(
        &GOOD.replace(r#"path = "/api/orders""#, r#"path = "/api/orders/*""#),
        r#"
error[config.invalid_value]: `path` in [api.orders] is no plain path
  --> t.toml:17:8
   |
17 | path = "/api/orders/*"
   |        ^^^^^^^^^^^^^^^ leave out the `*`: everything below is included
   |
   = note: expected a path such as "/api/orders", compared whole, segment by segment
"#,
    );
}

#[test]
fn an_api_path_with_a_slash_at_the_end() {
    shows(
        &GOOD.replace(r#"path = "/api/orders""#, r#"path = "/api/orders/""#),
        r#"
error[config.invalid_value]: `path` in [api.orders] is no plain path
  --> t.toml:17:8
   |
17 | path = "/api/orders/"
   |        ^^^^^^^^^^^^^^ leave out the `/` at the end: everything below is included
   |
   = note: expected a path such as "/api/orders", compared whole, segment by segment
"#,
    );
}

#[test]
fn an_api_path_that_is_not_normal() {
    shows(
        &GOOD.replace(r#"path = "/api/orders""#, r#"path = "/api/../orders""#),
        r#"
error[config.invalid_value]: `path` in [api.orders] is no plain path
  --> t.toml:17:8
   |
17 | path = "/api/../orders"
   |        ^^^^^^^^^^^^^^^^ has `.` or `..`, which no request has
   |
   = note: expected a path such as "/api/orders", compared whole, segment by segment
"#,
    );
}

#[test]
fn an_api_path_with_an_encoded_slash() {
    shows(
        &GOOD.replace(r#"path = "/api/orders""#, r#"path = "/api%2forders""#),
        r#"
error[config.invalid_value]: `path` in [api.orders] is no plain path
  --> t.toml:17:8
   |
17 | path = "/api%2forders"
   |        ^^^^^^^^^^^^^^^ has a character that has a meaning of its own, or must be encoded
   |
   = note: expected a path such as "/api/orders", compared whole, segment by segment
"#,
    );
}

#[test]
fn an_api_path_without_a_slash() {
    shows(
        &GOOD.replace(r#"path = "/api/orders""#, r#"path = "api/orders""#),
        r#"
error[config.invalid_value]: `path` in [api.orders] is no plain path
  --> t.toml:17:8
   |
17 | path = "api/orders"
   |        ^^^^^^^^^^^^ must begin with `/`
   |
   = note: expected a path such as "/api/orders", compared whole, segment by segment
"#,
    );
}

#[test]
fn a_method_misspelt() {
    shows(
        &GOOD.replace(r#"policy = "Read""#, r#"policy = { Get = "Read", default = "Read" }"#),
        r#"
error[config.unknown_key]: unknown key `Get` in `policy` in [api.orders]
  --> t.toml:21:12
   |
21 | policy = { Get = "Read", default = "Read" }
   |            ^^^ did you mean `GET`?
   |
   = note: expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, default
"#,
    );
}

#[test]
fn a_policy_table_without_methods() {
    shows(
        &GOOD.replace(r#"policy = "Read""#, "policy = {}"),
        r#"
error[config.empty]: `policy` in [api.orders] is empty
  --> t.toml:21:1
   |
21 | policy = {}
   | ^^^^^^ nobody could call
   |
   = note: expected the NAME of a [policy.NAME] table, or a table { GET = "NAME", default = "NAME" }
"#,
    );
}

#[test]
fn a_route_outside_of_its_api() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
[[api.orders.routes]]
path = "/api/reports"
policy = "Read""#,
        ),
        r#"
error[config.invalid_value]: `path` in entry 1 of `routes` in [api.orders] is outside of the API's
  --> t.toml:23:8
   |
17 | path = "/api/orders"
   |        ------------- the API's path
...
23 | path = "/api/reports"
   |        ^^^^^^^^^^^^^^ never reached
   |
   = note: expected a path that begins with /api/orders/
"#,
    );
}

#[test]
fn a_route_twice() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
[[api.orders.routes]]
path = "/api/orders/{id}"
methods = ["GET", "PUT"]
policy = "Read"
[[api.orders.routes]]
path = "/api/orders/{number}"
methods = ["GET"]
policy = "Read""#,
        ),
        r#"
error[config.overlapping_paths]: [api.orders] says twice who may call `/api/orders/{number}`
  --> t.toml:27:8
   |
23 | path = "/api/orders/{id}"
   |        ------------------ it is here already
...
27 | path = "/api/orders/{number}"
   |        ^^^^^^^^^^^^^^^^^^^^^^ with a method in common
   |
   = note: expected every path once, or `methods` that differ
"#,
    );
}

#[test]
fn a_route_in_the_place_of_the_apis_own_policy() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
routes = [{ path = "/api/orders", policy = "authenticated" }]"#,
        ),
        r#"
error[config.overlapping_paths]: [api.orders] says twice who may call `/api/orders`
  --> t.toml:22:20
   |
21 | policy = "Read"
   | ------ it is here already
22 | routes = [{ path = "/api/orders", policy = "authenticated" }]
   |                    ^^^^^^^^^^^^^ with a method in common
   |
   = note: expected every path once, or `methods` that differ
"#,
    );
}

#[test]
fn a_route_with_a_star_of_another_program() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"routes = [{ path = "/api/orders/**", policy = "Read" }, { path = "/api/orders/v{n}", policy = "Read" }]"#,
        ),
        r#"
error[config.invalid_value]: `path` in entry 1 of `routes` in [api.orders] is no path of a route
  --> t.toml:21:20
   |
21 | routes = [{ path = "/api/orders/**", policy = "Read" }, { path = "/api/orders/v{n}", policy = "Read" }]
   |                    ^^^^^^^^^^^^^^^^ has a `*` of its own: everything below is `{*rest}`, and a path without braces includes it
   |
   = note: expected a path such as "/api/orders/report", "/api/orders/{id}" or "/api/orders/{*rest}"

error[config.invalid_value]: `path` in entry 2 of `routes` in [api.orders] is no path of a route
  --> t.toml:21:66
   |
21 | routes = [{ path = "/api/orders/**", policy = "Read" }, { path = "/api/orders/v{n}", policy = "Read" }]
   |                                                                  ^^^^^^^^^^^^^^^^^^ has braces that are not a whole segment with a name, such as `{id}`
   |
   = note: expected a path such as "/api/orders/report", "/api/orders/{id}" or "/api/orders/{*rest}"
"#,
    );
}

#[test]
fn a_resource_somewhere_else() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
resource = "https://other.example.com/api/orders""#,
        ),
        r#"
error[config.invalid_url]: `resource` in [api.orders] is not an address of this API
  --> t.toml:22:12
   |
22 | resource = "https://other.example.com/api/orders"
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ another origin than `public_url`
   |
   = note: expected "http://127.0.0.1:8080/api/orders", which is the default, or an address below it
"#,
    );
}

#[test]
fn a_timeout_of_nothing() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
timeout = "0s""#,
        ),
        r#"
error[config.invalid_duration]: `timeout` in [api.orders] is out of range
  --> t.toml:22:11
   |
22 | timeout = "0s"
   |           ^^^^ shorter than 1s
   |
   = note: expected a duration such as "30s", "5m" or "12h", 1s to 1h
"#,
    );
}

#[test]
fn a_realm_with_a_quote() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
realm = "the \"orders\"""#,
        ),
        r#"
error[config.invalid_value]: `realm` in [api.orders] cannot stand in a header
  --> t.toml:22:9
   |
22 | realm = "the \"orders\""
   |         ^^^^^^^^^^^^^^^^
   |
   = note: expected visible ASCII characters without quote and backslash
"#,
    );
}
