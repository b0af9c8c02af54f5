//! `cargo xtask docs`: the pages of the manual that are made from the code.

use crate::sh::{self, Failure, Outcome};

/// Each page, and the arguments of `portcullis` that print it.
const PAGES: &[(&str, &[&str])] = &[
    ("docs/error-codes.md", &["docs", "error-codes"]),
    ("docs/configuration.md", &["docs", "configuration"]),
    ("docs/causes.md", &["docs", "causes"]),
    ("docs/doctor.md", &["docs", "doctor"]),
];

/// Writes the pages, or says which of them the code would write differently.
pub(crate) fn command(check: bool) -> Outcome {
    let mut old = Vec::new();
    for (page, arguments) in PAGES {
        let mut made = sh::capture(
            sh::cargo()
                .args(["run", "--quiet", "--locked", "--package", "portcullis", "--"])
                .args(*arguments),
        )?;
        if !made.ends_with('\n') {
            made.push('\n');
        }
        let path = sh::root().join(page);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == made) {
            continue;
        }
        if check {
            old.push(*page);
        } else {
            sh::write(&path, &made)?;
            eprintln!("wrote {page}");
        }
    }
    if old.is_empty() {
        return Ok(());
    }
    Err(Failure(format!(
        "not what the code says: {}. Run `cargo xtask docs`",
        old.join(", ")
    )))
}
