//! Wrong types, names that lead nowhere, nothing where something must be.
//!
//! Each case changes one thing in [`super::GOOD`], which has no fault, and shows the whole answer.

use super::{GOOD, shows};

#[test]
fn a_whole_number_for_a_text() {
    shows(
        &GOOD.replace(r#"client_id = "web""#, "client_id = 7"),
        r#"
error[config.wrong_type]: `client_id` in [client.web] has the wrong type
 --> t.toml:9:13
  |
9 | client_id = 7
  |             ^ found a whole number
  |
  = note: expected a text in quotes
"#,
    );
}

#[test]
fn a_text_for_a_table() {
    shows(
        &GOOD.replace(
            r#"scopes = ["openid", "orders.read"]"#,
            r#"scopes = ["openid", "orders.read"]
assets = "dist""#,
        ),
        r#"
error[config.wrong_type]: `assets` in [frontend.shop] has the wrong type
  --> t.toml:15:10
   |
15 | assets = "dist"
   |          ^^^^^^ found a text
   |
   = note: expected a table { dir = "PATH" } or { upstream = "URL" }
"#,
    );
}

#[test]
fn a_text_for_a_list() {
    shows(
        &GOOD.replace(
            r#"scopes = ["openid", "orders.read"]"#,
            r#"scopes = "openid orders.read""#,
        ),
        r#"
error[config.wrong_type]: `scopes` in [frontend.shop] has the wrong type
  --> t.toml:14:10
   |
14 | scopes = "openid orders.read"
   |          ^^^^^^^^^^^^^^^^^^^^ found a text
   |
   = note: expected a list of scopes
   = help: put each entry in quotes of its own, and brackets around them
"#,
    );
}

#[test]
fn a_table_for_a_text() {
    shows(
        &GOOD.replace(r#"path = "/api/orders""#, r#"path = { prefix = "/api" }"#),
        r#"
error[config.wrong_type]: `path` in [api.orders] has the wrong type
  --> t.toml:17:1
   |
17 | path = { prefix = "/api" }
   | ^^^^ found a table
   |
   = note: expected a text in quotes
"#,
    );
}

#[test]
fn a_list_with_an_entry_of_another_type() {
    shows(
        &GOOD.replace(r#"scopes = ["openid", "orders.read"]"#, r#"scopes = ["openid", 7]"#),
        r#"
error[config.wrong_type]: entry 2 of `scopes` in [frontend.shop] has the wrong type
  --> t.toml:14:21
   |
14 | scopes = ["openid", 7]
   |                     ^ found a whole number
   |
   = note: expected a text in quotes
"#,
    );
}

#[test]
fn a_text_for_a_section() {
    shows(
        &GOOD.replace(
            r#"[server]
public_url = "http://127.0.0.1:8080""#,
            r#"server = "http://127.0.0.1:8080""#,
        ),
        r#"
error[config.wrong_type]: `server` has the wrong type
 --> t.toml:1:10
  |
1 | server = "http://127.0.0.1:8080"
  |          ^^^^^^^^^^^^^^^^^^^^^^^ found a text
  |
  = note: expected a table: [server]
"#,
    );
}

#[test]
fn a_section_without_names() {
    shows(
        &GOOD.replace("[policy.Read]", "[policy]"),
        r#"
error[config.dangling_reference]: `policy` in [api.orders] refers to policy `Read`, which does not exist
  --> t.toml:21:10
   |
21 | policy = "Read"
   |          ^^^^^^ there is no [policy.Read]
   |
   = note: expected the NAME of a [policy.NAME] table
   = help: there is no [policy.NAME] table at all: add one

error[config.wrong_type]: [policy] holds tables that have names, not keys
  --> t.toml:23:1
   |
23 | [policy]
   | ^^^^^^^^ write [policy.NAME]
24 | scope = "orders.read"
   | ----- not a table
   |
   = note: expected [policy.NAME], where NAME is yours to choose
"#,
    );
}

#[test]
fn an_empty_section() {
    shows(
        &GOOD.replace(
            r#"[policy.Read]
scope = "orders.read"
"#,
            r#"[policy]
"#,
        ),
        r#"
error[config.dangling_reference]: `policy` in [api.orders] refers to policy `Read`, which does not exist
  --> t.toml:21:10
   |
21 | policy = "Read"
   |          ^^^^^^ there is no [policy.Read]
   |
   = note: expected the NAME of a [policy.NAME] table
   = help: there is no [policy.NAME] table at all: add one

error[config.empty]: [policy] is empty
  --> t.toml:23:1
   |
23 | [policy]
   | ^^^^^^^^ write [policy.NAME]
"#,
    );
}

#[test]
fn a_reference_with_a_near_name() {
    shows(
        &GOOD.replace(
            r#"provider = "local"
client_id"#,
            r#"provider = "locla"
client_id"#,
        ),
        r#"
error[config.dangling_reference]: `provider` in [client.web] refers to provider `locla`, which does not exist
 --> t.toml:8:12
  |
8 | provider = "locla"
  |            ^^^^^^^ did you mean `local`?
  |
  = note: expected "local"
"#,
    );
}

#[test]
fn a_reference_to_nothing() {
    shows(
        &GOOD.replace(r#"client = "web""#, r#"client = "mobile""#),
        r#"
error[config.dangling_reference]: `client` in [frontend.shop] refers to client `mobile`, which does not exist
  --> t.toml:13:10
   |
13 | client = "mobile"
   |          ^^^^^^^^ there is no [client.mobile]
   |
   = note: expected "web"
"#,
    );
}

#[test]
fn a_reference_where_there_are_no_such_tables() {
    shows(
        &GOOD.replace(
            r#"[policy.Read]
scope = "orders.read"
"#,
            "",
        ),
        r#"
error[config.dangling_reference]: `policy` in [api.orders] refers to policy `Read`, which does not exist
  --> t.toml:21:10
   |
21 | policy = "Read"
   |          ^^^^^^ there is no [policy.Read]
   |
   = note: expected the NAME of a [policy.NAME] table
   = help: there is no [policy.NAME] table at all: add one
"#,
    );
}

#[test]
fn a_reference_by_method() {
    shows(
        &GOOD.replace(r#"policy = "Read""#, r#"policy = { GET = "Read", default = "Write" }"#),
        r#"
error[config.dangling_reference]: `policy.default` in [api.orders] refers to policy `Write`, which does not exist
  --> t.toml:21:36
   |
21 | policy = { GET = "Read", default = "Write" }
   |                                    ^^^^^^^ there is no [policy.Write]
   |
   = note: expected "Read"
"#,
    );
}

#[test]
fn a_reference_of_a_route() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
routes = [{ path = "/api/orders/report", policy = "Admin" }]"#,
        ),
        r#"
error[config.dangling_reference]: `policy` in entry 1 of `routes` in [api.orders] refers to policy `Admin`, which does not exist
  --> t.toml:22:51
   |
22 | routes = [{ path = "/api/orders/report", policy = "Admin" }]
   |                                                   ^^^^^^^ there is no [policy.Admin]
   |
   = note: expected "Read"
"#,
    );
}

#[test]
fn a_name_with_a_space() {
    shows(
        &GOOD.replace(
            "[policy.Read]",
            r#"[policy."Read all"]
scope = "a"
[policy.Read]"#,
        ),
        r#"
error[config.invalid_name]: `Read all` cannot be the name of a [policy.NAME] table
  --> t.toml:23:9
   |
23 | [policy."Read all"]
   |         ^^^^^^^^^^
   |
   = note: expected 1 to 64 letters, digits, `_` and `-`
"#,
    );
}

#[test]
fn an_empty_text() {
    shows(
        &GOOD.replace(r#"client_id = "web""#, r#"client_id = " ""#),
        r#"
error[config.empty]: `client_id` in [client.web] is empty
 --> t.toml:9:13
  |
9 | client_id = " "
  |             ^^^ nothing in it
  |
  = note: expected a text in quotes
"#,
    );
}

#[test]
fn an_empty_list() {
    shows(
        &GOOD.replace(r#"scopes = ["openid", "orders.read"]"#, "scopes = []"),
        r#"
error[config.empty]: `scopes` in [frontend.shop] is an empty list
  --> t.toml:14:10
   |
14 | scopes = []
   |          ^^ nothing in it
   |
   = note: expected a list of scopes
"#,
    );
}

#[test]
fn a_text_with_a_line_break() {
    shows(
        &GOOD.replace(r#"client_id = "web""#, r#"client_id = "web\n""#),
        r#"
error[config.invalid_value]: `client_id` in [client.web] has a control character
 --> t.toml:9:13
  |
9 | client_id = "web\n"
  |             ^^^^^^^ a line break, a tab or the like
  |
  = note: expected a text in quotes
"#,
    );
}
