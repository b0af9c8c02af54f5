//! All faults in one run, for people and for programs; and files that are no configuration at all.

use super::super::{FaultKind, check_json, load};
use super::{GOOD, read, shows};
use crate::diagnostic::Style;

/// Fifteen mistakes of all kinds.
const MANY: &str = r#"[server]
public_url = "https://app.example.com"
lisen = "0.0.0.0:8443"
admin = "0.0.0.0:9090"
workers = "two"

[provider.plain]
issuer = "http://login.example.com"
leeway = 30

[client.web]
provider = "plan"
client_id = "web"
secret = { env = "NOT_SET" }

[frontend.shop]
scopes = []
session = { idle = "soon" }

[api.orders]
path = "/api/orders/"
upstream = "http://127.0.0.1:5000"
accept = ["session", "beaerer"]
provider = "plain"
policy = { GET = "Read", default = "Writ" }

[policy.Read]
scope = "orders.read"

[policy.Write]
all = [{ scope = "orders.write" }, { rol = "Admin" }]
"#;

#[test]
fn all_faults_are_found_in_one_run() {
    let faults = read(MANY).unwrap_err();
    let found: Vec<_> = faults
        .iter()
        .map(|fault| {
            (
                fault.position(faults.source()).unwrap().line,
                fault.code(),
                fault.nearest_name().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (3, "config.unknown_key", "listen"),
            (4, "config.invalid_value", ""),
            (5, "config.wrong_type", ""),
            (8, "config.insecure_url", ""),
            (9, "config.wrong_type", ""),
            (12, "config.dangling_reference", "plain"),
            (14, "config.secret_unavailable", ""),
            (16, "config.missing_key", ""),
            (17, "config.empty", ""),
            (18, "config.invalid_duration", ""),
            (20, "config.missing_audience", ""),
            (21, "config.invalid_value", ""),
            (23, "config.invalid_value", "bearer"),
            (25, "config.dangling_reference", "Write"),
            (31, "config.unknown_key", "role"),
        ]
    );
    let shown = faults.render(Style::Plain);
    assert!(shown.ends_with("\n\nt.toml: 15 faults\n"), "{shown}");
    assert_eq!(
        shown.matches("\n --> t.toml:").count() + shown.matches("\n  --> t.toml:").count(),
        15
    );
}

#[test]
fn programs_get_the_same() {
    let faults = read(&GOOD.replace("audience =", "audiance =")).unwrap_err();
    assert_eq!(
        faults.to_json(),
        serde_json::json!({
            "file": "t.toml",
            "valid": false,
            "faults": [{
                "code": "config.unknown_key",
                "message": "unknown key `audiance` in [api.orders]",
                "line": 20,
                "column": 1,
                "label": "did you mean `audience`?",
                "expected": "one of path, upstream, upstream_path, accept, provider, audience, policy, routes, sender_constrained, frontend, pages, timeout, revocations, token, realm, resource",
                "nearest": "audience",
                "help": [],
            }],
        })
    );
}

#[test]
fn programs_are_told_when_nothing_is_wrong() {
    let json = check_json("t.toml", &read(GOOD));
    assert_eq!(
        json,
        serde_json::json!({ "file": "t.toml", "valid": true, "faults": [] })
    );
    let faulty = check_json("t.toml", &read(MANY));
    assert_eq!(
        (faulty["valid"].as_bool(), faulty["faults"].as_array().unwrap().len()),
        (Some(false), 15)
    );
}

#[test]
fn what_is_no_toml_is_said_line_by_line_and_nothing_else_is() {
    shows(
        &GOOD
            .replace("client_id = \"web\"", "client_id = web")
            .replace("[policy.Read]", "[policy.Read"),
        r#"
error[config.syntax]: not TOML: string values must be quoted
 --> t.toml:9:13
  |
9 | client_id = web
  |             ^^^ here
  |
  = note: expected literal string

error[config.syntax]: not TOML: unclosed table
  --> t.toml:23:13
   |
23 | [policy.Read
   |             ^ here
   |
   = note: expected `]`
"#,
    );
}

#[test]
fn a_key_twice_is_said_with_its_line() {
    let faults = read(&GOOD.replace("policy = \"Read\"", "policy = \"Read\"\npolicy = \"Read\"")).unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!(
        (fault.code(), fault.message()),
        ("config.syntax", "not TOML: duplicate key")
    );
    assert_eq!(fault.position(faults.source()).unwrap().line, 22);
}

#[test]
fn an_empty_file_lacks_everything() {
    shows(
        "",
        r#"
error[config.missing_key]: missing table [server]
--> t.toml:1:1
 = note: expected [server] with at least public_url
 = help: add:  [server]
         public_url = "https://app.example.com"
         listen = "0.0.0.0:8443"

error[config.missing_key]: nothing to serve: there is neither an [api.NAME] nor a [frontend.NAME]
--> t.toml:1:1
 = note: expected at least one [api.NAME] or [frontend.NAME]
"#,
    );
}

#[test]
fn a_file_is_read_from_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("portcullis.toml");
    std::fs::write(&file, GOOD).unwrap();
    assert_eq!(
        load(&file).unwrap().store.sqlite().unwrap(),
        dir.path().join("portcullis.db")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_without_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let missing = load(dir.path().join("none.toml")).unwrap_err();
    assert_eq!(missing.iter().next().unwrap().code(), FaultKind::Unreadable.code());
    assert!(missing.to_string().contains("none.toml"));
    assert!(missing.to_json()["faults"][0]["line"].is_null());
    let file = dir.path().join("latin1.toml");
    std::fs::write(&file, b"# caf\xe9\n").unwrap();
    let faults = load(&file).unwrap_err();
    assert!(faults.to_string().contains("not UTF-8 from byte 5 on"), "{faults}");
}

#[test]
fn text_from_the_file_cannot_draw_on_a_terminal() {
    let faults =
        read(&GOOD.replace("policy = \"Read\"", "policy = \"Read\"\n\"\\u001b[2J\" = 1\n# \u{200b}")).unwrap_err();
    assert!(!faults.to_string().contains('\u{1b}'), "{faults:?}");
    assert!(faults.iter().next().unwrap().message().contains("\\u{1b}"));
}

#[test]
fn columns_are_counted_in_characters() {
    let faults = read(&GOOD.replace("client = \"web\"", "client = \"wéb\" ; x")).unwrap_err();
    let at = faults.iter().next().unwrap().position(faults.source()).unwrap();
    assert_eq!((at.line, at.column), (13, 16));
}
