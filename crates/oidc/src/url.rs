use std::fmt;

use url::{Host, Url};

/// A URL that tokens and secrets may be sent to: `https`, or `http` on loopback. It cannot be anything else.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpsUrl(Url);

/// A URL that secrets must not be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not an absolute URL.
    #[error("{0:?} is not an absolute URL")]
    Invalid(String),
    /// `http` to another machine, or another scheme.
    #[error("{0:?} is not https (http is accepted on loopback alone)")]
    NotHttps(String),
    /// The URL holds a user name, a password or a fragment.
    #[error("{0:?} holds a user name, a password or a fragment")]
    NotPlain(String),
}

impl HttpsUrl {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// [`UrlError`] when it is no URL, not `https` (loopback excepted), or holds credentials or a fragment.
    pub fn parse(text: &str) -> Result<HttpsUrl, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError::Invalid(text.to_owned()))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            // The text may hold a password: it is not repeated.
            return Err(UrlError::NotPlain(format!(
                "{}://{}",
                url.scheme(),
                url.host_str().unwrap_or_default()
            )));
        }
        match url.scheme() {
            "https" => Ok(HttpsUrl(url)),
            "http" if is_loopback(&url) => Ok(HttpsUrl(url)),
            _ => Err(UrlError::NotHttps(text.to_owned())),
        }
    }

    /// The parsed URL.
    #[must_use]
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether a URL's host is `localhost` or a loopback address (RFC 8252 s7.3, RFC 6761 s6.3).
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Debug for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpsUrl({self})")
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the query: it can hold what a log must not.
        write!(f, "{}{}", self.0.origin().ascii_serialization(), self.0.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_loopback_http_alone() {
        for good in [
            "https://a.example/x",
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:2/x",
        ] {
            assert!(HttpsUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "ftp://127.0.0.1",
            "/x",
            "",
            "https://u:p@a.example",
            "https://a.example/#x",
            "javascript:alert(1)",
        ] {
            assert!(HttpsUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_printed_has_no_query_and_no_password() {
        assert_eq!(
            HttpsUrl::parse("https://a.example/x?code=secret").unwrap().to_string(),
            "https://a.example/x"
        );
        assert!(
            !HttpsUrl::parse("https://u:hunter2@a.example")
                .unwrap_err()
                .to_string()
                .contains("hunter2")
        );
    }
}
