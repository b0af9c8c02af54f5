//! The provider says that a session is over: OpenID Connect Back-Channel Logout 1.0.

use portcullis_audit::Event;
use portcullis_idp::Behaviour;
use portcullis_jose::{Clock, base64url_decode};
use serde_json::{Value, json};

use super::raw::{self, Reply};
use super::{AUDIENCE, Gate, START};
use crate::demo::Browser;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a provider sends, for these sessions.
pub(super) fn claims(gate: &Gate, sid: &str, jti: &str) -> Value {
    let now = gate.clock.now();
    json!({
        "iss": gate.idp.issuer(), "aud": "web", "iat": now, "exp": now.plus(120), "jti": jti, "sid": sid,
        "sub": "alice", "events": { EVENT: {} },
    })
}

async fn post(gate: &Gate, content_type: &str, body: &str) -> Reply {
    let headers = [("Content-Type", content_type), ("Origin", "https://provider.example")];
    raw::exchange(
        gate.address,
        "POST",
        "/bff/backchannel-logout",
        gate.host(),
        &headers,
        body,
    )
    .await
}

async fn send(gate: &Gate, token: &str) -> Reply {
    post(
        gate,
        "application/x-www-form-urlencoded",
        &format!("logout_token={token}"),
    )
    .await
}

pub(super) async fn send_claims(gate: &Gate, typ: &str, claims: &Value) -> Reply {
    send(gate, &gate.idp.control().sign(typ, claims).unwrap()).await
}

/// An access token of a session at the provider, as some providers make them.
pub(super) fn access_token(gate: &Gate, sid: &str, issued: i64) -> String {
    let now = gate.clock.now().plus(issued);
    let claims = json!({
        "iss": gate.idp.issuer(), "aud": AUDIENCE, "iat": now, "exp": now.plus(300), "jti": format!("{sid} {issued}"),
        "sub": "alice", "client_id": "web", "scope": "orders.read", "sid": sid,
    });
    gate.idp.control().sign("at+jwt", &claims).unwrap()
}

async fn user(gate: &Gate, browser: &mut Browser) -> u16 {
    gate.fetch(browser, "/bff/user").await.status.as_u16()
}

/// The `sid` that the provider gave the session of the only login so far.
pub(super) fn sid(gate: &Gate) -> String {
    let secrets = gate.idp.control().issued_secrets();
    let mut sids = secrets.iter().filter_map(|secret| {
        let part = secret.split('.').nth(1)?;
        let claims: Value = serde_json::from_slice(&base64url_decode(part)?).ok()?;
        Some(claims.get("sid")?.as_str()?.to_owned())
    });
    sids.next_back().expect("an ID token with a sid")
}

