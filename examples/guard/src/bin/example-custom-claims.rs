//! The token's claims as a type of one's own, a policy of one's own, and a route where a token is welcome but not asked
//! for.
//!
//! ```sh
//! AUTHORITY=http://127.0.0.1:8081 AUDIENCE=api://orders LISTEN=127.0.0.1:5000 \
//!     cargo run -p example-guard --bin example-custom-claims
//! ```

use std::env::var;
use std::error::Error;

use axum::routing::get;
use axum::{Json, Router};
use portcullis_guard::{Claims, Guard, Policy};
use serde::Deserialize;
use serde_json::{Value, json};

/// What this API wants to know of a caller. Claims that do not fit are answered 403, and the event says which.
#[derive(Deserialize)]
struct User {
    sub: String,
    #[serde(default)]
    groups: Vec<String>,
    entitlements: Vec<Entitlement>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Entitlement {
    Export,
    Import,
    /// The provider may say more than we know.
    #[serde(other)]
    Other,
}

async fn export(Claims(user): Claims<User>) -> Json<Value> {
    let known = user
        .entitlements
        .iter()
        .filter(|entitlement| **entitlement != Entitlement::Other);
    Json(json!({ "for": user.sub, "groups": user.groups, "entitlements": known.count() }))
}

/// Everybody is greeted, and whoever brings a token by name. A token that is not good is refused all the same.
async fn greet(user: Option<Claims<User>>) -> String {
    match user {
        Some(Claims(user)) => format!("Hello {}", user.sub),
        None => "Hello stranger".to_owned(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let may_export = Policy::claim("entitlements").contains("export");
    // A function of the claims and the call. It gets a token that was verified, and is asked on every request.
    let small_group = Policy::custom("in at most two groups", |claims, _call| {
        claims
            .strings("groups")
            .is_ok_and(|groups| groups.is_none_or(|groups| groups.len() <= 2))
    });
    let guard = Guard::builder()
        .authority(var("AUTHORITY")?)
        .audience(var("AUDIENCE")?)
        .policy("Export", Policy::all([may_export, small_group]))
        .audit_to_stdout()
        .build()?;

    let app = Router::new()
        .route("/export", get(export).route_layer(guard.require("Export")?))
        .route("/", get(greet).route_layer(guard.optional("authenticated")?));
    axum::serve(tokio::net::TcpListener::bind(var("LISTEN")?).await?, app).await?;
    Ok(())
}
