//! What a person and their page can ask about sessions: how long, another token now, which there are, and their end.

use portcullis_idp::{Behaviour, Endpoint, FailNext, TokenError};

use super::Gate;
use super::raw::{self, Reply};

async fn ask(gate: &Gate, method: &str, path: &str, cookie: &str) -> Reply {
    let headers = [
        ("Cookie", cookie),
        ("X-CSRF", "1"),
        ("Origin", &gate.origin),
        ("User-Agent", "Test\u{e9}/1.0 (a browser)"),
    ];
    raw::exchange(gate.address, method, path, gate.host(), &headers, "").await
}

#[tokio::test]
async fn asking_how_long_it_lasts_makes_it_last_no_longer() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    for (elapsed, path) in [
        (0, "/bff/session"),
        (600, "/bff/user?slide=false"),
        (900, "/bff/session"),
    ] {
        gate.clock.advance(if elapsed == 0 { 0 } else { 300 + (elapsed - 600) });
        let passed = match elapsed {
            0 => 0,
            600 => 300,
            _ => 900,
        };
        let reply = ask(&gate, "GET", path, &cookie).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.json()["seconds_left"], 1_800 - passed, "{path}");
        assert_eq!(reply.json()["lifetime_left"], 43_200 - passed, "{path}");
    }
    let left = ask(&gate, "GET", "/bff/session", &cookie).await.json();
    assert_eq!(
        (&left["refreshable"], &left["token_seconds_left"]),
        (&true.into(), &0.into())
    );
    // Plain `/bff/user` does.
    let user = ask(&gate, "GET", "/bff/user", &cookie).await.json();
    assert_eq!(
        (&user["seconds_left"], &user["lifetime_left"]),
        (&1_800.into(), &42_300.into())
    );
    // Idle and over, whoever asks.
    gate.clock.advance(1_800);
    let reply = ask(&gate, "GET", "/bff/session", &cookie).await;
    assert_eq!(reply.problem(), (401, "session.expired".into()));
    assert_eq!(reply.header("set-cookie"), "");
}

#[tokio::test]
async fn a_session_that_is_used_all_the_time_ends_all_the_same() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    for _ in 0..28 {
        gate.clock.advance(1_500);
        assert_eq!(ask(&gate, "GET", "/bff/user", &cookie).await.status, 200);
    }
    gate.clock.advance(1_200);
    let reply = ask(&gate, "GET", "/bff/user", &cookie).await;
    assert_eq!(reply.problem(), (401, "session.expired".into()), "12 hours are over");
}

#[tokio::test]
async fn another_token_on_demand() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let refreshes = || gate.idp.control().token_counts().refreshes;
    // Not in a row: what was just fetched is new.
    let reply = ask(&gate, "POST", "/bff/refresh", &cookie).await;
    assert_eq!(
        (reply.status, &reply.json()["refreshed"], refreshes()),
        (200, &false.into(), 0)
    );
    gate.clock.advance(10);
    let reply = ask(&gate, "POST", "/bff/refresh", &cookie).await;
    assert_eq!(
        (reply.status, &reply.json()["refreshed"], refreshes()),
        (200, &true.into(), 1)
    );
    assert_eq!(reply.json()["token_seconds_left"], 300);
    assert_eq!(reply.header("cache-control"), "no-store");

    // Another site cannot ask, nor can a link.
    gate.clock.advance(10);
    let foreign = [
        ("Cookie", cookie.as_str()),
        ("Origin", "https://elsewhere.example"),
        ("X-CSRF", "1"),
    ];
    let reply = raw::exchange(gate.address, "POST", "/bff/refresh", gate.host(), &foreign, "").await;
    assert_eq!(reply.problem(), (403, "csrf.origin_mismatch".into()));
    assert_eq!(ask(&gate, "GET", "/bff/refresh", &cookie).await.status, 405);
    assert_eq!(refreshes(), 1);

    // A provider that is away costs nothing.
    gate.idp.control().set_behaviour(Behaviour {
        fail_next: vec![FailNext {
            endpoint: Endpoint::Token,
            status: 503,
            times: 1,
        }],
        ..Behaviour::default()
    });
    let reply = ask(&gate, "POST", "/bff/refresh", &cookie).await;
    assert_eq!((reply.status, &reply.json()["refreshed"]), (200, &false.into()));
    assert_eq!(ask(&gate, "GET", "/api/page", &cookie).await.status, 200);

    // One that refuses ends the session, and says so.
    gate.idp.control().revoke_all_refresh();
    gate.clock.advance(10);
    let reply = ask(&gate, "POST", "/bff/refresh", &cookie).await;
    assert_eq!(reply.problem(), (401, "refresh.rejected".into()));
    assert_eq!(reply.header("set-cookie"), "");
    assert_eq!(
        ask(&gate, "POST", "/bff/refresh", &cookie).await.problem(),
        (401, "session.expired".into())
    );
}