#[track_caller]
fn assert_done(reply: &Reply) {
    assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[track_caller]
fn assert_refused(gate: &Gate, reply: &Reply, reason: &str, about: &str) {
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (400, r#"{"error":"invalid_request"}"#),
        "{about}: {reply:?}"
    );
    assert_eq!(reply.header("cache-control"), "no-store", "{about}");
    assert_eq!(reply.header("content-type"), "application/json", "{about}");
    let records = gate.audit.recent(0);
    let last = records.last().unwrap();
    assert_eq!(last.event.name(), "logout_refused", "{about}");
    assert_eq!(last.event.refused().unwrap().reason, reason, "{about}");
}

#[tokio::test]
async fn a_logout_that_overtakes_a_login_ends_that_too() {
    let mut gate = Gate::start().await;
    let other = gate.replica().await;
    for at in [gate.address, other] {
        let mut alice = gate.sign_in().await;
        let sid = sid(&gate);
        // A second login of the same browser, which the provider gives the same session.
        let callback = gate.until_callback(&mut alice).await;
        let body = claims(&gate, &sid, &format!("jti {at}"));
        let token = gate.idp.control().sign("logout+jwt", &body).unwrap();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let form = format!("logout_token={token}");
        let told = raw::exchange(at, "POST", "/bff/backchannel-logout", gate.host(), &headers, &form).await;
        assert_done(&told);
        let answer = gate.visit(&mut alice, callback.as_str()).await;
        assert_eq!(
            (answer.status.as_u16(), gate.last_code().as_str()),
            (401, "login.ended_meanwhile"),
            "{at}"
        );
        assert_eq!(user(&gate, &mut alice).await, 401);
        gate.idp.control().end_user_sessions(None);
    }
    gate.sign_in().await;
}

#[tokio::test]
async fn a_logout_token_ends_the_session_and_its_tokens() {
    let gate = Gate::start().await;
    let mut alice = gate.sign_in().await;
    let sid = sid(&gate);
    let (of_session, of_other) = (access_token(&gate, &sid, 0), access_token(&gate, "another", 0));
    // The token of the session itself has the `sid` too.
    assert_eq!(gate.fetch(&mut alice, "/api/page").await.status, 200);
    let own = gate.upstream.last().all("authorization")[0]
        .trim_start_matches("Bearer ")
        .to_owned();
    for token in [&of_session, &of_other, &own] {
        assert_eq!(gate.bearer("GET", "/api/orders", token).await.status, 200);
    }
    assert_done(&send_claims(&gate, "logout+jwt", &claims(&gate, "another session", "jti-0")).await);
    assert_eq!(user(&gate, &mut alice).await, 200, "somebody else's");

    assert_done(&send_claims(&gate, "logout+jwt", &claims(&gate, &sid, "jti-1")).await);
    let reply = gate.bearer("GET", "/api/orders", &of_session).await;
    assert_eq!(
        reply.status, 401,
        "the very next call, although the token was remembered"
    );
    assert_eq!(gate.last_code(), "token.revoked");
    assert_eq!(gate.bearer("GET", "/api/orders", &own).await.status, 401);
    assert_eq!(gate.last_code(), "token.revoked");
    assert_eq!(gate.bearer("GET", "/api/orders", &of_other).await.status, 200);
    let cookie = gate.cookie(&alice);
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    let reply = gate.call("GET", "/api/page", &headers).await;
    assert_eq!(reply.problem(), (401, "session.expired".into()));
    assert_eq!(gate.upstream.hits(), 5);
    let how: Vec<_> = gate
        .audit
        .recent(0)
        .iter()
        .filter_map(|record| logged_out(&record.event))
        .collect();
    assert_eq!(how, ["back_channel"]);
    // Whoever signs in again has a session of another name.
    let mut again = gate.sign_in().await;
    assert_eq!(user(&gate, &mut again).await, 200);
}

/// A provider sends again what could not be done, and that may fail more than once.
#[tokio::test]
async fn a_message_that_could_not_be_done_may_come_again() {
    let gate = Gate::start().await;
    let mut alice = gate.sign_in().await;
    let message = claims(&gate, &sid(&gate), "jti-1");
    let send = async || send_claims(&gate, "logout+jwt", &message).await;
    let database = rusqlite::Connection::open(gate.dir.path().join("sessions.db")).unwrap();
    let refuse = "CREATE TRIGGER full BEFORE UPDATE ON sessions BEGIN SELECT RAISE(ABORT, 'no'); END";
    database.execute_batch(refuse).unwrap();
    for _ in 0..3 {
        let reply = send().await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (400, r#"{"error":"temporarily_unavailable"}"#)
        );
    }
    database.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(user(&gate, &mut alice).await, 200);
    assert_done(&send().await);
    assert_eq!(user(&gate, &mut alice).await, 401);
    // Now it is done, and counts no more.
    let mut again = gate.sign_in().await;
    for _ in 0..6 {
        assert_eq!(send().await.status, 400);
        assert_eq!(gate.last_code(), "logout.token_replayed");
    }
    assert_eq!(user(&gate, &mut again).await, 200);
}

fn logged_out(event: &Event) -> Option<&'static str> {
    match event {
        Event::LoggedOut { how, .. } => Some(how),
        _ => None,
    }
}

#[tokio::test]
async fn without_a_sid_all_sessions_of_the_subject_end_and_later_ones_do_not() {
    let gate = Gate::start().await;
    let (mut here, mut there) = (gate.sign_in().await, gate.sign_in().await);
    let old = access_token(&gate, "any", 0);
    assert_eq!(gate.bearer("GET", "/api/orders", &old).await.status, 200);
    let mut logout = claims(&gate, "", "jti-1");
    logout.as_object_mut().unwrap().remove("sid");
    gate.clock.advance(5);
    assert_done(&send_claims(&gate, "logout+jwt", &logout).await);
    assert_eq!(
        (user(&gate, &mut here).await, user(&gate, &mut there).await),
        (401, 401)
    );
    assert_eq!(gate.bearer("GET", "/api/orders", &old).await.status, 401);
    let new = access_token(&gate, "any", 0);
    assert_eq!(
        gate.bearer("GET", "/api/orders", &new).await.status,
        200,
        "issued after the logout"
    );
    let mut again = gate.sign_in().await;
    assert_eq!(user(&gate, &mut again).await, 200);
    // Sent a second time it would end the new session.
    let reply = send_claims(&gate, "logout+jwt", &logout).await;
    assert_refused(&gate, &reply, "replayed", "the same token again");
    assert_eq!(user(&gate, &mut again).await, 200);
}

