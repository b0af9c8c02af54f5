//! `portcullis explain`.

use std::process::Stdio;

use crate::process::{portcullis, portcullis_writes_to};

#[test]
fn a_code_is_explained_in_words_and_in_json() {
    let dir = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("explain", &["explain", "token.audience_mismatch"][..]),
        ("explain_json", &["explain", "token.audience_mismatch", "--json"]),
    ] {
        let ended = portcullis(dir.path(), arguments);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
        insta::assert_snapshot!(name, ended.stdout);
    }
}

#[test]
fn every_fault_of_a_configuration_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).unwrap();
    let codes = manual.lines().filter_map(|line| line.strip_prefix("| `config."));
    let codes: Vec<&str> = codes.filter_map(|line| line.split('`').next()).collect();
    assert!(codes.len() > 20, "{codes:?}");
    for code in codes {
        let code = format!("config.{code}");
        let ended = portcullis(dir.path(), &["explain", &code]);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{code}");
        assert!(ended.stdout.starts_with(&format!("{code}: ")), "{}", ended.stdout);
        assert!(
            ended.stdout.contains("\n\nCause: ") && ended.stdout.contains("\n\nFix: "),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn a_slip_in_a_code_is_told_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    for (given, meant) in [
        ("token.audience_mismach", "token.audience_mismatch"),
        ("tokens.audience_mismatch", "token.audience_mismatch"),
        ("config.contradicton", "config.contradiction"),
        ("doctor.upstream_awya", "doctor.upstream_away"),
        ("cause.id_token_snt", "cause.id_token_sent"),
    ] {
        let ended = portcullis(dir.path(), &["explain", given]);
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{given}");
        let expected = format!("error: there is no error code \"{given}\"; did you mean {meant}");
        assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert_eq!(portcullis(dir.path(), &["explain", meant]).status, 0, "{meant}");
    }
    let ended = portcullis(dir.path(), &["explain", "something_else_entirely"]);
    for listed in [
        "token.expired",
        "config.syntax",
        "doctor.upstream_away",
        "cause.id_token_sent",
    ] {
        assert!(
            ended.stderr.contains(&format!("\n  {listed}\n")),
            "{listed}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_reader_that_goes_away_and_a_full_disk_are_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["explain", "token.expired"][..],
        &["demo", "--print-config"],
        &["explain", "path.not_canonical", "--json"],
    ] {
        let ended = portcullis_writes_to(dir.path(), arguments, Stdio::piped());
        assert_eq!((ended.status, ended.stderr.as_str()), (141, ""), "{arguments:?}");
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = portcullis_writes_to(dir.path(), arguments, full.into());
        assert_eq!(ended.status, 1, "{arguments:?}");
        assert!(
            ended.stderr.starts_with("error: cannot write the output: "),
            "{}",
            ended.stderr
        );
    }
}
