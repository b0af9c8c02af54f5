//! What a policy may know of a call besides its token.

use portcullis_jose::UnixTime;

/// The call that a policy is asked about. The token is given beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallContext<'r> {
    /// The time of the call: this crate reads no clock.
    pub now: UnixTime,
    /// The method, such as `GET`; empty where the policy is not asked about an HTTP request.
    pub method: &'r str,
    /// The path, without the query; empty where the policy is not asked about an HTTP request.
    pub path: &'r str,
}

impl<'r> CallContext<'r> {
    /// A call at this time, of which nothing else is known.
    #[must_use]
    pub fn at(now: UnixTime) -> CallContext<'r> {
        CallContext {
            now,
            method: "",
            path: "",
        }
    }

    /// The HTTP request that the policy is asked about.
    #[must_use]
    pub fn request(self, method: &'r str, path: &'r str) -> CallContext<'r> {
        CallContext { method, path, ..self }
    }
}
