//! Whether a key that somebody named made the signature.

use portcullis_jose::{AlgorithmSet, JwkSet, Limits, Refusal, UnverifiedJws};
use portcullis_oidc::IssuerRule;
use serde_json::{Value, json};

/// The keys to verify with, and whose they are.
pub(crate) struct Keys {
    pub(crate) set: JwkSet,
    /// `None`: the keys were named without an issuer.
    pub(crate) issuer: Option<IssuerRule>,
    /// What is said of them: an address or a file.
    pub(crate) origin: String,
}

/// What came of it.
pub(crate) enum Verification {
    NotAsked,
    Verified {
        by: String,
        kid: String,
    },
    Failed {
        by: String,
        code: &'static str,
        why: String,
    },
}

// === impl Keys ===

impl Keys {
    /// Signature, and issuer where there is one. For whom the token is, and whether it is alive, is another question.
    pub(crate) fn verify(&self, token: &str) -> Verification {
        match self.check(token) {
            Ok(kid) => Verification::Verified {
                by: self.origin.clone(),
                kid,
            },
            Err(refusal) => Verification::Failed {
                by: self.origin.clone(),
                code: refusal.code(),
                why: refusal.to_string(),
            },
        }
    }

    fn check(&self, token: &str) -> Result<String, Refusal> {
        let jws = UnverifiedJws::parse(token, &Limits::default())?;
        if let Some(issuer) = &self.issuer {
            issuer.check(jws.unverified_issuer()?)?;
        }
        let kid = jws.header().kid()?.unwrap_or("(none)").to_owned();
        let claims = jws.verify(&self.set, AlgorithmSet::asymmetric())?;
        if let Some(issuer) = &self.issuer {
            issuer.check_claims(&claims)?;
        }
        Ok(kid)
    }
}

// === impl Verification ===

impl Verification {
    pub(super) fn to_json(&self, bytes: usize) -> Value {
        match self {
            Verification::NotAsked => json!({ "bytes": bytes, "verified": null }),
            Verification::Verified { by, kid } => json!({ "bytes": bytes, "verified": true, "by": by, "kid": kid }),
            Verification::Failed { by, code, why } => {
                json!({ "bytes": bytes, "verified": false, "by": by, "code": code, "why": why })
            }
        }
    }
}