#[tokio::test]
async fn a_refresh_that_needs_the_person_is_a_new_login_and_another_refusal_is_none() {
    for (error, status, expected) in [
        ("interaction_required", 400, "refresh.rejected"),
        ("mfa_required", 403, "refresh.rejected"),
        ("access_denied", 403, "refresh.rejected"),
        ("invalid_scope", 400, "refresh.unavailable"),
        ("invalid_client", 401, "refresh.unavailable"),
    ] {
        let gate = Gate::start().await;
        let cookie = gate.cookie(&gate.sign_in().await);
        let page = async || ask(&gate, "GET", "/api/page", &cookie).await;
        gate.clock.advance(310);
        gate.idp.control().set_behaviour(Behaviour {
            token_error: Some(TokenError {
                status,
                error: error.into(),
                description: None,
            }),
            ..Behaviour::default()
        });
        let ends = expected == "refresh.rejected";
        let status = if ends { 401 } else { 503 };
        assert_eq!(page().await.problem(), (status, expected.into()), "{error}");
        let asked = gate.idp.control().request_log().len();
        assert_eq!(page().await.status, status, "{error}");
        assert_eq!(
            gate.idp.control().request_log().len(),
            asked,
            "it is left alone for a moment"
        );
        // As soon as the provider has changed its mind, a session that was kept goes on.
        gate.idp.control().set_behaviour(Behaviour::default());
        gate.clock.advance(10);
        assert_eq!(page().await.status, if ends { 401 } else { 200 }, "{error}");
    }
}

#[tokio::test]
async fn a_token_that_an_api_refuses_is_renewed_and_the_call_repeated() {
    let gate = Gate::start().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let refreshes = || gate.idp.control().token_counts().refreshes;
    gate.clock.advance(20);
    let reply = ask(&gate, "GET", "/api/page/denied", &cookie).await;
    assert_eq!(
        (reply.status, refreshes(), gate.upstream.hits()),
        (401, 1, 2),
        "asked once more with another token"
    );
    let seen: Vec<_> = gate
        .upstream
        .all()
        .iter()
        .map(|seen| seen.all("authorization").concat())
        .collect();
    assert_ne!(seen[0], seen[1]);
    assert_eq!(
        ask(&gate, "GET", "/api/page", &cookie).await.status,
        200,
        "the session stays"
    );

    // An API that refuses everything does not make us ask the provider each time.
    for _ in 0..3 {
        assert_eq!(ask(&gate, "GET", "/api/page/denied", &cookie).await.status, 401);
    }
    assert_eq!(refreshes(), 1);
    // A call with a body is not repeated, but the next one has another token.
    gate.clock.advance(20);
    let hits = gate.upstream.hits();
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1"), ("Origin", &gate.origin)];
    let reply = raw::exchange(
        gate.address,
        "POST",
        "/api/page/denied",
        gate.host(),
        &headers,
        "a body",
    )
    .await;
    assert_eq!((reply.status, gate.upstream.hits()), (401, hits + 1));
    // A demand for a stronger login is no word about the token.
    gate.clock.advance(20);
    let before = refreshes();
    assert_eq!(ask(&gate, "GET", "/api/page/demand", &cookie).await.status, 401);
    assert_eq!(refreshes(), before);
}

