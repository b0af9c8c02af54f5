use portcullis_jose::{Secret, SigningKey, random_token};
use serde_json::json;

use super::Asking;
use crate::ProviderError;

/// Seconds that an assertion is good for: as long as a request under way, and little more than clocks differ.
pub const ASSERTION_LIFETIME: i64 = 60;

/// Whom an assertion of `private_key_jwt` names as its audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AssertionAudience {
    /// The issuer, as the FAPI 2.0 Security Profile s5.3.3.1 demands: an assertion is then of no use at a provider that
    /// has talked the client into an endpoint of somebody else's.
    #[default]
    Issuer,
    /// The address of the token endpoint, which is what some providers still ask for (OpenID Connect Core 1.0 s9).
    TokenEndpoint,
}

/// An assertion (RFC 7523 s3) that is made for one request.
pub(super) fn sign(key: &SigningKey, asking: Asking<'_>) -> Result<Secret, ProviderError> {
    let claims = json!({
        "iss": asking.client_id,
        "sub": asking.client_id,
        // One text and no list: RFC 7523 s3 allows both, providers do not.
        "aud": asking.audience,
        "iat": asking.now,
        "exp": asking.now.plus(ASSERTION_LIFETIME),
        // RFC 7523 s3 no. 7: a provider can see that it was used before.
        "jti": random_token(16),
    });
    let signed = key.sign_jwt("JWT", &claims);
    signed
        .map(Secret::new)
        .map_err(|error| ProviderError::Credential { why: error.to_string() })
}
