//! Token exchange (RFC 8693).

use portcullis_idp::{Client, GrantType};
use portcullis_jose::Secret;
use serde_json::json;

use crate::support::{Browser, SECRET, START, Stage, WEB_CALLBACK, config, peek, request};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A provider whose `web` may exchange tokens, and so may `orders`, the API.
async fn stage() -> Stage {
    let mut config = config();
    let web = config
        .clients
        .iter_mut()
        .find(|client| client.client_id == "web")
        .unwrap();
    web.grants.push(GrantType::TokenExchange);
    web.audience = Some("api://orders".into());
    config.clients.push(Client {
        client_id: "orders".into(),
        secret: Some(Secret::new(SECRET)),
        grants: vec![GrantType::TokenExchange],
        scopes: vec!["billing.read".into()],
        audience: Some("api://orders".into()),
        ..Client::default()
    });
    config.clients.push(Client {
        client_id: "stranger".into(),
        secret: Some(Secret::new(SECRET)),
        grants: vec![GrantType::TokenExchange],
        scopes: vec!["billing.read".into()],
        ..Client::default()
    });
    Stage::with(config).await
}

/// Alice's token for the orders, out of a login that also agreed to billing.
async fn token(stage: &Stage) -> String {
    let mut browser = Browser::new(stage);
    let scope = [("scope", "openid orders.read billing.read")];
    let page = browser.authorize(&request("web", WEB_CALLBACK, &scope)).await;
    let answer = browser.log_in(&page, "alice", "alice-demo").await;
    let code = answer.redirected_to(WEB_CALLBACK)["code"].clone();
    let answer = stage.exchange("web", WEB_CALLBACK, &code).await.json();
    assert_eq!(peek(answer["access_token"].as_str().unwrap()).1["aud"], "api://orders");
    answer["access_token"].as_str().unwrap().to_owned()
}

fn form<'a>(token: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form = vec![
        ("grant_type", GRANT),
        ("subject_token", token),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    form.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    form.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    form
}

#[tokio::test]
async fn a_token_is_exchanged_for_a_narrower_one_of_the_same_person() {
    let stage = stage().await;
    let token = token(&stage).await;
    stage.clock.advance(100);
    for (client, name) in [("web", "resource"), ("orders", "audience")] {
        let more = [(name, "api://billing"), ("scope", "billing.read")];
        let answer = stage.token(client, &form(&token, &more)).await.json();
        assert_eq!(
            (&answer["issued_token_type"], &answer["token_type"]),
            (&json!(ACCESS_TOKEN), &json!("Bearer"))
        );
        // It ends with the one that it was made from.
        assert_eq!(answer["expires_in"], 200);
        let narrowed = answer["access_token"].as_str().unwrap();
        let claims = stage.verified(narrowed).await;
        assert_eq!(
            (&claims["aud"], &claims["scope"]),
            (&json!("api://billing"), &json!("billing.read"))
        );
        assert_eq!(
            (&claims["sub"], &claims["client_id"]),
            (&peek(&token).1["sub"], &json!(client))
        );
        assert_eq!(claims["exp"], START + 300);
        assert!(stage.is_active(narrowed).await);
    }
}

#[tokio::test]
async fn what_is_not_its_own_or_is_more_is_not_exchanged() {
    let stage = stage().await;
    let token = token(&stage).await;
    for (client, more, error) in [
        ("stranger", vec![("audience", "api://billing")], "invalid_request"),
        ("other", vec![], "unauthorized_client"),
        ("web", vec![("audience", "api://nowhere")], "invalid_target"),
        (
            "web",
            vec![("audience", "api://billing"), ("resource", "api://orders")],
            "invalid_target",
        ),
        ("web", vec![("scope", "orders.write")], "invalid_scope"),
        ("web", vec![("subject_token", "")], "invalid_request"),
        ("web", vec![("subject_token", "abc")], "invalid_request"),
        ("web", vec![("subject_token_type", "")], "invalid_request"),
        (
            "web",
            vec![("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")],
            "invalid_request",
        ),
        (
            "web",
            vec![("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
            "invalid_request",
        ),
        ("web", vec![("actor_token", "abc")], "invalid_request"),
    ] {
        stage.token(client, &form(&token, &more)).await.assert_error(400, error);
    }
    // One that is revoked or over is worth nothing.
    let form_for = |token: &str| {
        form(token, &[("audience", "api://billing"), ("scope", "billing.read")])
            .into_iter()
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect::<Vec<_>>()
    };
    let owned = form_for(&token);
    let borrowed: Vec<(&str, &str)> = owned.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(stage.token("web", &borrowed).await.status, 200);
    stage.control().revoke_all_refresh();
    stage.token("web", &borrowed).await.assert_error(400, "invalid_request");
}
