//! The tower layer.

use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Uri};
use portcullis_audit::{Credential, RequestId};
use portcullis_policy::{Authorized, NamedPolicy};
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::DPOP_NONCE;
use crate::credential::{Presented, Scheme, UsedProof};
use crate::error::GuardError;
use crate::guard::{Call, Guard};
use crate::keep_uri;
use crate::routes::Deciding;
use crate::token::VerifiedToken;
use crate::verify::Admitted;

/// Lets a request through to the inner service only with a good token that a policy says yes to.
///
/// Made by [`Guard::require`], [`Guard::optional`] and [`Guard::routes`]; every refusal is answered here, and the inner
/// service sees nothing of it. A gRPC request is answered in gRPC's way.
///
/// In axum it goes around a route, or around all routes of a router so far. Guards compose from the outside in; what is
/// around them, such as a CORS layer, sees refusals too. Inside of `nest` a guard sees the shortened path, unless
/// [`KeepUri`](crate::KeepUri) is around.
///
/// ```
/// use axum::Router;
/// use axum::routing::get;
/// # use portcullis_guard::{Guard, UnknownPolicy};
///
/// # fn app(guard: &Guard) -> Result<Router, UnknownPolicy> {
/// let books = Router::new()
///     .route("/close", get(|| async { "closed" }))
///     .route_layer(guard.require("CloseBooks")?);
/// let orders = Router::new()
///     .route("/", get(|| async { "orders" }))
///     .nest("/books", books) // asks for both policies
///     .route_layer(guard.require("ReadOrders")?);
/// Ok(Router::new().nest("/orders", orders).route("/health", get(|| async { "up" })))
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Require(Arc<Route>);

/// A service with a guard before it.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    route: Arc<Route>,
}

#[derive(Debug)]
pub(crate) struct Route {
    guard: Guard,
    deciding: Deciding,
    token: Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Required,
    Optional,
}

/// What the layer leaves for the extractors. The type is private, so nothing else can leave it.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    pub(crate) permit: Option<Permit>,
    pub(crate) route: Arc<Route>,
}

/// A good token, and the proof that the route's policy said yes to it.
#[derive(Clone, Debug)]
pub(crate) struct Permit {
    pub(crate) token: Arc<VerifiedToken>,
    pub(crate) authorized: Authorized,
    pub(crate) proof: Option<UsedProof>,
}

/// The parts of a request that an answer and its event need.
#[derive(Clone, Copy)]
pub(crate) struct Head<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    extensions: &'r Extensions,
}

// === impl Require ===

impl Require {
    pub(crate) fn new(guard: Guard, policy: Arc<NamedPolicy>, token: Token) -> Require {
        let deciding = Deciding::One(policy);
        Require(Arc::new(Route { guard, deciding, token }))
    }

    pub(crate) fn deciding(guard: Guard, deciding: Deciding) -> Require {
        let token = Token::Required;
        Require(Arc::new(Route { guard, deciding, token }))
    }
}

impl<S> Layer<S> for Require {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            route: Arc::clone(&self.0),
        }
    }
}

// === impl Guarded ===

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Send + 'static,
    R: From<Bytes> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<R>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.route.check(Head::of(&request)) {
            Some(Ok(permit)) => {
                pass(&self.route, &mut request, permit);
                Either::Left(self.inner.call(request))
            }
            Some(Err(refusal)) => Either::Right(Box::pin(ready(Ok(refusal.map(R::from))))),
            None => {
                // The service that is ready is the one to be called; the clone is for the next request.
                let next = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, next);
                let route = Arc::clone(&self.route);
                Either::Right(Box::pin(async move {
                    let (parts, body) = request.into_parts();
                    match route.check_with_keys(Head::of_parts(&parts)).await {
                        Ok((permit, nonce)) => {
                            let mut request = Request::from_parts(parts, body);
                            pass(&route, &mut request, permit);
                            let mut response = inner.call(request).await?;
                            if let Some(nonce) = nonce {
                                response.headers_mut().insert(DPOP_NONCE, nonce);
                            }
                            Ok(response)
                        }
                        Err(refusal) => Ok(refusal.map(R::from)),
                    }
                }))
            }
        }
    }
}

fn pass<B>(route: &Arc<Route>, request: &mut Request<B>, permit: Option<Permit>) {
    // What comes after may log the headers: a sensitive value prints as such.
    if let Some(value) = request.headers_mut().get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    if let Some(proof) = permit.as_ref().and_then(|permit| permit.proof.clone()) {
        request.extensions_mut().insert(proof);
    }
    request.extensions_mut().insert(Passed {
        permit,
        route: Arc::clone(route),
    });
}

