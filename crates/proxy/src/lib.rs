//! Forwards a request: the step after "may this pass?".
//!
//! What it promises:
//!
//! * The path that is matched is the path that is forwarded: [`normalise_path`] gives each path one spelling, or refuses it.
//! * The upstream's origin is fixed in the configuration. Nothing in a request changes it, and no redirect is followed.
//! * The upstream sees only the credentials and identity headers that the caller of [`Forwarder::forward`] chose.
//!   The client's versions, in any spelling, are removed first; ours are set last.
//! * Bodies stream both ways, at the speed of the slower side, and are never collected. Trailers pass.
//! * An answer that the upstream breaks off is broken off towards the client. It never looks complete.
//! * A request is sent at most once, unless the connection gave it back before any of it was written.
//!
//! HTTP/1.1 and HTTP/2 from clients; HTTP/1.1 to `http://` upstreams, HTTP/2 or HTTP/1.1 to `https://` ones;
//! WebSocket over HTTP/1.1.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body::Body;
//! use portcullis_proxy::{AuthorizationHeader, ForwardError, ForwardHead, Forwarder, ProxyBody, Upstream, normalise_path};
//!
//! async fn orders<B>(forwarder: &Forwarder, upstream: &Upstream, request: Request<B>)
//!     -> Result<Response<ProxyBody>, ForwardError>
//! where
//!     B: Body<Data = Bytes> + Send + 'static,
//!     B::Error: std::error::Error + Send + Sync + 'static,
//! {
//!     let uri = request.uri().clone(); // shares the text
//!     let Ok(path) = normalise_path(uri.path()) else { panic!("400, with the error's text") };
//!     // Match `path`, check the credentials, ask the policy. Then:
//!     let mut head = ForwardHead::new(&path, [127, 0, 0, 1].into());
//!     head.query = uri.query();
//!     head.authorization = AuthorizationHeader::Keep;
//!     head.request_id = "7f3c";
//!     forwarder.forward(upstream, request, head).await
//! }
//! ```

mod address;
mod body;
mod error;
mod forward;
mod head;
mod hygiene;
mod path;
mod settings;
mod transport;
mod upgrade;
mod upstream;
mod websocket;

pub use address::{IpRange, IpRangeError};
pub use body::{BodyError, ProxyBody};
pub use error::ForwardError;
pub use forward::{AuthorizationHeader, ForwardHead, Forwarder};
pub use head::{HeadError, HeadLimits, check_request_head, request_host};
pub use hygiene::cookies::CookieMatch;
pub use hygiene::forbid_caching;
pub use path::{CanonicalPath, PathError, normalise_path};
pub use settings::{Settings, Timeouts, Trust};
pub use upstream::{Upstream, UpstreamError};
