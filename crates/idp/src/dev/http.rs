//! The development side over HTTP, for programs that are not in this process. Only the admin token opens it, and no
//! web page can use it: a request with an `Origin` is refused, and so is a body that a form could send.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use portcullis_jose::constant_time_eq;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Behaviour, Control, Mint, RotateHow};
use crate::provider::Provider;

type Answer = Result<Json<Value>, Refused>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    how: RotateHow,
}

pub(crate) async fn get_behaviour(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Answer {
    allow(&provider, &headers)?;
    Ok(Json(json!(*provider.dev.behaviour())))
}

pub(crate) async fn set_behaviour(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Answer {
    let behaviour: Behaviour = read(&provider, &headers, &body)?;
    *provider.dev.behaviour() = behaviour.clone();
    Ok(Json(json!(behaviour)))
}

pub(crate) async fn mint(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Answer {
    let order: Mint = read(&provider, &headers, &body)?;
    let token = super::mint::mint(&provider, &order).map_err(|error| Refused::body(error.to_string()))?;
    Ok(Json(json!({ "token": token })))
}

pub(crate) async fn rotate_keys(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Answer {
    let Rotate { how } = read(&provider, &headers, &body)?;
    let control = Control(Arc::clone(&provider));
    let rotated = tokio::task::spawn_blocking(move || control.rotate_keys(how)).await;
    match rotated {
        Ok(Ok(())) => Ok(Json(provider.keys.published())),
        _ => Err(Refused {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            detail: "no key could be made".into(),
        }),
    }
}

pub(crate) async fn requests(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Answer {
    allow(&provider, &headers)?;
    Ok(Json(json!({ "requests": *provider.dev.log() })))
}

/// A request to the development side that is turned away.
pub(crate) struct Refused {
    status: StatusCode,
    detail: String,
}

impl Refused {
    fn new(status: StatusCode, detail: &str) -> Refused {
        Refused {
            status,
            detail: detail.into(),
        }
    }

    fn body(detail: String) -> Refused {
        Refused {
            status: StatusCode::BAD_REQUEST,
            detail,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.detail }))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = http::HeaderValue::from_static("Bearer realm=\"portcullis idp development\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

fn allow(provider: &Provider, headers: &HeaderMap) -> Result<(), Refused> {
    // A browser names the page's origin in every request that could change something.
    if headers.contains_key(header::ORIGIN) {
        return Err(Refused::new(StatusCode::FORBIDDEN, "not for web pages"));
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    if !constant_time_eq(given.as_bytes(), provider.dev.admin_token.expose().as_bytes()) {
        return Err(Refused::new(
            StatusCode::UNAUTHORIZED,
            "send the admin token that was made at start",
        ));
    }
    Ok(())
}

fn read<T: DeserializeOwned>(provider: &Provider, headers: &HeaderMap, body: &[u8]) -> Result<T, Refused> {
    allow(provider, headers)?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !content_type
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    {
        return Err(Refused::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send application/json",
        ));
    }
    serde_json::from_slice(body).map_err(|error| Refused::body(error.to_string()))
}
