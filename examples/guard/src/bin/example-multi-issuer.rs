//! An API that takes the tokens of several issuers: customers sign in at one, employees at another.
//!
//! ```sh
//! CUSTOMERS=http://127.0.0.1:8081 EMPLOYEES=https://login.example.com AUDIENCE=api://orders LISTEN=127.0.0.1:5000 \
//!     cargo run -p example-guard --bin example-multi-issuer
//! ```

use std::env::var;
use std::error::Error;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use portcullis_guard::{BearerClaims, Guard, Policy};
use serde_json::{Value, json};

/// A `sub` is unique at its issuer only, so whoever is remembered is remembered by both.
async fn who(claims: BearerClaims) -> Json<Value> {
    Json(json!({ "issuer": claims.issuer(), "subject": claims.subject() }))
}

async fn discount(State(employees): State<String>, claims: BearerClaims) -> Json<Value> {
    Json(json!({ "percent": if claims.issuer() == employees { 20 } else { 0 } }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (customers, employees) = (var("CUSTOMERS")?, var("EMPLOYEES")?);
    // The token's `iss` picks the issuer, to the letter, and only that issuer's keys are tried.
    let guard = Guard::builder()
        .authority(&customers)
        .also_authority(&employees)
        .audience(var("AUDIENCE")?)
        // A policy can ask for the issuer as for any claim. What an issuer may say is for you to know: here nobody but
        // the employees' one makes an administrator.
        .policy(
            "Administer",
            Policy::all([
                Policy::claim("iss").equals(employees.as_str()),
                Policy::role("Orders.Admin"),
            ]),
        )
        .audit_to_stdout()
        .build()?;

    let app = Router::new()
        .route("/who", get(who))
        .route("/discount", get(discount))
        .route_layer(guard.require("authenticated")?)
        .route("/admin", get(who).route_layer(guard.require("Administer")?))
        .with_state(employees);
    axum::serve(tokio::net::TcpListener::bind(var("LISTEN")?).await?, app).await?;
    Ok(())
}
