//! Replicas under load, tokens that expire all the time, and a Redis that is restarted in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Fleet;

/// How long the long form takes, in seconds, and with how many sessions; `cargo xtask soak` sets both.
const SECONDS: &str = "PORTCULLIS_SOAK_SECONDS";
const SESSIONS: &str = "PORTCULLIS_SOAK_SESSIONS";
const LIFETIME: i64 = 5;
const MARGIN: i64 = 2;
/// What a session waits between two calls.
const PAUSE: Duration = Duration::from_millis(150);

fn set(name: &str, short: u64) -> u64 {
    std::env::var(name).map_or(short, |value| value.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_no_session_is_lost_and_no_refresh_token_used_twice() {
    let (seconds, sessions) = (set(SECONDS, 14), set(SESSIONS, 12));
    let mut fleet = Fleet::start(2, LIFETIME, MARGIN).await;
    let mut cookies = Vec::new();
    for _ in 0..sessions {
        cookies.push(fleet.sign_in().await);
    }
    let addresses: Vec<_> = fleet.replicas.iter().map(|replica| replica.address).collect();
    let (origin, host) = (fleet.origin.clone(), fleet.host().to_owned());
    let (stop, away) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let tasks: Vec<_> = cookies
        .iter()
        .cloned()
        .enumerate()
        .map(|(number, cookie)| {
            let (addresses, origin, host) = (addresses.clone(), origin.clone(), host.clone());
            let (stop, away) = (Arc::clone(&stop), Arc::clone(&away));
            tokio::spawn(async move {
                let mut calls = 0_usize;
                while !stop.load(Ordering::Relaxed) {
                    let address = addresses[(number + calls) % addresses.len()];
                    let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1"), ("Origin", &origin)];
                    let path = format!("/api/page/{number}");
                    let reply = super::raw::exchange(address, "GET", &path, &host, &headers, "").await;
                    match reply.status {
                        200 => calls += 1,
                        // While Redis is away.
                        503 => {
                            away.fetch_add(1, Ordering::Relaxed);
                        }
                        other => panic!("session {number} after {calls} calls: {other} {reply:?}"),
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                calls
            })
        })
        .collect();
    let half = Duration::from_secs(seconds / 2);
    tokio::time::sleep(half).await;
    // Until somebody was turned away, so that it is known to have been noticed.
    fleet.redis.kill();
    let noticed = async {
        while away.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(super::STEP).await
        }
    };
    tokio::time::timeout(Duration::from_secs(10), noticed).await.ok();
    fleet.redis.resume();
    tokio::time::sleep(half).await;
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for task in tasks {
        calls += task.await.expect("no session is lost");
    }
    // A last call of each, so that no token was fetched and never used.
    for (number, cookie) in cookies.iter().enumerate() {
        let reply = fleet
            .at(addresses[0], "GET", &format!("/api/page/{number}"), cookie)
            .await;
        assert_eq!(reply.status, 200, "session {number}");
    }

    let counts = fleet.idp.control().token_counts();
    let told: u64 = fleet
        .replicas
        .iter()
        .map(|replica| replica.audit.metrics().events("token_refreshed"))
        .sum();
    // How often a session had to have another token, as the API saw it.
    let expiries: u64 = fleet.upstream.credentials().iter().map(|count| *count as u64 - 1).sum();
    println!(
        "{sessions} sessions, {calls} calls in {} s, {} answered 503; {} refreshes, {expiries} expiries, {} reuses",
        begun.elapsed().as_secs(),
        away.load(Ordering::Relaxed),
        counts.refreshes,
        counts.reuses,
    );
    assert_eq!(counts.reuses, 0);
    assert_eq!(counts.refreshes, told);
    // One refresh for each expiry: none of a token that was not due (whole seconds, of two clocks' readings) ...
    assert!(counts.quickest_rotation >= Some(LIFETIME - MARGIN - 1), "{counts:?}");
    // ... and none for nothing. The API does not see the token of a call that was turned away while Redis was: it may be
    // over before the session's next call. Where nobody was turned away, the counts are equal.
    let unseen = counts.refreshes.checked_sub(expiries);
    let turned_away = away.load(Ordering::Relaxed).min(sessions);
    assert!(
        unseen.is_some_and(|unseen| unseen <= turned_away),
        "{counts:?}, {expiries} expiries, {turned_away} turned away"
    );
    let rounds = u64::try_from(LIFETIME).unwrap();
    assert!(
        counts.refreshes >= sessions * (seconds / rounds).saturating_sub(1),
        "{counts:?}"
    );
}
