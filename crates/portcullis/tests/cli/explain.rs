//! `portcullis explain`.

use crate::process::portcullis;

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
