//! Refresh with rotation.

use portcullis_idp::Behaviour;
use serde_json::{Value, json};

use crate::support::{START, Stage};

const SCOPE: &str = "openid profile offline_access orders.read orders.write";

fn text(tokens: &Value, name: &str) -> String {
    tokens[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {tokens}"))
        .to_owned()
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_a_new_refresh_token() {
    let stage = Stage::new().await;
    let first = stage.sign_in("alice", SCOPE).await;
    stage.clock.advance(200);
    let answer = stage.refresh("web", &text(&first, "refresh_token")).await;
    assert_eq!(answer.status, 200);
    let second = answer.json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let claims = stage.verified(&text(&second, "access_token")).await;
    assert_eq!(
        (&claims["iat"], &claims["auth_time"]),
        (&json!(START + 200), &json!(START))
    );
    assert_eq!(claims["scope"], first["scope"]);
    // OpenID Connect Core s12.2: the same user and login, no nonce.
    let (before, after) = (
        stage.verified(&text(&first, "id_token")).await,
        stage.verified(&text(&second, "id_token")).await,
    );
    for claim in ["iss", "sub", "aud", "auth_time", "sid"] {
        assert_eq!(before[claim], after[claim], "{claim}");
    }
    assert_eq!(
        (before.get("nonce"), after.get("nonce")),
        (Some(&json!("the-nonce")), None)
    );
}

#[tokio::test]
async fn a_used_token_ends_the_family() {
    let stage = Stage::new().await;
    let first = stage.sign_in("alice", SCOPE).await;
    let second = stage.refresh("web", &text(&first, "refresh_token")).await.json();
    let access = text(&second, "access_token");
    assert!(stage.is_active(&access).await);
    stage
        .refresh("web", &text(&first, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
    stage
        .refresh("web", &text(&second, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
    assert!(!stage.is_active(&access).await);
    assert_eq!(stage.control().token_counts().reuses, 1);
    assert_eq!(stage.control().token_counts().live_refresh_tokens, 0);
}

#[tokio::test]
async fn families_are_apart() {
    let stage = Stage::new().await;
    let (one, two) = (stage.sign_in("alice", SCOPE).await, stage.sign_in("alice", SCOPE).await);
    stage.refresh("web", &text(&one, "refresh_token")).await;
    stage
        .refresh("web", &text(&one, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(stage.refresh("web", &text(&two, "refresh_token")).await.status, 200);
}

#[tokio::test]
async fn a_grace_period_forgives_the_direct_parent() {
    let stage = Stage::new().await;
    stage.control().set_behaviour(Behaviour {
        reuse_grace: 30,
        ..Behaviour::default()
    });
    let r1 = text(&stage.sign_in("alice", SCOPE).await, "refresh_token");
    let r2 = text(&stage.refresh("web", &r1).await.json(), "refresh_token");
    stage.clock.advance(29);
    let sibling = text(&stage.refresh("web", &r1).await.json(), "refresh_token");
    let r3 = text(&stage.refresh("web", &sibling).await.json(), "refresh_token");
    assert_eq!(
        stage.refresh("web", &r2).await.status,
        200,
        "the parent of r3's generation"
    );
    stage.refresh("web", &r1).await.assert_error(400, "invalid_grant");
    stage.refresh("web", &r3).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_is_its_clients() {
    let stage = Stage::new().await;
    let token = text(&stage.sign_in("alice", SCOPE).await, "refresh_token");
    stage.refresh("other", &token).await.assert_error(400, "invalid_grant");
    stage.refresh("app", &token).await.assert_error(400, "invalid_grant");
    stage
        .refresh("short", &token)
        .await
        .assert_error(400, "unauthorized_client");
    stage.refresh("web", "nothing").await.assert_error(400, "invalid_grant");
    stage
        .token("web", &[("grant_type", "refresh_token")])
        .await
        .assert_error(400, "invalid_request");
    assert_eq!(stage.refresh("web", &token).await.status, 200);
}

#[tokio::test]
async fn a_refresh_token_expires() {
    let stage = Stage::new().await;
    let token = text(&stage.sign_in("alice", SCOPE).await, "refresh_token");
    stage.clock.advance(8 * 3600 - 1);
    let token = text(&stage.refresh("web", &token).await.json(), "refresh_token");
    stage.clock.advance(8 * 3600);
    stage.refresh("web", &token).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn scope_narrows_and_never_widens() {
    let stage = Stage::new().await;
    let token = text(&stage.sign_in("alice", SCOPE).await, "refresh_token");
    let form = |token: &'static str, scope: &'static str| {
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("scope", scope),
        ]
    };
    let token: &'static str = token.leak();
    stage
        .token("web", &form(token, "orders.read billing.read"))
        .await
        .assert_error(400, "invalid_scope");
    // The request that asked for too much did not use the token up.
    let narrow = stage.token("web", &form(token, "orders.read")).await.json();
    assert_eq!(narrow["scope"], "orders.read");
    // RFC 6749 s6: the next one has the scope of the login again.
    let next = stage.refresh("web", &text(&narrow, "refresh_token")).await.json();
    assert!(next["scope"].as_str().unwrap().contains("orders.write"));
}

#[tokio::test]
async fn everything_can_be_revoked_from_the_handle() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", SCOPE).await;
    assert_eq!(stage.control().revoke_all_refresh(), 1);
    stage
        .refresh("web", &text(&tokens, "refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
    assert!(!stage.is_active(&text(&tokens, "access_token")).await);
    let again = stage.sign_in("alice", SCOPE).await;
    assert_eq!(stage.refresh("web", &text(&again, "refresh_token")).await.status, 200);
}
