//! Sessions without a store: the browser carries them.

use portcullis_store::contract::servers::until;

use super::raw::{self, Reply};
use super::scripted::Scripted;
use super::{Gate, stores};
use crate::demo::{Answer, Browser};

const STORE: &str = "url = \"cookie\"\nkeys = [{ file = \"seal.key\" }]";

async fn ask(gate: &Gate, method: &str, path: &str, cookies: &str) -> Reply {
    let headers = [("Cookie", cookies), ("X-CSRF", "1"), ("Origin", &gate.origin)];
    raw::exchange(gate.address, method, path, gate.host(), &headers, "").await
}

#[tokio::test]
async fn the_browser_carries_its_session_and_can_read_none_of_it() {
    let with_profile = |text: String, _: &std::path::Path| {
        let text = text.replace(r#"url = "sqlite:sessions.db""#, STORE);
        text.replace(r#"scopes = ["openid", "#, r#"scopes = ["openid", "profile", "#)
    };
    let gate = Gate::start_with(None, with_profile).await;
    let mut browser = gate.sign_in().await;
    let carried = gate.cookies(&browser);
    assert!(
        carried.contains("portcullis-shop.1="),
        "several cookies: {}",
        carried.len()
    );
    let ours = browser
        .set_cookies
        .iter()
        .filter(|line| line.starts_with("portcullis-shop"));
    for line in ours {
        assert!(line.len() <= 4_096, "{}", line.len());
        assert!(line.contains("; HttpOnly") && line.contains("; SameSite=Lax"), "{line}");
    }
    for secret in gate.idp.control().issued_secrets() {
        assert!(!carried.contains(&secret));
    }
    assert_eq!(
        gate.fetch(&mut browser, "/bff/user").await.json()["claims"]["sub"],
        "alice"
    );
    let reply = ask(&gate, "GET", "/api/page", &carried).await;
    assert_eq!(
        (reply.status, reply.all("set-cookie").len()),
        (200, 0),
        "nothing has changed"
    );
    let seen = gate.upstream.last();
    assert_eq!(seen.all("cookie"), Vec::<&str>::new(), "no part of it gets to the API");
    assert!(seen.all("authorization")[0].starts_with("Bearer "));

    // Changed, cut off, or with a piece twice: worth nothing.
    let last = carried.chars().last().unwrap();
    let other = if last == 'A' { 'B' } else { 'A' };
    let changed = format!("{}{other}", &carried[..carried.len() - 1]);
    let half = carried.split("; ").next().unwrap();
    for bad in [changed.as_str(), half, &format!("{carried}; portcullis-shop.1=planted")] {
        let reply = ask(&gate, "GET", "/api/page", bad).await;
        assert_eq!(reply.problem(), (401, "session.invalid".into()), "{bad}");
        assert!(reply.all("set-cookie").is_empty());
    }
}

/// A gateway and its provider, whose ID tokens are as large as the test wants.
async fn of_any_size() -> (Gate, Scripted) {
    let mut gate = Gate::start_on(STORE).await;
    let provider = Scripted::before(&mut gate, serde_json::json!({})).await;
    (gate, provider)
}

/// The session's cookies that an answer sets, and those that it takes away.
fn set_and_taken(answer: &Answer) -> (Vec<String>, Vec<String>) {
    let lines = answer.headers.get_all("set-cookie").iter();
    let lines = lines.map(|line| line.to_str().unwrap());
    let named = lines.filter_map(|line| Some((line.split_once('=')?.0.to_owned(), line.contains("; Max-Age=0"))));
    let ours = named.filter(|(name, _)| name == "portcullis-shop" || name.starts_with("portcullis-shop."));
    let (taken, set): (Vec<_>, Vec<_>) = ours.partition(|(_, taken)| *taken);
    let names = |cookies: Vec<(String, bool)>| cookies.into_iter().map(|(name, _)| name).collect();
    (names(set), names(taken))
}

const PARTS: [&str; 5] = [
    "portcullis-shop",
    "portcullis-shop.1",
    "portcullis-shop.2",
    "portcullis-shop.3",
    "portcullis-shop.4",
];

#[tokio::test]
async fn what_a_larger_session_left_goes_with_the_next_login_and_with_a_logout() {
    let (gate, provider) = of_any_size().await;
    let mut browser = Browser::new();
    provider.says("about", "x".repeat(3_000).into());
    let answer = provider.sign_in(&gate, &mut browser, "/bff/login").await;
    let (set, taken) = set_and_taken(&answer);
    assert_eq!(
        (set.as_slice(), taken.as_slice()),
        (&PARTS.map(str::to_owned)[..4], &PARTS.map(str::to_owned)[4..])
    );
    let large = gate.cookies(&browser);
    assert_eq!(ask(&gate, "GET", "/api/page", &large).await.status, 200);

    provider.says("about", "x".into());
    let answer = provider.sign_in(&gate, &mut browser, "/bff/login").await;
    let (set, taken) = set_and_taken(&answer);
    assert_eq!(
        (set.as_slice(), taken.as_slice()),
        (&PARTS.map(str::to_owned)[..1], &PARTS.map(str::to_owned)[1..])
    );
    let small = gate.cookies(&browser);
    assert_eq!(small.split("; ").count(), 1);
    assert_eq!(ask(&gate, "GET", "/api/page", &small).await.status, 200);
    // A part of the old one that a browser kept all the same does no harm; all of it is no session any more.
    let left = large.split("; ").last().unwrap();
    assert_eq!(
        ask(&gate, "GET", "/api/page", &format!("{small}; {left}")).await.status,
        200
    );
    assert_eq!(
        ask(&gate, "GET", "/api/page", &large).await.problem(),
        (401, "session.expired".into())
    );

    provider.says("about", "x".repeat(3_000).into());
    provider.sign_in(&gate, &mut browser, "/bff/login").await;
    assert_eq!(gate.cookies(&browser).split("; ").count(), 4);
    let user = gate.fetch(&mut browser, "/bff/user").await.json();
    let logout = format!("{}{}", gate.origin, user["logout_url"].as_str().unwrap());
    let answer = gate.visit(&mut browser, &logout).await;
    assert_eq!(set_and_taken(&answer), (Vec::new(), PARTS.map(str::to_owned).to_vec()));
    assert_eq!(gate.cookies(&browser), "");
}

#[tokio::test]
async fn a_session_that_is_too_large_for_cookies_is_no_login_and_ends_none() {
    let (gate, provider) = of_any_size().await;
    let mut browser = Browser::new();
    provider.sign_in(&gate, &mut browser, "/bff/login").await;
    let before = gate.cookies(&browser);
    provider.says("about", "x".repeat(7_000).into());
    let answer = provider
        .sign_in(&gate, &mut browser, "/bff/login?return_to=/app/x")
        .await;
    assert_eq!(
        (answer.status.as_u16(), gate.last_code().as_str()),
        (503, "login.not_stored")
    );
    assert!(gate.logged().contains("store.too_large"), "the operator is told why");
    assert_eq!(set_and_taken(&answer), (Vec::new(), Vec::new()));
    assert_eq!(gate.cookies(&browser), before);
    assert_eq!(ask(&gate, "GET", "/api/page", &before).await.status, 200);
    provider.says("about", "x".into());
    let answer = provider
        .sign_in(&gate, &mut browser, "/bff/login?return_to=/app/x")
        .await;
    assert_eq!(answer.status, 303);
    assert_ne!(gate.cookies(&browser), before);
}

#[tokio::test]
async fn what_is_refreshed_goes_back_to_the_browser() {
    let mut gate = Gate::start_on(STORE).await;
    let mut browser = gate.sign_in().await;
    let old = gate.cookies(&browser);
    gate.clock.advance(250);
    assert_eq!(gate.fetch(&mut browser, "/api/page").await.status, 200);
    let counts = || gate.idp.control().token_counts();
    assert_eq!((counts().refreshes, counts().reuses), (1, 0));
    let new = gate.cookies(&browser);
    assert_ne!(old, new);
    // Another tab, which still sends the old ones, is served with the new token.
    let reply = ask(&gate, "GET", "/api/page", &old).await;
    assert_eq!((reply.status, counts().refreshes), (200, 1));
    assert!(!reply.all("set-cookie").is_empty(), "and gets the new cookies too");

    // Nothing but the cookies and the key is needed: not after a restart, not at another replica.
    gate.restart().await;
    assert_eq!(ask(&gate, "GET", "/api/page", &new).await.status, 200);
    let replica = gate.replica().await;
    let headers = [("Cookie", new.as_str()), ("X-CSRF", "1"), ("Origin", &gate.origin)];
    assert_eq!(
        raw::exchange(replica, "GET", "/api/page", gate.host(), &headers, "")
            .await
            .status,
        200
    );
    let counts = gate.idp.control().token_counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));

    // On demand.
    gate.clock.advance(10);
    let reply = ask(&gate, "POST", "/bff/refresh", &new).await;
    assert_eq!((reply.status, &reply.json()["refreshed"]), (200, &true.into()));
    assert!(!reply.all("set-cookie").is_empty());
}

