//! Unknown keys, missing keys, missing tables.
//!
//! Each case changes one thing in [`super::GOOD`], which has no fault, and shows the whole answer.

use super::{GOOD, shows, without};

#[test]
fn an_unknown_key_with_a_near_one() {
    shows(
        &GOOD.replace("audience =", "audiance ="),
        r#"
error[config.unknown_key]: unknown key `audiance` in [api.orders]
  --> t.toml:20:1
   |
20 | audiance = "api://orders"
   | ^^^^^^^^ did you mean `audience`?
   |
   = note: expected one of path, upstream, upstream_path, accept, provider, audience, policy, routes, sender_constrained, frontend, pages, timeout, revocations, token, realm, resource
"#,
    );
}

#[test]
fn an_unknown_key_that_other_programs_use() {
    shows(
        &GOOD.replace("issuer =", "authority ="),
        r#"
error[config.unknown_key]: unknown key `authority` in [provider.local]
 --> t.toml:5:1
  |
5 | authority = "http://127.0.0.1:9000"
  | ^^^^^^^^^ did you mean `issuer`?
  |
  = note: expected one of issuer, tenants, discovery, internal_hosts, keys_on_demand, jwks_url, jwks_file, shared_secret, introspection, id_token_algorithm, access_token_type, algorithms, leeway, max_token_lifetime, ca_file
"#,
    );
}

#[test]
fn an_unknown_key_that_belongs_to_another_table() {
    shows(
        &GOOD.replace(
            r#"client = "web""#,
            r#"client = "web"
upstream = "http://127.0.0.1:1""#,
        ),
        r#"
error[config.unknown_key]: unknown key `upstream` in [frontend.shop]
  --> t.toml:14:1
   |
14 | upstream = "http://127.0.0.1:1"
   | ^^^^^^^^ a key of `assets of [frontend.NAME]`
   |
   = note: expected one of public_url, path, client, scopes, assets, session, resource, login, refresh_before, return_to, same_site, logout_hint, frontchannel_logout, cors, headers
"#,
    );
}

#[test]
fn an_unknown_key_like_nothing() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
colour = "red""#,
        ),
        r#"
error[config.unknown_key]: unknown key `colour` in [api.orders]
  --> t.toml:22:1
   |
22 | colour = "***"
   | ^^^^^^ not known here
   |
   = note: expected one of path, upstream, upstream_path, accept, provider, audience, policy, routes, sender_constrained, frontend, pages, timeout, revocations, token, realm, resource
"#,
    );
}

#[test]
fn an_unknown_key_near_one_that_is_there() {
    shows(
        &GOOD.replace(
            r#"policy = "Read""#,
            r#"policy = "Read"
policy2 = "Read""#,
        ),
        r#"
error[config.unknown_key]: unknown key `policy2` in [api.orders]
  --> t.toml:22:1
   |
22 | policy2 = "Read"
   | ^^^^^^^ did you mean `policy`? It is there already
   |
   = note: expected one of path, upstream, upstream_path, accept, provider, audience, policy, routes, sender_constrained, frontend, pages, timeout, revocations, token, realm, resource
"#,
    );
}

#[test]
fn an_unknown_table_with_a_near_one() {
    shows(
        &GOOD.replace("[policy.Read]", "[polcy.Read]"),
        r#"
error[config.unknown_key]: unknown table `polcy`
  --> t.toml:23:2
   |
23 | [polcy.Read]
   |  ^^^^^ did you mean `policy`?
   |
   = note: expected one of [server], [store], [admin], [provider.NAME], [client.NAME], [frontend.NAME], [api.NAME], [policy.NAME], [danger]
"#,
    );
}

#[test]
fn an_unknown_table_like_nothing() {
    shows(
        &GOOD.replace(
            "[server]",
            r#"[logging]
level = 1

[server]"#,
        ),
        r#"
error[config.unknown_key]: unknown table `logging`
 --> t.toml:1:2
  |
1 | [logging]
  |  ^^^^^^^ not known
  |
  = note: expected one of [server], [store], [admin], [provider.NAME], [client.NAME], [frontend.NAME], [api.NAME], [policy.NAME], [danger]
"#,
    );
}

