//! `[frontend.NAME]`.
//!
//! Each case changes one thing in [`super::GOOD`], which has no fault, and shows the whole answer.

use std::time::Duration;

use super::super::LoginSettings;
use super::{GOOD, passes, read, shows};

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
error[config.contradiction]: [frontend.other] has the place of [frontend.shop]
  --> t.toml:16:1
   |
12 | [frontend.shop]
   | --------------- [frontend.shop] is here
...
16 | [frontend.other]
   | ^^^^^^^^^^^^^^^^ whose login, and whose pages?
   |
   = note: expected a `public_url` or a `path` of its own for each
"#,
    );
}

#[test]
fn frontends_whose_names_begin_alike() {
    shows(
        &GOOD.replace(
            "[api.orders]",
            "[frontend.shop-login-x]\nclient = \"web\"\nscopes = [\"openid\"]\npath = \"/desk/\"\n\n[api.orders]",
        ),
        r#"
error[config.invalid_name]: the names of [frontend.shop-login-x] and [frontend.shop] begin alike
  --> t.toml:16:1
   |
12 | [frontend.shop]
   | --------------- [frontend.shop] is here
...
16 | [frontend.shop-login-x]
   | ^^^^^^^^^^^^^^^^^^^^^^^ their cookies could be mistaken for each other
   |
   = note: expected a name that is not another one with `-` and more behind it
"#,
    );
}

#[test]
fn sessions_of_one_frontend_among_several() {
    let several = GOOD.replace(
        "[frontend.shop]\n",
        "[frontend.desk]\nclient = \"web\"\nscopes = [\"openid\"]\npath = \"/desk\"\n\n[frontend.shop]\npath = \"/shop\"\n",
    );
    shows(
        &several,
        r#"
error[config.contradiction]: [api.orders] accepts sessions, and http://127.0.0.1:8080 has several frontends
  --> t.toml:22:1
   |
22 | [api.orders]
   | ^^^^^^^^^^^^ of `desk`, `shop`?
   |
   = help: name one with `frontend`, or give the API a path below its frontend's
"#,
    );
    let named = several.replace("[api.orders]\n", "[api.orders]\nfrontend = \"desk\"\n");
    assert_eq!(passes(&named).frontends["desk"].path, "/desk");
    let below = several.replace("\"/api/orders\"", "\"/shop/api/orders\"");
    passes(&below);
    shows(
        &several.replace("\"/api/orders\"", "\"/shop/bff/orders\""),
        r#"
error[config.overlapping_paths]: `path` of [api.orders] takes the place of the frontend's `/shop/bff`
  --> t.toml:23:8
   |
23 | path = "/shop/bff/orders"
   |        ^^^^^^^^^^^^^^^^^^ nobody could log in
   |
   = note: expected a path of its own, such as "/api"
"#,
    );
}

#[test]
fn a_frontend_of_another_scheme() {
    shows(
        &GOOD.replace(
            "[frontend.shop]\n",
            "[frontend.shop]\npublic_url = \"https://localhost:8443\"\n",
        ),
        r#"
error[config.contradiction]: `public_url` of [frontend.shop] and of [server] differ in their scheme
  --> t.toml:13:14
   |
13 | public_url = "https://localhost:8443"
   |              ^^^^^^^^^^^^^^^^^^^^^^^^ that of [server] is http://127.0.0.1:8080/
   |
   = note: expected https for both, or http on loopback for both
"#,
    );
}

#[test]
fn a_path_that_is_none() {
    shows(
        &GOOD.replace("[frontend.shop]\n", "[frontend.shop]\npath = \"/shop/../x\"\n"),
        r#"
error[config.invalid_value]: `path` in [frontend.shop] is no path of a frontend
  --> t.toml:13:8
   |
13 | path = "/shop/../x"
   |        ^^^^^^^^^^^^
   |
   = note: expected a path such as "/shop", of letters, digits, `-`, `_`, `.` and `~`
"#,
    );
}

#[test]
fn two_words_about_who_may_frame() {
    shows(
        &GOOD.replace(
            "[frontend.shop]\n",
            "[frontend.shop]\nheaders = { content_security_policy = \"default-src 'self'\", frame_ancestors = [\"https://a.example\"] }\n",
        ),
        r#"
error[config.contradiction]: `headers` in [frontend.shop] has both `content_security_policy` and `frame_ancestors`
  --> t.toml:13:79
   |
13 | headers = { content_security_policy = "default-src 'self'", frame_ancestors = ["https://a.example"] }
   |                                       --------------------                    ^^^^^^^^^^^^^^^^^^^^^ one too many
   |                                       |
   |                                       the policy says it itself
   |
   = help: write `frame-ancestors ORIGIN` into the policy
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

#[test]
fn what_every_login_asks_for() {
    let with = |login: &str| {
        GOOD.replace(
            "[api.orders]\n",
            &format!("[frontend.shop.login]\n{login}\n\n[api.orders]\n"),
        )
    };
    let login = |text: &str| passes(text).frontends["shop"].login.clone();
    assert_eq!(login(GOOD), LoginSettings::default());
    let all = login(&with(
        "acr_values = \"urn:example:mfa\"\nmax_age = \"8h\"\nprompt = \"select_account\"\nui_locales = [\"de-CH\", \"de\"]",
    ));
    assert_eq!(all.acr_values, ["urn:example:mfa"]);
    assert_eq!(all.max_age, Some(Duration::from_secs(8 * 3600)));
    assert_eq!(all.prompt, Some("select_account"));
    assert_eq!(all.ui_locales, ["de-CH", "de"]);
    shows(
        &with("prompt = \"none\"\nacr_values = \"mfa key\"\nmax_age = \"2m30\""),
        r#"
error[config.contradiction]: `login.prompt` in [frontend.shop] is "none"
  --> t.toml:17:10
   |
17 | prompt = "none"
   |          ^^^^^^ nobody could ever sign in
   |
   = note: expected "login", "consent", "select_account" or "create"
   = help: a page asks for a login without questions itself: /bff/login?prompt=none

error[config.invalid_value]: `login.acr_values` in [frontend.shop] has a space in one of its values
  --> t.toml:18:14
   |
18 | acr_values = "mfa key"
   |              ^^^^^^^^^ the provider would read several
   |
   = help: several are a list: ["mfa", "key"]

error[config.invalid_duration]: `login.max_age` in [frontend.shop] is no duration
  --> t.toml:19:11
   |
19 | max_age = "2m30"
   |           ^^^^^^ not understood
   |
   = note: expected a duration such as "30s", "5m" or "12h", 0s to 365d
   = help: units are ms, s, m, h and d; they combine: "1h30m"
"#,
    );
    let long = |count: usize| with(&format!("ui_locales = [\"{}\", \"x\"]", "a".repeat(count)));
    assert_eq!(login(&long(510)).ui_locales.len(), 2);
    let said = read(&long(511)).unwrap_err().to_string();
    assert!(
        said.contains("`login.ui_locales` in [frontend.shop] is too long"),
        "{said}"
    );
    assert!(said.contains("513 bytes"), "{said}");
}
