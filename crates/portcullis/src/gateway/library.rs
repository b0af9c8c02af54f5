//! `portcullis.js`, as it is served beside the endpoints that it talks to.

use std::sync::LazyLock;

use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use portcullis_jose::{base64url_encode, sha256};

const MODULE: &str = include_str!("../../../../web/portcullis.js/portcullis.js");

static TAG: LazyLock<String> = LazyLock::new(|| {
    let hash = base64url_encode(&sha256(MODULE.as_bytes()));
    format!("\"{}\"", hash.get(..22).unwrap_or_default())
});

/// The module, the same for everybody.
pub(super) fn response(request: &Parts) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if !matches!(request.method, Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let known = request.headers.get_all(IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    // RFC 9110 s13.1.2: weakly compared.
    if known.any(|tag| tag.trim().trim_start_matches("W/") == *TAG) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if request.method == Method::GET {
        *response.body_mut() = Body::from(MODULE);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    // It goes with the endpoints of this version, so a new one is seen at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        headers.insert(ETAG, tag);
    }
    response
}
