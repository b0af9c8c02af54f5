//! The demo's API: orders. It checks the token itself, as an API should, whoever stands before it.

use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis_audit::{Audit, AuditSettings};
use portcullis_guard::{BearerClaims, Guard, Policy};
use portcullis_jose::Clock;
use portcullis_oidc::Provider;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::files::ATTACKER;

const MAX_ORDERS: usize = 1000;

#[derive(Clone, Debug, Serialize)]
struct Order {
    id: usize,
    item: String,
    quantity: u32,
    ordered_by: String,
}

#[derive(Debug, Deserialize)]
struct NewOrder {
    item: String,
    quantity: u32,
}

type Orders = Arc<Mutex<Vec<Order>>>;

/// The API, below `/orders` and, as the gateway forwards paths unchanged, below `/api/orders`.
pub(super) fn router(provider: Provider, clock: &Arc<dyn Clock>) -> Result<Router, String> {
    let role = Policy::all([Policy::scope("orders.admin"), Policy::role("Orders.Admin")]);
    let guard = Guard::builder()
        .provider(provider)
        .audience("api://orders")
        .realm("orders")
        .clock(clock.clone())
        .audit(Audit::new(AuditSettings::in_memory(), clock.clone()))
        .policy("ReadOrders", Policy::scope("orders.read"))
        .policy("WriteOrders", Policy::scope("orders.write"))
        .policy("Administer", role)
        .build()
        .map_err(|error| error.to_string())?;
    let require = |policy: &str| guard.require(policy).map_err(|error| error.to_string());
    let first = |id, item: &str, quantity, by: &str| Order {
        id,
        item: item.into(),
        quantity,
        ordered_by: by.into(),
    };
    let orders: Orders = Arc::new(Mutex::new(vec![
        first(1, "Portcullis chain, 12 m", 1, "system"),
        first(2, "Oak beam", 4, "system"),
    ]));
    let api = Router::new()
        .route("/", get(list).route_layer(require("ReadOrders")?))
        .route("/", post(create).route_layer(require("WriteOrders")?))
        .route("/report", get(report).route_layer(require("Administer")?))
        .with_state(orders);
    Ok(Router::new()
        .route(
            "/",
            get(|| async { Json(json!({ "name": "orders", "paths": ["/orders", "/orders/report"] })) }),
        )
        .route("/{file}", get(attacker))
        .nest("/orders", api.clone())
        .nest("/api/orders", api))
}

async fn list(State(orders): State<Orders>) -> Response {
    match orders.lock() {
        Ok(orders) => Json(orders.clone()).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn create(State(orders): State<Orders>, claims: BearerClaims, Json(new): Json<NewOrder>) -> Response {
    let problem = |status: StatusCode, detail: &str| {
        let body =
            json!({ "type": "about:blank", "status": status.as_u16(), "title": "Order refused", "detail": detail });
        (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    };
    let item = new.item.trim();
    if item.is_empty() || item.len() > 100 || !(1..=1000).contains(&new.quantity) {
        return problem(
            StatusCode::BAD_REQUEST,
            "An order has an item of 1 to 100 characters and a quantity from 1 to 1000.",
        );
    }
    let Ok(mut orders) = orders.lock() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if orders.len() >= MAX_ORDERS {
        return problem(StatusCode::CONFLICT, "The demo keeps at most 1000 orders.");
    }
    let ordered_by = claims
        .token()
        .claims()
        .str("name")
        .or(claims.token().subject())
        .unwrap_or("somebody")
        .to_owned();
    let order = Order {
        id: orders.len() + 1,
        item: item.to_owned(),
        quantity: new.quantity,
        ordered_by,
    };
    orders.push(order.clone());
    (StatusCode::CREATED, Json(order)).into_response()
}

async fn report(State(orders): State<Orders>) -> Response {
    let Ok(orders) = orders.lock() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let pieces: u64 = orders.iter().map(|order| u64::from(order.quantity)).sum();
    Json(json!({ "orders": orders.len(), "pieces": pieces })).into_response()
}

/// Another website, to show what it cannot do.
async fn attacker(Path(file): Path<String>) -> Response {
    let Some((name, text)) = ATTACKER.iter().find(|(name, _)| *name == file) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "text/css; charset=utf-8",
    };
    ([(CONTENT_TYPE, kind)], *text).into_response()
}