#[tokio::test]
async fn what_is_refreshed_goes_back_with_a_refusal_too() {
    let mut gate = Gate::start_on(STORE).await;
    let mut browser = gate.sign_in().await;
    // An upstream that is away, a policy that says no, and both once more with what they gave.
    for (path, status) in [
        ("/api/closed", 502),
        ("/api/orders/report", 403),
        ("/api/closed", 502),
        ("/api/page", 200),
    ] {
        let before = gate.cookies(&browser);
        gate.clock.advance(250);
        assert_eq!(gate.fetch(&mut browser, path).await.status, status, "{path}");
        assert_ne!(gate.cookies(&browser), before, "{path}");
        // What the process knows is gone; the browser's cookies have the newest refresh token.
        gate.restart().await;
    }
    let counts = gate.idp.control().token_counts();
    assert_eq!((counts.refreshes, counts.reuses), (4, 0));
}

#[tokio::test]
async fn both_limits_are_kept_by_the_server() {
    let mut gate = Gate::start_on(STORE).await;
    let mut browser = gate.sign_in().await;
    let first = gate.cookies(&browser);
    gate.clock.advance(1_000);
    assert_eq!(gate.fetch(&mut browser, "/bff/user").await.status, 200);
    let slid = gate.cookies(&browser);
    assert_ne!(first, slid, "the limit was moved on");
    gate.clock.advance(1_000);
    assert_eq!(gate.fetch(&mut browser, "/bff/user").await.status, 200);
    // What nobody used for half an hour is over, though the cookies are there; also after a restart.
    gate.restart().await;
    assert_eq!(
        ask(&gate, "GET", "/bff/user", &first).await.problem(),
        (401, "session.expired".into())
    );
    for _ in 0..27 {
        gate.clock.advance(1_500);
        assert_eq!(gate.fetch(&mut browser, "/bff/user").await.status, 200);
    }
    gate.clock.advance(1_500);
    let answer = gate.fetch(&mut browser, "/bff/user").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["code"].as_str()),
        (401, Some("session.expired")),
        "12 hours"
    );
}

