use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use portcullis_jose::Secret;
use tower_layer::Layer;
use tower_service::Service;

use crate::client_auth::sensitive;
use crate::{HttpsUrl, ProviderError, TokenSource};

/// Gives each request that passes a token of a [`TokenSource`] (RFC 6750 s2.1). A request that is answered with 401 is
/// sent once more, with another token, where there is another.
///
/// Requests go to `https`, or to loopback; others are refused, since they would show the token to everybody on the way.
#[derive(Debug, Clone)]
pub struct TokenLayer {
    tokens: TokenSource,
}

/// What [`TokenLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct WithToken<S> {
    inner: S,
    tokens: TokenSource,
}

/// Why a request with a token got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WithTokenError<E> {
    /// There is no token.
    #[error("no token: {0}")]
    Token(ProviderError),
    /// A token must not be sent there.
    #[error("a token is not sent to this address: {0}")]
    Address(crate::UrlError),
    /// The service below failed.
    #[error("{0}")]
    Service(E),
}

impl TokenLayer {
    /// A layer that hands out these tokens.
    #[must_use]
    pub fn new(tokens: TokenSource) -> TokenLayer {
        TokenLayer { tokens }
    }
}

impl<S> Layer<S> for TokenLayer {
    type Service = WithToken<S>;

    fn layer(&self, inner: S) -> WithToken<S> {
        WithToken {
            inner,
            tokens: self.tokens.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for WithToken<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Clone + Send + 'static,
    R: Send,
{
    type Response = Response<R>;
    type Error = WithTokenError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(WithTokenError::Service)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready goes; its clone stays.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let tokens = self.tokens.clone();
        Box::pin(async move {
            HttpsUrl::parse(&request.uri().to_string()).map_err(WithTokenError::Address)?;
            let again = request.clone();
            let token = tokens.token().await.map_err(WithTokenError::Token)?;
            let response = inner.call(bearing(request, &token)).await;
            let response = response.map_err(WithTokenError::Service)?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            // RFC 6750 s3.1: the client may ask for another token and try once more.
            let Ok(Some(other)) = tokens.instead_of(&token).await else {
                return Ok(response);
            };
            std::future::poll_fn(|context| inner.poll_ready(context))
                .await
                .map_err(WithTokenError::Service)?;
            inner
                .call(bearing(again, &other))
                .await
                .map_err(WithTokenError::Service)
        })
    }
}

fn bearing<B>(mut request: Request<B>, token: &Secret) -> Request<B> {
    let value = sensitive(&format!("Bearer {}", token.expose()));
    // A token that is no header value is sent to nobody, and the API says what is missing.
    if let Some(value) = value {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}

#[cfg(test)]
#[path = "token_layer_tests.rs"]
mod tests;
