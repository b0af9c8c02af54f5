//! Client tokens for [`reqwest`]: each request gets a token of a [`TokenSource`], and one that is answered with 401 is sent
//! once more, with another token, where there is another.
//!
//! ```no_run
//! use portcullis_oidc::TokenSource;
//! use portcullis_reqwest::TokenMiddleware;
//!
//! # async fn example(tokens: TokenSource) -> Result<(), Box<dyn std::error::Error>> {
//! let api = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
//!     .with(TokenMiddleware::new(tokens))
//!     .build();
//! let orders = api.get("https://api.example.com/orders").send().await?.text().await?;
//! # Ok(())
//! # }
//! ```
//!
//! For tower there is `portcullis_oidc::TokenLayer`.

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderValue, StatusCode};
use portcullis_jose::Secret;
use portcullis_oidc::{HttpsUrl, ProviderError, TokenSource, UrlError};
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

/// Gives each request a token (RFC 6750 s2.1), for one API: whatever the client is used for gets it.
///
/// Requests go to `https`, or to loopback; others are refused, since they would show the token to everybody on the way.
/// Where the API redirects to another origin, reqwest leaves the token out. A body that is a stream cannot be sent
/// twice: then the 401 is the answer.
#[derive(Clone, Debug)]
pub struct TokenMiddleware {
    tokens: TokenSource,
}

/// Why a request was not sent. It is inside of [`reqwest_middleware::Error::Middleware`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is no token.
    #[error("no token: {0}")]
    Token(ProviderError),
    /// A token must not be sent there.
    #[error("a token is not sent to this address: {0}")]
    Address(UrlError),
}

impl TokenMiddleware {
    /// A middleware that hands out these tokens.
    #[must_use]
    pub fn new(tokens: TokenSource) -> TokenMiddleware {
        TokenMiddleware { tokens }
    }
}

#[async_trait::async_trait]
impl Middleware for TokenMiddleware {
    async fn handle(&self, request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        HttpsUrl::parse(request.url().as_str()).map_err(|error| Error::middleware(TokenError::Address(error)))?;
        let (again, asked) = (request.try_clone(), request.url().origin());
        let token = self.tokens.token().await;
        let token = token.map_err(|error| Error::middleware(TokenError::Token(error)))?;
        let response = next.clone().run(bearing(request, &token), extensions).await?;
        // Whoever is at the end of a redirect to elsewhere has not seen the token.
        let refused = response.status() == StatusCode::UNAUTHORIZED && response.url().origin() == asked;
        let Some(again) = again.filter(|_| refused) else {
            return Ok(response);
        };
        // RFC 6750 s3.1: the client may ask for another token and try once more.
        match self.tokens.instead_of(&token).await {
            Ok(Some(other)) => next.run(bearing(again, &other), extensions).await,
            _ => Ok(response),
        }
    }
}

fn bearing(mut request: Request, token: &Secret) -> Request {
    // A token that is no header value is sent to nobody, and the API says what is missing.
    if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) {
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}
