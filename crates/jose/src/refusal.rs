use crate::UnixTime;

/// Why a token is refused. Each variant names the rule that was broken and holds what was expected and found,
/// never the token.
///
/// [`Refusal::code`] is stable: it is what audit events, metrics and the manual call this refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of each variant says what it and its fields are")]
pub enum Refusal {
    #[error("the {part} is larger than {limit} bytes")]
    TooLarge { part: &'static str, limit: usize },
    #[error("not a JWS in compact form: {why}")]
    Malformed { why: &'static str },
    #[error("the token is encrypted (five parts), which is not accepted here")]
    Encrypted,
    #[error("the {part} is not canonical base64url without padding")]
    BadBase64 { part: &'static str },
    #[error("the {part} is not one JSON object")]
    BadJson { part: &'static str },
    #[error("the {part} repeats the member {name:?}")]
    DuplicateMember { part: &'static str, name: String },
    #[error("the {part} nests deeper than {limit} levels")]
    TooDeep { part: &'static str, limit: usize },
    #[error("the header asks for {member:?}, which is not understood here")]
    CritUnsupported { member: String },
    #[error("the algorithm {found:?} is not accepted; accepted: {accepted}")]
    AlgorithmNotAllowed { found: String, accepted: String },
    #[error("the token's type {found:?} is not {expected:?}")]
    TypeMismatch { expected: String, found: String },
    #[error("the issuer claim is a {found}, not a string")]
    IssuerType { found: &'static str },
    #[error("the issuer {found:?} is not trusted here; trusted: {expected}")]
    IssuerMismatch { expected: String, found: String },
    #[error("the key identifier is not a string of at most 256 bytes")]
    KidInvalid,
    #[error("no key of the issuer has the identifier {kid:?}")]
    UnknownKid { kid: String },
    #[error("the key {kid:?} cannot be used: {why}")]
    KeyUnusable { kid: String, why: String },
    #[error("the token says {found}, the key {kid:?} is for {expected}")]
    AlgorithmKeyMismatch {
        kid: String,
        expected: String,
        found: String,
    },
    #[error("the signature is not that of the issuer's key")]
    SignatureInvalid,
    #[error("the token has no expiry (claim exp)")]
    ExpiryMissing,
    #[error("the token expired at {expired}, it is now {now}")]
    Expired { expired: UnixTime, now: UnixTime },
    #[error("the token is valid from {claim} = {from} on, it is now {now}")]
    NotYetValid {
        claim: &'static str,
        from: UnixTime,
        now: UnixTime,
    },
    #[error("the claim {claim} is a {found}, not a {expected}")]
    ClaimType {
        claim: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error("the claim {claim} = {found} is out of range")]
    ClaimRange { claim: String, found: String },
    #[error("the claim {claim} is missing")]
    ClaimMissing { claim: String },
    #[error("the claim {claim} has a value that is not accepted: expected {expected}, found {found}")]
    ClaimValue {
        claim: String,
        expected: String,
        found: String,
    },
    #[error("the claim {claim} must not be in a token of this type")]
    ClaimForbidden { claim: String },
    #[error("the token has no audience (claim aud)")]
    AudienceMissing,
    #[error("the audience {found} is not {expected}")]
    AudienceMismatch { expected: String, found: String },
    #[error("the token has no subject (claim sub)")]
    SubjectMissing,
    #[error("the token is bound to a key ({method}) and came without the proof")]
    BindingRequired { method: String },
    #[error("the token was revoked ({what})")]
    Revoked { what: &'static str },
    #[error("a token in the URL is never read")]
    InQuery,
    #[error("more than one credential in one request")]
    MultipleCredentials,
}

impl Refusal {
    /// The stable code, for example `token.audience_mismatch`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::TooLarge { .. } => "token.too_large",
            Refusal::Malformed { .. } => "token.malformed",
            Refusal::Encrypted => "token.encrypted",
            Refusal::BadBase64 { .. } => "token.bad_base64",
            Refusal::BadJson { .. } => "token.bad_json",
            Refusal::DuplicateMember { .. } => "token.duplicate_member",
            Refusal::TooDeep { .. } => "token.too_deep",
            Refusal::CritUnsupported { .. } => "token.crit_unsupported",
            Refusal::AlgorithmNotAllowed { .. } => "token.algorithm_not_allowed",
            Refusal::TypeMismatch { .. } => "token.type_mismatch",
            Refusal::IssuerType { .. } => "token.issuer_type",
            Refusal::IssuerMismatch { .. } => "token.issuer_mismatch",
            Refusal::KidInvalid => "token.kid_invalid",
            Refusal::UnknownKid { .. } => "keys.unknown_kid",
            Refusal::KeyUnusable { .. } => "keys.unusable",
            Refusal::AlgorithmKeyMismatch { .. } => "token.algorithm_key_mismatch",
            Refusal::SignatureInvalid => "token.signature_invalid",
            Refusal::ExpiryMissing => "token.expiry_missing",
            Refusal::Expired { .. } => "token.expired",
            Refusal::NotYetValid { .. } => "token.not_yet_valid",
            Refusal::ClaimType { .. } => "token.claim_type",
            Refusal::ClaimRange { .. } => "token.claim_range",
            Refusal::ClaimMissing { .. } => "token.claim_missing",
            Refusal::ClaimValue { .. } => "token.claim_value",
            Refusal::ClaimForbidden { .. } => "token.claim_forbidden",
            Refusal::AudienceMissing => "token.audience_missing",
            Refusal::AudienceMismatch { .. } => "token.audience_mismatch",
            Refusal::SubjectMissing => "token.subject_missing",
            Refusal::BindingRequired { .. } => "token.binding_required",
            Refusal::Revoked { .. } => "token.revoked",
            Refusal::InQuery => "token.in_query",
            Refusal::MultipleCredentials => "token.multiple_credentials",
        }
    }

    /// What the rule asked for, where that is a value.
    #[must_use]
    pub fn expected(&self) -> Option<String> {
        Some(match self {
            Refusal::TooLarge { limit, .. } => format!("at most {limit} bytes"),
            Refusal::TooDeep { limit, .. } => format!("at most {limit} levels"),
            Refusal::AlgorithmNotAllowed { accepted, .. } => accepted.clone(),
            Refusal::TypeMismatch { expected, .. }
            | Refusal::IssuerMismatch { expected, .. }
            | Refusal::AlgorithmKeyMismatch { expected, .. }
            | Refusal::ClaimValue { expected, .. }
            | Refusal::AudienceMismatch { expected, .. } => expected.clone(),
            Refusal::IssuerType { .. } => "string".into(),
            Refusal::ClaimType { claim, expected, .. } => format!("{claim}: {expected}"),
            Refusal::Expired { now, .. } => format!("exp after {now}"),
            Refusal::NotYetValid { claim, now, .. } => format!("{claim} not after {now}"),
            Refusal::BindingRequired { method } => format!("proof of {method}"),
            _ => return None,
        })
    }

    /// What was found instead, where that is a value; never the token or a part of its signature.
    #[must_use]
    pub fn found(&self) -> Option<String> {
        Some(match self {
            Refusal::Malformed { why } => (*why).into(),
            Refusal::BadBase64 { part } | Refusal::BadJson { part } => (*part).into(),
            Refusal::DuplicateMember { name, .. } => name.clone(),
            Refusal::CritUnsupported { member } => member.clone(),
            Refusal::AlgorithmNotAllowed { found, .. }
            | Refusal::TypeMismatch { found, .. }
            | Refusal::IssuerMismatch { found, .. }
            | Refusal::AlgorithmKeyMismatch { found, .. }
            | Refusal::ClaimValue { found, .. }
            | Refusal::AudienceMismatch { found, .. } => found.clone(),
            Refusal::IssuerType { found } => (*found).into(),
            Refusal::UnknownKid { kid } => kid.clone(),
            Refusal::KeyUnusable { kid, why } => format!("{kid}: {why}"),
            Refusal::Expired { expired, .. } => format!("exp {expired}"),
            Refusal::NotYetValid { claim, from, .. } => format!("{claim} {from}"),
            Refusal::ClaimType { claim, found, .. } => format!("{claim}: {found}"),
            Refusal::ClaimRange { claim, found } => format!("{claim}: {found}"),
            Refusal::ClaimMissing { claim } | Refusal::ClaimForbidden { claim } => claim.clone(),
            Refusal::Revoked { what } => (*what).into(),
            _ => return None,
        })
    }
}
