//! What handlers ask for.

use std::ops::Deref;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use portcullis_audit::RequestId;
use portcullis_policy::Authorized;
use serde::de::DeserializeOwned;

use crate::answer::{Answer, Realm};
use crate::error::GuardError;
use crate::layer::{Head, Passed, Permit};
use crate::token::VerifiedToken;

/// The token of the request, checked by the guard before the handler ran: `async fn list(claims: BearerClaims)`.
///
/// On a route without a guard it answers 500, so that a forgotten layer is found by the first request and lets nobody
/// in. `Option<BearerClaims>` is for routes under [`Guard::optional`](crate::Guard::optional).
///
/// ```
/// use portcullis_guard::{BearerClaims, Kind};
///
/// async fn list(claims: BearerClaims) -> String {
///     match claims.kind() {
///         Kind::User => format!("orders of {}", claims.subject().unwrap_or_default()),
///         _ => format!("orders for {}", claims.client().unwrap_or_default()),
///     }
/// }
///
/// async fn greet(claims: Option<BearerClaims>) -> &'static str {
///     if claims.is_some() { "welcome back" } else { "hello" }
/// }
/// # let app: axum::Router = axum::Router::new().route("/", axum::routing::get(list)).route("/hello", axum::routing::get(greet));
/// ```
#[derive(Clone, Debug)]
pub struct BearerClaims(Permit);

/// The claims of the request's token as a type of yours: `async fn list(Claims(user): Claims<User>)`.
///
/// Claims that do not fit the type are answered 403: the token is good, but not for this handler. It takes the
/// guard on the route as [`BearerClaims`] does.
///
/// ```
/// use portcullis_guard::Claims;
///
/// #[derive(serde::Deserialize)]
/// struct User {
///     sub: String,
///     #[serde(default)]
///     groups: Vec<String>,
/// }
///
/// async fn groups(Claims(user): Claims<User>) -> String {
///     format!("{}: {}", user.sub, user.groups.join(", "))
/// }
/// # let app: axum::Router = axum::Router::new().route("/", axum::routing::get(groups));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Claims<T>(pub T);

/// The answer to a request that a handler's arguments cannot be made of.
#[derive(Debug)]
pub struct Rejection(Box<http::Response<Bytes>>);

// === impl BearerClaims ===

impl BearerClaims {
    /// The claims that a guard around this service has left in the request's extensions, for services that know no
    /// extractors: plain tower, tonic. `None` where no guard was, or no token came.
    ///
    /// ```
    /// # use portcullis_guard::BearerClaims;
    /// fn subject<B>(request: &http::Request<B>) -> Option<String> {
    ///     BearerClaims::of(request.extensions())?.subject().map(str::to_owned)
    /// }
    /// # assert_eq!(subject(&http::Request::new(())), None);
    /// ```
    #[must_use]
    pub fn of(extensions: &http::Extensions) -> Option<BearerClaims> {
        extensions.get::<Passed>()?.permit.clone().map(BearerClaims)
    }

    /// The proof that the route's policy said yes.
    pub fn authorized(&self) -> &Authorized {
        &self.0.authorized
    }

    /// The token, to be kept beyond the request.
    #[must_use]
    pub fn token(&self) -> &Arc<VerifiedToken> {
        &self.0.token
    }
}

impl Deref for BearerClaims {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0.token
    }
}

impl<S: Send + Sync> FromRequestParts<S> for BearerClaims {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<BearerClaims, Rejection> {
        permit(parts).map(|(permit, _)| BearerClaims(permit.clone()))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for BearerClaims {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<BearerClaims>, Rejection> {
        passed(parts).map(|passed| passed.permit.clone().map(BearerClaims))
    }
}

// === impl Claims ===

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Claims<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Claims<T>, Rejection> {
        let (permit, passed) = permit(parts)?;
        typed(permit, passed, parts)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequestParts<S> for Claims<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Claims<T>>, Rejection> {
        let passed = passed(parts)?;
        passed
            .permit
            .as_ref()
            .map(|permit| typed(permit, passed, parts))
            .transpose()
    }
}

fn typed<T: DeserializeOwned>(permit: &Permit, passed: &Passed, parts: &Parts) -> Result<Claims<T>, Rejection> {
    serde_json::from_value(permit.token.claims().to_json())
        .map(Claims)
        .map_err(|error| {
            let error = GuardError::ClaimsMismatch {
                message: error.to_string().into(),
            };
            Rejection(passed.route.refuse(&error, Head::of_parts(parts), Some(&permit.token)))
        })
}

fn permit(parts: &Parts) -> Result<(&Permit, &Passed), Rejection> {
    let passed = passed(parts)?;
    match &passed.permit {
        Some(permit) => Ok((permit, passed)),
        None => {
            let error = GuardError::NoCredential { scheme: None };
            Err(Rejection(passed.route.refuse(&error, Head::of_parts(parts), None)))
        }
    }
}

fn passed(parts: &Parts) -> Result<&Passed, Rejection> {
    parts.extensions.get::<Passed>().ok_or_else(|| {
        // There is no guard whose audit could be told, and the challenge is not sent with a 500.
        let id = parts
            .extensions
            .get::<RequestId>()
            .cloned()
            .unwrap_or_else(RequestId::new);
        Rejection(Box::new(
            Answer::of(&GuardError::NotGuarded, &Realm::unnamed()).response(&id),
        ))
    })
}

// === impl Rejection ===

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.map(Body::from)
    }
}
