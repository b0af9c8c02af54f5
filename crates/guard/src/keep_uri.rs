//! The URI as the caller sent it, where a router shortens it on the way.

use std::task::{Context, Poll};

use http::{Extensions, Request, Uri};
use tower_layer::Layer;
use tower_service::Service;

/// The layer that goes around a router which shortens paths, such as axum's `nest`, so that the guards inside see the
/// path that the caller sent.
///
/// Events, policies that look at the path, and proofs of possession (RFC 9449 s4.3: `htu`) need it. Where no layer of
/// this kind is around, they see the path as the service inside does.
///
/// ```
/// # use axum::{Router, routing::get};
/// # use portcullis_guard::{Guard, KeepUri, UnknownPolicy};
/// # fn app(guard: &Guard) -> Result<Router, UnknownPolicy> {
/// let orders = Router::new()
///     .route("/list", get(|| async { "orders" }))
///     .route_layer(guard.require("ReadOrders")?);
/// Ok(Router::new().nest("/orders", orders).layer(KeepUri))
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to be set")]
pub struct KeepUri;

/// A service around which [`KeepUri`] is.
#[derive(Clone, Debug)]
pub struct KeptUri<S>(S);

/// The type is private, so that nothing else can say what the caller sent.
#[derive(Clone, Debug)]
struct Sent(Uri);

/// The URI as the caller sent it, as far as anybody has kept it.
pub(crate) fn sent<'r>(uri: &'r Uri, extensions: &'r Extensions) -> &'r Uri {
    extensions.get::<Sent>().map_or(uri, |Sent(uri)| uri)
}

// === impl KeepUri ===

impl<S> Layer<S> for KeepUri {
    type Service = KeptUri<S>;

    fn layer(&self, inner: S) -> KeptUri<S> {
        KeptUri(inner)
    }
}

// === impl KeptUri ===

impl<S: Service<Request<B>>, B> Service<Request<B>> for KeptUri<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        // The outermost has it from the caller.
        if request.extensions().get::<Sent>().is_none() {
            let uri = request.uri().clone();
            request.extensions_mut().insert(Sent(uri));
        }
        self.0.call(request)
    }
}
