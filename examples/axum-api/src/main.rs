//! A Rust API protected by `portcullis-guard`: authority, audience, two policies, and the token's claims in the
//! handlers.
//!
//! ```sh
//! AUTHORITY=http://127.0.0.1:8081 AUDIENCE=api://orders LISTEN=127.0.0.1:5000 cargo run -p example-axum-api
//! ```

use std::env::var;
use std::sync::Mutex;

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router, extract::State};
use portcullis_guard::{BearerClaims, Guard, Policy};
use serde_json::{Value, json};

type Orders = &'static Mutex<Vec<Value>>;

async fn list(State(orders): State<Orders>, claims: BearerClaims) -> Result<Json<Value>, StatusCode> {
    let orders = orders.lock().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(json!({ "for": claims.subject(), "orders": *orders })))
}

async fn create(
    State(orders): State<Orders>,
    claims: BearerClaims,
    Json(item): Json<Value>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let order = json!({ "item": item.get("item"), "by": claims.subject(), "client": claims.client() });
    orders
        .lock()
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?
        .push(order.clone());
    Ok((StatusCode::CREATED, Json(order)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    static ORDERS: Mutex<Vec<Value>> = Mutex::new(Vec::new());
    let guard = Guard::builder()
        .authority(var("AUTHORITY").unwrap_or_else(|_| "http://127.0.0.1:8081".into()))
        .audience(var("AUDIENCE").unwrap_or_else(|_| "api://orders".into()))
        .policy("ReadOrders", Policy::scope("orders.read"))
        .policy("WriteOrders", Policy::scope("orders.write"))
        .audit_to_stdout()
        .build()?;

    let read = get(list).route_layer(guard.require("ReadOrders")?);
    let write = axum::routing::post(create).route_layer(guard.require("WriteOrders")?);
    let app = Router::new().route("/orders", read.merge(write)).with_state(&ORDERS);

    let listen = var("LISTEN").unwrap_or_else(|_| "127.0.0.1:5000".into());
    axum::serve(tokio::net::TcpListener::bind(listen).await?, app).await?;
    Ok(())
}
