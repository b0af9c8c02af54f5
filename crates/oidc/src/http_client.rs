use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// A future on the heap, since the traits here are used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends one request to a provider and collects its answer.
///
/// An implementation must follow no redirect, keep no cookies, bound the time, and stop reading at `limit` bytes.
pub trait HttpClient: Send + Sync + std::fmt::Debug {
    /// Sends `request`; the answer's body is at most `limit` bytes long.
    fn send(
        &self,
        request: http::Request<Bytes>,
        limit: usize,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, HttpError>>;
}

/// Put into a request's extensions: this one may take so long where that is longer than the time that it is given otherwise,
/// since its answer is worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(pub std::time::Duration);

/// A request that got no complete answer. It says where to and why, and nothing of what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection, or it broke.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The time was over.
    #[error("no answer within {0} s")]
    TimedOut(u64),
    /// The host is inside the network, and nobody named it.
    #[error(
        "{host} is at {address}, inside the network, where an address that a provider's document names does not lead unless the configuration names the host too"
    )]
    Inside {
        /// The host as the URL has it.
        host: String,
        /// Where it is.
        address: std::net::IpAddr,
    },
    /// The body is larger than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}
