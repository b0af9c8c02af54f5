//! Attacks on the verification of tokens, as they are written down in `tests/data`, against the library and against
//! a gateway that runs.

mod build;
mod edits;
mod entry;
mod fill;
mod gateway;
mod hostile_issuer;
mod judge;
mod keys;
mod library;
mod mutate;
mod number;
mod rules_page;
mod servers;
mod sign;

use std::sync::atomic::Ordering;

use gateway::Gateway;
use judge::World as _;
use library::Library;

/// The first fetch of a key set, and the few that unknown names of keys may cause at once.
const FETCHES: usize = 4;

#[tokio::test]
async fn every_attack_on_the_library_is_refused_as_it_should_and_its_twin_passes() {
    let entries = entry::entries();
    let library = Library::start().await;
    let run = judge::run(&library, &entries).await;
    judge::assert_no_oracle(&run.refusals);
    let records: Vec<String> = run
        .refusals
        .iter()
        .flat_map(|(_, reply)| reply.records(library.audit()))
        .map(|record| record.json())
        .collect();
    judge::assert_log_is_clean(&records.join("\n"), &run.tokens);
    assert_eq!(library.providers.strange.load(Ordering::SeqCst), 0);
    for fetches in &library.providers.key_sets {
        // Two guards have providers of their own.
        assert!(fetches.load(Ordering::SeqCst) <= 2 * FETCHES, "{fetches:?}");
    }
}

#[tokio::test]
async fn every_attack_on_a_gateway_is_refused_as_it_should_and_its_twin_passes() {
    let entries = entry::entries();
    let gateway = Gateway::start().await;
    let run = judge::run(&gateway, &entries).await;
    judge::assert_no_oracle(&run.refusals);
    judge::assert_log_is_clean(&gateway.logged(), &run.tokens);
    assert_eq!(
        gateway.listener.load(Ordering::SeqCst),
        0,
        "a token made the gateway ask somebody"
    );
    assert_eq!(gateway.issuers.strange.load(Ordering::SeqCst), 0);
    for fetches in &*gateway.issuers.key_sets {
        // Two providers of one issuer ask each for themselves.
        assert!(fetches.load(Ordering::SeqCst) <= 2 * FETCHES, "{fetches:?}");
    }
}
