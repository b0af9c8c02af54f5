//! The address of a server that keeps state: `SCHEME://[USER@]HOST[:PORT][,HOST...][/PATH][?NAME=VALUE]`.
//!
//! URLs as browsers know them have one host; these have several.

use std::fmt;

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What is wrong with an address. It quotes no part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocationError {
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

/// The parts, as they stand there.
pub(crate) struct Location {
    pub(crate) scheme: String,
    pub(crate) user: Option<String>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
}

pub(crate) struct Host {
    name: String,
    port: Option<u16>,
}

// === impl Address ===

impl Address {
    /// A host and its port.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

// === impl LocationError ===

impl LocationError {
    pub(crate) fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.fix)
    }
}

impl std::error::Error for LocationError {}

// === impl Location ===

impl Location {
    pub(crate) fn parse(url: &str) -> Result<Self, LocationError> {
        let wrong = LocationError::new;
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("the address has no scheme", "write for example redis://HOST:6379"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            let fix = "leave it out there, and set `password` of [store], from a file, the environment or a command";
            return Err(wrong("the address holds a password", fix));
        }
        let hosts = hosts.split(',').map(Host::parse).collect::<Result<_, _>>()?;
        let query = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                (name.to_owned(), value.to_owned())
            })
            .collect();
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            user: user.filter(|user| !user.is_empty()).map(str::to_owned),
            hosts,
            path: path.to_owned(),
            query,
        })
    }
}

// === impl Host ===

impl Host {
    fn parse(text: &str) -> Result<Self, LocationError> {
        let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, rest)) => (name, rest.strip_prefix(':')),
            None => match text.rsplit_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if name.is_empty() || !name.bytes().all(good) {
            return Err(LocationError::new(
                "a host is missing, or is none",
                "write HOST or HOST:PORT",
            ));
        }
        let port = match port {
            None => None,
            Some(port) => Some(
                port.parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or_else(|| LocationError::new("a port is no number from 1 to 65535", "write HOST:PORT"))?,
            ),
        };
        Ok(Self {
            name: name.to_owned(),
            port,
        })
    }

    pub(crate) fn or_port(self, port: u16) -> Address {
        Address::new(self.name, self.port.unwrap_or(port))
    }
}
