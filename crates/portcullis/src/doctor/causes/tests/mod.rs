//! Each entry of the catalogue is provoked, mostly with tokens that the development provider made, and the good twin of
//! each bad token has no cause.

mod claims;
mod sending;
mod signing;
mod stage;

use std::collections::BTreeSet;

use stage::{Stage, Try};

use super::entries;

/// A case, by the name of the cause that must be the first one found.
type Provoked = (&'static str, fn(&Stage) -> Try);

fn provoked() -> impl Iterator<Item = &'static Provoked> {
    [sending::TRIES, signing::TRIES, claims::TRIES].into_iter().flatten()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_is_found_first_where_it_is_the_cause() {
    let stage = Stage::new().await;
    let mut wrong = Vec::new();
    for (name, make) in provoked() {
        let examined = make(&stage).examine(&stage).await;
        let found: Vec<&str> = examined.causes.iter().map(|likely| likely.entry.name).collect();
        if found.first() != Some(name) {
            let refused = examined.explanation.refused.as_ref().map(|refused| refused.code);
            wrong.push(format!("{name}: {found:?}, refused {refused:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_good_twin_of_each_passes_and_has_no_cause() {
    let stage = Stage::new().await;
    let mut wrong = Vec::new();
    let mut twins = 0;
    for (name, make) in provoked() {
        let Some(twin) = make(&stage).into_twin(&stage) else {
            continue;
        };
        twins += 1;
        let examined = twin.examine(&stage).await;
        let found: Vec<&str> = examined.causes.iter().map(|likely| likely.entry.name).collect();
        if !examined.explanation.allowed() || !found.is_empty() {
            wrong.push(format!("{name}: {found:?} {:?}", examined.explanation.refused));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The others differ in an issuer whose keys only its provider has.
    assert!(twins >= 45, "{twins}");
}

#[test]
fn all_of_them_are_provoked_once() {
    let known: BTreeSet<&str> = entries().map(|entry| entry.name).collect();
    let provoked: Vec<&str> = provoked().map(|(name, _)| *name).collect();
    let names: BTreeSet<&str> = provoked.iter().copied().collect();
    assert_eq!(
        known.difference(&names).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "not provoked"
    );
    assert_eq!(
        names.difference(&known).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "no such cause"
    );
    assert!(known.len() >= 40, "{}", known.len());
    assert_eq!(known.len(), entries().count(), "names are unique");
}

#[test]
fn every_entry_says_what_happened_and_what_to_do() {
    for entry in entries() {
        assert!(entry.name.starts_with("cause."), "{}", entry.name);
        for text in [entry.cause, entry.fix] {
            assert!(
                text.len() > 20 && text.ends_with(['.', '?', ')']),
                "{}: {text}",
                entry.name
            );
        }
        assert!(!entry.title.ends_with('.'), "{}", entry.name);
    }
}

#[test]
fn the_manual_lists_all_of_them() {
    let manual = include_str!("../../../../../../docs/causes.md");
    assert_eq!(manual, super::markdown(), "run `cargo xtask docs`");
}
