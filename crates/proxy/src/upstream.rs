//! Where requests go: an origin that nothing in a request can change.

use std::borrow::Cow;
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
    /// What the prefix takes the place of at the start of each path: empty, or `/path` without a last `/`.
    replaced: String,
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
            replaced: String::new(),
            pool: Pool::default(),
        };
        Ok(Upstream {
            target: Arc::new(target),
            timeouts: Timeouts::default(),
        })
    }

    /// The same origin, where `path` stands in the place of `replaced` at the start of each path, and of the prefix of
    /// the URL. Both are compared whole, segment by segment, and without case, as routes are found.
    ///
    /// ```
    /// use portcullis_proxy::Upstream;
    ///
    /// let orders = Upstream::parse("https://orders.internal").unwrap();
    /// let orders = orders.replacing("/api/orders", "/v1").unwrap();
    /// assert_eq!(orders.url_of("/api/orders/7"), "https://orders.internal/v1/7");
    /// ```
    ///
    /// # Errors
    /// [`UpstreamError::Path`], where one of the two has no canonical spelling.
    pub fn replacing(self, replaced: &str, path: &str) -> Result<Upstream, UpstreamError> {
        let canonical = |path: &str| {
            let path = normalise_path(path).map_err(UpstreamError::Path)?;
            Ok(path.as_str().trim_end_matches('/').to_owned())
        };
        let target = Target {
            tls: self.target.tls,
            authority: self.target.authority.clone(),
            host: self.target.host.clone(),
            origin: self.target.origin.clone(),
            prefix: canonical(path)?,
            replaced: canonical(replaced)?,
            pool: Pool::default(),
        };
        Ok(Upstream {
            target: Arc::new(target),
            ..self
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

    /// What is asked for when a call has this canonical path: scheme, authority and path.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        let mut url = self.target.origin.clone();
        self.target.push_path(&mut url, path);
        url
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("origin", &self.target.origin)
            .field("prefix", &self.target.prefix)
            .field("replaced", &self.target.replaced)
            .field("timeouts", &self.timeouts)
            .finish()
    }
}

// === impl Target ===

impl Target {
    /// The URI to send: origin-form for a connection of our own, absolute for the TLS client.
    pub(crate) fn uri(&self, inbound: Uri, path: &str, query: Option<&str>) -> Result<Uri, ForwardError> {
        let here = self.prefix.is_empty() && self.replaced.is_empty();
        let unchanged = here && inbound.path() == path && inbound.query() == query;
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
    pub(crate) fn strip<'a>(&self, location: &'a str) -> Option<Cow<'a, str>> {
        let rest = location.strip_prefix(self.origin.as_str())?;
        if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
            return None;
        }
        let rest = rest.strip_prefix(self.prefix.as_str())?;
        // `//host` in a Location would lead elsewhere; browsers read `\` as `/` and skip tabs.
        let odd = |byte: u8| byte == b'\\' || byte <= b' ';
        if rest.starts_with("//") || rest.bytes().any(odd) {
            return None;
        }
        let begins = |with: &[char]| rest.starts_with(with);
        match &*self.replaced {
            "" if rest.is_empty() => Some(Cow::Borrowed("/")),
            "" if begins(&['?', '#']) => Some(Cow::Owned(format!("/{rest}"))),
            "" => begins(&['/']).then_some(Cow::Borrowed(rest)),
            replaced => (rest.is_empty() || begins(&['/', '?', '#'])).then(|| format!("{replaced}{rest}").into()),
        }
    }

    /// Adds a path as the upstream knows it. It begins with `/`, and with the prefix whatever it is.
    fn push_path(&self, out: &mut String, path: &str) {
        let inside = match (path.get(..self.replaced.len()), path.get(self.replaced.len()..)) {
            (Some(start), Some(rest))
                if start.eq_ignore_ascii_case(&self.replaced) && (rest.is_empty() || rest.starts_with('/')) =>
            {
                rest
            }
            _ => path,
        };
        out.push_str(&self.prefix);
        out.push_str(inside);
        if self.prefix.is_empty() && inside.is_empty() {
            out.push('/');
        }
    }

    fn join(&self, path: &str, query: Option<&str>) -> Result<PathAndQuery, ForwardError> {
        let length = self.prefix.len() + path.len() + query.map_or(0, |query| query.len() + 1);
        let mut target = String::with_capacity(length);
        self.push_path(&mut target, path);
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
            ("http://127.0.0.1:5000/v1?a=b", Some("/?a=b")),
            ("http://127.0.0.1:5000/v10", None),
            ("http://127.0.0.1:50000/v1/x", None),
            ("http://127.0.0.1:5000.evil.test/v1", None),
            ("http://127.0.0.1:5000/v1//evil.test", None),
            ("http://127.0.0.1:5000/v1/\\evil.test", None),
            ("http://127.0.0.1:5000/v1/\t/evil.test", None),
            ("https://elsewhere.test/", None),
            ("/orders", None),
        ] {
            assert_eq!(upstream.target.strip(location).as_deref(), path, "{location}");
        }
    }

    #[test]
    fn a_path_takes_the_place_of_another() {
        let replacing = |replaced: &str, path: &str| {
            let upstream = Upstream::parse("http://127.0.0.1:5000").unwrap();
            upstream.replacing(replaced, path).unwrap()
        };
        for (replaced, path, called, sent) in [
            ("/api/orders", "/v1", "/api/orders/7", "/v1/7"),
            ("/api/orders", "/v1", "/api/orders", "/v1"),
            ("/api/orders", "/v1", "/api/orders/", "/v1/"),
            ("/api/orders", "/v1/orders", "/API/Orders/A", "/v1/orders/A"),
            ("/api/orders", "/", "/api/orders/7", "/7"),
            ("/api/orders", "/", "/api/orders", "/"),
            ("/api/orders", "/", "/api/orders/", "/"),
            ("/", "/v1", "/x", "/v1/x"),
            ("/", "/v1", "/", "/v1/"),
            // Twice the same text: only the start is replaced, and only once.
            ("/a", "/a/a", "/a/a/x", "/a/a/a/x"),
            // A neighbour is none of it. Nothing leaves the prefix.
            ("/api/orders", "/v1", "/api/orders2/7", "/v1/api/orders2/7"),
        ] {
            let upstream = replacing(replaced, path);
            let query = Some("a=/../b");
            let uri = upstream.target.uri(called.parse().unwrap(), called, query).unwrap();
            assert_eq!(uri.to_string(), format!("{sent}?a=/../b"), "{called}");
            assert_eq!(upstream.url_of(called), format!("http://127.0.0.1:5000{sent}"));
        }
        for (path, error) in [
            ("v1", crate::PathError::NotAbsolute),
            ("/v1/../x", crate::PathError::DotSegment),
        ] {
            let upstream = Upstream::parse("http://127.0.0.1:5000").unwrap();
            assert_eq!(upstream.replacing("/a", path).unwrap_err(), UpstreamError::Path(error));
        }
    }

    #[test]
    fn a_location_below_the_replaced_path_leads_to_where_it_is_called() {
        let upstream = Upstream::parse("http://127.0.0.1:5000").unwrap();
        let upstream = upstream.replacing("/api/orders", "/v1").unwrap();
        for (location, path) in [
            ("http://127.0.0.1:5000/v1/7?a=b", Some("/api/orders/7?a=b")),
            ("http://127.0.0.1:5000/v1", Some("/api/orders")),
            ("http://127.0.0.1:5000/v1?a=b", Some("/api/orders?a=b")),
            ("http://127.0.0.1:5000/v10", None),
            ("http://127.0.0.1:5000/other", None),
            ("http://127.0.0.1:5000/v1//evil.test", None),
            ("/v1/7", None),
        ] {
            assert_eq!(upstream.target.strip(location).as_deref(), path, "{location}");
        }
        let upstream = upstream.replacing("/api/orders", "/").unwrap();
        let stripped = upstream.target.strip("http://127.0.0.1:5000/7");
        assert_eq!(stripped.as_deref(), Some("/api/orders/7"));
    }
}
