//! The document by which a client finds the provider of an API's tokens (RFC 9728).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use portcullis_oidc::HttpsUrl;
use serde::Serialize;
use tower_service::Service;

use crate::answer::quotable;

/// RFC 9728 s3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What is said about an API in public: who issues its tokens, and which scopes there are. A client that knows nothing
/// but the API's address begins here; the Model Context Protocol asks for it.
///
/// It is a tower service too, to be put where [`path`](Self::path) says: `.route_service(metadata.path(), metadata)` in
/// axum. It answers anybody, without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceMetadata {
    document: Arc<Document>,
    url: Arc<str>,
    path: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Document {
    resource: Box<str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<Box<str>>,
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_certificate_bound_access_tokens: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop_signing_alg_values_supported: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop_bound_access_tokens_required: Option<bool>,
}

/// An identifier that no resource can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not identify a resource: an https URL (http on loopback) without query and fragment, as clients call it"
)]
#[non_exhaustive]
pub struct ResourceFault(pub String);

// === impl ResourceMetadata ===

impl ResourceMetadata {
    /// About the API at this address, which is its identifier, to the letter: clients compare it with what they call.
    ///
    /// # Errors
    ///
    /// It is no https URL (http on loopback excepted), or it has a query or a fragment (RFC 9728 s1.2).
    pub fn new(resource: &str) -> Result<ResourceMetadata, ResourceFault> {
        let fault = || ResourceFault(resource.to_owned());
        let parsed = HttpsUrl::parse(resource).map_err(|_| fault())?;
        let parsed = parsed.as_url();
        if parsed.query().is_some() || !quotable(resource) || resource.contains(['?', '#', ' ']) {
            return Err(fault());
        }
        // RFC 9728 s3.1: inserted between host and path; a slash alone is no path.
        let origin = parsed.origin().ascii_serialization();
        let path = if parsed.path() == "/" { "" } else { parsed.path() };
        Ok(ResourceMetadata {
            document: Arc::new(Document {
                resource: resource.into(),
                authorization_servers: Vec::new(),
                scopes_supported: Vec::new(),
                // RFC 6750 s2.1: tokens in the body or the URL are not taken.
                bearer_methods_supported: ["header"],
                resource_name: None,
                tls_client_certificate_bound_access_tokens: None,
                dpop_signing_alg_values_supported: None,
                dpop_bound_access_tokens_required: None,
            }),
            path: origin.len(),
            url: format!("{origin}{WELL_KNOWN}{path}").into(),
        })
    }

    /// One more issuer whose tokens are taken.
    #[must_use]
    pub fn authorization_server(mut self, issuer: &str) -> ResourceMetadata {
        let document = Arc::make_mut(&mut self.document);
        document.authorization_servers.push(issuer.into());
        self
    }

    /// One more scope that policies ask for.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> ResourceMetadata {
        let document = Arc::make_mut(&mut self.document);
        if !document.scopes_supported.iter().any(|known| **known == *scope) {
            document.scopes_supported.push(scope.into());
        }
        self
    }

    /// What the API is called where people read it.
    #[must_use]
    pub fn name(mut self, name: &str) -> ResourceMetadata {
        Arc::make_mut(&mut self.document).resource_name = Some(name.into());
        self
    }

    /// Tokens may be bound to a client's certificate (RFC 8705).
    #[must_use]
    pub fn certificate_bound_tokens(mut self) -> ResourceMetadata {
        Arc::make_mut(&mut self.document).tls_client_certificate_bound_access_tokens = Some(true);
        self
    }

    /// Proofs of possession are taken with these algorithms, or asked for with every token (RFC 9449).
    #[must_use]
    pub fn dpop(mut self, algorithms: &[&'static str], required: bool) -> ResourceMetadata {
        let document = Arc::make_mut(&mut self.document);
        document.dpop_signing_alg_values_supported = Some(algorithms.to_vec());
        document.dpop_bound_access_tokens_required = required.then_some(true);
        self
    }

    /// The resource's identifier.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.document.resource
    }

    /// Where clients look for the document: the value of `resource_metadata` in challenges (RFC 9728 s5.1).
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of [`url`](Self::url).
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.get(self.path..).unwrap_or_default()
    }

    /// The answer to a request for the document.
    #[must_use]
    pub fn response(&self, method: &Method) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        if *method == Method::OPTIONS {
            // A client in a browser may send headers of its own protocol along, and is asked first (Fetch s4.8).
            *response.status_mut() = StatusCode::NO_CONTENT;
            for (name, value) in [
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
                (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
            ] {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            return response;
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        // Text, lists and true: there is nothing that could fail.
        let body = serde_json::to_vec(&*self.document).unwrap_or_default();
        *response.body_mut() = Bytes::from(body);
        for (name, value) in [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "public, max-age=3600"),
            // It is the same for everybody, and clients in a browser come from origins of their own.
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl<B> Service<Request<B>> for ResourceMetadata {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.response(request.method()).map(Body::from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_stands_between_host_and_path() {
        for (resource, url, path) in [
            (
                "https://api.example.com/orders",
                "https://api.example.com/.well-known/oauth-protected-resource/orders",
                "/.well-known/oauth-protected-resource/orders",
            ),
            (
                "https://api.example.com:8443/a/b/",
                "https://api.example.com:8443/.well-known/oauth-protected-resource/a/b/",
                "/.well-known/oauth-protected-resource/a/b/",
            ),
            (
                "https://api.example.com/",
                "https://api.example.com/.well-known/oauth-protected-resource",
                WELL_KNOWN,
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/.well-known/oauth-protected-resource",
                WELL_KNOWN,
            ),
        ] {
            let metadata = ResourceMetadata::new(resource).unwrap();
            assert_eq!(
                (metadata.resource(), metadata.url(), metadata.path()),
                (resource, url, path)
            );
        }
        for bad in [
            "",
            "api://orders",
            "http://api.example.com/",
            "https://api.example.com/?a=b",
            "https://api.example.com/?",
            "https://api.example.com/#a",
            "https://user@api.example.com/",
            "https://api.example.com/a\"b",
            "/orders",
        ] {
            assert!(ResourceMetadata::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let metadata = ResourceMetadata::new("https://api.example.com/orders").unwrap();
        let shown =
            |metadata: &ResourceMetadata| String::from_utf8(metadata.response(&Method::GET).into_body().to_vec());
        assert_eq!(
            shown(&metadata).unwrap(),
            r#"{"resource":"https://api.example.com/orders","bearer_methods_supported":["header"]}"#
        );
        let metadata = metadata
            .authorization_server("https://login.example.com")
            .scope("orders.read")
            .scope("orders.read")
            .name("Orders")
            .dpop(&["ES256"], true)
            .certificate_bound_tokens();
        assert_eq!(
            shown(&metadata).unwrap(),
            concat!(
                r#"{"resource":"https://api.example.com/orders","authorization_servers":["https://login.example.com"],"#,
                r#""scopes_supported":["orders.read"],"bearer_methods_supported":["header"],"resource_name":"Orders","#,
                r#""tls_client_certificate_bound_access_tokens":true,"dpop_signing_alg_values_supported":["ES256"],"#,
                r#""dpop_bound_access_tokens_required":true}"#
            )
        );
    }

    #[test]
    fn it_is_read_only() {
        let metadata = ResourceMetadata::new("https://api.example.com").unwrap();
        let refused = metadata.response(&Method::POST);
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &HeaderValue::from_static("GET, HEAD"))
        );
        assert!(refused.body().is_empty());
    }
}
