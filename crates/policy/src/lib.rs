//! Who may do what: verified claims in, [`Authorized`] or the reason why not. No I/O, no clock.
//!
//! What this crate promises:
//!
//! - An [`Authorized`] is made here and nowhere else, so a handler that takes one cannot be reached without a policy.
//! - A [`Policy`] that cannot mean anything sensible (an empty list, an empty word, too deep, too large) refuses
//!   everybody, also inside `not` and `any`, and [`NamedPolicy::new`] reports it, so that it is found at start.
//! - Values are compared whole and byte for byte: no substring, no case folding, no splitting at anything but a space.
//! - A request that passes costs no allocation; a request that fails gets a [`Denied`] which names the leaf that
//!   failed.
//!
//! ```
//! use portcullis_policy::{Kind, NamedPolicy, Policy};
//!
//! let write = Policy::all([
//!     Policy::scope("orders.write"),
//!     Policy::any([Policy::role("Orders.Admin"), Policy::kind(Kind::Service)]),
//! ]);
//! assert_eq!(write.to_string(), "scope orders.write and (role Orders.Admin or kind service)");
//! assert!(NamedPolicy::new("WriteOrders", write).is_ok());
//!
//! // A rule that would let everybody in by accident is an error, and refuses everybody until it is mended.
//! assert!(NamedPolicy::new("Oops", Policy::all([])).is_err());
//! ```
//!
//! # Policies compose
//!
//! | constructor | passes when |
//! | --- | --- |
//! | [`Policy::authenticated`] | the token was verified, which the type of the claims says |
//! | [`Policy::scope`], [`Policy::scopes`] | the token has the scope, or all of them |
//! | [`Policy::role`], [`Policy::role_in`] | the role is in `roles` or `realm_access.roles`, or in the claims named |
//! | [`Policy::group`], [`Policy::group_in`] | the same with `groups` |
//! | [`Policy::claim`] | the claim is there, equals, is one of, or contains a value, or matches a pattern |
//! | [`Policy::email_domain`], [`Policy::email_domains`] | the verified e-mail address is in the domain, or in one of them |
//! | [`Policy::client`], [`Policy::clients`] | `client_id`, or where it is absent `azp`, is one of these |
//! | [`Policy::kind`] | the token is a person's, or a service's; see [`Kind::of`] for the rule |
//! | [`Policy::acr`] | the authentication context class is one of these |
//! | [`Policy::max_age`] | the user authenticated no longer ago than this |
//! | [`Policy::all`], [`Policy::any`], [`Policy::not`] | as the name says |
//! | [`Policy::custom`] | a function of yours says so; it sees the token, the time, the method and the path |

mod context;
mod denied;
mod evaluate;
mod facts;
mod matching;
mod named;
mod policy;
mod routes;

pub use context::CallContext;
pub use denied::{Authorized, Denied};
pub use facts::{ClaimPath, Kind, Scopes, client, scopes};
pub use named::NamedPolicy;
pub use policy::{ClaimRule, Literal, MAX_DEPTH, MAX_RULES, Policy, PolicyError};
pub use routes::{Decision, PathPattern, PatternFault, RouteConflict, RouteTable};
