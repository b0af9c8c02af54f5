//! An API that takes tokens only together with a proof that their sender has the key which they are bound to (DPoP,
//! RFC 9449): a stolen token is worth nothing.
//!
//! ```sh
//! AUTHORITY=http://127.0.0.1:8081 AUDIENCE=api://orders LISTEN=127.0.0.1:5000 \
//!     cargo run -p example-guard --bin example-dpop-api
//! ```

use std::env::var;
use std::error::Error;

use axum::routing::get;
use axum::{Json, Router};
use portcullis_guard::{BearerClaims, Dpop, DpopNonces, Guard, Policy, SenderConstraint};
use serde_json::{Value, json};

async fn list(claims: BearerClaims) -> Json<Value> {
    Json(json!({ "for": claims.subject(), "key": claims.binding().jkt(), "orders": [] }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = var("LISTEN")?;
    // Proofs name the address by which callers know this API. It is a setting: a request could say anything.
    // A nonce of ours in each proof means that none can be made in advance.
    let dpop = Dpop::at(format!("http://{listen}")).nonces(DpopNonces::of_this_process()?);
    let guard = Guard::builder()
        .authority(var("AUTHORITY")?)
        .audience(var("AUDIENCE")?)
        .policy("ReadOrders", Policy::scope("orders.read"))
        .dpop(dpop)
        // A bound token needs its proof in any case. This refuses tokens that are bound to nothing.
        .sender_constrained(SenderConstraint::Dpop)
        .audit_to_stdout()
        .build()?;

    let app = Router::new().route("/orders", get(list).route_layer(guard.require("ReadOrders")?));
    axum::serve(tokio::net::TcpListener::bind(listen).await?, app).await?;
    Ok(())
}
