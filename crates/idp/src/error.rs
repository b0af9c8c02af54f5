use std::io;
use std::net::SocketAddr;

use portcullis_jose::SignError;

/// Why the provider does not start, or does not do what its handle is asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdpError {
    /// The configuration has faults; all of them are listed.
    #[error("the provider's configuration has {} fault(s):\n  - {}", .faults.len(), .faults.join("\n  - "))]
    Config {
        /// One line for each fault.
        faults: Vec<String>,
    },
    /// The address is reachable from other machines.
    #[error("the development provider listens on loopback only, and {listen} is not; use 127.0.0.1 or [::1]")]
    NotLoopback {
        /// The address.
        listen: SocketAddr,
    },
    /// The address could not be listened on.
    #[error("cannot listen on {listen}: {source}")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The signing key could not be made, read or used.
    #[error("signing key: {0}")]
    Key(#[from] SignError),
    /// A password could not be hashed.
    #[error("the password of user {username:?} could not be hashed")]
    Password {
        /// Whose password.
        username: String,
    },
    /// A token is asked for a user whom the configuration does not have.
    #[error("there is no such user; use one of the configuration's [[user]] tables")]
    UnknownUser,
    /// A token is asked for a client that the configuration does not have.
    #[error("there is no such client; use one of the configuration's [[client]] tables")]
    UnknownClient,
}

impl IdpError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            IdpError::Config { .. } => "idp.config",
            IdpError::NotLoopback { .. } => "idp.not_loopback",
            IdpError::Bind { .. } => "idp.bind",
            IdpError::Key(_) => "idp.key",
            IdpError::Password { .. } => "idp.password",
            IdpError::UnknownUser => "idp.unknown_user",
            IdpError::UnknownClient => "idp.unknown_client",
        }
    }
}
