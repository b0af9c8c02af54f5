//! The frontend's pages: a directory, or a development server.

use std::path::{Path, PathBuf};

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, IF_RANGE, LOCATION, RANGE, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use portcullis_audit::{Credential, Refused};
use portcullis_bff::is_navigation;
use portcullis_proxy::{ForwardHead, Upstream};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use super::frontends::Frontend;
use super::ranges;
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
        if !names_a_file(path) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        let mut request = request_for(incoming, path);
        let condition = request.headers_mut().remove(IF_RANGE);
        let range = ranges::wanted(&request);
        match &range {
            Some(range) => request.headers_mut().insert(RANGE, range.clone()),
            None => request.headers_mut().remove(RANGE),
        };
        // RFC 9110 s13.1.5: of another version the whole is sent.
        if range.is_some()
            && let Some(condition) = condition
        {
            let mut head = request.clone();
            *head.method_mut() = Method::HEAD;
            head.headers_mut().remove(RANGE);
            let head = self.ask(head.map(|()| Body::empty())).await;
            if !ranges::is_same_version(&condition, head.headers()) {
                request.headers_mut().remove(RANGE);
            }
        }
        let whole = request.clone();
        let response = self.ask(request.map(|()| Body::empty())).await;
        if range.is_some_and(|range| ranges::is_of_the_whole(&range, &response)) {
            let mut whole = whole;
            whole.headers_mut().remove(RANGE);
            return self.ask(whole.map(|()| Body::empty())).await;
        }
        response
    }

    async fn ask(&self, request: Request<Body>) -> Response<Body> {
        let response = self.serve.clone().oneshot(request).await;
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
            return to_first_page(frontend, incoming);
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
            // To the directory, with its slash.
            if response.status().is_redirection() {
                with_query(&mut response, incoming);
            }
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
        head.leaving = Some(gateway.0.leaving.subscribe());
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
fn to_first_page(frontend: &Frontend, incoming: &Incoming<'_>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/", frontend.path())) {
        response.headers_mut().insert(LOCATION, location);
    }
    // A redirect for good is kept for good, unless it is said otherwise.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    with_query(&mut response, incoming);
    response
}

/// Lets a redirect lead on with the query that was asked.
fn with_query(response: &mut Response<Body>, incoming: &Incoming<'_>) {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    if let (Some(location), Some(query)) = (location, incoming.parts.uri.query())
        && let Ok(location) = HeaderValue::from_str(&format!("{location}?{query}"))
    {
        response.headers_mut().insert(LOCATION, location);
    }
}

/// Whether a file may have this name: systems know none whose name has more than 255 bytes, or its path more than 4096.
fn names_a_file(path: &str) -> bool {
    let bytes = |segment: &str| segment.len().saturating_sub(2 * segment.matches('%').count());
    path.len() <= 3072 && path.split('/').all(|segment| bytes(segment) <= 255)
}

fn request_for(incoming: &Incoming<'_>, path: &str) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = incoming.parts.method.clone();
    *request.headers_mut() = incoming.parts.headers.clone();
    // The path is in normal form, so it is a URI.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request
}