#[tokio::test]
async fn a_person_sees_their_sessions_and_ends_them() {
    let gate = Gate::start().await;
    let begun = gate.now();
    let (laptop, phone, lost) = (gate.sign_in().await, gate.sign_in().await, gate.sign_in().await);
    let [laptop, phone, lost] = [laptop, phone, lost].map(|browser| gate.cookie(&browser));
    gate.clock.advance(600);
    assert_eq!(ask(&gate, "GET", "/bff/user", &phone).await.status, 200);

    let reply = ask(&gate, "GET", "/bff/sessions", &laptop).await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"));
    let list = reply.json()["sessions"].as_array().unwrap().clone();
    assert_eq!(list.len(), 3);
    for session in &list {
        assert_eq!(
            (&session["since"], &session["address"]),
            (&begun.into(), &"127.0.0.1".into())
        );
        // No part of it opens anything.
        let id = session["id"].as_str().unwrap();
        assert_eq!(id.len(), 16);
        assert!(![&laptop, &phone, &lost].iter().any(|cookie| cookie.contains(id)));
    }
    let own: Vec<_> = list.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(own.len(), 1);
    let seen: Vec<_> = list
        .iter()
        .filter(|session| session["last_seen"] == begun + 600)
        .collect();
    assert_eq!(seen.len(), 2, "the phone, and the laptop which asks: {list:?}");

    // One of them.
    let id_of = async |cookie: &str| {
        let list = ask(&gate, "GET", "/bff/sessions", cookie).await.json();
        let sessions = list["sessions"].as_array().unwrap();
        let own = sessions.iter().find(|session| session["current"] == true).unwrap();
        own["id"].as_str().unwrap().to_owned()
    };
    let id = id_of(&lost).await;
    let path = format!("/bff/sessions/{id}");
    let foreign = [("Cookie", laptop.as_str()), ("Origin", &gate.origin)];
    let reply = raw::exchange(gate.address, "DELETE", &path, gate.host(), &foreign, "").await;
    assert_eq!(reply.problem(), (403, "csrf.header_missing".into()));
    assert_eq!(ask(&gate, "GET", &path, &laptop).await.status, 405);
    let reply = ask(&gate, "DELETE", &path, &laptop).await;
    assert_eq!(
        (reply.status, &reply.json()["ended"], reply.header("set-cookie")),
        (200, &1.into(), "")
    );
    assert_eq!(
        ask(&gate, "GET", "/bff/user", &lost).await.problem(),
        (401, "session.expired".into())
    );
    assert_eq!(
        ask(&gate, "DELETE", &path, &laptop).await.status,
        404,
        "it is over already"
    );
    assert_eq!(
        ask(&gate, "DELETE", "/bff/sessions/AAAAAAAAAAAAAAAA", &laptop)
            .await
            .status,
        404
    );

    // All others.
    let another = gate.sign_in().await;
    let another = gate.cookie(&another);
    let reply = ask(&gate, "DELETE", "/bff/sessions/others", &laptop).await;
    assert_eq!((reply.status, &reply.json()["ended"]), (200, &2.into()));
    for over in [&phone, &another] {
        assert_eq!(ask(&gate, "GET", "/bff/user", over).await.status, 401);
    }
    assert_eq!(ask(&gate, "GET", "/bff/user", &laptop).await.status, 200);

    // All.
    let another = gate.sign_in().await;
    let another = gate.cookie(&another);
    let reply = ask(&gate, "DELETE", "/bff/sessions/all", &laptop).await;
    assert_eq!((reply.status, &reply.json()["ended"]), (200, &2.into()));
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    for over in [&laptop, &another] {
        assert_eq!(ask(&gate, "GET", "/bff/user", over).await.status, 401);
    }
}

