//! Protects an API with OAuth 2.0 bearer tokens.
//!
//! ```
//! # use portcullis_guard::{BearerClaims, BuildError, Guard, Policy};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let guard = Guard::builder()
//!     .authority("https://login.example.com")
//!     .audience("api://orders")
//!     .policy("ReadOrders", Policy::scope("orders.read"))
//!     .policy("WriteOrders", Policy::all([Policy::scope("orders.write"), Policy::role("Orders.Admin")]))
//!     .build()?;
//!
//! // axum: `.route("/orders", get(list).route_layer(guard.require("ReadOrders")?))`
//! let layer = guard.require("ReadOrders")?;
//!
//! async fn list(claims: BearerClaims) -> String {
//!     format!("orders of {}", claims.subject().unwrap_or("a service"))
//! }
//! # let _ = (layer, list);
//! # Ok(())
//! # }
//! ```
//!
//! # What this crate promises
//!
//! - A guard has an authority and an audience, or it does not compile; a route that asks for a policy that was not
//!   declared, or a policy that makes no sense, is an error at the start. No setting turns a check off.
//! - One request, one credential, in the `Authorization` header (RFC 6750 s2). A token in the URL is refused even where
//!   it is good.
//! - A verified token is a [`VerifiedToken`], a policy's yes is an [`Authorized`]; nothing but the checks makes them.
//! - The cache of verified tokens holds successes only, compares the whole token, and never answers for what may have
//!   changed: lifetime, keys, revocations and policies are asked on every request.
//! - A revocation holds for the next request, and with a store it survives a restart. It names a token by `jti` or by
//!   the hash of what was signed, so that a signature's twin does not slip through.
//! - A token that is bound to a key (RFC 9449, RFC 8705) is refused without the proof of that key, whatever the route asks
//!   for. A proof is good for one request; where nobody can say whether it was used before, the answer is 503.
//! - One function makes every answer ([`Answer::of`]). All bad tokens get the same one; the reason, with its fix, is in
//!   the audit event of the same request id. Where the keys or the store are missing the answer is 503, never 401.
//!
//! # Policies for a whole program
//!
//! [`Guard::require`] guards what it is put around. To say it of a whole program, so that what nobody spoke of is
//! refused:
//!
//! ```
//! # fn layer(guard: &portcullis_guard::Guard) -> Result<portcullis_guard::Require, portcullis_guard::RouteError> {
//! let layer = guard
//!     .routes()
//!     .route(&["GET"], "/orders", "ReadOrders")?
//!     .route(&["DELETE"], "/orders/{id}", "WriteOrders")?
//!     .layer();
//! # Ok(layer)
//! # }
//! ```
//!
//! # Not for axum alone
//!
//! [`Guard::require`] is a tower layer for any `Service<http::Request<_>>`. A program that has no tower uses what the
//! layer is made of:
//!
//! ```
//! # use portcullis_guard::{Authorized, Guard, GuardError};
//! # async fn check(guard: &Guard, parts: &http::request::Parts) -> Result<Authorized, Box<dyn std::error::Error>> {
//! let policy = guard.policy("ReadOrders")?;
//! let presented = Guard::credential(parts)?;
//! let token = guard.verify(&presented).await?;
//! let authorized = guard.authorize(&token, &presented, &policy)?;
//! # Ok(authorized)
//! # }
//! ```

mod answer;
mod builder;
mod cache;
mod certificate;
mod credential;
mod dpop;
mod error;
mod explain;
mod extract;
mod guard;
mod introspect;
mod keep_uri;
mod key_events;
mod layer;
mod metadata;
mod proof;
mod revocation;
mod routes;
#[cfg(test)]
mod testing;
mod token;
mod verify;

pub use answer::{Answer, Realm};
pub use builder::{Audiences, Authorities, BuildError, BuildFault, GuardBuilder, NeedsAudience, NeedsAuthority};
pub use certificate::ClientCertificate;
pub use credential::{Presented, Scheme};
pub use dpop::{Dpop, DpopNonces, SenderConstraint};
pub use error::GuardError;
pub use explain::{Explained, Explanation, Outcome};
pub use extract::{BearerClaims, Claims, Rejection};
pub use guard::{Call, Guard, UnknownPolicy};
pub use keep_uri::{KeepUri, KeptUri};
pub use key_events::report_keys;
pub use layer::{Guarded, Require};
pub use metadata::{ResourceFault, ResourceMetadata};
pub use portcullis_audit::{Audit, AuditSettings, RequestId};
pub use portcullis_jose::{Algorithm, AlgorithmSet, Check, Clock, ManualClock, Refusal, SystemClock, UnixTime};
pub use portcullis_oidc::dpop::ProofRefusal;
pub use portcullis_oidc::token_rules::TokenType;
pub use portcullis_oidc::{Binding, Provider, ProviderSettings};
pub use portcullis_policy::{
    Authorized, CallContext, ClaimPath, ClaimRule, Denied, Kind, Literal, NamedPolicy, Policy, PolicyError, Scopes,
};
pub use portcullis_store::{ReplayStore, Revocation, RevocationStore, RevocationTarget, StoreError, TokenId};
pub use revocation::{Revocations, StaleRevocations};
pub use routes::{GuardRoutes, RouteError};
pub use token::VerifiedToken;

/// The manual's pages that show code of this crate are compiled with its examples.
#[cfg(doctest)]
mod manual {
    #[doc = include_str!("../../../docs/aspnet.md")]
    struct AspNet;
}
