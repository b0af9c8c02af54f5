//! Access tokens are renewed ahead of their end, once, and nobody is signed out by an accident.

use portcullis_idp::{Behaviour, Defect, Endpoint, FailNext, Mint, RotateHow};

use super::{Browser, World};

const REFRESH: Option<&str> = Some("refresh_token");

async fn calls_at_once(world: &World, browser: &Browser, count: usize) -> Vec<u16> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let (mut tab, url, cookie) = (
                browser.another(),
                world.app("/api/orders"),
                format!("portcullis-shop={}", browser.session_cookie().unwrap()),
            );
            tokio::spawn(async move {
                let headers = [("cookie", cookie.as_str()), ("x-csrf", "1")];
                tab.send("GET", &url, &headers, String::new()).await.status.as_u16()
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }
    statuses
}

#[tokio::test]
async fn fifty_calls_at_once_cause_one_refresh() {
    let world = World::start().await;
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    assert_eq!(calls_at_once(&world, &alice, 5).await, [200; 5]);
    assert_eq!(world.asked("/token", REFRESH), 0);
    for round in 1..=3 {
        world.clock.advance(250);
        assert_eq!(
            calls_at_once(&world, &alice, 50).await,
            [200; 50],
            "{:?}",
            world.codes()
        );
        assert_eq!(world.asked("/token", REFRESH), round);
    }
    let counts = world.demo.idp().control().token_counts();
    assert_eq!(
        (counts.refreshes, counts.reuses),
        (3, 0),
        "each refresh token was used once"
    );
}