#[tokio::test]
async fn what_is_no_logout_token_ends_nothing() {
    let gate = Gate::start().await;
    let mut alice = gate.sign_in().await;
    let sid = sid(&gate);
    let good = || claims(&gate, &sid, "jti-1");
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let now = gate.clock.now();
    let id_token = {
        let mut claims = with("nonce", json!("n"));
        claims.as_object_mut().unwrap().remove("events");
        claims
    };
    for (typ, claims, reason) in [
        ("logout+jwt", with("iss", json!("https://issuer.test")), "iss_untrusted"),
        ("logout+jwt", with("aud", json!("other")), "aud_mismatch"),
        ("logout+jwt", with("nonce", json!("n")), "claim_forbidden"),
        ("logout+jwt", without("events"), "claim_missing"),
        ("logout+jwt", with("events", json!({ EVENT: true })), "claim_type"),
        ("logout+jwt", without("jti"), "claim_missing"),
        ("logout+jwt", without("iat"), "claim_missing"),
        ("logout+jwt", without("exp"), "exp_missing"),
        ("logout+jwt", with("exp", json!(now.plus(-600))), "expired"),
        ("JWT", id_token, "typ_mismatch"),
        ("at+jwt", good(), "typ_mismatch"),
    ] {
        let reply = send_claims(&gate, typ, &claims).await;
        assert_refused(&gate, &reply, reason, &format!("{typ} {claims}"));
    }
    let token = gate.idp.control().sign("logout+jwt", &good()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut flipped = signature.to_owned();
    flipped.replace_range(..1, if signature.starts_with('A') { "B" } else { "A" });
    let (_, payload) = signed.split_once('.').unwrap();
    // {"alg":"none","typ":"logout+jwt"}
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoibG9nb3V0K2p3dCJ9.{payload}.");
    for (token, reason) in [
        (format!("{signed}.{flipped}"), "sig_invalid"),
        (none, "alg_not_allowed"),
        (String::new(), "malformed"),
        ("opaque".to_owned(), "malformed"),
    ] {
        assert_refused(&gate, &send(&gate, &token).await, reason, &token);
    }
    let form = "application/x-www-form-urlencoded";
    for (content_type, body) in [
        ("application/json", format!(r#"{{"logout_token":"{token}"}}"#)),
        ("text/plain", format!("logout_token={token}")),
        (form, format!("token={token}")),
        (form, format!("logout_token={token}&logout_token={token}")),
    ] {
        let reply = post(&gate, content_type, &body).await;
        assert_refused(&gate, &reply, "logout_request_invalid", &body);
    }
    let reply = post(&gate, form, &format!("logout_token={}", "a".repeat(16 * 1024))).await;
    assert_eq!(reply.problem(), (413, "request.body_too_large".into()));
    for method in ["GET", "PUT", "DELETE"] {
        let reply = gate.call(method, "/bff/backchannel-logout", &[]).await;
        assert_eq!(reply.problem(), (405, "route.method_not_allowed".into()), "{method}");
        assert_eq!(reply.header("allow"), "POST");
    }
    assert_eq!(gate.call("POST", "/bff/user", &[]).await.header("allow"), "GET, HEAD");
    assert_eq!(user(&gate, &mut alice).await, 200, "nothing has happened");
    assert!(!gate.logged().contains(signature), "no token in the log");

    // The good twin, with another parameter beside it and the type left out.
    let token = gate.idp.control().sign("JWT", &good()).unwrap();
    assert_done(&post(&gate, form, &format!("state=x&logout_token={token}")).await);
    assert_eq!(user(&gate, &mut alice).await, 401);
}

/// From the provider's own logout page to a call that is refused: nothing of ours is clicked.
#[tokio::test]
async fn a_logout_at_the_provider_is_one_here() {
    let gate = Gate::start().await;
    let mut browser = gate.sign_in().await;
    assert_eq!(user(&gate, &mut browser).await, 200);
    let mut events = gate.audit.subscribe();
    let page = gate
        .visit(&mut browser, &format!("{}/end-session", gate.idp.issuer()))
        .await;
    let answer = browser.submit(&page, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = async {
        while let Ok(record) = events.recv().await {
            if logged_out(&record.event) == Some("back_channel") {
                return;
            }
        }
        panic!("no more events");
    };
    tokio::time::timeout(START, told)
        .await
        .expect("the provider tells the gateway");
    assert_eq!(user(&gate, &mut browser).await, 401);
    assert_eq!(gate.last_code(), "session.expired");
}

/// What cannot be checked is not done, and the provider may try again.
#[tokio::test]
async fn without_the_providers_keys_nothing_is_decided() {
    let behaviour = Behaviour {
        discovery_down: true,
        jwks_down: true,
        ..Behaviour::default()
    };
    let gate = Gate::begin(None, behaviour).await;
    let logout = claims(&gate, "sid", "jti-1");
    let reply = send_claims(&gate, "logout+jwt", &logout).await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (400, r#"{"error":"temporarily_unavailable"}"#)
    );
    gate.idp.control().set_behaviour(Behaviour::default());
    gate.clock.advance(60);
    gate.ready().await;
    assert_done(&send_claims(&gate, "logout+jwt", &logout).await);
}
