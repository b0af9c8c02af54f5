//! Which scopes are granted, and which API a token is for.

use serde_json::{Value, json};

use crate::support::{Browser, Stage, VERIFIER, WEB_CALLBACK, request};

async fn access_claims(
    stage: &Stage,
    username: &str,
    changes: &[(&str, &str)],
    token_resource: Option<&str>,
) -> Result<Value, String> {
    let mut browser = Browser::new(stage);
    let page = browser.authorize(&request("web", WEB_CALLBACK, changes)).await;
    let answer = browser
        .log_in(&page, username, &format!("{username}-demo"))
        .await
        .redirected_to(WEB_CALLBACK);
    let Some(code) = answer.get("code") else {
        return Err(answer["error"].clone());
    };
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", WEB_CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    form.extend(token_resource.map(|resource| ("resource", resource)));
    let tokens = stage.token("web", &form).await.json();
    match tokens.get("access_token") {
        Some(token) => Ok(stage.verified(token.as_str().unwrap()).await),
        None => Err(tokens["error"].as_str().unwrap().to_owned()),
    }
}

async fn granted(stage: &Stage, username: &str, scope: &str) -> Result<(Value, Value), String> {
    let claims = access_claims(stage, username, &[("scope", scope)], None).await?;
    Ok((claims["aud"].clone(), claims["scope"].clone()))
}

#[tokio::test]
async fn a_scope_is_granted_if_client_and_user_may_have_it() {
    let stage = Stage::new().await;
    let asked = "openid orders.read orders.write orders.admin";
    let orders = |scope: &str| Ok((json!("api://orders"), json!(scope)));
    assert_eq!(
        granted(&stage, "alice", asked).await,
        orders("openid orders.read orders.write")
    );
    assert_eq!(granted(&stage, "bob", asked).await, orders("openid orders.read"));
    assert_eq!(
        granted(&stage, "carol", asked).await,
        Ok((json!(stage.idp.issuer()), json!("openid")))
    );
    assert_eq!(
        granted(&stage, "carol", "orders.read").await,
        Err("invalid_scope".into())
    );
}

#[tokio::test]
async fn a_token_is_for_one_api() {
    let stage = Stage::new().await;
    let both = "openid orders.read billing.read";
    assert_eq!(granted(&stage, "alice", both).await, Err("invalid_scope".into()));
    let bob = granted(&stage, "bob", both).await;
    assert_eq!(
        bob,
        Ok((json!("api://orders"), json!("openid orders.read"))),
        "bob has no billing"
    );

    // RFC 8707: the request chooses.
    let chosen = [("scope", both), ("resource", "api://billing")];
    let claims = access_claims(&stage, "alice", &chosen, None).await.unwrap();
    assert_eq!(
        (&claims["aud"], &claims["scope"]),
        (&json!("api://billing"), &json!("billing.read openid"))
    );
    let claims = access_claims(&stage, "alice", &[("scope", both)], Some("api://orders"))
        .await
        .unwrap();
    assert_eq!(
        (&claims["aud"], &claims["scope"]),
        (&json!("api://orders"), &json!("openid orders.read"))
    );
    assert_eq!(
        access_claims(&stage, "alice", &chosen, Some("api://orders")).await,
        Err("invalid_target".into())
    );
}

#[tokio::test]
async fn without_a_scope_the_client_gets_what_it_may_have() {
    let stage = Stage::new().await;
    let claims = access_claims(&stage, "bob", &[("scope", "")], None).await.unwrap();
    assert_eq!(claims["scope"], "orders.read");
}

#[tokio::test]
async fn a_client_without_the_refresh_grant_gets_no_refresh_token() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage);
    let uri = "https://short.example/cb";
    let page = browser
        .authorize(&request("short", uri, &[("scope", "openid offline_access")]))
        .await;
    let code = browser.log_in(&page, "alice", "alice-demo").await.redirected_to(uri)["code"].clone();
    let tokens = stage.exchange("short", uri, &code).await.json();
    assert_eq!(
        (&tokens["scope"], tokens.get("refresh_token")),
        (&json!("openid"), None)
    );
}