#[tokio::test]
async fn a_provider_that_is_down_signs_nobody_out() {
    let world = World::start().await;
    let control = world.demo.idp().control().clone();
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    control.set_behaviour(Behaviour {
        fail_next: vec![FailNext {
            endpoint: Endpoint::Token,
            status: 503,
            times: 1000,
        }],
        ..Behaviour::default()
    });
    world.clock.advance(250);
    let orders = world.app("/api/orders");
    assert_eq!(alice.fetch("GET", &orders, "").await.status, 200, "the old token lives");
    assert_eq!(world.last_code(), "refresh.unavailable");
    world.clock.advance(60);
    let answer = alice.fetch("GET", &orders, "").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"));
    assert!(alice.session_cookie().is_some(), "the cookie is kept");
    control.set_behaviour(Behaviour::default());
    world.clock.advance(6); // it was left alone for a moment
    assert_eq!(
        alice.fetch("GET", &orders, "").await.status,
        200,
        "and all is well again"
    );
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_is_a_clean_end() {
    let world = World::start().await;
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    assert_eq!(world.demo.idp().control().revoke_all_refresh(), 1);
    world.clock.advance(250);
    let answer = alice.fetch("GET", &world.app("/api/orders"), "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["code"].as_str()),
        (401, Some("refresh.rejected"))
    );
    assert_eq!(alice.user(&world).await.status, 401);
    alice.login(&world, "alice").await;
}

#[tokio::test]
async fn a_session_whose_token_is_worth_nothing_any_more_is_over() {
    for (how, code) in [
        (RotateHow::DropOld, "keys.unknown_kid"),
        (RotateHow::SameName, "token.signature_invalid"),
    ] {
        worth_nothing_any_more(how, code).await;
    }
}

async fn worth_nothing_any_more(how: RotateHow, code: &str) {
    let world = World::start().await;
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    // Keys that are fetched now are newer than the session's token.
    world.clock.advance(90);
    world.demo.idp().control().rotate_keys(how).unwrap();
    // The gateway meets a token of the new key, looks for it, and finds the old one gone.
    let order = Mint {
        user: Some("alice".into()),
        ..Mint::default()
    };
    let bearer = format!("Bearer {}", world.demo.idp().control().mint(&order).unwrap());
    let orders = world.app("/api/orders");
    let fresh = Browser::new()
        .send("GET", &orders, &[("authorization", &bearer)], String::new())
        .await;
    assert_eq!(fresh.status, 200);
    let answer = alice.fetch("GET", &orders, "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["login_url"].as_str()),
        (401, Some("/bff/login"))
    );
    assert_eq!(world.last_code(), code);
    alice.login(&world, "alice").await;
    assert_eq!(alice.fetch("GET", &orders, "").await.status, 200);
}

#[tokio::test]
async fn somebody_elses_made_up_kid_costs_nobody_a_session() {
    let world = World::start().await;
    let control = world.demo.idp().control().clone();
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    let orders = world.app("/api/orders");
    world.clock.advance(250);
    // Nothing is fetched for any `kid` for 30 s from here on.
    let made_up = Mint {
        defect: Some(Defect::UnknownKid),
        ..Mint::default()
    };
    let bearer = format!("Bearer {}", control.mint(&made_up).unwrap());
    let refused = Browser::new()
        .send("GET", &orders, &[("authorization", &bearer)], String::new())
        .await;
    assert_eq!(
        (refused.status.as_u16(), world.last_code().as_str()),
        (401, "keys.unknown_kid")
    );
    // Now the session's token is renewed, with a key that the gateway has not seen.
    control.rotate_keys(RotateHow::Overlap).unwrap();
    control.set_behaviour(Behaviour {
        omit_id_token: true,
        ..Behaviour::default()
    });
    let answer = alice.fetch("GET", &orders, "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["code"].as_str()),
        (503, Some("keys.unavailable"))
    );
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(world.asked("/token", REFRESH), 1);
    assert!(alice.session_cookie().is_some(), "the cookie is kept");
    world.clock.advance(31);
    assert_eq!(
        alice.fetch("GET", &orders, "").await.status,
        200,
        "and so is the session"
    );
    assert_eq!(world.asked("/token", REFRESH), 1);
}

#[tokio::test]
async fn a_token_for_another_api_is_refused_and_costs_nobody_a_session() {
    let world = World::start().await;
    world.demo.idp().control().set_behaviour(Behaviour {
        access_token_defect: Some(Defect::WrongAudience),
        ..Behaviour::default()
    });
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    let answer = alice.fetch("GET", &world.app("/api/orders"), "").await;
    assert_eq!(
        (answer.status.as_u16(), world.last_code().as_str()),
        (401, "token.audience_mismatch")
    );
    assert!(alice.session_cookie().is_some());
    assert_eq!(alice.user(&world).await.status, 200);
}

#[tokio::test]
async fn a_refreshed_id_token_of_somebody_else_ends_the_session() {
    let world = World::start().await;
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    world.demo.idp().control().set_behaviour(Behaviour {
        refresh_wrong_sub: true,
        ..Behaviour::default()
    });
    world.clock.advance(250);
    let answer = alice.fetch("GET", &world.app("/api/orders"), "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["code"].as_str()),
        (401, Some("refresh.rejected"))
    );
    let control = world.demo.idp().control();
    control.set_behaviour(Behaviour::default());
    assert_eq!(alice.user(&world).await.status, 401);
    // What came with it is given back, in the background.
    let given_back = async {
        while control.token_counts().live_refresh_tokens > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), given_back)
        .await
        .expect("the refresh token of the answer is revoked");
}

#[tokio::test]
async fn keys_that_cannot_be_had_prove_nothing_against_a_session() {
    for how in [RotateHow::DropOld, RotateHow::SameName] {
        keys_that_cannot_be_had(how).await;
    }
}

async fn keys_that_cannot_be_had(how: RotateHow) {
    let world = World::start().await;
    let control = world.demo.idp().control().clone();
    let mut alice = Browser::new();
    alice.login(&world, "alice").await;
    let orders = world.app("/api/orders");
    assert_eq!(
        alice.fetch("GET", &orders, "").await.status,
        200,
        "gateway and API have the old keys"
    );
    control.rotate_keys(how).unwrap();
    control.set_behaviour(Behaviour {
        jwks_down: true,
        ..Behaviour::default()
    });
    world.clock.advance(250);
    assert_eq!(alice.fetch("GET", &orders, "").await.status, 200, "the old token lives");
    assert_eq!(world.last_code(), "refresh.unavailable");
    assert_eq!(world.asked("/token", REFRESH), 1);
    control.set_behaviour(Behaviour::default());
    world.clock.advance(31); // the keys are asked for again
    assert_eq!(alice.fetch("GET", &orders, "").await.status, 200);
    world.clock.advance(31); // and now the first token has expired
    assert_eq!(alice.fetch("GET", &orders, "").await.status, 200);
    assert_eq!(
        control.token_counts().reuses,
        0,
        "the refresh token of the first answer was kept"
    );
}
