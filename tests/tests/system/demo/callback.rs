//! What may come back from a login, and what must not make a session.

use portcullis_idp::{Behaviour, Endpoint, FailNext, TokenError};

use super::{Browser, World};

async fn refused(world: &World, browser: &mut Browser, url: &str, status: u16, code: &str) {
    let answer = browser.navigate(url).await;
    assert_eq!(
        (answer.status.as_u16(), world.last_code().as_str()),
        (status, code),
        "{}",
        answer.body
    );
    assert!(browser.session_cookie().is_none(), "{code}");
    assert!(answer.location().is_none(), "no new login starts by itself");
}

#[tokio::test]
async fn an_answer_counts_once_and_for_its_own_login_alone() {
    let world = World::start().await;
    let (mut alice, mut mallory) = (Browser::new(), Browser::new());
    let callback = alice.until_callback(&world, "alice").await;
    // Mallory's browser has no such login; nor does alice's know mallory's.
    refused(&world, &mut mallory, callback.as_str(), 400, "login.attempt_expired").await;
    let foreign = callback.as_str().replace("state=", "state=x");
    refused(&world, &mut alice, &foreign, 400, "login.attempt_expired").await;
    let twice = format!("{callback}&state=x");
    refused(&world, &mut alice, &twice, 400, "login.duplicate_parameter").await;
    let script = world.app("/bff/callback?error=access_denied&error_description=%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    let answer = alice.navigate(&script).await;
    assert_eq!(answer.status, 400);
    assert!(!answer.body.contains("<script>"));

    assert_eq!(alice.navigate(callback.as_str()).await.status, 303);
    assert!(alice.session_cookie().is_some());
    // Signed in by now, the same answer again just leads to the same place.
    let again = alice.navigate(callback.as_str()).await;
    assert_eq!(
        (again.status.as_u16(), again.location().unwrap().path()),
        (303, "/after")
    );
}

#[tokio::test]
async fn two_tabs_can_sign_in_at_once() {
    let world = World::start().await;
    let mut alice = Browser::new();
    let first = alice.until_callback(&world, "alice").await;
    // The provider knows alice now: the second login goes through without a page.
    let mut answer = alice.navigate(&world.app("/bff/login?return_to=/other")).await;
    while answer.location().unwrap().path() != "/bff/callback" {
        answer = alice.navigate(answer.location().unwrap().as_str()).await;
    }
    let second = answer.location().unwrap();
    assert_eq!(
        alice.navigate(second.as_str()).await.location().unwrap().path(),
        "/other"
    );
    assert_eq!(
        alice.navigate(first.as_str()).await.location().unwrap().path(),
        "/after"
    );
    assert_eq!(alice.user(&world).await.status, 200);
    // Pending logins are at most eight.
    for _ in 0..20 {
        alice.navigate(&world.app("/bff/login")).await;
    }
    let pending = alice
        .cookies
        .keys()
        .filter(|(name, _)| name.starts_with("portcullis-shop-login-"))
        .count();
    assert_eq!(pending, 8);
}

#[tokio::test]
async fn a_login_takes_ten_minutes_at_most() {
    let world = World::start().await;
    let mut alice = Browser::new();
    let callback = alice.until_callback(&world, "alice").await;
    world.clock.advance(601);
    refused(&world, &mut alice, callback.as_str(), 400, "login.attempt_expired").await;
}

#[tokio::test]
async fn a_provider_that_misbehaves_makes_no_session() {
    let world = World::start().await;
    let control = world.demo.idp().control().clone();
    let with = |change: &dyn Fn(&mut Behaviour)| {
        let mut behaviour = Behaviour::default();
        change(&mut behaviour);
        behaviour
    };
    let cases: [(&str, Behaviour, u16); 8] = [
        ("login.nonce_mismatch", with(&|b| b.wrong_nonce = true), 400),
        ("login.nonce_mismatch", with(&|b| b.omit_nonce = true), 400),
        ("login.issuer_mismatch", with(&|b| b.wrong_iss_parameter = true), 400),
        ("login.issuer_missing", with(&|b| b.omit_iss_parameter = true), 400),
        (
            "login.id_token_invalid",
            with(&|b| b.id_token_wrong_audience = true),
            400,
        ),
        ("login.id_token_invalid", with(&|b| b.omit_id_token = true), 400),
        ("login.id_token_invalid", with(&|b| b.wrong_at_hash = true), 400),
        ("login.userinfo_mismatch", with(&|b| b.userinfo_wrong_sub = true), 400),
    ];
    for (code, behaviour, _) in cases {
        control.set_behaviour(behaviour);
        let mut alice = Browser::new();
        let callback = alice.until_callback(&world, "alice").await;
        let answer = alice.navigate(callback.as_str()).await;
        assert!(answer.status.as_u16() >= 400, "{code}");
        assert_eq!(world.last_code(), code);
        assert!(
            alice.session_cookie().is_none() && answer.location().is_none(),
            "{code}"
        );
    }
    let failing = Behaviour {
        fail_next: vec![FailNext {
            endpoint: Endpoint::Token,
            status: 503,
            times: 1,
        }],
        ..Behaviour::default()
    };
    let denying = Behaviour {
        token_error: Some(TokenError {
            status: 400,
            error: "invalid_grant".into(),
            description: None,
        }),
        ..Behaviour::default()
    };
    for (code, behaviour) in [("provider.bad_answer", failing), ("login.code_rejected", denying)] {
        control.set_behaviour(behaviour);
        let mut alice = Browser::new();
        let callback = alice.until_callback(&world, "alice").await;
        let answer = alice.navigate(callback.as_str()).await;
        assert!(answer.status.as_u16() >= 400 && alice.session_cookie().is_none());
        assert_eq!(world.last_code(), code);
    }
    control.set_behaviour(Behaviour::default());
    Browser::new().login(&world, "alice").await;
}
