//! `[provider.NAME]`, `[client.NAME]` and `[danger]`.
//!
//! Each case changes one thing in [`super::GOOD`], which has no fault, and shows the whole answer.

use super::{GOOD, shows};

#[test]
fn an_issuer_over_plain_http() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://login.example.com""#,
        ),
        r#"
error[config.insecure_url]: `issuer` in [provider.local] is plain http to a host that is not loopback
 --> t.toml:5:10
  |
5 | issuer = "http://login.example.com"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^ who listens on the way could read and change what is sent
  |
  = note: expected https://, or http:// to localhost, 127.0.0.1 or [::1]
  = help: write https://
"#,
    );
}

#[test]
fn an_issuer_with_a_query() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "https://login.example.com/?tenant=1""#,
        ),
        r#"
error[config.invalid_url]: `issuer` in [provider.local] has a query
 --> t.toml:5:10
  |
5 | issuer = "https://login.example.com/?tenant=1"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ an issuer has none
  |
  = note: expected an absolute URL such as "https://host.example"
"#,
    );
}

#[test]
fn an_issuer_that_is_a_document() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "https://login.example.com/t/.well-known/openid-configuration""#,
        ),
        r#"
error[config.invalid_url]: `issuer` in [provider.local] is the address of a document
 --> t.toml:5:10
  |
5 | issuer = "https://login.example.com/t/.well-known/openid-configuration"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write "https://login.example.com/t"
  |
  = note: expected an absolute URL such as "https://host.example"
"#,
    );
}

#[test]
fn an_issuer_with_a_password() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "https://me:hunter2@login.example.com""#,
        ),
        r#"
error[config.invalid_url]: `issuer` in [provider.local] has a user name or password in it
 --> t.toml:5:10
  |
5 | issuer = "https://**********@login.example.com"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ leave out what stands before the `@`
  |
  = note: expected an absolute URL such as "https://host.example"
"#,
    );
}

#[test]
fn an_issuer_of_another_scheme() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "ldap://login.example.com""#,
        ),
        r#"
error[config.invalid_url]: `issuer` in [provider.local] has the wrong scheme
 --> t.toml:5:10
  |
5 | issuer = "ldap://login.example.com"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^ not https:// or http://
  |
  = note: expected an absolute URL such as "https://host.example"
"#,
    );
}

#[test]
fn an_issuer_with_a_bad_port() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "https://login.example.com:99999""#,
        ),
        r#"
error[config.invalid_url]: `issuer` in [provider.local] is no URL
 --> t.toml:5:10
  |
5 | issuer = "https://login.example.com:99999"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ invalid port number
  |
  = note: expected an absolute URL such as "https://host.example"
"#,
    );
}

#[test]
fn keys_over_plain_http() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://127.0.0.1:9000"
jwks_url = "http://login.example.com/keys""#,
        ),
        r#"
error[config.insecure_url]: `jwks_url` in [provider.local] is plain http to a host that is not loopback
 --> t.toml:6:12
  |
6 | jwks_url = "http://login.example.com/keys"
  |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ who listens on the way could read and change what is sent
  |
  = note: expected https://, or http:// to localhost, 127.0.0.1 or [::1]
  = help: write https://
"#,
    );
}

#[test]
fn a_symmetric_algorithm() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://127.0.0.1:9000"
algorithms = ["RS256", "HS256"]"#,
        ),
        r#"
error[config.invalid_value]: entry 2 of `algorithms` in [provider.local] cannot be `HS256`
 --> t.toml:6:24
  |
6 | algorithms = ["RS256", "HS256"]
  |                        ^^^^^^^ anybody who can check it could make it
  |
  = note: expected "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA" or "Ed25519"
  = help: sign with a private key at the provider
"#,
    );
}

#[test]
fn an_algorithm_misspelt() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://127.0.0.1:9000"
algorithms = ["RS526"]"#,
        ),
        r#"
error[config.invalid_value]: entry 1 of `algorithms` in [provider.local] cannot be `RS526`
 --> t.toml:6:15
  |
6 | algorithms = ["RS526"]
  |               ^^^^^^^ did you mean "RS256"?
  |
  = note: expected "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA" or "Ed25519"
"#,
    );
}

#[test]
fn an_algorithm_twice() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://127.0.0.1:9000"
algorithms = ["RS256", "RS256"]"#,
        ),
        r#"
error[config.contradiction]: `algorithms` in [provider.local] names `RS256` twice
 --> t.toml:6:24
  |
6 | algorithms = ["RS256", "RS256"]
  |                        ^^^^^^^ leave it out
"#,
    );
}

#[test]
fn a_token_type_of_no_kind() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://127.0.0.1:9000"
access_token_type = "jwt""#,
        ),
        r#"
error[config.invalid_value]: `access_token_type` in [provider.local] cannot be `jwt`
 --> t.toml:6:21
  |
6 | access_token_type = "jwt"
  |                     ^^^^^ not known here
  |
  = note: expected "at+jwt" or "any"
"#,
    );
}

#[test]
fn a_leeway_without_a_unit() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://127.0.0.1:9000"
leeway = 30"#,
        ),
        r#"