#[test]
fn a_key_outside_of_its_table() {
    shows(
        &GOOD.replace(
            r#"[server]
"#,
            r#"timeout = "5s"
[server]
"#,
        ),
        r#"
error[config.unknown_key]: unknown key `timeout`
 --> t.toml:1:1
  |
1 | timeout = "5s"
  | ^^^^^^^ a key of [api.NAME]
  |
  = note: expected one of [server], [store], [admin], [provider.NAME], [client.NAME], [frontend.NAME], [api.NAME], [policy.NAME], [danger]
"#,
    );
}

#[test]
fn an_unknown_key_in_an_inline_table() {
    shows(
        &GOOD.replace(
            r#"secret = { dev_only = "web-secret" }"#,
            r#"secret = { dev_onyl = "web-secret" }"#,
        ),
        r#"
error[config.unknown_key]: unknown key `dev_onyl` in `secret` in [client.web]
  --> t.toml:10:12
   |
10 | secret = { dev_onyl = "**********" }
   |            ^^^^^^^^ did you mean `dev_only`?
   |
   = note: expected one of file, env, command, dev_only, not_before, expires
"#,
    );
}

#[test]
fn a_missing_key() {
    shows(
        &GOOD.replace(
            r#"client_id = "web"
"#,
            "",
        ),
        r#"
error[config.missing_key]: missing key `client_id` in [client.web]
 --> t.toml:7:1
  |
7 | [client.web]
  | ^^^^^^^^^^^^ add `client_id = "6cb04018-a3f5-46a7-b995-940c78f5aef3"`
  |
  = note: expected a text in quotes
  = help: The identifier that the provider gave out.
"#,
    );
}

#[test]
fn a_missing_key_of_a_dotted_table() {
    shows(
        &GOOD.replace(
            r#"[api.orders]
path = "/api/orders"
upstream = "http://127.0.0.1:5000"
provider = "local"
audience = "api://orders"
policy = "Read""#,
            r#"[api]
orders.path = "/api/orders"
orders.provider = "local"
orders.policy = "Read"
orders.audience = "a""#,
        ),
        r#"
error[config.missing_key]: missing key `upstream` in [api.orders]
  --> t.toml:17:1
   |
17 | orders.path = "/api/orders"
   | ^^^^^^ add `upstream = "http://127.0.0.1:5000"`
   |
   = note: expected an absolute URL such as "https://host.example"
   = help: Where calls go. The path is passed on unchanged: `/api/orders/7` arrives as `/api/orders/7`; with `http://127.0.0.1:5000/v1` as `/v1/api/orders/7`. `https://`, or `http://` on loopback, because tokens go there too; see `[danger]`.
"#,
    );
}

#[test]
fn a_missing_key_of_an_inline_table() {
    shows(
        &GOOD.replace(
            r#"[provider.local]
issuer = "http://127.0.0.1:9000""#,
            r#"[provider]
local = { leeway = "5s" }"#,
        ),
        r#"
error[config.missing_key]: missing key `issuer` in [provider.local]
 --> t.toml:5:1
  |
5 | local = { leeway = "5s" }
  | ^^^^^ add `issuer = "https://login.example.com"`
  |
  = note: expected an absolute URL such as "https://host.example"
  = help: The provider's issuer, exactly as its discovery document and its tokens spell it. `https://`, or `http://` on loopback. With `{tenantid}` in it, it is the template of the issuers of `tenants`.
"#,
    );
}

#[test]
fn a_missing_table() {
    shows(
        &GOOD.replace(
            r#"[server]
public_url = "http://127.0.0.1:8080"
"#,
            "",
        ),
        r#"
error[config.missing_key]: missing table [server]
--> t.toml:1:1
 = note: expected [server] with at least public_url
 = help: add:  [server]
         public_url = "https://app.example.com"
         listen = "0.0.0.0:8443"
"#,
    );
}

#[test]
fn nothing_to_serve() {
    shows(
        &without(GOOD, &["frontend.shop", "api.orders"]),
        r#"
error[config.missing_key]: nothing to serve: there is neither an [api.NAME] nor a [frontend.NAME]
--> t.toml:1:1
 = note: expected at least one [api.NAME] or [frontend.NAME]
"#,
    );
}
