//! What the benchmarks share: tokens as providers issue them, of about 1.1 KB, and the keys that signed them.
//!
//! `cargo bench -p portcullis-bench` runs them. `docs/BENCHMARKING.md` says how to read the numbers.
//!
//! ```
//! use portcullis_bench::Sample;
//! use portcullis_jose::{Algorithm, SystemClock};
//!
//! let sample = Sample::make(Algorithm::ES256, &SystemClock)?;
//! assert!((1000..1300).contains(&sample.token.len()));
//! # Ok::<(), portcullis_jose::SignError>(())
//! ```

use portcullis_jose::{Algorithm, Clock, SignError, SigningKey};
use serde_json::{Value, json};

/// The issuer of every sample.
pub const ISSUER: &str = "https://login.example.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0";
/// The audience of every sample.
pub const AUDIENCE: &str = "api://orders";

/// An access token and the public key that it was signed for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sample {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The token, good for an hour.
    pub token: String,
    /// The key, with `kid`, `alg` and `use`.
    pub jwk: Value,
}

// === impl Sample ===

impl Sample {
    /// Makes a key and signs a token with it.
    ///
    /// # Errors
    /// When the library cannot make the key.
    pub fn make(algorithm: Algorithm, clock: &dyn Clock) -> Result<Self, SignError> {
        let key = SigningKey::generate(algorithm)?;
        // The signature of an elliptic curve is 170 letters shorter than that of RSA: the claims make up for it.
        let filler = if algorithm == Algorithm::RS256 { 0 } else { 192 };
        let now = clock.now().as_secs();
        let token = key.sign_jwt("at+jwt", &claims(now, filler, 0))?;
        Ok(Self {
            algorithm,
            token,
            jwk: key.public_jwk(),
        })
    }
}

/// The claims of an access token as providers issue them; `number` makes it one of many.
#[must_use]
pub fn claims(now: i64, filler: usize, number: usize) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "b6f1ff5c-6f70-4d1e-9d1b-1f2b6a5d9d27",
        "client_id": "6cb04018-a3f5-46a7-b995-940c78f5aef3", "jti": format!("7f5c3c1e-5a3b-4f0e-8d0b-{number:012x}"),
        "iat": now, "nbf": now, "exp": now + 3600, "auth_time": now, "scope": "openid profile orders.read orders.write",
        "name": "Alice Example", "preferred_username": "alice@example.com",
        "sid": format!("2d7a3f8e-93b8-4d2b-a1a5-54b8f2f0a7c1{}", "0".repeat(filler)), "roles": ["Orders.Admin"],
    })
}
