//! Why a call is refused.

use portcullis_audit::Refused;
use portcullis_jose::{Check, Refusal};
use portcullis_oidc::dpop::ProofRefusal;
use portcullis_policy::Denied;
use portcullis_store::StoreError;

/// Why a call is refused. What the caller sees of it is decided in one place: [`Answer::of`](crate::Answer::of).
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// There is no `Authorization: Bearer` header.
    #[error("the request carries no bearer token")]
    NoCredential {
        /// What was sent instead, where it is a scheme that is known.
        scheme: Option<&'static str>,
    },
    /// The header says `Bearer` and has no token that could be read.
    #[error("the Authorization header has no readable bearer token")]
    MalformedCredential,
    /// The token is no good: broken, not ours, out of time, revoked, or not the only one.
    #[error(transparent)]
    Token(#[from] Refusal),
    /// The token is good, and not bound to a key, which it has to be here.
    #[error("the token is not bound to a key ({expected})")]
    NotBound {
        /// The member that `cnf` must have.
        expected: &'static str,
    },
    /// The token is bound to a key, and the DPoP proof that came with it does not prove that its sender has that key.
    #[error(transparent)]
    Proof(Box<ProofRefusal>),
    /// The marks of used proofs cannot be had, so nobody can say whether this one was used before.
    #[error("the marks of used DPoP proofs are unavailable: {0}")]
    ReplayUnavailable(StoreError),
    /// The provider's keys cannot be had, so nobody can say whether the token is good.
    #[error("the keys of {issuer} are unavailable: {reason}")]
    KeysUnavailable {
        /// The issuer.
        issuer: Box<str>,
        /// What failed.
        reason: Box<str>,
    },
    /// The provider was asked about an opaque token, and says that it is not active (RFC 7662 s2.2).
    #[error("the provider says that the token is not active")]
    Inactive,
    /// The provider could not be asked about an opaque token, so nobody can say whether it is good.
    #[error("{issuer} cannot be asked about the token: {reason}")]
    IntrospectionUnavailable {
        /// The issuer.
        issuer: Box<str>,
        /// What failed.
        reason: Box<str>,
    },
    /// The list of revocations cannot be had, so nobody can say whether the token is good.
    #[error("the list of revocations is unavailable: {0}")]
    RevocationsUnavailable(StoreError),
    /// The token is good, and the policy says no.
    #[error(transparent)]
    Denied(Box<Denied>),
    /// The token is good, and no policy is about the call.
    #[error("no policy is about {call}")]
    NoPolicy {
        /// Method and path.
        call: Box<str>,
    },
    /// The token is good, and its claims are not of the type that the handler asks for.
    #[error("the token's claims are not what the handler needs: {message}")]
    ClaimsMismatch {
        /// What does not fit.
        message: Box<str>,
    },
    /// An extractor is used on a route without a guard. Wrap the route with [`Guard::require`](crate::Guard::require).
    #[error(
        "the route takes a token's claims, but no guard is wrapped around it: add `.route_layer(guard.require(...)?)`"
    )]
    NotGuarded,
}

impl GuardError {
    /// The stable code, such as `token.expired`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            GuardError::NoCredential { .. } => "token.missing",
            GuardError::MalformedCredential => "token.malformed",
            GuardError::Token(refusal) => refusal.code(),
            GuardError::NotBound { .. } => "token.not_bound",
            GuardError::Proof(refusal) => refusal.code(),
            GuardError::KeysUnavailable { .. } => "keys.unavailable",
            GuardError::Inactive => "token.inactive",
            GuardError::IntrospectionUnavailable { .. } => "introspection.unavailable",
            GuardError::RevocationsUnavailable(_) | GuardError::ReplayUnavailable(_) => "store.unavailable",
            GuardError::Denied(denied) => denied.code(),
            GuardError::NoPolicy { .. } => "route.no_policy",
            GuardError::ClaimsMismatch { .. } => "policy.claim_mismatch",
            GuardError::NotGuarded => "internal.error",
        }
    }

    /// The check that failed or could not be made; `None` where there was none.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        Some(match self {
            GuardError::NoCredential { .. } | GuardError::MalformedCredential => Check::Credential,
            GuardError::Token(refusal) => refusal.check(),
            GuardError::Denied(_) | GuardError::NoPolicy { .. } | GuardError::ClaimsMismatch { .. } => Check::Policy,
            GuardError::NotBound { .. } | GuardError::Proof(_) | GuardError::ReplayUnavailable(_) => Check::Proof,
            GuardError::KeysUnavailable { .. } | GuardError::IntrospectionUnavailable { .. } => Check::Key,
            // The provider's word is what a signature is for other tokens.
            GuardError::Inactive => Check::Signature,
            GuardError::RevocationsUnavailable(_) => Check::Revocation,
            GuardError::NotGuarded => return None,
        })
    }

    /// What would have been accepted, for those who run the API.
    #[must_use]
    pub fn expected(&self) -> Option<String> {
        match self {
            GuardError::NoCredential { .. }
            | GuardError::MalformedCredential
            | GuardError::Token(Refusal::InQuery | Refusal::MultipleCredentials) => {
                Some("one header: Authorization: Bearer <access token>".to_owned())
            }
            GuardError::Token(refusal) => refusal.expected(),
            GuardError::NotBound { expected } => Some(format!("cnf with {expected}")),
            GuardError::Proof(refusal) => refusal.expected(),
            GuardError::Denied(denied) => Some(denied.expected.to_string()),
            _ => None,
        }
    }

    /// What came instead; never a token.
    #[must_use]
    pub fn found(&self) -> Option<String> {
        match self {
            GuardError::NoCredential { scheme } => scheme.map(str::to_owned),
            GuardError::Token(refusal) => refusal.found(),
            GuardError::Proof(refusal) => refusal.found(),
            GuardError::KeysUnavailable { reason, .. } | GuardError::IntrospectionUnavailable { reason, .. } => {
                Some(reason.to_string())
            }
            GuardError::RevocationsUnavailable(error) | GuardError::ReplayUnavailable(error) => Some(error.to_string()),
            GuardError::Denied(denied) => denied.found.as_deref().map(str::to_owned),
            GuardError::NoPolicy { call } => Some(call.to_string()),
            GuardError::ClaimsMismatch { message } => Some(message.to_string()),
            GuardError::NotGuarded => Some(self.to_string()),
            _ => None,
        }
    }

    /// The audit event's side: cause and fix, expected and found.
    #[must_use]
    pub fn refused(&self) -> Refused {
        Refused::new(self.code())
            .expected_if(self.expected())
            .found_if(self.found())
    }
}

impl From<ProofRefusal> for GuardError {
    fn from(refusal: ProofRefusal) -> GuardError {
        GuardError::Proof(Box::new(refusal))
    }
}

impl From<Denied> for GuardError {
    fn from(denied: Denied) -> GuardError {
        GuardError::Denied(Box::new(denied))
    }
}
