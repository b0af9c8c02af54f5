//! `[server]` and `[store]`.
//!
//! Each case changes one thing in [`super::GOOD`], which has no fault, and shows the whole answer.

use super::{GOOD, passes, shows};
use crate::config::StorePlace;

#[test]
fn a_public_url_without_a_scheme() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "app.example.com"
listen = "0.0.0.0:443""#,
        ),
        r#"
error[config.invalid_url]: `public_url` in [server] is no URL
 --> t.toml:2:14
  |
2 | public_url = "app.example.com"
  |              ^^^^^^^^^^^^^^^^^ write "https://app.example.com"
  |
  = note: expected an absolute URL such as "https://host.example"
"#,
    );
}

#[test]
fn a_public_url_over_plain_http() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "http://app.example.com"
listen = "0.0.0.0:80""#,
        ),
        r#"
error[config.insecure_url]: `public_url` in [server] is plain http to a host that is not loopback
 --> t.toml:2:14
  |
2 | public_url = "http://app.example.com"
  |              ^^^^^^^^^^^^^^^^^^^^^^^^ who listens on the way could read and change what is sent
  |
  = note: expected https://, or http:// to localhost, 127.0.0.1 or [::1]
  = help: write https://
"#,
    );
}

#[test]
fn a_public_url_with_a_path() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "http://127.0.0.1:8080/shop""#,
        ),
        r#"
error[config.invalid_url]: `public_url` in [server] is more than an origin
 --> t.toml:2:14
  |
2 | public_url = "http://127.0.0.1:8080/shop"
  |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write "http://127.0.0.1:8080"
  |
  = note: expected a scheme, a host and perhaps a port
"#,
    );
}

#[test]
fn development_beyond_loopback() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "http://127.0.0.1:8080"
listen = "0.0.0.0:8080"
development = true"#,
        ),
        r#"
error[config.contradiction]: `development` in [server] is for loopback only
 --> t.toml:4:15
  |
4 | development = true
  |               ^^^^ strangers would learn what is wrong with their forgeries
  |
  = note: expected `public_url` and `listen` on localhost, 127.0.0.1 or [::1]
  = help: leave `development` out: the audit events have the codes too
"#,
    );
}

#[test]
fn a_listen_address_that_cannot_be_guessed() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080"

[provider.local]
issuer = "http://127.0.0.1:9000""#,
            r#"public_url = "https://app.example.com"

[provider.local]
issuer = "http://127.0.0.1:9000""#,
        ),
        r#"
error[config.missing_key]: missing key `listen` in [server]
 --> t.toml:1:1
  |
1 | [server]
  | ^^^^^^^^ add `listen = "0.0.0.0:8443"`
  |
  = note: expected an IP address and a port in quotes, such as "127.0.0.1:8080"
  = help: Address and port to listen on.
  = help: required, unless public_url is loopback: then its host and port
"#,
    );
}

#[test]
fn a_listen_address_by_name() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "http://127.0.0.1:8080"
listen = "localhost:8080""#,
        ),
        r#"
error[config.invalid_value]: `listen` in [server] is no address
 --> t.toml:3:10
  |
3 | listen = "localhost:8080"
  |          ^^^^^^^^^^^^^^^^ no IP address and port
  |
  = note: expected an IP address and a port in quotes, such as "127.0.0.1:8080"
  = help: write the address of localhost: "127.0.0.1:8080"
"#,
    );
}

#[test]
fn a_listen_port_alone() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "http://127.0.0.1:8080"
listen = ":8080""#,
        ),
        r#"
error[config.invalid_value]: `listen` in [server] is no address
 --> t.toml:3:10
  |
3 | listen = ":8080"
  |          ^^^^^^^ no IP address and port
  |
  = note: expected an IP address and a port in quotes, such as "127.0.0.1:8080"
  = help: write an address too: "127.0.0.1:8080", or "0.0.0.0:8080" for all networks
"#,
    );
}

