//! `portcullis check`.

use std::fs;

use serde_json::{Value, json};

use crate::process::{Ended, portcullis};

const GOOD: &str = r#"[server]
public_url = "http://127.0.0.1:8080"

[provider.local]
issuer = "http://127.0.0.1:9000"

[api.orders]
path = "/api/orders"
upstream = "http://127.0.0.1:5000"
provider = "local"
audience = "api://orders"
policy = "Read"

[policy.Read]
scope = "orders.read"
"#;

const SECRET: &str = "keep-me-out-of-the-output";

/// One mistake of each kind that the command promises to find.
const FAULTY: &str = r#"[server]
public_url = "http://127.0.0.1:8080"
lisen = "127.0.0.1:8080"

[provider.plain]
issuer = "http://login.example.com"
leeway = 30

[client.web]
provider = "plan"
client_id = "web"
secret = "keep-me-out-of-the-output"

[api.orders]
path = "/api/orders"
provider = "plain"
upstream = "http://127.0.0.1:5000"

[api.stock]
path = "/api/stock"
provider = "plain"
audience = "api://stock"
"#;

/// Code, line, column and nearest name of the faults above, in their order.
const FOUND: [(&str, u64, u64, Option<&str>); 9] = [
    ("config.unknown_key", 3, 1, Some("listen")),
    ("config.insecure_url", 6, 10, None),
    ("config.wrong_type", 7, 10, None),
    ("config.dangling_reference", 10, 12, Some("plain")),
    ("config.secret_inline", 12, 10, None),
    ("config.missing_audience", 14, 1, None),
    ("config.missing_key", 14, 1, None),
    ("config.missing_key", 19, 1, None),
    ("config.missing_key", 19, 1, None),
];

fn check(text: &str, more: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("portcullis.toml"), text).unwrap();
    let ended = portcullis(dir.path(), &[&["check", "--config", "portcullis.toml"], more].concat());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "it only looks: no store, no key, is made");
    ended
}

#[test]
fn a_good_file_is_valid() {
    let ended = check(GOOD, &[]);
    assert_eq!(ended.stdout, "portcullis.toml: valid\n");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));

    let ended = check(GOOD, &["--json"]);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(said, json!({ "file": "portcullis.toml", "valid": true, "faults": [] }));
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
}

#[test]
fn a_warning_is_told_and_the_file_is_valid() {
    let text = format!("{GOOD}\n[provider.unused]\nissuer = \"http://127.0.0.1:9001\"\n");
    let ended = check(&text, &[]);
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "portcullis.toml: valid\n"));
    let line = text.lines().position(|line| line == "[provider.unused]").unwrap() + 1;
    assert!(
        ended
            .stderr
            .starts_with("warning[config.unused]: [provider.unused] is used by no client and no API\n"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains(&format!("--> portcullis.toml:{line}:11\n")),
        "{}",
        ended.stderr
    );

    let ended = check(&text, &["--json"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&said["valid"], &said["faults"]), (&json!(true), &json!([])));
    let warning = &said["warnings"][0];
    assert_eq!(
        (&warning["code"], &warning["line"]),
        (&json!("config.unused"), &json!(line))
    );
    assert_eq!(said["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_is_warned_of_in_what_the_demo_writes() {
    let dir = tempfile::tempdir().unwrap();
    let written = portcullis(dir.path(), &["demo", "--write", "demo"]);
    assert_eq!(written.status, 0, "{}", written.stderr);
    let ended = portcullis(dir.path(), &["check", "--config", "demo/portcullis.toml"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.stdout, "demo/portcullis.toml: valid\n");
}

#[test]
fn all_faults_are_shown_in_one_run_with_line_and_column() {
    let ended = check(FAULTY, &[]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
    let mut rest = ended.stderr.as_str();
    for (code, line, column, nearest) in FOUND {
        let (_, from) = rest
            .split_once(&format!("error[{code}]: "))
            .unwrap_or_else(|| panic!("{code} is missing, or not in the order of the file:\n{}", ended.stderr));
        let (fault, after) = from.split_once("\n\n").unwrap();
        assert!(
            fault.contains(&format!("--> portcullis.toml:{line}:{column}\n")),
            "{code}: {fault}"
        );
        if let Some(nearest) = nearest {
            assert!(fault.contains(&format!("did you mean `{nearest}`?")), "{code}: {fault}");
        }
        rest = after;
    }
    assert_eq!(rest, "portcullis.toml: 9 faults\n");
    assert!(!ended.stderr.contains(SECRET), "{}", ended.stderr);
}

#[test]
fn one_fault_reads_like_a_compilers() {
    let ended = check(&GOOD.replace("[policy.Read]", "[policy.Raed]"), &[]);
    assert_eq!(ended.status, 2);
    insta::assert_snapshot!(ended.stderr, @r#"
    error[config.dangling_reference]: `policy` in [api.orders] refers to policy `Read`, which does not exist
      --> portcullis.toml:12:10
       |
    12 | policy = "Read"
       |          ^^^^^^ did you mean `Raed`?
       |
       = note: expected "Raed"

    portcullis.toml: 1 fault
    "#);
}

#[test]
fn a_program_gets_the_same_faults_as_json() {
    let ended = check(FAULTY, &["--json"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (2, ""));
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    assert!(!ended.stdout.contains(SECRET), "{}", ended.stdout);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&said["file"], &said["valid"]),
        (&json!("portcullis.toml"), &json!(false))
    );
    let found: Vec<Value> = said["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            assert!(
                fault["message"].as_str().is_some_and(|message| !message.is_empty()),
                "{fault}"
            );
            json!([fault["code"], fault["line"], fault["column"], fault["nearest"]])
        })
        .collect();
    assert_eq!(found, FOUND.map(|fault| json!(fault)));
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_too() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["check", "--config", "absent.toml"],
        &["serve", "--config", "absent.toml"],
    ] {
        let ended = portcullis(dir.path(), arguments);
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(
            ended.stderr.contains("config.unreadable") && ended.stderr.contains("absent.toml"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn serve_starts_nothing_from_a_faulty_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("portcullis.toml"), FAULTY).unwrap();
    let ended = portcullis(dir.path(), &["serve", "--config", "portcullis.toml"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
    assert!(
        ended.stderr.ends_with("portcullis.toml: 9 faults\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "neither store nor key were made"
    );
}
