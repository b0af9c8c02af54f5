//! The frontend's pages: a directory, or a development server.

use std::path::{Path, PathBuf};

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, LOCATION, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use portcullis_audit::{Credential, Refused};
use portcullis_bff::is_navigation;
use portcullis_proxy::{ForwardHead, Upstream};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use super::frontends::Frontend;
use super::{Gateway, Incoming};
use crate::config::is_within;

#[derive(Debug)]
pub(crate) enum Assets {
    Dir(Files),
    Upstream(Upstream),
}

/// A directory of files.
#[derive(Debug)]
pub(crate) struct Files {
    serve: ServeDir,
    root: PathBuf,
    /// Paths below which a file's name changes with its content.
    immutable: Vec<String>,
}

// === impl Files ===

impl Files {
    /// `path` is what the frontend lives below.
    pub(super) fn new(root: &Path, path: &str, immutable: &[String]) -> Files {
        let serve = ServeDir::new(root)
            .append_index_html_on_directories(true)
            .redirect_path_prefix(path)
            .precompressed_br()
            .precompressed_gzip();
        Files {
            serve,
            root: root.to_owned(),
            immutable: immutable.to_vec(),
        }
    }

    async fn get(&self, incoming: &Incoming<'_>, path: &str) -> Response<Body> {
        let response = self.serve.clone().oneshot(request_for(incoming, path)).await;
        response.unwrap_or_else(|never| match never {}).map(Body::new)
    }

    fn is_immutable(&self, path: &str) -> bool {
        self.immutable.iter().any(|prefix| is_within(path, prefix))
    }

    async fn serve(&self, gateway: &Gateway, frontend: &Frontend, incoming: &Incoming<'_>) -> Response<Body> {
        let refuse = |refused: Refused| gateway.refuse(incoming, refused.into(), Credential::None);
        if !matches!(incoming.parts.method, Method::GET | Method::HEAD) {
            let refused = Refused::new("route.method_not_allowed").expected("GET, HEAD");
            return refuse(refused.found(incoming.parts.method.as_str()));
        }
        let path = frontend.inside(incoming.path.as_str());
        if path.is_empty() {
            return to_first_page(frontend);
        }
        // What begins with a dot is nobody's page (RFC 8615 excepted).
        let hidden = |segment: &str| segment.starts_with('.') && segment != ".well-known";
        if path.split('/').any(hidden) {
            return refuse(Refused::new("route.not_found").found(incoming.path.as_str()));
        }
        let mut response = self.get(incoming, path).await;
        // Files are asked for again each time, by their tag: a new version is seen at once.
        let mut cached = "no-cache";
        if response.status() == StatusCode::NOT_FOUND {
            // A path of the app's own router: the page itself decides what it means.
            if !is_navigation(&incoming.parts.headers) || !self.root.join("index.html").is_file() {
                return refuse(Refused::new("route.not_found").found(incoming.path.as_str()));
            }
            response = self.get(incoming, "/index.html").await;
        } else if !matches!(
            response.status(),
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            // Whatever a request's condition or a fault of ours brought about is nobody else's answer.
            cached = "no-store";
        } else if self.is_immutable(path) {
            cached = "public, max-age=31536000, immutable";
        }
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cached));
        // A compressed copy may lie beside the file.
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        frontend.headers.harden(headers);
        response
    }
}

// === impl Assets ===

impl Assets {
    pub(super) async fn serve<B>(
        &self,
        gateway: &Gateway,
        frontend: &Frontend,
        incoming: Incoming<'_>,
        body: B,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let upstream = match self {
            Assets::Dir(files) => return files.serve(gateway, frontend, &incoming).await,
            Assets::Upstream(upstream) => upstream,
        };
        let ours = gateway.0.frontends.cookies();
        let uri = incoming.parts.uri.clone();
        let mut head = ForwardHead::new(incoming.path, incoming.peer);
        head.query = uri.query();
        head.remove_cookies = &ours;
        head.remove = &gateway.0.certificates.remove;
        head.request_id = incoming.id.as_str();
        head.scheme = gateway.0.scheme;
        head.host = incoming.host;
        let request = Request::from_parts(incoming.parts.clone(), body);
        match gateway.0.forwarder.forward(upstream, request, head).await {
            Ok(response) => {
                let mut response = response.map(Body::new);
                frontend.headers.complete(response.headers_mut());
                response
            }
            Err(error) => {
                let refused = Refused::new(error.code()).found(error.to_string());
                gateway.refuse(&incoming, refused.into(), Credential::None)
            }
        }
    }
}

/// Relative addresses of a page lead astray where its own has no slash at the end.
fn to_first_page(frontend: &Frontend) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/", frontend.path())) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn request_for(incoming: &Incoming<'_>, path: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = incoming.parts.method.clone();
    *request.headers_mut() = incoming.parts.headers.clone();
    // The path is in normal form, so it is a URI.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request
}
