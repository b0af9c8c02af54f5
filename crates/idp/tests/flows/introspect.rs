use portcullis_idp::Behaviour;
use serde_json::json;

use crate::support::Stage;

#[tokio::test]
async fn an_active_token_is_described() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", "openid offline_access orders.read").await;
    let access = tokens["access_token"].as_str().unwrap();
    let answer = stage.post_as("other", "/introspect", &[("token", access)]).await.json();
    let claims = stage.verified(access).await;
    assert_eq!(
        (&answer["active"], &answer["username"]),
        (&json!(true), &json!("alice"))
    );
    for claim in ["iss", "sub", "aud", "exp", "iat", "jti", "scope", "client_id"] {
        assert_eq!(answer[claim], claims[claim], "{claim}");
    }
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let own = stage.post_as("web", "/introspect", &[("token", refresh)]).await.json();
    assert_eq!((&own["active"], &own["client_id"]), (&json!(true), &json!("web")));
}

#[tokio::test]
async fn of_others_nothing_is_said() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", "openid offline_access orders.read").await;
    let nothing = json!({ "active": false });
    let ask = async |token: &str| stage.post_as("other", "/introspect", &[("token", token)]).await.json();
    assert_eq!(ask("unknown").await, nothing);
    assert_eq!(
        ask(tokens["id_token"].as_str().unwrap()).await,
        nothing,
        "an ID token is no access token"
    );
    assert_eq!(
        ask(tokens["refresh_token"].as_str().unwrap()).await,
        nothing,
        "another client's refresh token"
    );
    stage.clock.advance(300);
    assert_eq!(ask(tokens["access_token"].as_str().unwrap()).await, nothing, "expired");
}

#[tokio::test]
async fn only_a_client_with_a_secret_may_ask() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", "openid").await;
    let access = tokens["access_token"].as_str().unwrap();
    stage
        .post_as("app", "/introspect", &[("token", access)])
        .await
        .assert_error(401, "invalid_client");
    stage
        .post_with("/introspect", &[("token", access)], None)
        .await
        .assert_error(401, "invalid_client");
    assert!(stage.is_active(access).await);
}

#[tokio::test]
async fn opaque_tokens_are_known_here_alone() {
    let stage = Stage::new().await;
    stage.control().set_behaviour(Behaviour {
        opaque_access_tokens: true,
        ..Behaviour::default()
    });
    let tokens = stage.sign_in("alice", "openid orders.read").await;
    let access = tokens["access_token"].as_str().unwrap();
    assert!(!access.contains('.'));
    let ask = async || stage.post_as("other", "/introspect", &[("token", access)]).await.json();
    let answer = ask().await;
    assert_eq!(
        (&answer["active"], &answer["username"]),
        (&json!(true), &json!("alice"))
    );
    stage.control().set_behaviour(Behaviour {
        introspection_active_as_text: true,
        ..Behaviour::default()
    });
    assert_eq!(ask().await["active"], "true");
}
