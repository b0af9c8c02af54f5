//! A login whose userinfo endpoint does not answer as it should.

use std::sync::Arc;

use http::Method;
use portcullis::demo::{Demo, DemoArgs};
use portcullis_audit::{Audit, AuditSettings};
use portcullis_idp::{Behaviour, Endpoint, FailNext};
use portcullis_jose::{Clock, SystemClock};

use crate::interop::Browser;

/// Whether a login succeeds when userinfo answers with this status.
async fn login_succeeds(status: u16) -> bool {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let audit = Audit::new(AuditSettings::in_memory(), clock.clone());
    let mut args = DemoArgs::default();
    args.port = Some(0);
    let demo = Demo::start_with(&args, audit.clone(), clock).await.unwrap();
    demo.idp().control().set_behaviour(Behaviour {
        fail_next: vec![FailNext {
            endpoint: Endpoint::Userinfo,
            status,
            times: 1,
        }],
        ..Behaviour::default()
    });
    let app = demo.json()["app"].as_str().unwrap().to_owned();

    let mut browser = Browser::new();
    let form = browser.go(&format!("{app}/bff/login"), "nowhere").await;
    let sent = browser
        .submit(&form, &[("username", "alice"), ("password", "alice-demo")])
        .await;
    let end = browser.go(sent.location.expect("signed in").as_str(), "nowhere").await;
    let (user, who) = browser.fetch(Method::GET, &format!("{app}/bff/user")).await;
    let events: Vec<String> = audit.recent(0).iter().map(|record| record.json()).collect();
    let named = |name: &str| {
        events
            .iter()
            .any(|event| event.contains(&format!("\"event\":\"{name}\"")))
    };
    let asked = demo.idp().control().request_log();
    let asked = asked
        .iter()
        .find(|entry| entry.path == "/userinfo")
        .expect("userinfo is asked");
    assert_eq!(asked.status, status);

    let succeeded = user == 200;
    assert_eq!(end.status.is_success(), succeeded, "{}", end.body);
    assert_eq!(
        (named("login_succeeded"), named("login_failed")),
        (succeeded, !succeeded),
        "{events:#?}"
    );
    if succeeded {
        assert!(who["claims"]["sub"].is_string(), "{who}");
    }
    demo.stop().await;
    succeeded
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_userinfo_does_not_take_does_not_end_the_login() {
    // RFC 6750 s3.1: what a provider says whose access tokens are for an API.
    assert!(login_succeeds(401).await);
    assert!(login_succeeds(403).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_userinfo_endpoint_that_fails_does() {
    assert!(!login_succeeds(500).await);
    assert!(!login_succeeds(404).await);
}
