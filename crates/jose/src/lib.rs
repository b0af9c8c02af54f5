//! JWS, JWK and JWT: bytes in, verified claims out.
//!
//! This crate does no I/O, reads no clock and knows no async. It decides three things: whether a text is a
//! well-formed JWS (RFC 7515), whether a key of a set signed it, and what its claims say. What the claims must
//! say is decided above, in `portcullis-oidc`.
//!
//! An [`UnverifiedJws`] has no claims to read; only [`UnverifiedJws::verify`] makes a [`Verified`]`<`[`Claims`]`>`.
//! An [`EmbeddedKeyJws`] brings its own key (RFC 9449); [`inspect`] shows a token to a person; [`danger`] is where a
//! caller vouches for claims by other means.
//!
//! Keys come as JWK, JWK set, PEM, DER or X.509 ([`PublicKey`], [`JwkSet`]), as private JWK or PEM ([`SigningKey`]),
//! and as a [`SharedSecret`] where the configuration names one. A [`JwkSet`] is of public keys or of secrets, never
//! of both.
//!
//! ```
//! use portcullis_jose::{Algorithm, AlgorithmSet, JwkSet, Limits, SigningKey, UnverifiedJws};
//!
//! let key = SigningKey::generate(Algorithm::ES256)?;
//! let token = key.sign_jwt("at+jwt", &serde_json::json!({ "sub": "alice" }))?;
//! let jwks = serde_json::json!({ "keys": [key.public_jwk()] }).to_string();
//!
//! let (keys, ignored) = JwkSet::parse(jwks.as_bytes())?;
//! assert!(ignored.is_empty());
//! let claims = UnverifiedJws::parse(&token, &Limits::default())?.verify(&keys, AlgorithmSet::asymmetric())?;
//! assert_eq!(claims.str("sub"), Some("alice"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It also holds the vocabulary that every other crate shares: [`Secret`], [`UnixTime`] and [`Clock`], and random values.

mod algorithm;
mod certificate;
mod check;
mod claims;
pub mod danger;
mod embedded;
pub mod inspect;
mod json;
mod jwk;
mod jws;
mod key_error;
mod pem;
mod private_jwk;
mod public_key;
mod random;
mod refusal;
mod secret;
mod shared_secret;
mod sign;
mod time;

pub use algorithm::{Algorithm, AlgorithmSet};
pub use certificate::{certificate_from_pem, certificate_thumbprint};
pub use check::Check;
pub use claims::{Claims, Verified};
pub use embedded::EmbeddedKeyJws;
pub use json::{Array, Items, Members, Number, Object, Value};
pub use jwk::{JwkSet, JwksError, KeyProblem};
pub use jws::{Header, Limits, UnverifiedJws};
pub use key_error::KeyError;
pub use public_key::PublicKey;
pub use random::{base64url_decode, base64url_encode, constant_time_eq, random_array, random_token, sha256};
pub use refusal::Refusal;
pub use secret::Secret;
pub use shared_secret::SharedSecret;
pub use sign::{SignError, SigningKey};
pub use time::{Clock, ManualClock, SystemClock, UnixTime};
