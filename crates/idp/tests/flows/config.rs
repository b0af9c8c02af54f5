//! The configuration that the crate's documentation shows, in the form in which a TOML reader hands it on.

use std::sync::Arc;

use portcullis_idp::{Idp, IdpConfig, Mint};
use portcullis_jose::SystemClock;
use serde_json::json;

#[tokio::test]
async fn the_documented_configuration_runs() {
    let config: IdpConfig = serde_json::from_value(json!({
        "listen": "127.0.0.1:0",
        "issuer": "http://localhost:9400",
        "access_token_lifetime": "5m",
        "id_token_lifetime": "5m",
        "refresh_token_lifetime": "8h",
        "session_lifetime": 28800,
        "signing_algorithm": "RS256",
        "consent": false,
        "user": [{
            "username": "alice",
            "password": "alice-demo",
            "scopes": ["orders.read", "orders.write"],
            "claims": { "name": "Alice Adams", "email": "alice@example.com", "roles": ["Orders.Admin"] },
        }],
        "client": [
            {
                "client_id": "shop",
                "secret": "shop-demo",
                "redirect_uris": ["http://127.0.0.1:8080/bff/callback"],
                "post_logout_redirect_uris": ["http://127.0.0.1:8080/"],
                "scopes": ["orders.read", "orders.write"],
                "consent": true,
            },
            {
                "client_id": "nightly",
                "secret": "nightly-demo",
                "grants": ["client_credentials"],
                "scopes": ["orders.read"],
                "audience": "api://orders",
            },
        ],
        "api": [{ "audience": "api://orders", "scopes": ["orders.read", "orders.write"] }],
    }))
    .unwrap();
    let idp = Idp::start(config, Arc::new(SystemClock)).await.unwrap();
    assert_eq!(idp.issuer(), "http://localhost:9400");
    let nightly = Mint {
        client: Some("nightly".into()),
        ..Mint::default()
    };
    assert!(idp.control().mint(&nightly).is_ok());
    idp.shutdown().await;
}

#[test]
fn secrets_do_not_print() {
    let config: IdpConfig = serde_json::from_value(json!({
        "user": [{ "username": "alice", "password": "hunter2" }],
        "client": [{ "client_id": "a", "secret": "hunter2" }],
        "signing_key_pem": "hunter2",
    }))
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}