error[config.wrong_type]: `leeway` in [provider.local] has the wrong type
 --> t.toml:6:10
  |
6 | leeway = 30
  |          ^^ found a whole number
  |
  = note: expected a duration such as "30s", "5m" or "12h", 0s to 5m
  = help: give a unit and quotes: "30s"
"#,
    );
}

#[test]
fn a_leeway_that_is_no_duration() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://127.0.0.1:9000"
leeway = "half a minute""#,
        ),
        r#"
error[config.invalid_duration]: `leeway` in [provider.local] is no duration
 --> t.toml:6:10
  |
6 | leeway = "half a minute"
  |          ^^^^^^^^^^^^^^^ not understood
  |
  = note: expected a duration such as "30s", "5m" or "12h", 0s to 5m
  = help: units are ms, s, m, h and d; they combine: "1h30m"
"#,
    );
}

#[test]
fn a_leeway_that_is_too_long() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://127.0.0.1:9000"
leeway = "1h""#,
        ),
        r#"
error[config.invalid_duration]: `leeway` in [provider.local] is out of range
 --> t.toml:6:10
  |
6 | leeway = "1h"
  |          ^^^^ longer than 5m
  |
  = note: expected a duration such as "30s", "5m" or "12h", 0s to 5m
"#,
    );
}

#[test]
fn an_authority_file_that_is_not_there() {
    shows(
        &GOOD.replace(
            r#"issuer = "http://127.0.0.1:9000""#,
            r#"issuer = "http://127.0.0.1:9000"
ca_file = "ca.pem""#,
        ),
        r#"
error[config.missing_file]: `ca_file` in [provider.local] cannot be read
 --> t.toml:6:11
  |
6 | ca_file = "ca.pem"
  |           ^^^^^^^^ No such file or directory (os error 2)
  |
  = note: expected a path in quotes
  = help: the path is /nonexistent/ca.pem
"#,
    );
}

#[test]
fn a_client_without_a_secret() {
    shows(
        &GOOD.replace(
            r#"secret = { dev_only = "web-secret" }
"#,
            "",
        ),
        r#"
error[config.missing_key]: missing key `secret` in [client.web]
 --> t.toml:7:1
  |
7 | [client.web]
  | ^^^^^^^^^^^^ add `secret = { file = "/run/secrets/web" }`
  |
  = note: expected { file = "PATH" }, { env = "VARIABLE" } or { command = ["PROGRAM", "ARGUMENT"] }, or a list of them
  = help: The client's secret, or several while one is replaced by another. It is read again when it changes.
  = help: one of secret, private_key, own_keys, certificate and assertion_file is required, unless auth is none: a public client
"#,
    );
}

#[test]
fn a_public_client_with_a_secret() {
    shows(
        &GOOD.replace(
            r#"secret = { dev_only = "web-secret" }"#,
            r#"secret = { dev_only = "web-secret" }
auth = "none""#,
        ),
        r#"
error[config.contradiction]: [client.web] has a `secret`, but `auth` is "none"
  --> t.toml:11:8
   |
10 | secret = { dev_only = "**********" }
   | ------ it would never be used
11 | auth = "none"
   |        ^^^^^^ a public client has no secret
   |
   = help: leave out one of them
"#,
    );
}

#[test]
fn an_authentication_of_no_kind() {
    shows(
        &GOOD.replace(
            r#"secret = { dev_only = "web-secret" }"#,
            r#"secret = { dev_only = "web-secret" }
auth = "basic""#,
        ),
        r#"
error[config.invalid_value]: `auth` in [client.web] cannot be `basic`
  --> t.toml:11:8
   |
11 | auth = "basic"
   |        ^^^^^^^ not known here
   |
   = note: expected "client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth" or "none"
"#,
    );
}

#[test]
fn a_danger_that_does_not_exist() {
    shows(
        &GOOD.replace(
            "[server]",
            r#"[danger]
dangerous_skip_signature_check = true

[server]"#,
        ),
        r#"
error[config.unknown_key]: unknown key `dangerous_skip_signature_check` in [danger]
 --> t.toml:2:1
  |
2 | dangerous_skip_signature_check = true
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ not known here
  |
  = note: expected one of dangerous_allow_plain_http_upstream_hosts
  = help: no setting turns off the check of a signature, an issuer, an audience or a lifetime
"#,
    );
}

#[test]
fn a_danger_with_a_url() {
    shows(
        &GOOD.replace(
            "[server]",
            r#"[danger]
dangerous_allow_plain_http_upstream_hosts = ["http://orders:5000"]

[server]"#,
        ),
        r#"
error[config.invalid_value]: `dangerous_allow_plain_http_upstream_hosts` in [danger] has an entry that is no host
 --> t.toml:2:45
  |
2 | dangerous_allow_plain_http_upstream_hosts = ["http://orders:5000"]
  |                                             ^^^^^^^^^^^^^^^^^^^^^^
  |
  = note: expected a list of host names
  = help: names as they stand in the URL: small letters, no scheme, no port, no `*`
"#,
    );
}