#[tokio::test]
async fn a_logout_everywhere_ends_all_of_them() {
    let gate = Gate::start().await;
    let (here, there) = (gate.sign_in().await, gate.sign_in().await);
    let [here, there] = [here, there].map(|browser| gate.cookie(&browser));
    let user = ask(&gate, "GET", "/bff/user", &here).await.json();
    let logout = user["logout_url"].as_str().unwrap();
    // The token of the one is no use for the other.
    let reply = ask(&gate, "GET", &format!("{logout}&everywhere=true"), &there).await;
    assert_eq!(reply.problem(), (400, "logout.token_mismatch".into()));
    assert_eq!(ask(&gate, "GET", "/bff/user", &here).await.status, 200);
    let reply = ask(&gate, "GET", &format!("{logout}&everywhere=true"), &here).await;
    assert_eq!(reply.status, 303);
    for over in [&here, &there] {
        assert_eq!(ask(&gate, "GET", "/bff/user", over).await.status, 401);
    }
}

#[tokio::test]
async fn a_login_begins_a_new_session_and_ends_the_old_one() {
    let gate = Gate::start().await;
    let mut browser = gate.sign_in().await;
    let old = gate.cookie(&browser);
    let callback = gate.until_callback(&mut browser).await;
    assert_eq!(gate.visit(&mut browser, callback.as_str()).await.status, 303);
    let new = gate.cookie(&browser);
    assert_ne!(old, new);
    assert_eq!(ask(&gate, "GET", "/bff/user", &new).await.status, 200);
    // Another tab's call was under way with the old cookie. Its answer may arrive after that of the login: if it took
    // the cookie away, it would be the new one.
    for path in ["/bff/user", "/bff/events", "/api/page"] {
        let late = ask(&gate, "GET", path, &old).await;
        assert_eq!(late.problem(), (401, "session.expired".into()), "{path}");
        assert_eq!(late.header("set-cookie"), "", "{path}");
    }
}

/// The idle limit is written rarely; what is told is what holds.
#[tokio::test]
async fn the_seconds_that_are_told_are_the_seconds_that_are_left() {
    let gate = Gate::start().await;
    let mut alice = gate.sign_in().await;
    gate.clock.advance(100);
    for path in ["/bff/user", "/bff/session"] {
        let answer = gate.fetch(&mut alice, path).await.json();
        assert_eq!(answer["seconds_left"], 1_700, "{path}");
    }
    gate.clock.advance(100);
    for path in ["/bff/user", "/bff/session"] {
        let answer = gate.fetch(&mut alice, path).await.json();
        assert_eq!(answer["seconds_left"], 1_800, "{path}");
    }
}

/// A replica that reads and does not write, or a full disk.
#[tokio::test]
async fn a_store_that_cannot_be_written_goes_on_to_be_read() {
    let gate = Gate::start().await;
    let mut alice = gate.sign_in().await;
    let store = rusqlite::Connection::open(gate.dir.path().join("sessions.db")).unwrap();
    store
        .execute_batch("CREATE TRIGGER full BEFORE UPDATE ON sessions BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    gate.clock.advance(200);
    assert_eq!(gate.fetch(&mut alice, "/api/page").await.status, 200);
    let cookie = gate.cookie(&alice);
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    let post = raw::exchange(gate.address, "POST", "/api/page", gate.host(), &headers, "").await;
    assert_eq!(post.status, 503);
    store.execute_batch("DROP TRIGGER full").unwrap();
    let post = raw::exchange(gate.address, "POST", "/api/page", gate.host(), &headers, "").await;
    assert_eq!(post.status, 200);
}