#[test]
fn an_admin_address_that_others_reach() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "http://127.0.0.1:8080"
admin = "0.0.0.0:9090""#,
        ),
        r#"
error[config.invalid_value]: `admin` in [server] is not a loopback address
 --> t.toml:3:9
  |
3 | admin = "0.0.0.0:9090"
  |         ^^^^^^^^^^^^^^ others could reach it
  |
  = note: expected an address in 127.0.0.0/8, or [::1], and a port
  = help: write "127.0.0.1:9090", and reach it through ssh or a sidecar
"#,
    );
}

#[test]
fn an_admin_address_on_the_public_listener() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "http://127.0.0.1:8080"
admin = "127.0.0.1:8080"
listen = "127.0.0.1:8080""#,
        ),
        r#"
error[config.contradiction]: `admin` in [server] is the address of `listen`
 --> t.toml:3:9
  |
3 | admin = "127.0.0.1:8080"
  |         ^^^^^^^^^^^^^^^^ the console must not be on the public listener
4 | listen = "127.0.0.1:8080"
  |          ---------------- the same
  |
  = note: expected another port
"#,
    );
}

#[test]
fn tls_for_an_http_url() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "http://127.0.0.1:8080"
tls = { cert = "tls.pem", key = "tls.key" }"#,
        ),
        r#"
error[config.contradiction]: [server] has `tls`, but `public_url` is http
 --> t.toml:2:14
  |
2 | public_url = "http://127.0.0.1:8080"
  |              ^^^^^^^^^^^^^^^^^^^^^^^ browsers would be sent to http://
3 | tls = { cert = "tls.pem", key = "tls.key" }
  | --- and https is served
  |
  = help: write https:// in `public_url`, or leave `tls` out

error[config.missing_file]: `tls.cert` in [server] cannot be read
 --> t.toml:3:16
  |
3 | tls = { cert = "tls.pem", key = "tls.key" }
  |                ^^^^^^^^^ No such file or directory (os error 2)
  |
  = note: expected a path in quotes
  = help: the path is /nonexistent/tls.pem

error[config.missing_file]: `tls.key` in [server] cannot be read
 --> t.toml:3:33
  |
3 | tls = { cert = "tls.pem", key = "tls.key" }
  |                                 ^^^^^^^^^ No such file or directory (os error 2)
  |
  = note: expected a path in quotes
  = help: the path is /nonexistent/tls.key
"#,
    );
}

#[test]
fn no_workers() {
    shows(
        &GOOD.replace(
            r#"public_url = "http://127.0.0.1:8080""#,
            r#"public_url = "http://127.0.0.1:8080"
workers = 0"#,
        ),
        r#"
error[config.invalid_value]: `workers` in [server] is out of range
 --> t.toml:3:11
  |
3 | workers = 0
  |           ^
  |
  = note: expected a whole number from 1 to 1024
"#,
    );
}

#[test]
fn a_store_of_no_kind() {
    shows(
        &GOOD.replace(
            "[provider.local]",
            r#"[store]
url = "portcullis.db"

[provider.local]"#,
        ),
        r#"
error[config.invalid_value]: `url` in [store] names no store
 --> t.toml:5:7
  |
5 | url = "portcullis.db"
  |       ^^^^^^^^^^^^^^^
  |
  = note: expected "sqlite:PATH", "redis://HOST:6379", "postgres://HOST:5432/DATABASE" or "cookie"
"#,
    );
}

#[test]
fn a_password_in_the_address_of_a_store() {
    shows(
        &GOOD.replace(
            "[provider.local]",
            r#"[store]
url = "redis://:hunter2@127.0.0.1/0"

[provider.local]"#,
        ),
        r#"
error[config.invalid_value]: `url` in [store]: the address holds a password
 --> t.toml:5:7
  |
5 | url = "redis://********@127.0.0.1/0"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: leave it out there, and set `password` of [store], from a file, the environment or a command
"#,
    );
}

