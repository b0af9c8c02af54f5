use crate::support::Stage;

const SCOPE: &str = "openid offline_access orders.read";

#[tokio::test]
async fn a_refresh_token_takes_its_access_tokens_along() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", SCOPE).await;
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    let answer = stage
        .post_as(
            "web",
            "/revoke",
            &[("token", refresh), ("token_type_hint", "access_token")],
        )
        .await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    stage.refresh("web", refresh).await.assert_error(400, "invalid_grant");
    assert!(!stage.is_active(access).await);
}

#[tokio::test]
async fn an_access_token_goes_alone() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", SCOPE).await;
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    assert_eq!(stage.post_as("web", "/revoke", &[("token", access)]).await.status, 200);
    assert!(!stage.is_active(access).await);
    assert_eq!(stage.refresh("web", refresh).await.status, 200);
}

#[tokio::test]
async fn anothers_token_stays_and_nothing_is_learnt() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", SCOPE).await;
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    for token in [access, refresh, "unknown"] {
        let answer = stage.post_as("other", "/revoke", &[("token", token)]).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    }
    assert!(stage.is_active(access).await);
    assert_eq!(stage.refresh("web", refresh).await.status, 200);
}

#[tokio::test]
async fn a_used_refresh_token_can_still_end_its_family() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", SCOPE).await;
    let first = tokens["refresh_token"].as_str().unwrap();
    let second = stage.refresh("web", first).await.json();
    stage.post_as("web", "/revoke", &[("token", first)]).await;
    stage
        .refresh("web", second["refresh_token"].as_str().unwrap())
        .await
        .assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn the_client_is_authenticated() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", SCOPE).await;
    let access = tokens["access_token"].as_str().unwrap();
    let wrong = [("token", access), ("client_id", "web"), ("client_secret", "wrong")];
    stage
        .post_with("/revoke", &wrong, None)
        .await
        .assert_error(401, "invalid_client");
    assert!(stage.is_active(access).await);
    stage
        .post_as("web", "/revoke", &[])
        .await
        .assert_error(400, "invalid_request");
}