#[tokio::test]
async fn a_logout_is_remembered_by_the_process_and_what_needs_a_store_is_refused() {
    let gate = Gate::start_on(STORE).await;
    let mut browser = gate.sign_in().await;
    let carried = gate.cookies(&browser);
    for (method, path) in [("GET", "/bff/sessions"), ("DELETE", "/bff/sessions/all")] {
        let reply = ask(&gate, method, path, &carried).await;
        assert_eq!(reply.problem(), (501, "session.not_kept".into()), "{path}");
    }
    let claims = serde_json::json!({
        "iss": gate.idp.issuer(), "aud": "web", "iat": gate.now(), "exp": gate.now() + 120, "jti": "j",
        "sub": "alice", "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let body = format!(
        "logout_token={}",
        gate.idp.control().sign("logout+jwt", &claims).unwrap()
    );
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let path = "/bff/backchannel-logout";
    let reply = raw::exchange(gate.address, "POST", path, gate.host(), &form, &body).await;
    assert_eq!((reply.status, gate.last_code().as_str()), (400, "session.not_kept"));
    // The provider's frame that names nobody is a page like everywhere; one that does is told.
    let frame = "/bff/frontchannel-logout";
    assert_eq!(gate.call("GET", frame, &[]).await.status, 200);
    let issuer: String = url::form_urlencoded::byte_serialize(gate.idp.issuer().as_bytes()).collect();
    let named = gate.call("GET", &format!("{frame}?iss={issuer}&sid=s"), &[]).await;
    assert_eq!((named.status, gate.last_code().as_str()), (501, "session.not_kept"));
    assert_eq!(ask(&gate, "GET", "/bff/user", &carried).await.status, 200, "it goes on");

    let user = gate.fetch(&mut browser, "/bff/user").await.json();
    let logout = format!("{}{}", gate.origin, user["logout_url"].as_str().unwrap());
    let everywhere = gate.visit(&mut browser, &format!("{logout}&everywhere=true")).await;
    assert_eq!(everywhere.status, 501);
    assert_eq!(gate.visit(&mut browser, &logout).await.status, 303);
    assert_eq!(gate.cookies(&browser), "");
    assert_eq!(
        ask(&gate, "GET", "/bff/user", &carried).await.problem(),
        (401, "session.expired".into())
    );
    gate.sign_in().await;
}

#[tokio::test]
async fn without_its_key_a_session_is_over() {
    let mut gate = Gate::start_on(STORE).await;
    let browser = gate.sign_in().await;
    let carried = gate.cookies(&browser);
    stores::write_key(gate.dir.path(), &[stores::NEWER, stores::KEY]);
    gate.restart().await;
    let reply = ask(&gate, "GET", "/bff/user", &carried).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.all("set-cookie").is_empty(), "sealed anew");
    stores::write_key(gate.dir.path(), &[stores::NEWER]);
    gate.restart().await;
    assert_eq!(
        ask(&gate, "GET", "/bff/user", &carried).await.problem(),
        (401, "session.invalid".into())
    );
    gate.sign_in().await;
}

/// What lies open in memory goes with its key, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_an_open_session_is_over_at_once() {
    let gate = Gate::start_on(STORE).await;
    let carried = gate.cookies(&gate.sign_in().await);
    let status = async || ask(&gate, "GET", "/bff/user", &carried).await.status;
    assert_eq!(status().await, 200);
    let loaded = || gate.audit.metrics().events("sealing_keys_loaded");
    stores::write_key(gate.dir.path(), &[stores::NEWER, stores::KEY]);
    until(async || loaded() == 1).await;
    assert_eq!(status().await, 200, "the old key opens still");
    stores::write_key(gate.dir.path(), &[stores::NEWER]);
    until(async || loaded() == 2).await;
    assert_eq!(
        ask(&gate, "GET", "/bff/user", &carried).await.problem(),
        (401, "session.invalid".into())
    );
}