#[test]
fn a_shared_store_without_a_key() {
    shows(
        &GOOD.replace(
            "[provider.local]",
            r#"[store]
url = "redis://127.0.0.1"

[provider.local]"#,
        ),
        r#"
error[config.missing_key]: missing key `keys` in [store]
 --> t.toml:4:1
  |
4 | [store]
  | ^^^^^^^ whoever opens what was sealed needs the same keys: other replicas, and this one after a restart
  |
  = note: expected at least one secret
  = help: make one:  openssl rand -hex 32 > seal.key && chmod 600 seal.key, and add:  keys = [{ file = "seal.key" }]
"#,
    );
}

#[test]
fn a_key_that_means_nothing_for_the_store() {
    shows(
        &GOOD.replace(
            "[provider.local]",
            r#"[store]
url = "sqlite:/portcullis.db"
password = { dev_only = "abc" }

[provider.local]"#,
        ),
        r#"
error[config.contradiction]: `password` in [store] means nothing for this `url`
 --> t.toml:6:1
  |
6 | password = { dev_only = "***" }
  | ^^^^^^^^ nothing there asks for it
  |
  = note: expected leave it out, or name another store
"#,
    );
}

#[test]
fn stores_that_replicas_share() {
    let with = |store: &str| {
        let key = format!("keys = [{{ dev_only = \"{}\" }}]", "0123456789abcdef".repeat(4));
        let text = GOOD.replace(
            "[provider.local]",
            &format!("[store]\n{store}\n{key}\n\n[provider.local]"),
        );
        passes(&text).store
    };
    let redis =
        with("url = \"redis://gate@127.0.0.1:7000/1\"\npassword = { dev_only = \"let-me-in\" }\ngrace = \"1m\"");
    assert_eq!((redis.kind(), redis.sqlite(), redis.keys.len()), ("redis", None, 1));
    assert_eq!(redis.grace.as_secs(), 60);
    let StorePlace::Redis(settings) = redis.place.clone() else {
        panic!()
    };
    assert_eq!(settings.password.unwrap().expose(), "let-me-in");
    assert_eq!((settings.user.as_deref(), settings.database), (Some("gate"), 1));
    let cookie = with("url = \"cookie\"");
    assert_eq!(
        (cookie.kind(), cookie.sqlite(), cookie.limits().len()),
        ("cookie", None, 4)
    );
    assert!(redis.limits().is_empty());
    let postgres = with("url = \"postgres://127.0.0.1/state\"");
    assert_eq!((postgres.kind(), postgres.grace.as_secs()), ("postgres", 30));
}

#[test]
fn a_store_in_a_directory_that_is_not_there() {
    shows(
        &GOOD.replace(
            "[provider.local]",
            r#"[store]
url = "sqlite:state/portcullis.db"

[provider.local]"#,
        ),
        r#"
error[config.missing_file]: the directory of `url` in [store] does not exist
 --> t.toml:5:7
  |
5 | url = "sqlite:state/portcullis.db"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ not there
  |
  = note: expected a path in a directory that exists
  = help: the path is /nonexistent/state/portcullis.db
"#,
    );
}

#[test]
fn a_sealing_key_that_is_too_short() {
    shows(
        &GOOD.replace(
            "[provider.local]",
            r#"[store]
url = "sqlite:/portcullis.db"
keys = [{ dev_only = "abc" }]

[provider.local]"#,
        ),
        r#"
error[config.invalid_value]: entry 1 of `keys` in [store] is no sealing key
 --> t.toml:6:9
  |
6 | keys = [{ dev_only = "***" }]
  |         ^^^^^^^^^^^^^^^^^^^^ not 32 bytes
  |
  = note: expected { file = "PATH" }, { env = "VARIABLE" } or { command = ["PROGRAM", "ARGUMENT"] }
  = help: make one:  openssl rand -hex 32 > seal.key && chmod 600 seal.key
"#,
    );
}

