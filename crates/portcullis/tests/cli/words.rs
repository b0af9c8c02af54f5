//! Help, `explain`, and command lines that mean nothing.

use crate::process::portcullis;

const COMMANDS: [&str; 20] = [
    "demo",
    "serve",
    "check",
    "idp",
    "keys",
    "revocations",
    "revoke",
    "secret",
    "sessions",
    "explain",
    "explain-token",
    "call",
    "doctor",
    "inspect",
    "login",
    "token",
    "whoami",
    "logout",
    "completions",
    "man",
];

#[test]
fn every_command_is_listed_and_has_help() {
    let dir = tempfile::tempdir().unwrap();
    let all = portcullis(dir.path(), &["--help"]);
    assert_eq!((all.status, all.stderr.as_str()), (0, ""));
    for command in COMMANDS {
        assert!(all.stdout.contains(&format!("\n  {command} ")), "{}", all.stdout);
        let help = portcullis(dir.path(), &[command, "--help"]);
        assert_eq!((help.status, help.stderr.as_str()), (0, ""), "{command}");
        let usage = format!("Usage: portcullis {command}");
        assert!(help.stdout.contains(&usage), "{command}: {}", help.stdout);
        let about = help.stdout.lines().next().unwrap_or_default();
        assert!(about.len() > 10, "{command} says what it does: {}", help.stdout);
    }
    let listed = all.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    // A long description goes on in the next line.
    let listed = listed.filter(|line| !line.starts_with("   ")).count();
    assert_eq!(listed, COMMANDS.len() + 1, "all of them are tested here, and `help`");
}

#[test]
fn a_version_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let version = portcullis(dir.path(), &["--version"]);
    let expected = format!("portcullis {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.status, version.stdout), (0, expected));
}

#[test]
fn a_command_line_that_means_nothing_is_status_2_and_says_so_on_stderr() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, says) in [
        (&["bogus"][..], "unrecognized subcommand 'bogus'"),
        (&[], "Usage: portcullis <COMMAND>"),
        (&["serve"], "--config <FILE>"),
        (&["chek"], "'check'"),
        (&["demo", "--port", "many"], "invalid value 'many'"),
        (&["demo", "--write", "x", "--json"], "cannot be used with"),
    ] {
        let ended = portcullis(dir.path(), arguments);
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn an_error_code_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let known = portcullis(dir.path(), &["explain", "token.audience_mismatch"]);
    assert_eq!((known.status, known.stderr.as_str()), (0, ""));
    assert!(
        known.stdout.starts_with("token.audience_mismatch: "),
        "{}",
        known.stdout
    );
    for part in ["\n\nCause: ", "`aud`", "\n\nFix: ", "\n\nPublic status: 401\n"] {
        assert!(known.stdout.contains(part), "{part}: {}", known.stdout);
    }
}

#[test]
fn a_cause_is_explained_too() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["cause.id_token_sent", "id_token_sent"] {
        let known = portcullis(dir.path(), &["explain", name]);
        assert_eq!((known.status, known.stderr.as_str()), (0, ""), "{name}");
        let start = "cause.id_token_sent: An ID token was sent in the place of an access token\n\nCause: ";
        assert!(known.stdout.starts_with(start), "{}", known.stdout);
        assert!(
            known.stdout.contains("\n\nFix: Send `access_token`"),
            "{}",
            known.stdout
        );
    }
}

#[test]
fn what_is_explained_can_be_read_by_programs() {
    let dir = tempfile::tempdir().unwrap();
    for (name, code, status) in [
        ("token.expired", "token.expired", Some(401)),
        ("quoted", "cause.quoted", None),
        ("doctor.key_ring", "doctor.key_ring", None),
        ("insufficient_scope", "insufficient_scope", Some(403)),
    ] {
        let ended = portcullis(dir.path(), &["explain", name, "--json"]);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{name}");
        let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(
            (told["code"].as_str(), told["status"].as_u64()),
            (Some(code), status),
            "{name}"
        );
        for member in ["title", "cause", "fix"] {
            assert!(told[member].as_str().unwrap().len() > 10, "{name}: {member}");
        }
    }
}

#[test]
fn an_error_code_that_does_not_exist_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let unknown = portcullis(dir.path(), &["explain", "token.audience_mismatched"]);
    assert_eq!((unknown.status, unknown.stdout.as_str()), (2, ""));
    assert!(
        unknown.stderr.contains("\"token.audience_mismatched\""),
        "{}",
        unknown.stderr
    );
}
