//! The loopback redirect of native applications (RFC 8252 s7.3): a listener on this machine that takes the answer to
//! one login, and nothing else.
//!
//! ```no_run
//! use std::time::Duration;
//! use portcullis_oidc::login::LoginRequest;
//! use portcullis_oidc::loopback::{Loopback, LoopbackError, Redirect};
//! use portcullis_oidc::Client;
//!
//! # async fn example(client: Client) -> Result<(), LoopbackError> {
//! let loopback = Loopback::bind(&Redirect::default()).await?;
//! let scopes = ["offline_access".to_owned()];
//! let (url, attempt) = client.begin_login(&LoginRequest::new(loopback.redirect_uri(), &scopes)).await?;
//! println!("{url}"); // for a browser
//! let metadata = client.provider().metadata().await?;
//! let rule = client.provider().issuer_rule();
//! let callback = loopback.answer(rule, &metadata, &attempt, Duration::from_secs(300)).await?;
//! let tokens = client.exchange_code(callback, &attempt).await?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod redirect;
mod serve;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::login::{LoginAttempt, LoginError, ValidatedCallback};
use crate::{IssuerRule, Metadata, ProviderError};

pub use redirect::{Host, Redirect, RedirectError};

/// A free port of one family may be taken in the other; so many are tried.
const TRIES: u32 = 16;

/// Listens for the answer to one login.
#[derive(Debug)]
pub struct Loopback {
    listeners: Vec<TcpListener>,
    redirect_uri: String,
    authority: String,
    path: String,
}

/// Why no answer was had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoopbackError {
    /// There is no port to listen on.
    #[error("cannot listen for the answer to the login on {address}: {error}")]
    Bind {
        /// Where.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// Nobody came back.
    #[error("no answer to the login came within {} s{}", .limit.as_secs(), foreign(*.refused))]
    TimedOut {
        /// How long was waited.
        limit: Duration,
        /// How many callbacks were not of this login.
        refused: usize,
    },
    /// The answer is of this login, and not acceptable.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The provider cannot be asked.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

fn foreign(refused: usize) -> String {
    match refused {
        0 => String::new(),
        count => format!("; {count} that came were not of this login and were refused"),
    }
}

// === impl Loopback ===

impl Loopback {
    /// Listens, on a free port unless the redirect names one.
    ///
    /// # Errors
    /// [`LoopbackError::Bind`]
    pub async fn bind(redirect: &Redirect) -> Result<Loopback, LoopbackError> {
        let (host, listeners) = match redirect.host() {
            Host::Ipv4 => (
                Host::Ipv4,
                vec![one(Ipv4Addr::LOCALHOST.into(), redirect.port()).await?],
            ),
            Host::Ipv6 => (
                Host::Ipv6,
                vec![one(Ipv6Addr::LOCALHOST.into(), redirect.port()).await?],
            ),
            Host::Localhost => (Host::Localhost, both(redirect.port()).await?),
            // RFC 8252 s7.3: whichever is available.
            Host::Either => match one(Ipv4Addr::LOCALHOST.into(), redirect.port()).await {
                Ok(listener) => (Host::Ipv4, vec![listener]),
                Err(error) => match one(Ipv6Addr::LOCALHOST.into(), redirect.port()).await {
                    Ok(listener) => (Host::Ipv6, vec![listener]),
                    Err(_) => return Err(error),
                },
            },
        };
        let port = port_of(&listeners)?;
        let authority = format!("{}:{port}", host.text());
        Ok(Loopback {
            listeners,
            redirect_uri: format!("http://{authority}{}", redirect.path()),
            authority,
            path: redirect.path().to_owned(),
        })
    }

    /// What the login must name as its `redirect_uri`.
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The addresses that are listened on.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Waits for the answer to this login. What is not of it gets a page that says so, and changes nothing: a program
    /// or web site that finds the port can neither end the login nor slip in a code of its own.
    ///
    /// # Errors
    /// [`LoopbackError::TimedOut`], or what is wrong with the answer.
    pub async fn answer(
        self,
        rule: &IssuerRule,
        metadata: &Metadata,
        attempt: &LoginAttempt,
        limit: Duration,
    ) -> Result<ValidatedCallback, LoopbackError> {
        serve::until_answered(self, rule, metadata, attempt, limit).await
    }
}

async fn one(address: std::net::IpAddr, port: u16) -> Result<TcpListener, LoopbackError> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).await.map_err(|error| LoopbackError::Bind {
        address: address.to_string(),
        error,
    })
}

/// Browsers take either address for `localhost`, so both are listened on, at one port. A machine may have one alone.
async fn both(port: u16) -> Result<Vec<TcpListener>, LoopbackError> {
    let mut tries = 0;
    loop {
        let Ok(first) = one(Ipv4Addr::LOCALHOST.into(), port).await else {
            return Ok(vec![one(Ipv6Addr::LOCALHOST.into(), port).await?]);
        };
        let chosen = port_of(std::slice::from_ref(&first))?;
        match one(Ipv6Addr::LOCALHOST.into(), chosen).await {
            Ok(second) => return Ok(vec![first, second]),
            // Somebody else's there would get the answer of a browser that prefers IPv6.
            Err(LoopbackError::Bind { error, address }) if error.kind() == io::ErrorKind::AddrInUse => {
                tries += 1;
                if port != 0 || tries == TRIES {
                    return Err(LoopbackError::Bind { address, error });
                }
            }
            Err(_) => return Ok(vec![first]),
        }
    }
}

fn port_of(listeners: &[TcpListener]) -> Result<u16, LoopbackError> {
    let address = listeners.first().map(TcpListener::local_addr);
    let address = address.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()));
    address
        .map(|address| address.port())
        .map_err(|error| LoopbackError::Bind {
            address: "loopback".to_owned(),
            error,
        })
}

// === impl LoopbackError ===

impl LoopbackError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            LoopbackError::Bind { .. } => "login.loopback_unavailable",
            LoopbackError::TimedOut { .. } => "login.attempt_expired",
            LoopbackError::Login(error) => error.code(),
            LoopbackError::Provider(error) => error.code(),
        }
    }
}

#[cfg(test)]
mod tests;
