//! A gRPC server (tonic) protected by `portcullis-guard`. A refusal reaches the client as a gRPC status: 16
//! (unauthenticated), 7 (permission denied) or 14 (unavailable), with the challenge in the metadata.
//!
//! ```sh
//! AUTHORITY=http://127.0.0.1:8081 AUDIENCE=api://orders LISTEN=127.0.0.1:5000 cargo run -p example-tonic
//! ```
//!
//! A method of gRPC is a path, so methods have policies as routes have. With a service that `tonic-build` has made it is
//! one line for all of its methods, since tonic's routes are an axum router:
//!
//! ```ignore
//! let orders = tonic::service::Routes::new(OrdersServer::new(orders)).into_axum_router();
//! let app = orders.layer(guard.require("ReadOrders")?);
//! ```
//!
//! Here the service is written by hand, so that the example needs no `protoc`.

use std::env::var;
use std::error::Error;

use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use portcullis_guard::{BearerClaims, Guard, Policy};
use tonic::server::Grpc;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, prost::Message)]
struct ListRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct ListReply {
    /// Whom the orders are of.
    #[prost(string, tag = "1")]
    subject: String,
    #[prost(string, repeated, tag = "2")]
    items: Vec<String>,
}

/// A method as one writes it for tonic. The guard was here before: the claims are in the request's extensions.
async fn list(request: tonic::Request<ListRequest>) -> Result<Response<ListReply>, Status> {
    let claims = BearerClaims::of(request.extensions()).ok_or_else(|| Status::internal("there is no guard"))?;
    let subject = claims.subject().unwrap_or("a service").to_owned();
    let items = vec!["rope".to_owned()];
    Ok(Response::new(ListReply { subject, items }))
}

/// What `tonic-build` would have written around it.
async fn serve_list(request: Request) -> axum::http::Response<tonic::body::Body> {
    Grpc::new(ProstCodec::default())
        .unary(tower::service_fn(list), request)
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let guard = Guard::builder()
        .authority(var("AUTHORITY")?)
        .audience(var("AUDIENCE")?)
        .policy("ReadOrders", Policy::scope("orders.read"))
        .policy("Administer", Policy::role("Orders.Admin"))
        .audit_to_stdout()
        .build()?;
    let app = Router::new()
        .route(
            "/orders.Orders/List",
            post(serve_list).route_layer(guard.require("ReadOrders")?),
        )
        .route(
            "/orders.Orders/ListAll",
            post(serve_list).route_layer(guard.require("Administer")?),
        );
    // HTTP/2 without TLS, as gRPC wants it on loopback.
    axum::serve(tokio::net::TcpListener::bind(var("LISTEN")?).await?, app).await?;
    Ok(())
}
