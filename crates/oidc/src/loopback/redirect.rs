//! What is registered of a loopback redirect.

use std::str::FromStr;

use url::Url;

/// A redirect URI on this machine, as it is registered: with a port where the provider insists on one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    host: Host,
    port: u16,
    path: String,
}

/// How the redirect names this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Host {
    /// `127.0.0.1`, or `[::1]` on a machine without IPv4.
    Either,
    /// `127.0.0.1`
    Ipv4,
    /// `[::1]`
    Ipv6,
    /// `localhost`, which RFC 8252 s8.3 advises against and some providers insist on.
    Localhost,
}

/// A redirect URI that cannot be listened for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no loopback redirect: http, 127.0.0.1 or [::1] or localhost, and no query, such as http://127.0.0.1/callback"
)]
pub struct RedirectError(String);

// === impl Redirect ===

impl Redirect {
    /// How it names this machine.
    #[must_use]
    pub fn host(&self) -> Host {
        self.host
    }

    /// The port; 0: any that is free.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// `/callback` on any port.
impl Default for Redirect {
    fn default() -> Redirect {
        Redirect {
            host: Host::Either,
            port: 0,
            path: "/callback".to_owned(),
        }
    }
}

impl FromStr for Redirect {
    type Err = RedirectError;

    fn from_str(text: &str) -> Result<Redirect, RedirectError> {
        let refused = || RedirectError(text.to_owned());
        let url = Url::parse(text).map_err(|_| refused())?;
        let host = match url.host_str() {
            Some("127.0.0.1") => Host::Ipv4,
            Some("[::1]") => Host::Ipv6,
            Some("localhost") => Host::Localhost,
            _ => return Err(refused()),
        };
        let plain = url.scheme() == "http"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !plain {
            return Err(refused());
        }
        // A URL without a port and one with :80 read the same; nobody listens on 80 for a login.
        Ok(Redirect {
            host,
            port: url.port().unwrap_or(0),
            path: url.path().to_owned(),
        })
    }
}

// === impl Host ===

impl Host {
    pub(super) fn text(self) -> &'static str {
        match self {
            Host::Either | Host::Ipv4 => "127.0.0.1",
            Host::Ipv6 => "[::1]",
            Host::Localhost => "localhost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_alone() {
        for (text, host, port, path) in [
            ("http://127.0.0.1/callback", Host::Ipv4, 0, "/callback"),
            ("http://127.0.0.1:8400/", Host::Ipv4, 8400, "/"),
            ("http://[::1]/cb", Host::Ipv6, 0, "/cb"),
            ("http://localhost", Host::Localhost, 0, "/"),
        ] {
            let redirect: Redirect = text.parse().unwrap();
            assert_eq!(
                (redirect.host, redirect.port, redirect.path()),
                (host, port, path),
                "{text}"
            );
        }
        for text in [
            "",
            "callback",
            "https://127.0.0.1/cb",
            "http://127.0.0.2/cb",
            "http://0.0.0.0/cb",
            "http://example.com/cb",
            "http://localhost.evil.example/cb",
            "http://u:p@127.0.0.1/cb",
            "http://127.0.0.1/cb?x=1",
            "http://127.0.0.1/cb#x",
            "com.example.app:/cb",
        ] {
            assert!(text.parse::<Redirect>().is_err(), "{text}");
        }
    }
}
