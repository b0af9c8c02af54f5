use http::header;
use portcullis_idp::Behaviour;

use crate::support::Stage;

#[tokio::test]
async fn claims_follow_the_scopes() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", "openid profile orders.read").await;
    let answer = stage.userinfo(tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header(header::CACHE_CONTROL)),
        (200, "no-store")
    );
    let claims = answer.json();
    assert_eq!(
        claims["sub"],
        stage.verified(tokens["id_token"].as_str().unwrap()).await["sub"]
    );
    assert_eq!(
        (claims["name"].as_str(), claims.get("email")),
        (Some("Alice Adams"), None)
    );
    let tokens = stage.sign_in("alice", "openid email").await;
    let claims = stage.userinfo(tokens["access_token"].as_str().unwrap()).await.json();
    assert_eq!(
        (claims["email"].as_str(), claims.get("name")),
        (Some("alice@example.com"), None)
    );
}

#[tokio::test]
async fn only_a_live_token_of_a_user_opens_it() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", "openid offline_access").await;
    let access = tokens["access_token"].as_str().unwrap();
    for wrong in [
        tokens["id_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
        "x",
    ] {
        let answer = stage.userinfo(wrong).await;
        assert_eq!(answer.status, 401);
        assert!(
            answer
                .header(header::WWW_AUTHENTICATE)
                .contains("error=\"invalid_token\"")
        );
    }
    let none = stage.get("/userinfo").await;
    assert_eq!(
        (none.status.as_u16(), none.header(header::WWW_AUTHENTICATE)),
        (401, "Bearer realm=\"userinfo\"")
    );
    assert_eq!(stage.get(&format!("/userinfo?access_token={access}")).await.status, 401);
    assert_eq!(stage.userinfo(access).await.status, 200);
    stage.clock.advance(300);
    assert_eq!(stage.userinfo(access).await.status, 401, "expired");
}

#[tokio::test]
async fn it_needs_openid() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", "orders.read").await;
    let answer = stage.userinfo(tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(answer.status, 403);
    assert!(answer.header(header::WWW_AUTHENTICATE).contains("insufficient_scope"));
}

#[tokio::test]
async fn it_can_speak_of_somebody_else() {
    let stage = Stage::new().await;
    let tokens = stage.sign_in("alice", "openid").await;
    let sub = stage.verified(tokens["id_token"].as_str().unwrap()).await["sub"].clone();
    stage.control().set_behaviour(Behaviour {
        userinfo_wrong_sub: true,
        ..Behaviour::default()
    });
    assert_ne!(
        stage.userinfo(tokens["access_token"].as_str().unwrap()).await.json()["sub"],
        sub
    );
}
