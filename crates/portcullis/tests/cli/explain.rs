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
