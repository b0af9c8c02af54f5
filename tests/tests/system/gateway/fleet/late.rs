//! Answers that come late: from a provider that takes longer than a lease lasts, or to a store that was away for as long.
//! The old refresh token is not sent again, whoever asks meanwhile, and nobody is signed out.

use std::time::{Duration, Instant};

use portcullis_store::contract::servers::until;

use super::Fleet;
use super::killed::Victim;
use super::provider::Hold;

const LIFETIME: i64 = 8;
const MARGIN: i64 = 4;
/// Longer than a lease that nobody extends.
const LATE: Duration = Duration::from_secs(13);

/// Two replicas, and a session whose token is about to be renewed.
async fn fleet() -> (Fleet, String) {
    let fleet = Fleet::start(2, LIFETIME, MARGIN).await;
    let person = fleet.sign_in().await;
    let here = fleet.replicas[1].address;
    let left = async || {
        let reply = fleet.at(here, "GET", "/bff/session", &person).await;
        reply.json()["token_seconds_left"].as_i64().unwrap()
    };
    until(async || left().await < MARGIN).await;
    (fleet, person)
}

/// Calls both replicas; what they answer, which is never that the person has to sign in.
async fn calls(fleet: &Fleet, person: &str) -> [u16; 2] {
    let [one, two] = [0, 1].map(|replica: usize| fleet.replicas[replica].address);
    let (one, two) = tokio::join!(
        fleet.at(one, "GET", "/api/page", person),
        fleet.at(two, "GET", "/api/page", person)
    );
    for reply in [&one, &two] {
        assert!(matches!(reply.status, 200 | 503), "{reply:?}");
    }
    [one.status, two.status]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_takes_longer_than_a_lease_is_asked_once() {
    let (fleet, person) = fleet().await;
    fleet.relay.hold(Hold::Answer);
    let begun = Instant::now();
    calls(&fleet, &person).await;
    fleet.relay.until_held().await;
    while begun.elapsed() < LATE {
        calls(&fleet, &person).await;
    }
    let counts = fleet.idp.control().token_counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
    fleet.relay.hold(Hold::Nothing);
    until(async || calls(&fleet, &person).await == [200, 200]).await;
    assert_eq!(fleet.idp.control().token_counts().reuses, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_outlived_its_lease_while_the_store_was_away_is_stored() {
    let (mut fleet, person) = fleet().await;
    fleet.relay.hold(Hold::Answer);
    calls(&fleet, &person).await;
    fleet.relay.until_held().await;
    fleet.redis.kill();
    fleet.relay.hold(Hold::Nothing);
    let begun = Instant::now();
    while begun.elapsed() < LATE {
        calls(&fleet, &person).await;
    }
    fleet.redis.resume();
    until(async || calls(&fleet, &person).await == [200, 200]).await;
    assert_eq!(fleet.idp.control().token_counts().reuses, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_stop_stores_what_it_was_renewing() {
    let (fleet, person) = fleet().await;
    let mut victim = Victim::start(&fleet).await;
    fleet.relay.hold(Hold::Answer);
    tokio::select! {
        reply = fleet.at(victim.address, "GET", "/api/page", &person) => panic!("nothing held it: {reply:?}"),
        () = fleet.relay.until_held() => {}
    }
    // Whoever asked is gone, and nothing else is under way.
    victim.tell_to_stop();
    let refuses = async || tokio::net::TcpStream::connect(victim.address).await.is_err();
    until(refuses).await;
    // The provider takes its time; a program that does not wait for it would be gone.
    tokio::time::sleep(Duration::from_secs(3)).await;
    fleet.relay.hold(Hold::Nothing);
    let ended = tokio::task::spawn_blocking(move || victim.ends_well());
    let ended = tokio::time::timeout(super::START, ended).await;
    assert!(ended.expect("it ends").unwrap());
    assert_eq!(calls(&fleet, &person).await, [200, 200]);
    let counts = fleet.idp.control().token_counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
}
