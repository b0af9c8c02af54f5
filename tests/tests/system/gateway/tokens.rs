//! Which token an upstream gets: the caller's, a narrower one, the client's own, or none.

use portcullis_idp::{Behaviour, Endpoint, FailNext};
use serde_json::{Value, json};

use super::raw::Reply;
use super::streams::upgraded;
use super::upstream::Seen;
use super::{AUDIENCE, BILLING, Gate, START, STEP};
use crate::demo::Browser;

/// An API for each way. Those below `/open` are public.
const APIS: [(&str, &str, &str); 7] = [
    (
        "narrow",
        "",
        r#"{ from = "exchange", audience = "https://billing.example.test", scopes = ["billing.read"] }"#,
    ),
    (
        "job",
        "",
        r#"{ from = "client", client = "job", scopes = ["orders.read"] }"#,
    ),
    ("bare", "", r#"{ from = "none" }"#),
    ("open-job", "open", r#"{ from = "client", client = "job" }"#),
    (
        "open-either",
        "open",
        r#"{ from = "caller_or_client", client = "job" }"#,
    ),
    ("open-perhaps", "open", r#"{ from = "caller_or_none" }"#),
    ("open-bare", "open", r#"{ from = "none" }"#),
];

async fn gate() -> Gate {
    let mut gate = Gate::start().await;
    let upstream = format!("http://{}", gate.upstream.address);
    let mut more = String::from(
        "\n[client.job]\nprovider = \"dev\"\nclient_id = \"nightly\"\nsecret = { dev_only = \"the-secret-of-nightly\" }\n",
    );
    for (name, kind, token) in APIS {
        let access = match kind {
            "open" => "accept = [\"anyone\"]".to_owned(),
            _ => format!("provider = \"dev\"\naudience = \"{AUDIENCE}\"\npolicy = \"authenticated\""),
        };
        more.push_str(&format!(
            "\n[api.{name}]\npath = \"/api/{name}\"\nupstream = \"{upstream}\"\n{access}\ntoken = {token}\n"
        ));
    }
    gate.text.push_str(&more);
    gate.text = gate.text.replacen(
        "\"orders.read\", \"orders.write\"]",
        "\"orders.read\", \"orders.write\", \"billing.read\"]",
        1,
    );
    gate.restart().await;
    gate
}

/// The claims of the token that reached the upstream.
fn claims(seen: &Seen) -> Value {
    let values = seen.all("authorization");
    let [value] = values.as_slice() else {
        panic!("{values:?}")
    };
    let payload = value.strip_prefix("Bearer ").unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&portcullis_jose::base64url_decode(payload).unwrap()).unwrap()
}

/// How often the provider was asked for a token by this grant.
fn asked(gate: &Gate, grant: &str) -> usize {
    let log = gate.idp.control().request_log();
    log.iter()
        .filter(|entry| entry.grant_type.is_some_and(|found| found.ends_with(grant)))
        .count()
}

async fn fetch(gate: &Gate, browser: &mut Browser, path: &str) -> Seen {
    let answer = gate.fetch(browser, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    gate.upstream.last()
}

#[tokio::test]
async fn a_persons_token_is_narrowed_for_its_upstream() {
    let gate = gate().await;
    let mut browser = gate.sign_in().await;
    let before = gate.upstream.hits();
    for _ in 0..5 {
        let seen = claims(&fetch(&gate, &mut browser, "/api/narrow/7").await);
        assert_eq!(seen["aud"], BILLING);
        assert_eq!(
            (seen["sub"].as_str(), seen["client_id"].as_str()),
            (Some("alice"), Some("web"))
        );
        assert_eq!(seen["scope"], "billing.read");
    }
    assert_eq!(gate.upstream.hits(), before + 5);
    assert_eq!(asked(&gate, "token-exchange"), 1, "kept for the session");
    // Another session has one of its own.
    let mut other = gate.sign_in().await;
    fetch(&gate, &mut other, "/api/narrow/7").await;
    assert_eq!(asked(&gate, "token-exchange"), 2);
    // The same session at an ordinary route still sends the token of the login.
    assert_eq!(
        claims(&fetch(&gate, &mut browser, "/api/orders/7").await)["aud"],
        AUDIENCE
    );
    // Who shows a token instead of a cookie: one that the provider has issued to this client is exchanged as well.
    let order = portcullis_idp::Mint {
        user: Some("alice".into()),
        client: Some("web".into()),
        ..Default::default()
    };
    let unknown = gate.idp.control().mint(&order).unwrap();
    let hits = gate.upstream.hits();
    let refused: Reply = gate.bearer("GET", "/api/narrow/7", &unknown).await;
    // A token that was minted without the token endpoint is none that can be exchanged.
    assert_eq!((refused.status, gate.last_code().as_str()), (502, "token.not_issued"));
    assert_eq!(gate.upstream.hits(), hits);
}

/// The twin, a caller's own token with its proof, is in the tests of DPoP.
#[tokio::test]
async fn a_callers_proof_does_not_go_along_with_another_token() {
    let gate = gate().await;
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1"), ("DPoP", "of.the.caller")];
    for path in [
        "/api/orders/7",
        "/api/narrow/7",
        "/api/job/7",
        "/api/bare/7",
        "/api/open-perhaps/7",
    ] {
        assert_eq!(gate.call("GET", path, &headers).await.status, 200, "{path}");
        assert!(gate.upstream.last().all("dpop").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn the_clients_own_token_goes_where_the_route_says() {
    let gate = gate().await;
    let mut browser = gate.sign_in().await;
    let seen = claims(&fetch(&gate, &mut browser, "/api/job/7").await);
    assert_eq!(
        (seen["sub"].as_str(), seen["client_id"].as_str()),
        (Some("nightly"), Some("nightly"))
    );
    assert_eq!(
        (seen["aud"].as_str(), seen["scope"].as_str()),
        (Some(AUDIENCE), Some("orders.read"))
    );
    // The call is checked as ever.
    let hits = gate.upstream.hits();
    assert_eq!(gate.call("GET", "/api/job/7", &[]).await.status, 401);
    assert_eq!(gate.upstream.hits(), hits);
    assert_eq!(gate.bearer("GET", "/api/job/7", &gate.token()).await.status, 200);
    assert_eq!(claims(&gate.upstream.last())["client_id"], "nightly");
    // One for each of the three routes that ask for it, however many calls.
    for _ in 0..3 {
        assert_eq!(gate.call("GET", "/api/open-job/7", &[]).await.status, 200);
        assert_eq!(claims(&gate.upstream.last())["client_id"], "nightly");
    }
    assert_eq!(asked(&gate, "client_credentials"), 3);
    // What a caller sends on a public route is not passed on beside it.
    let reply = gate
        .call("GET", "/api/open-job/7", &[("Authorization", "Bearer mine")])
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(claims(&gate.upstream.last())["client_id"], "nightly");
}

#[tokio::test]
async fn none_is_none() {
    let gate = gate().await;
    let mut browser = gate.sign_in().await;
    assert!(
        fetch(&gate, &mut browser, "/api/bare/7")
            .await
            .all("authorization")
            .is_empty()
    );
    assert_eq!(gate.bearer("GET", "/api/bare/7", &gate.token()).await.status, 200);
    assert!(gate.upstream.last().all("authorization").is_empty());
    let reply = gate
        .call("GET", "/api/open-bare/7", &[("Authorization", "Bearer mine")])
        .await;
    assert_eq!(reply.status, 200);
    assert!(gate.upstream.last().all("authorization").is_empty());
    assert_eq!(gate.call("GET", "/api/bare/7", &[]).await.status, 401);
}

#[tokio::test]
async fn on_a_public_route_a_session_counts_where_there_is_one() {
    let gate = gate().await;
    let mut browser = gate.sign_in().await;
    for (path, without) in [("/api/open-either/7", Some("nightly")), ("/api/open-perhaps/7", None)] {
        let with = fetch(&gate, &mut browser, path).await;
        assert_eq!(claims(&with)["sub"], "alice", "{path}");
        assert!(!with.all("cookie").concat().contains(gate.cookie_name()), "{path}");
        let anonymous = gate.call("GET", path, &[]).await;
        assert_eq!(anonymous.status, 200);
        let seen = gate.upstream.last();
        match without {
            Some(client) => assert_eq!(claims(&seen)["client_id"], client),
            None => assert!(seen.all("authorization").is_empty()),
        }
        // A page of another site has the cookie sent, and no say.
        let cookie = gate.cookie(&browser);
        let foreign = gate
            .call("GET", path, &[("Cookie", &cookie), ("Sec-Fetch-Site", "cross-site")])
            .await;
        assert_eq!(foreign.status, 200);
        assert_ne!(
            gate.upstream.last().all("authorization"),
            with.all("authorization"),
            "{path}"
        );
        // What depends on the cookie is in no cache.
        let cacheable = path.replace("/7", "/cacheable");
        let reply = gate.call("GET", &cacheable, &[]).await;
        assert_eq!(reply.all("cache-control"), ["no-store"], "{path}");
    }
    // A session that is over is none.
    let cookie = gate.cookie(&browser);
    gate.clock.advance(24 * 3_600);
    assert_eq!(
        gate.call("GET", "/api/open-perhaps/7", &[("Cookie", &cookie), ("X-CSRF", "1")])
            .await
            .status,
        200
    );
    assert!(gate.upstream.last().all("authorization").is_empty());
}

#[tokio::test]
async fn a_401_for_the_clients_token_makes_one_more_try() {
    let gate = gate().await;
    let call = async |method: &str| {
        let before = gate.upstream.hits();
        let reply = gate.call(method, "/api/open-job/denied", &[]).await;
        assert_eq!(reply.status, 401);
        gate.upstream.hits() - before
    };
    assert_eq!(gate.call("GET", "/api/open-job/7", &[]).await.status, 200);
    let first = gate.upstream.last();
    assert_eq!(call("GET").await, 1, "the token has just been issued");
    gate.clock.advance(20);
    assert_eq!(call("GET").await, 2);
    let second = gate.upstream.last();
    assert_ne!(claims(&first)["jti"], claims(&second)["jti"]);
    assert_eq!(call("GET").await, 1, "and so is this one");
}

#[tokio::test]
async fn a_401_changes_nothing_about_whose_token_an_upstream_gets() {
    let gate = gate().await;
    let mut browser = gate.sign_in().await;
    let refreshes = || gate.idp.control().token_counts().refreshes;
    // What reached the upstream of a call that it refuses, some time after the tokens were issued.
    let mut denied = async |api: &str| {
        fetch(&gate, &mut browser, &format!("/api/{api}/7")).await;
        gate.clock.advance(20);
        let (hits, before) = (gate.upstream.hits(), refreshes());
        assert_eq!(
            gate.fetch(&mut browser, &format!("/api/{api}/denied")).await.status,
            401
        );
        let new = gate.upstream.hits() - hits;
        let all = gate.upstream.all();
        (all[all.len() - new..].to_vec(), refreshes() - before)
    };
    // The session's token was not sent, so nothing is wrong with it.
    let (seen, renewed) = denied("bare").await;
    assert_eq!((seen.len(), renewed), (1, 0));
    assert!(seen[0].all("authorization").is_empty());
    let (seen, renewed) = denied("job").await;
    assert_eq!((seen.len(), renewed), (2, 0), "another token of the client's own");
    for seen in &seen {
        assert_eq!(claims(seen)["client_id"], "nightly");
    }
    // The session's token is renewed, and exchanged anew.
    let (seen, renewed) = denied("narrow").await;
    assert_eq!((seen.len(), renewed), (2, 1));
    for seen in &seen {
        assert_eq!(
            (&claims(seen)["aud"], &claims(seen)["scope"]),
            (&BILLING.into(), &"billing.read".into())
        );
    }
    assert_ne!(claims(&seen[0])["jti"], claims(&seen[1])["jti"]);
    for api in ["open-perhaps", "open-either"] {
        let (seen, renewed) = denied(api).await;
        assert_eq!((seen.len(), renewed), (2, 1), "{api}");
        for seen in &seen {
            assert_eq!(
                (&claims(seen)["aud"], &claims(seen)["sub"]),
                (&AUDIENCE.into(), &"alice".into())
            );
        }
        assert_ne!(claims(&seen[0])["jti"], claims(&seen[1])["jti"], "{api}");
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_forwarded() {
    let gate = gate().await;
    let mut browser = gate.sign_in().await;
    let fails = |endpoint, status| Behaviour {
        fail_next: vec![FailNext {
            endpoint,
            status,
            times: 1_000,
        }],
        ..Behaviour::default()
    };
    gate.idp.control().set_behaviour(fails(Endpoint::Token, 503));
    let hits = gate.upstream.hits();
    assert_eq!(gate.fetch(&mut browser, "/api/narrow/7").await.status, 502);
    assert_eq!(gate.last_code(), "provider.bad_answer");
    // The client's own token is used on while it lives.
    gate.clock.advance(200);
    assert_eq!(gate.call("GET", "/api/open-job/7", &[]).await.status, 200);
    assert_eq!(gate.upstream.hits(), hits + 1);
    gate.clock.advance(200);
    assert_eq!(gate.call("GET", "/api/open-job/7", &[]).await.status, 502);
    assert_eq!(gate.upstream.hits(), hits + 1);
    // It comes back by itself.
    gate.idp.control().set_behaviour(Behaviour::default());
    let back = async {
        loop {
            gate.clock.advance(100);
            if gate.call("GET", "/api/open-job/7", &[]).await.status == 200 {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
    };
    tokio::time::timeout(START, back).await.expect("the token comes back");
    // A refusal of the provider's is not the caller's fault.
    let mut other = gate.sign_in().await;
    let refused = json!({ "error": "invalid_target" });
    let behaviour = serde_json::from_value(json!({ "token_error": refused })).unwrap();
    gate.idp.control().set_behaviour(behaviour);
    assert_eq!(gate.fetch(&mut other, "/api/narrow/7").await.status, 502);
    assert_eq!(gate.last_code(), "token.not_issued");
}

/// A browser cannot send `X-CSRF` with a WebSocket, and sends `Origin` instead.
#[tokio::test]
async fn a_websocket_of_the_app_brings_the_sessions_token_to_a_public_route() {
    let gate = gate().await;
    let cookie = gate.cookie(&gate.sign_in().await);
    for (origin, tokens) in [(gate.origin.as_str(), 1), ("https://evil.example", 0)] {
        let lines = format!("Cookie: {cookie}\r\nOrigin: {origin}\r\n");
        let _socket = upgraded(&gate, "/api/open-perhaps/live", &lines).await;
        assert_eq!(gate.upstream.last().all("authorization").len(), tokens, "{origin}");
    }
}

#[tokio::test]
async fn a_session_without_a_refresh_token_outlives_its_access_token() {
    let gate = Gate::start_with(None, |text, _| {
        text.replacen("[\"openid\", \"offline_access\", ", "[\"openid\", ", 1)
    })
    .await;
    let mut browser = gate.sign_in().await;
    assert_eq!(gate.fetch(&mut browser, "/api/orders").await.status, 200);
    let left = gate.fetch(&mut browser, "/bff/session").await.json();
    assert_eq!(left["refreshable"], false);
    let lives = left["token_seconds_left"].as_i64().unwrap();
    assert!(lives < left["seconds_left"].as_i64().unwrap(), "{left}");
    gate.clock.advance(lives);

    for _ in 0..2 {
        let answer = gate.fetch(&mut browser, "/api/orders").await;
        assert_eq!(
            (answer.status.as_u16(), gate.last_code().as_str()),
            (401, "session.token_expired")
        );
        assert_eq!(
            gate.fetch(&mut browser, "/bff/user").await.status,
            200,
            "nobody was signed out"
        );
    }
    let page = gate.visit(&mut browser, &format!("{}/app/x", gate.origin)).await;
    assert_eq!(page.location().unwrap().path(), "/bff/login");
    let done = gate.go_on(&mut browser, page).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(gate.fetch(&mut browser, "/api/orders").await.status, 200);
}
