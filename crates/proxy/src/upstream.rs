//! Where requests go: an origin that nothing in a request can change.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use url::Url;

use crate::error::ForwardError;
use crate::path::normalise_path;
use crate::settings::Timeouts;
use crate::transport::Pool;

/// A service that requests are forwarded to. Cheap to clone; clones share their idle connections.
#[derive(Clone)]
pub struct Upstream {
    pub(crate) target: Arc<Target>,
    timeouts: Timeouts,
}

/// The fixed part of an upstream.
pub(crate) struct Target {
    pub(crate) tls: bool,
    pub(crate) authority: Authority,
    /// `Host` for the upstream.
    pub(crate) host: HeaderValue,
    /// `http://host:port`.
    pub(crate) origin: String,
    /// What stands before each path: empty, or `/prefix` without a last `/`.
    prefix: String,
    pub(crate) pool: Pool,
}

/// Why a text is no upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// Not a URL.
    #[error("`{0}` is not a URL; write it as `http://127.0.0.1:5000`")]
    NotUrl(String),
    /// Another scheme than `http` or `https`.
    #[error("an upstream's URL begins with http:// or https://, not {0}://")]
    Scheme(String),
    /// User and password in the URL.
    #[error("an upstream's URL has no user or password; take them out")]
    Credentials,
    /// A query or a fragment in the URL.
    #[error("an upstream's URL has no query and no fragment; take them out")]
    Query,
    /// The path prefix is not canonical.
    #[error("the path of an upstream's URL is not canonical: {0}")]
    Path(crate::PathError),
}

impl Upstream {
    /// Reads `http://host:port` or `https://host`, with a path prefix where the service wants one.
    ///
    /// # Errors
    /// [`UpstreamError`], with what to change.
    pub fn parse(text: &str) -> Result<Upstream, UpstreamError> {
        let not_url = || UpstreamError::NotUrl(text.to_owned());
        // A URL that does not parse may hold a password, so it is not repeated.
        let url = Url::parse(text).map_err(|_| match text.contains('@') {
            true => UpstreamError::Credentials,
            false => not_url(),
        })?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(UpstreamError::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UpstreamError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UpstreamError::Query);
        }
        let prefix = normalise_path(url.path()).map_err(UpstreamError::Path)?;
        let prefix = prefix.as_str().trim_end_matches('/').to_owned();
        // `authority()` of a URL without credentials is host and port, the scheme's own port left out.
        let authority: Authority = url.authority().parse().map_err(|_| not_url())?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| not_url())?;
        let origin = format!("{}://{authority}", url.scheme());
        let target = Target {
            tls,
            authority,
            host,
            origin,
            prefix,
            pool: Pool::default(),
        };
        Ok(Upstream {
            target: Arc::new(target),
            timeouts: Timeouts::default(),
        })
    }

    /// The same upstream with other time-outs.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Upstream {
        self.timeouts = timeouts;
        self
    }

    /// Its time-outs.
    #[must_use]
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Scheme, host and port, for messages and metrics.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.target.origin
    }

    /// What stands before the path of each call: scheme, authority, and the path prefix without a last `/`.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}{}", self.target.origin, self.target.prefix)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("origin", &self.target.origin)
            .field("prefix", &self.target.prefix)
            .field("timeouts", &self.timeouts)
            .finish()
    }
}

// === impl Target ===

