//! The manual's page of the rules is true: what it names exists, and nothing is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_audit::catalogue;

use super::entry;

const PAGE: &str = include_str!("../../../../docs/security/token-rules.md");

struct Row {
    rule: String,
    codes: Vec<String>,
    attacks: Vec<String>,
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let lines = PAGE.lines().filter(|line| line.starts_with("| "));
    let cells = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let rows = cells.filter(|cells| !matches!(cells[0], "Rule" | "---"));
    let row = |cells: Vec<&str>| {
        assert_eq!(cells.len(), 5, "{cells:?}");
        Row {
            rule: cells[0].to_owned(),
            codes: quoted(cells[2]),
            attacks: quoted(cells[3]),
            tests: quoted(cells[4]),
        }
    };
    rows.map(row).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names of all functions in the tree.
fn functions() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    let mut left: Vec<PathBuf> = ["crates", "tests", "examples"].map(|dir| root.join(dir)).to_vec();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let found = text
                .split("fn ")
                .skip(1)
                .filter_map(|rest| rest.split(['(', '<']).next());
            names.extend(found.map(str::to_owned));
        }
    }
    names
}

#[test]
fn the_page_of_the_rules_names_what_exists_and_every_code() {
    let (functions, attacks) = (functions(), entry::entries());
    let mut faults = Vec::new();
    let mut told = BTreeSet::new();
    for row in rows() {
        for code in &row.codes {
            if catalogue::find(code).is_none() {
                faults.push(format!("{}: there is no code {code}", row.rule));
            }
            told.insert(code.clone());
        }
        for name in &row.attacks {
            let fits = |found: &str| match name.split_once('*') {
                Some((start, end)) => found.starts_with(start) && found.contains(end.trim_end_matches('*')),
                None => found == name,
            };
            if !attacks.iter().any(|entry| fits(&entry.name)) {
                faults.push(format!("{}: there is no attack {name}", row.rule));
            }
        }
        for name in &row.tests {
            if !functions.contains(name) {
                faults.push(format!("{}: there is no test {name}", row.rule));
            }
        }
        if row.attacks.is_empty() && row.tests.is_empty() {
            faults.push(format!("{}: nothing proves it", row.rule));
        }
    }
    let of_tokens = catalogue::entries().iter().map(|entry| entry.code).filter(|code| {
        ["token.", "keys.", "dpop."]
            .iter()
            .any(|family| code.starts_with(family))
    });
    for code in of_tokens.filter(|code| !told.contains(*code)) {
        faults.push(format!("{code} has no row"));
    }
    for name in [
        "every_attack_on_the_library_is_refused_as_it_should_and_its_twin_passes",
        "every_attack_on_a_gateway_is_refused_as_it_should_and_its_twin_passes",
    ] {
        assert!(PAGE.contains(name) && functions.contains(name), "{name}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
