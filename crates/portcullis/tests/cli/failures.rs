//! What `--json` prints where there is no answer.

use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Ended, portcullis, portcullis_reads};

const FAULTY: &str = "[server]\npublic_url = \"http://127.0.0.1:8080\"\nadmn = 1\n";
const GOOD: &str = r#"
[server]
public_url = "http://127.0.0.1:8080"
admin = "127.0.0.1:1"
[admin]
token = { dev_only = "0123456789abcdef0123456789abcdef" }
[api.x]
path = "/x"
upstream = "http://127.0.0.1:1"
accept = ["anyone"]
"#;

/// Each command that reads a configuration and has `--json`, with what else it wants.
const CONFIGURED: [&[&str]; 14] = [
    &["keys", "list"],
    &["revocations", "list"],
    &["revocations", "add", "--issuer", "https://x.example", "--whole-issuer"],
    &["revocations", "remove", "7"],
    &["revoke", "-"],
    &["sessions", "list", "--subject", "alice"],
    &["sessions", "end", "--subject", "alice", "--all"],
    &["secret", "rotate", "--client", "web"],
    &["secret", "check", "--client", "web"],
    &["explain-token", "--path", "/x"],
    &["call", "http://127.0.0.1:1/x", "--client", "web"],
    &["doctor"],
    &["inspect", "--provider", "local"],
    &["login", "--provider", "local", "--no-browser"],
];
/// Those that go on, or have no configuration.
const OTHERS: [&str; 6] = ["check", "demo", "idp", "explain", "token", "whoami"];

fn run(dir: &Path, line: &[&str], config: &str, more: &[&str]) -> Ended {
    std::fs::write(dir.join("portcullis.toml"), config).unwrap();
    let config = if line.is_empty() {
        &[][..]
    } else {
        &["--config", "portcullis.toml"]
    };
    portcullis_reads(dir, &[line, config, more].concat(), "a.b.c")
}

fn error(ended: &Ended) -> Value {
    let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    let members: Vec<_> = told.as_object().unwrap().keys().collect();
    assert_eq!(members, ["error"], "{told}");
    told["error"].clone()
}

#[test]
fn every_command_with_json_is_tested_here() {
    let dir = tempfile::tempdir().unwrap();
    let help = |line: &[&str]| portcullis(dir.path(), &[line, &["--help"]].concat()).stdout;
    let listed = |help: &str| -> Vec<String> {
        let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let lines = lines.take_while(|line| !line.is_empty());
        let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect()
    };
    for command in listed(&help(&[])) {
        let text = help(&[&command]);
        let mut lines = vec![(vec![command.clone()], text.clone())];
        for sub in listed(&text) {
            lines.push((vec![command.clone(), sub.clone()], help(&[&command, &sub])));
        }
        for (line, help) in lines.iter().filter(|(_, help)| help.contains("      --json")) {
            let known = CONFIGURED
                .iter()
                .any(|known| known.iter().zip(line).all(|(a, b)| a == b))
                || OTHERS.contains(&line[0].as_str());
            assert!(known, "{line:?}: {help}");
        }
    }
}

#[test]
fn a_faulty_configuration_is_an_object_too() {
    let dir = tempfile::tempdir().unwrap();
    for line in CONFIGURED {
        let ended = run(dir.path(), line, FAULTY, &["--json"]);
        assert_eq!(ended.status, 2, "{line:?}: {ended:?}");
        let error = error(&ended);
        assert_eq!(error["code"], json!("command.configuration"), "{line:?}");
        assert_eq!(error["message"], json!("portcullis.toml has 2 faults"), "{line:?}");
        let codes: Vec<_> = error["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| &fault["code"])
            .collect();
        assert_eq!(
            codes,
            [&json!("config.missing_key"), &json!("config.unknown_key")],
            "{line:?}"
        );
        // People read the same as without it.
        assert!(
            ended
                .stderr
                .contains("error[config.unknown_key]: unknown key `admn` in [server]"),
            "{}",
            ended.stderr
        );
        let plain = run(dir.path(), line, FAULTY, &[]);
        assert_eq!((plain.status, plain.stdout.as_str()), (2, ""), "{line:?}");
        assert_eq!(plain.stderr, ended.stderr, "{line:?}");
    }
}

#[test]
fn what_fails_and_what_is_wrong_have_codes_that_explain_knows() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("logins");
    let nowhere = nowhere.to_str().unwrap();
    for (line, status, code, words) in [
        // Nobody listens there.
        (
            &["revocations", "list", "--config", "portcullis.toml"][..],
            1,
            "command.failed",
            "does the gateway run?",
        ),
        (
            &["sessions", "list", "--subject", "a", "--config", "portcullis.toml"],
            1,
            "command.failed",
            "does the gateway run?",
        ),
        (
            &[
                "call",
                "http://127.0.0.1:1/x",
                "--client",
                "web",
                "--config",
                "portcullis.toml",
            ],
            1,
            "command.failed",
            "there is no client web",
        ),
        (
            &["call", "ftp://x", "--client", "web", "--config", "portcullis.toml"],
            2,
            "command.wrong",
            "ftp",
        ),
        (
            &["secret", "check", "--client", "web", "--config", "portcullis.toml"],
            2,
            "command.wrong",
            "there is no client web",
        ),
        (
            &["explain-token", "--path", "/y", "--config", "portcullis.toml"],
            2,
            "command.wrong",
            "no api has the path /y",
        ),
        (
            &["doctor", "--url", "ftp://x", "--config", "portcullis.toml"],
            2,
            "command.wrong",
            "ftp",
        ),
        (
            &["inspect", "--jwks", "none.json"],
            2,
            "command.wrong",
            "cannot read none.json",
        ),
        (
            &["explain", "something_else_entirely"],
            2,
            "command.wrong",
            "there is no error code",
        ),
        (
            &["idp", "--config", "none.toml"],
            2,
            "command.wrong",
            "cannot read none.toml",
        ),
        (&["whoami", "--dir", nowhere], 1, "command.failed", "login"),
        (&["token", "--dir", nowhere], 1, "command.failed", "login"),
    ] {
        let ended = run(dir.path(), &[], GOOD, &[line, &["--json"]].concat());
        assert_eq!(ended.status, status, "{line:?}: {ended:?}");
        let error = error(&ended);
        let message = error["message"].as_str().unwrap();
        assert_eq!(error["code"], json!(code), "{line:?}: {error}");
        assert!(message.contains(words), "{line:?}: {error}");
        assert!(
            ended.stderr.contains(&format!("error: {message}\n")),
            "{line:?}: {}",
            ended.stderr
        );
        let plain = run(dir.path(), &[], GOOD, line);
        assert_eq!(
            (plain.status, plain.stdout.as_str(), plain.stderr),
            (status, "", ended.stderr),
            "{line:?}"
        );
        assert_eq!(portcullis(dir.path(), &["explain", code]).status, 0, "{code}");
    }
}