#[test]
fn a_proxy_that_is_no_network() {
    shows(
        &GOOD.replace(
            "[server]\n",
            "[server]\nclient_certificate_header = { name = \"Client-Cert\", trusted_proxies = [\"10.0.0.0/8\", \"proxy.internal\"] }\n",
        ),
        r#"
error[config.invalid_value]: entry 2 of `client_certificate_header.trusted_proxies` in [server] is no network
 --> t.toml:2:86
  |
2 | client_certificate_header = { name = "Client-Cert", trusted_proxies = ["10.0.0.0/8", "proxy.internal"] }
  |                                                                                      ^^^^^^^^^^^^^^^^
  |
  = note: expected an IP address, or a network such as "10.0.0.0/8"
"#,
    );
}

#[test]
fn a_proxy_that_is_everybody() {
    shows(
        &GOOD.replace(
            "[server]\n",
            "[server]\nclient_certificate_header = { name = \"Client-Cert\", trusted_proxies = [\"0.0.0.0/0\"] }\n",
        ),
        r#"
error[config.invalid_value]: entry 1 of `client_certificate_header.trusted_proxies` in [server] is everybody, who could then call with any certificate
 --> t.toml:2:72
  |
2 | client_certificate_header = { name = "Client-Cert", trusted_proxies = ["0.0.0.0/0"] }
  |                                                                        ^^^^^^^^^^^
  |
  = note: expected the networks of the proxies alone
"#,
    );
}

#[test]
fn a_certificate_in_a_header_that_means_something_else() {
    shows(
        &GOOD.replace(
            "[server]\n",
            "[server]\nclient_certificate_header = { name = \"Authorization\", trusted_proxies = [\"::1\"] }\n",
        ),
        r#"
error[config.invalid_value]: `client_certificate_header.name` in [server] is no name of such a header
 --> t.toml:2:38
  |
2 | client_certificate_header = { name = "Authorization", trusted_proxies = ["::1"] }
  |                                      ^^^^^^^^^^^^^^^
  |
  = note: expected the name of the header that the proxy sets, such as "Client-Cert"
"#,
    );
}

#[test]
fn a_switch_that_is_false() {
    shows(
        &GOOD.replace("[server]\n", "[server]\ndpop_nonce = false\n"),
        r#"
error[config.invalid_value]: `dpop_nonce` in [server] is false
 --> t.toml:2:14
  |
2 | dpop_nonce = false
  |              ^^^^^ leave it out
  |
  = note: expected true
"#,
    );
}

fn with_admin(token: &str) -> String {
    let server = "[server]\npublic_url = \"http://127.0.0.1:8080\"";
    let with_address = GOOD.replace(server, &format!("{server}\nadmin = \"127.0.0.1:9090\""));
    format!("{with_address}\n[admin]\ntoken = {{ dev_only = \"{token}\" }}\n")
}

#[test]
fn an_admin_token_cannot_be_guessed_and_has_an_address_to_be_used_at() {
    let token = "0123456789abcdef0123456789abcdef";
    let settings = passes(&with_admin(token));
    assert_eq!(settings.admin.unwrap().token.expose(), token);
    assert!(passes(GOOD).admin.is_none());
    shows(
        &with_admin("a-short-one"),
        r#"
error[config.invalid_value]: `token` in [admin] can be guessed, or not be sent
  --> t.toml:28:1
   |
28 | token = { dev_only = "***********" }
   | ^^^^^ fewer than 32 characters, or odd ones
   |
   = note: expected at least 32 letters, digits and `-._~+/=`
   = help: make one:  openssl rand -hex 32 > admin.token && chmod 600 admin.token
"#,
    );
    shows(
        &with_admin(token).replace("admin = \"127.0.0.1:9090\"\n", ""),
        r#"
error[config.contradiction]: [admin] has a token, but [server] has no `admin` address
  --> t.toml:26:1
   |
26 | [admin]
   | ^^^^^^^ nobody could use it
   |
   = help: add to [server]:  admin = "127.0.0.1:9090"
"#,
    );
}
