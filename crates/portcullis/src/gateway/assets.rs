//! The frontend's pages: a directory, or a development server.

use std::path::PathBuf;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response};
use portcullis_audit::{Credential, Refused};
use portcullis_bff::{Bff, is_navigation};
use portcullis_proxy::{CookieMatch, ForwardHead, Upstream};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use super::{Gateway, Incoming};

#[derive(Debug)]
pub(crate) enum Assets {
    Dir {
        files: ServeDir,
        root: PathBuf,
        policy: HeaderValue,
    },
    Upstream(Upstream),
}

/// What a page may load and do where the configuration says nothing: what comes from its own origin.
pub(crate) const CONTENT_POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

impl Assets {
    pub(crate) fn dir(root: PathBuf, policy: HeaderValue) -> Assets {
        Assets::Dir {
            files: ServeDir::new(&root).append_index_html_on_directories(true),
            root,
            policy,
        }
    }

    pub(super) async fn serve<B>(&self, gateway: &Gateway, incoming: Incoming<'_>, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self {
            Assets::Dir { files, root, policy } => {
                if !matches!(incoming.parts.method, Method::GET | Method::HEAD) {
                    let refused = Refused::new("route.method_not_allowed")
                        .expected("GET, HEAD")
                        .found(incoming.parts.method.as_str());
                    return gateway.refuse(&incoming, refused.into(), Credential::None);
                }
                // What begins with a dot is nobody's page (RFC 8615 excepted).
                let hidden = |segment: &str| segment.starts_with('.') && segment != ".well-known";
                if incoming.path.as_str().split('/').any(hidden) {
                    let refused = Refused::new("route.not_found").found(incoming.path.as_str());
                    return gateway.refuse(&incoming, refused.into(), Credential::None);
                }
                let response = files
                    .clone()
                    .oneshot(request_for(&incoming, incoming.path.as_str()))
                    .await;
                let mut response = response.unwrap_or_else(|never| match never {}).map(Body::new);
                if response.status() == http::StatusCode::NOT_FOUND {
                    // A path of the app's own router: the page itself decides what it means.
                    if !is_navigation(&incoming.parts.headers) || !root.join("index.html").is_file() {
                        let refused = Refused::new("route.not_found").found(incoming.path.as_str());
                        return gateway.refuse(&incoming, refused.into(), Credential::None);
                    }
                    let index = files.clone().oneshot(request_for(&incoming, "/index.html")).await;
                    response = index.unwrap_or_else(|never| match never {}).map(Body::new);
                }
                harden(&mut response, policy);
                response
            }
            Assets::Upstream(upstream) => {
                let prefix = gateway.0.bff.as_ref().map(Bff::cookie_prefix);
                let ours: Vec<CookieMatch<'_>> = prefix.iter().map(|prefix| CookieMatch::Prefix(prefix)).collect();
                let uri = incoming.parts.uri.clone();
                let mut head = ForwardHead::new(incoming.path, incoming.peer);
                head.query = uri.query();
                head.remove_cookies = &ours;
                head.remove = &gateway.0.certificates.remove;
                head.request_id = incoming.id.as_str();
                head.scheme = gateway.0.scheme;
                head.host = &gateway.0.host;
                let request = Request::from_parts(incoming.parts.clone(), body);
                match gateway.0.forwarder.forward(upstream, request, head).await {
                    Ok(response) => response.map(Body::new),
                    Err(error) => {
                        let refused = Refused::new(error.code()).found(error.to_string());
                        gateway.refuse(&incoming, refused.into(), Credential::None)
                    }
                }
            }
        }
    }
}

fn request_for(incoming: &Incoming<'_>, path: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = incoming.parts.method.clone();
    *request.headers_mut() = incoming.parts.headers.clone();
    // The path is in normal form, so it is a URI.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request
}

fn harden(response: &mut Response<Body>, policy: &HeaderValue) {
    let page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Files are asked for again each time, by their date: a new version is seen at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if page {
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
}