impl Target {
    /// The URI to send: origin-form for a connection of our own, absolute for the TLS client.
    pub(crate) fn uri(&self, inbound: Uri, path: &str, query: Option<&str>) -> Result<Uri, ForwardError> {
        let unchanged = self.prefix.is_empty() && inbound.path() == path && inbound.query() == query;
        if unchanged && !self.tls && inbound.authority().is_none() {
            return Ok(inbound);
        }
        let path_and_query = match inbound.into_parts().path_and_query {
            Some(inbound) if unchanged => inbound,
            _ => self.join(path, query)?,
        };
        if !self.tls {
            return Ok(Uri::from(path_and_query));
        }
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).map_err(|_| ForwardError::TargetTooLong)
    }

    /// The URI that names the origin alone, for connecting.
    pub(crate) fn connect_uri(&self) -> Result<Uri, ForwardError> {
        let mut parts = Parts::default();
        parts.scheme = Some(if self.tls { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).map_err(|_| ForwardError::TargetTooLong)
    }

    /// The path and query of an absolute URL on this upstream, as the client would ask for it.
    pub(crate) fn strip<'a>(&self, location: &'a str) -> Option<&'a str> {
        let rest = location.strip_prefix(self.origin.as_str())?;
        if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
            return None;
        }
        let rest = rest.strip_prefix(self.prefix.as_str())?;
        match rest.is_empty() {
            true => Some("/"),
            // `//host` in a Location would lead elsewhere; browsers read `\` as `/` and skip tabs.
            false => {
                let odd = |byte: u8| byte == b'\\' || byte <= b' ';
                (rest.starts_with('/') && !rest.starts_with("//") && !rest.bytes().any(odd)).then_some(rest)
            }
        }
    }

    fn join(&self, path: &str, query: Option<&str>) -> Result<PathAndQuery, ForwardError> {
        let length = self.prefix.len() + path.len() + query.map_or(0, |query| query.len() + 1);
        let mut target = String::with_capacity(length);
        target.push_str(&self.prefix);
        target.push_str(path);
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| ForwardError::TargetTooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(upstream: &str, inbound: &str, path: &str, query: Option<&str>) -> String {
        let upstream = Upstream::parse(upstream).unwrap();
        upstream
            .target
            .uri(inbound.parse().unwrap(), path, query)
            .unwrap()
            .to_string()
    }

    #[test]
    fn the_request_cannot_choose_the_origin() {
        assert_eq!(uri("http://127.0.0.1:5000", "/a?b", "/a", Some("b")), "/a?b");
        assert_eq!(uri("http://127.0.0.1:5000", "/a?b", "/a", None), "/a");
        assert_eq!(
            uri("http://127.0.0.1:5000", "http://evil.test/a?b", "/a", Some("b")),
            "/a?b"
        );
        assert_eq!(uri("http://127.0.0.1:5000/v1/", "/a", "/a", Some("")), "/v1/a?");
        assert_eq!(uri("http://127.0.0.1:5000", "/x//@evil", "/x/@evil", None), "/x/@evil");
        assert_eq!(uri("https://api.test", "/a?b", "/a", Some("b")), "https://api.test/a?b");
        assert_eq!(
            uri("https://api.test:8443/v1", "/@evil", "/@evil", None),
            "https://api.test:8443/v1/@evil"
        );
    }

    #[test]
    fn a_wrong_upstream_is_refused_with_a_reason() {
        for (text, error) in [
            ("127.0.0.1", UpstreamError::NotUrl("127.0.0.1".into())),
            ("ftp://a", UpstreamError::Scheme("ftp".into())),
            ("http://user:secret@a", UpstreamError::Credentials),
            ("http://user:secret@a:x", UpstreamError::Credentials),
            ("http://a/?b", UpstreamError::Query),
            ("http://a/#b", UpstreamError::Query),
            ("http://a/b%2fc", UpstreamError::Path(crate::PathError::EncodedSlash)),
        ] {
            let found = Upstream::parse(text).unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("secret"), "{found}");
        }
        assert_eq!(
            Upstream::parse("HTTP://LOCALHOST:80/").unwrap().origin(),
            "http://localhost"
        );
        assert_eq!(
            Upstream::parse("http://[::1]:5000").unwrap().origin(),
            "http://[::1]:5000"
        );
    }

    #[test]
    fn a_location_on_the_upstream_becomes_a_path() {
        let upstream = Upstream::parse("http://127.0.0.1:5000/v1").unwrap();
        for (location, path) in [
            ("http://127.0.0.1:5000/v1/orders?a=b", Some("/orders?a=b")),
            ("http://127.0.0.1:5000/v1", Some("/")),
            ("http://127.0.0.1:5000/v10", None),
            ("http://127.0.0.1:50000/v1/x", None),
            ("http://127.0.0.1:5000.evil.test/v1", None),
            ("http://127.0.0.1:5000/v1//evil.test", None),
            ("http://127.0.0.1:5000/v1/\\evil.test", None),
            ("http://127.0.0.1:5000/v1/\t/evil.test", None),
            ("https://elsewhere.test/", None),
            ("/orders", None),
        ] {
            assert_eq!(upstream.target.strip(location), path, "{location}");
        }
    }
}
