use portcullis_jose::UnixTime;
use serde::Serialize;

/// A request that the provider answered. It has no query, no body and no header, so it has no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestLogEntry {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path alone.
    pub path: String,
    /// When it came.
    pub at: UnixTime,
    /// The status of the answer.
    pub status: u16,
    /// The client, once it is authenticated, or named in an authorization request that is sound so far.
    pub client_id: Option<String>,
    /// `grant_type`, at the token endpoint.
    pub grant_type: Option<&'static str>,
    /// The OAuth error of the answer.
    pub error: Option<String>,
}

/// What a handler tells the log. It travels in the extensions of the response.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogNote {
    pub(crate) client_id: Option<String>,
    pub(crate) grant_type: Option<&'static str>,
    pub(crate) error: Option<String>,
}
