//! Tokens that do not speak for themselves: their provider is asked (RFC 7662), and then the same rules hold.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_jose::{Claims, Refusal, UnixTime, Verified, base64url_encode, sha256};
use portcullis_oidc::Introspection;
use portcullis_oidc::introspection::check_introspected;

use crate::builder::BuildFault;
use crate::credential::Presented;
use crate::error::GuardError;
use crate::token::Origin;
use crate::verify::{Admitted, Inner, Issuer};

/// A token that our rules refuse is not asked about again for so long, in seconds: as long as one that is not active.
const REFUSED_FOR: i64 = 5;
/// So many tokens that our rules refuse are remembered.
const MOST_REFUSED: usize = 1_000;

/// Who is asked about opaque tokens. One provider alone: an opaque token does not say whose it is, and to try one
/// provider after the other would show each the others' tokens.
pub(crate) struct Opaque {
    /// Which of the guard's issuers it is.
    pub(crate) issuer: usize,
    pub(crate) introspection: Introspection,
    refused: Refused,
}

/// By SHA-256 of the token: what our rules said of it, and until when that counts. Another guard has other rules.
#[derive(Default)]
struct Refused(Mutex<HashMap<[u8; 32], (UnixTime, Refusal)>>);

// === impl Opaque ===

impl Opaque {
    /// The one provider that is asked about opaque tokens.
    pub(crate) fn among(
        introspections: Vec<Introspection>,
        issuers: &[Issuer],
        faults: &mut Vec<BuildFault>,
    ) -> Option<Opaque> {
        let mut found = None;
        for introspection in introspections {
            let asked = introspection.provider().issuer_rule();
            let issuer = issuers.iter().position(|issuer| issuer.provider.issuer_rule() == asked);
            match issuer {
                Some(issuer) if found.is_none() => {
                    found = Some(Opaque {
                        issuer,
                        introspection,
                        refused: Refused::default(),
                    });
                }
                _ => faults.push(BuildFault::Introspection(asked.to_string())),
            }
        }
        found
    }
}

// === impl Refused ===

impl Refused {
    fn find(&self, hash: &[u8; 32], now: UnixTime) -> Option<Refusal> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, refusal) = refused.get(hash)?;
        (now < *until).then(|| refusal.clone())
    }

    fn remember(&self, hash: [u8; 32], refusal: &Refusal, now: UnixTime) {
        // This alone becomes false by waiting.
        if matches!(refusal, Refusal::NotYetValid { .. }) {
            return;
        }
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= MOST_REFUSED {
            refused.retain(|_, (until, _)| now < *until);
        }
        if refused.len() < MOST_REFUSED {
            refused.insert(hash, (now.plus(REFUSED_FOR), refusal.clone()));
        }
    }
}

// === impl Inner ===

impl Inner {
    /// Who is to be asked about this token; `None` where it speaks for itself, or nobody can be asked.
    pub(crate) fn asked_about(&self, token: &[u8]) -> Option<(&Opaque, &Issuer)> {
        let opaque = self.opaque.as_ref().filter(|_| !is_jwt(token))?;
        Some((opaque, self.issuers.get(opaque.issuer)?))
    }

    /// What the cache knows a token by: a JWT by itself, which only its issuer can make, an opaque one by its hash. No
    /// JWT is a hash: it has dots.
    pub(crate) fn cache_key<'t>(&self, token: &'t [u8]) -> Cow<'t, [u8]> {
        match self.asked_about(token) {
            None => Cow::Borrowed(token),
            Some(_) => Cow::Owned(base64url_encode(&sha256(token)).into()),
        }
    }

    /// Asks about a token and judges the answer. The revocations have been read.
    pub(crate) async fn introspect(&self, presented: &Presented<'_>) -> Result<Admitted, GuardError> {
        let (opaque, issuer) = self
            .asked_about(presented.text().as_bytes())
            .ok_or(GuardError::NotGuarded)?;
        let hash = sha256(presented.text().as_bytes());
        if let Some(refusal) = opaque.refused.find(&hash, self.clock.now()) {
            return Err(refusal.into());
        }
        let claims = self.vouched(opaque, presented.text()).await?;
        let now = self.clock.now();
        let binding = check_introspected(&claims, &issuer.rules, now)
            .inspect_err(|refusal| opaque.refused.remember(hash, refusal, now))?;
        let origin = Origin {
            issuer: opaque.issuer,
            generation: None,
        };
        let until = now.plus(opaque.introspection.lifetime());
        let verified = self.verified(claims, &issuer.rules, origin, binding, until)?;
        if until > now {
            self.cache
                .insert(&self.cache_key(presented.text().as_bytes()), Arc::clone(&verified));
        }
        self.admit(verified, presented, now)
    }

    /// What can be said of an opaque token without asking: whether it can be one at all (RFC 6750 s2.1, `b64token`).
    pub(crate) fn check_opaque(&self, token: &str) -> Result<(), Refusal> {
        let limit = self.limits.token;
        if token.len() > limit {
            return Err(Refusal::TooLarge { part: "token", limit });
        }
        let text = token.trim_end_matches('=');
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        match !text.is_empty() && text.bytes().all(allowed) {
            true => Ok(()),
            false => Err(Refusal::Malformed { why: "no b64token" }),
        }
    }

    /// The claims that the provider vouches for.
    pub(crate) async fn vouched(&self, opaque: &Opaque, token: &str) -> Result<Verified<Claims>, GuardError> {
        self.check_opaque(token)?;
        let answer = opaque.introspection.claims(token).await;
        answer
            .map_err(|error| GuardError::IntrospectionUnavailable {
                issuer: opaque.introspection.provider().issuer().into(),
                reason: error.to_string().into(),
            })?
            .ok_or(GuardError::Inactive)
    }
}

/// Whether a token is a JWS in compact form (RFC 7515 s3.1): two dots, and a header that is a JSON object. It is asked on
/// every request, so it looks at the first byte of the header alone: `{` is `e` and the upper bits of the next letter.
fn is_jwt(token: &[u8]) -> bool {
    let object = matches!(token, [b'e', b'w'..=b'z' | b'0'..=b'9' | b'-' | b'_', ..]);
    object && token.iter().filter(|byte| **byte == b'.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_has_two_dots_and_a_header_of_json() {
        for jwt in [
            "eyJhbGciOiJub25lIn0.e30.",
            "eyJhbGciOiJub25lIn0..",
            "e30.e30.e30",
            "eyAiYWxnIjo..",
        ] {
            assert!(is_jwt(jwt.as_bytes()), "{jwt}");
        }
        for opaque in [
            "",
            "2YotnFZFEjr1zCsicMWpAA",
            "a.b.c",
            "eyJhbGciOiJub25lIn0",
            "eyJhbGciOiJub25lIn0.e30",
            "eyJhbGciOiJub25lIn0.e30.e30.e30.e30",
            "bm90IGpzb24.e30.",
            ".e30.",
        ] {
            assert!(!is_jwt(opaque.as_bytes()), "{opaque}");
        }
    }
}
