//! Why a proof is refused.

use portcullis_jose::{Refusal, UnixTime};

/// Why a proof is refused: the rule that was broken, never the proof.
///
/// [`ProofRefusal::code`] is stable: it is what audit events, metrics and the manual call this refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of each variant says what it and its fields are")]
pub enum ProofRefusal {
    #[error("the request has no DPoP header")]
    Missing,
    #[error("the request has more than one DPoP proof")]
    Several,
    #[error("the proof is not a signed JWT: {why}")]
    Malformed { why: String },
    #[error("the proof's algorithm {found:?} is not accepted; accepted: {accepted}")]
    AlgorithmNotAllowed { found: String, accepted: String },
    #[error("the proof's key cannot be used: {why}")]
    KeyUnusable { why: String },
    #[error("the proof's type {found:?} is not {expected:?}")]
    TypeMismatch { expected: String, found: String },
    #[error("the proof was made with the key {found}, the token is bound to {expected}")]
    OtherKey { expected: String, found: String },
    #[error("the signature is not that of the proof's key")]
    SignatureInvalid,
    #[error("the proof has no {claim}")]
    ClaimMissing { claim: &'static str },
    #[error("the proof's {claim} cannot be used: {why}")]
    Claim { claim: &'static str, why: String },
    #[error("the proof is for the method {found:?}, not {expected:?}")]
    OtherMethod { expected: String, found: String },
    #[error("the proof is for {found:?}, not {expected:?}")]
    OtherTarget { expected: String, found: String },
    #[error("the proof was made at {issued}, it is now {now}")]
    Expired { issued: UnixTime, now: UnixTime },
    #[error("the proof will be made at {issued}, it is now {now}")]
    NotYetValid { issued: UnixTime, now: UnixTime },
    #[error("the proof has no nonce, and one is needed")]
    NonceRequired,
    #[error("the proof's nonce is not one that is accepted now")]
    NonceStale,
    #[error("the proof was made for another token")]
    OtherToken,
    #[error("the proof was used before")]
    Replayed,
}

impl ProofRefusal {
    /// The stable code, for example `dpop.method_mismatch`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ProofRefusal::Missing => "dpop.proof_missing",
            ProofRefusal::Several => "dpop.multiple_proofs",
            ProofRefusal::Malformed { .. } => "dpop.malformed",
            ProofRefusal::AlgorithmNotAllowed { .. } => "dpop.algorithm_not_allowed",
            ProofRefusal::KeyUnusable { .. } => "dpop.key_unusable",
            ProofRefusal::TypeMismatch { .. } => "dpop.type_mismatch",
            ProofRefusal::OtherKey { .. } => "dpop.key_mismatch",
            ProofRefusal::SignatureInvalid => "dpop.signature_invalid",
            ProofRefusal::ClaimMissing { .. } => "dpop.claim_missing",
            ProofRefusal::Claim { .. } => "dpop.claim_invalid",
            ProofRefusal::OtherMethod { .. } => "dpop.method_mismatch",
            ProofRefusal::OtherTarget { .. } => "dpop.uri_mismatch",
            ProofRefusal::Expired { .. } => "dpop.expired",
            ProofRefusal::NotYetValid { .. } => "dpop.not_yet_valid",
            ProofRefusal::NonceRequired => "dpop.nonce_required",
            ProofRefusal::NonceStale => "dpop.nonce_stale",
            ProofRefusal::OtherToken => "dpop.token_mismatch",
            ProofRefusal::Replayed => "dpop.replayed",
        }
    }

    /// OAuth's code for the answer (RFC 9449 s7.1, s9).
    #[must_use]
    pub fn oauth_error(&self) -> &'static str {
        match self {
            ProofRefusal::NonceRequired | ProofRefusal::NonceStale => "use_dpop_nonce",
            _ => "invalid_dpop_proof",
        }
    }

    /// What the rule asked for, where that is a value.
    #[must_use]
    pub fn expected(&self) -> Option<String> {
        Some(match self {
            ProofRefusal::Missing | ProofRefusal::Several => "one header: DPoP: <proof>".into(),
            ProofRefusal::AlgorithmNotAllowed { accepted, .. } => accepted.clone(),
            ProofRefusal::TypeMismatch { expected, .. }
            | ProofRefusal::OtherKey { expected, .. }
            | ProofRefusal::OtherMethod { expected, .. }
            | ProofRefusal::OtherTarget { expected, .. } => expected.clone(),
            ProofRefusal::Expired { now, .. } | ProofRefusal::NotYetValid { now, .. } => format!("iat near {now}"),
            _ => return None,
        })
    }

    /// What was found instead, where that is a value; never the proof.
    #[must_use]
    pub fn found(&self) -> Option<String> {
        Some(match self {
            ProofRefusal::Malformed { why } | ProofRefusal::KeyUnusable { why } => why.clone(),
            ProofRefusal::AlgorithmNotAllowed { found, .. }
            | ProofRefusal::TypeMismatch { found, .. }
            | ProofRefusal::OtherKey { found, .. }
            | ProofRefusal::OtherMethod { found, .. }
            | ProofRefusal::OtherTarget { found, .. } => found.clone(),
            ProofRefusal::ClaimMissing { claim } => (*claim).into(),
            ProofRefusal::Claim { claim, why } => format!("{claim}: {why}"),
            ProofRefusal::Expired { issued, .. } | ProofRefusal::NotYetValid { issued, .. } => format!("iat {issued}"),
            _ => return None,
        })
    }
}

/// What is wrong with the proof as a JWS.
impl From<Refusal> for ProofRefusal {
    fn from(refusal: Refusal) -> ProofRefusal {
        match refusal {
            Refusal::AlgorithmNotAllowed { found, accepted } => ProofRefusal::AlgorithmNotAllowed { found, accepted },
            Refusal::KeyUnusable { why, .. } => ProofRefusal::KeyUnusable { why },
            Refusal::TypeMismatch { expected, found } => ProofRefusal::TypeMismatch { expected, found },
            Refusal::SignatureInvalid => ProofRefusal::SignatureInvalid,
            other => ProofRefusal::Malformed { why: other.to_string() },
        }
    }
}