// === impl Route ===

/// The refusal is boxed because it is rare and large.
type Checked = Result<Option<Permit>, Box<Response<Bytes>>>;

impl Route {
    /// Decides without waiting; `None` where the provider or the store must be asked first.
    fn check(&self, head: Head<'_>) -> Option<Checked> {
        let sent = Presented::as_sent(head.method, head.uri, head.headers, head.extensions);
        if let Some((token, presented)) = &sent
            && let Some(admitted) = self.guard.remembered(token, presented)
        {
            return Some(self.authorize(admitted, presented, head));
        }
        let presented = match self.credential(head) {
            Ok(Some(presented)) => presented,
            Ok(None) => return Some(Ok(None)),
            Err(error) => return Some(Err(self.refuse(&error, head, None))),
        };
        let admitted = match sent {
            Some(_) => self.guard.try_admit_new(&presented)?,
            None => self.guard.try_admit(&presented)?,
        };
        Some(self.authorize(admitted, &presented, head))
    }

    /// Decides, and says which nonce the answer has to carry.
    async fn check_with_keys(
        &self,
        head: Head<'_>,
    ) -> Result<(Option<Permit>, Option<HeaderValue>), Box<Response<Bytes>>> {
        match self.credential(head) {
            Ok(Some(presented)) => {
                let permit = self.authorize(self.guard.admit(&presented).await, &presented, head)?;
                Ok((permit, self.guard.next_dpop_nonce(&presented)))
            }
            Ok(None) => Ok((None, None)),
            Err(error) => Err(self.refuse(&error, head, None)),
        }
    }

    fn credential<'r>(&self, head: Head<'r>) -> Result<Option<Presented<'r>>, GuardError> {
        match Presented::of(head.method, head.uri, head.headers, head.extensions) {
            Ok(presented) => Ok(Some(presented)),
            // Only a request without any credential is anonymous; one with a bad credential is refused.
            Err(GuardError::NoCredential { scheme: None }) if self.token == Token::Optional => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn authorize(&self, admitted: Result<Admitted, GuardError>, presented: &Presented<'_>, head: Head<'_>) -> Checked {
        let Admitted { token, proof, now } = admitted.map_err(|error| self.refuse(&error, head, None))?;
        let proof = proof.map(|proof| UsedProof(proof.id()));
        let policy = self.deciding.policy(presented.method(), presented.path());
        let inner = self.guard.inner();
        match policy.and_then(|policy| inner.ask(policy, token.claims(), presented, now)) {
            Ok(authorized) => Ok(Some(Permit {
                token,
                authorized,
                proof,
            })),
            Err(error) => Err(self.refuse(&error, head, Some(&token))),
        }
    }

    pub(crate) fn refuse(
        &self,
        error: &GuardError,
        head: Head<'_>,
        token: Option<&VerifiedToken>,
    ) -> Box<Response<Bytes>> {
        let credential = match error {
            GuardError::NoCredential { .. } => Credential::None,
            _ if Scheme::of(head.headers) == Some(Scheme::Dpop) => Credential::Dpop,
            _ => Credential::Bearer,
        };
        let call = Call {
            route: None,
            method: head.method.as_str(),
            path: head.uri.path(),
            credential,
            token,
        };
        let (answer, id) = self.guard.tell(error, &call, head.extensions.get::<RequestId>());
        Box::new(match head.is_grpc() {
            true => answer.grpc_response(&id),
            false => answer.response(&id),
        })
    }
}

// === impl Head ===

impl<'r> Head<'r> {
    fn of<B>(request: &'r Request<B>) -> Head<'r> {
        Head {
            method: request.method(),
            uri: keep_uri::sent(request.uri(), request.extensions()),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// gRPC over HTTP/2: a POST with `Content-Type: application/grpc`, perhaps with `+proto`.
    fn is_grpc(&self) -> bool {
        if self.method != Method::POST {
            return false;
        }
        let content_type = self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        content_type
            .and_then(|value| value.strip_prefix(b"application/grpc"))
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    }

    pub(crate) fn of_parts(parts: &'r Parts) -> Head<'r> {
        Head {
            method: &parts.method,
            uri: keep_uri::sent(&parts.uri, &parts.extensions),
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}
