//! Why a request was not forwarded.

use std::error::Error;

use http::StatusCode;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Why there is no answer from the upstream. Nothing of the upstream's answer has been sent to the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// No connection: refused, unknown name, TLS failure.
    #[error("no connection to {origin}: {source}; check that the upstream runs and that its URL is right")]
    Connect {
        /// Scheme, host and port of the upstream.
        origin: String,
        /// What the operating system or TLS said.
        source: BoxError,
    },
    /// No connection within [`Timeouts::connect`](crate::Timeouts).
    #[error("no connection to {origin} in time; check that the upstream is reachable from here")]
    ConnectTimeout {
        /// Scheme, host and port of the upstream.
        origin: String,
    },
    /// No answer within [`Timeouts::response_header`](crate::Timeouts).
    #[error("{origin} did not begin its answer in time; raise the time-out or make the upstream faster")]
    Timeout {
        /// Scheme, host and port of the upstream.
        origin: String,
    },
    /// The upstream closed the connection before it answered.
    #[error("{origin} closed the connection before it answered: {source}")]
    UpstreamClosed {
        /// Scheme, host and port of the upstream.
        origin: String,
        /// What was seen on the connection.
        source: BoxError,
    },
    /// The upstream's answer is not HTTP, or not an answer to this request.
    #[error("{origin} sent an answer that is not usable: {detail}")]
    BadResponse {
        /// Scheme, host and port of the upstream.
        origin: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The client stopped sending the request's body.
    #[error("the client went away before its request was whole")]
    RequestBody,
    /// The client sends the request's body too slowly.
    #[error("the client did not send its request in time")]
    RequestTimeout,
    /// Prefix, path and query together are longer than a request target can be.
    #[error("the path is too long to be forwarded")]
    TargetTooLong,
}

impl ForwardError {
    /// The stable code, as in the catalogue of errors.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ForwardError::Connect { .. } => "upstream.unreachable",
            ForwardError::ConnectTimeout { .. } | ForwardError::Timeout { .. } => "upstream.timeout",
            ForwardError::UpstreamClosed { .. } | ForwardError::BadResponse { .. } => "upstream.bad_response",
            ForwardError::RequestBody | ForwardError::RequestTimeout | ForwardError::TargetTooLong => {
                "request.bad_head"
            }
        }
    }

    /// The status of the public answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            ForwardError::Connect { .. } | ForwardError::UpstreamClosed { .. } | ForwardError::BadResponse { .. } => {
                StatusCode::BAD_GATEWAY
            }
            ForwardError::ConnectTimeout { .. } | ForwardError::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            ForwardError::RequestBody => StatusCode::BAD_REQUEST,
            ForwardError::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            ForwardError::TargetTooLong => StatusCode::URI_TOO_LONG,
        }
    }

    /// Whether the upstream is at fault, not the client.
    #[must_use]
    pub fn is_upstream_fault(&self) -> bool {
        self.status().is_server_error()
    }
}
