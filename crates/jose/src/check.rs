//! The names of the checks on a token, in the order in which they are made.

use std::fmt;

use crate::Refusal;

/// One check on a call with a token. The order of the variants is the order of the checks, and never changes: a bad
/// token gets the same refusal whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Check {
    /// One credential, where it belongs (RFC 6750 s2).
    Credential,
    /// The token and its header are within their bounds.
    Size,
    /// Three parts (RFC 7515 s3.1).
    Shape,
    /// Canonical base64url without padding (RFC 7515 s2).
    Encoding,
    /// The header is one strict JSON object (RFC 7515 s4).
    Header,
    /// Nothing in the header asks for what is not understood (RFC 7515 s4.1.11).
    Critical,
    /// The algorithm is accepted (RFC 8725 s3.1).
    Algorithm,
    /// The token is of the right type (RFC 8725 s3.11, RFC 9068 s2.1).
    Type,
    /// The issuer is trusted (RFC 8725 s3.8).
    Issuer,
    /// The issuer has a key of the token's `kid` (RFC 7515 s4.1.4).
    KeyId,
    /// The key can be used, with this algorithm (RFC 8725 s3.1, s3.5).
    Key,
    /// The key made the signature (RFC 7515 s5.2).
    Signature,
    /// The claims are one strict JSON object with members of the right types (RFC 7519 s4).
    Claims,
    /// The token is alive (RFC 7519 s4.1.4 to s4.1.6).
    Time,
    /// The token is for this API (RFC 7519 s4.1.3).
    Audience,
    /// The token is about somebody (RFC 9068 s2.2).
    Subject,
    /// Who sends the token has the key that it is bound to (RFC 9449, RFC 8705).
    Proof,
    /// The token was not revoked.
    Revocation,
    /// The policy of the route says yes.
    Policy,
}

impl Check {
    /// All checks, in their order.
    pub const ALL: [Check; 19] = [
        Check::Credential,
        Check::Size,
        Check::Shape,
        Check::Encoding,
        Check::Header,
        Check::Critical,
        Check::Algorithm,
        Check::Type,
        Check::Issuer,
        Check::KeyId,
        Check::Key,
        Check::Signature,
        Check::Claims,
        Check::Time,
        Check::Audience,
        Check::Subject,
        Check::Proof,
        Check::Revocation,
        Check::Policy,
    ];

    /// The stable name, for events and for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Check::Credential => "credential",
            Check::Size => "size",
            Check::Shape => "shape",
            Check::Encoding => "encoding",
            Check::Header => "header",
            Check::Critical => "critical",
            Check::Algorithm => "algorithm",
            Check::Type => "type",
            Check::Issuer => "issuer",
            Check::KeyId => "key_id",
            Check::Key => "key",
            Check::Signature => "signature",
            Check::Claims => "claims",
            Check::Time => "time",
            Check::Audience => "audience",
            Check::Subject => "subject",
            Check::Proof => "proof",
            Check::Revocation => "revocation",
            Check::Policy => "policy",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Refusal {
    /// The check that the token did not pass.
    #[must_use]
    pub fn check(&self) -> Check {
        let of_header = |part: &str| if part == "claims" { Check::Claims } else { Check::Header };
        match self {
            Refusal::InQuery | Refusal::MultipleCredentials => Check::Credential,
            Refusal::TooLarge { .. } => Check::Size,
            Refusal::Malformed { .. } | Refusal::Encrypted => Check::Shape,
            Refusal::BadBase64 { .. } => Check::Encoding,
            Refusal::BadJson { part } | Refusal::DuplicateMember { part, .. } | Refusal::TooDeep { part, .. } => {
                of_header(part)
            }
            Refusal::CritUnsupported { .. } => Check::Critical,
            Refusal::AlgorithmNotAllowed { .. } => Check::Algorithm,
            Refusal::TypeMismatch { .. } => Check::Type,
            Refusal::IssuerType { .. } | Refusal::IssuerMismatch { .. } => Check::Issuer,
            Refusal::KidInvalid | Refusal::UnknownKid { .. } => Check::KeyId,
            Refusal::KeyUnusable { .. } | Refusal::AlgorithmKeyMismatch { .. } => Check::Key,
            Refusal::SignatureInvalid => Check::Signature,
            Refusal::ClaimType { .. }
            | Refusal::ClaimRange { .. }
            | Refusal::ClaimMissing { .. }
            | Refusal::ClaimForbidden { .. } => Check::Claims,
            Refusal::ExpiryMissing | Refusal::Expired { .. } | Refusal::NotYetValid { .. } => Check::Time,
            Refusal::AudienceMissing | Refusal::AudienceMismatch { .. } => Check::Audience,
            Refusal::SubjectMissing | Refusal::ClaimValue { .. } => Check::Subject,
            Refusal::BindingRequired { .. } => Check::Proof,
            Refusal::Revoked { .. } => Check::Revocation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete_in_order_and_without_repeated_names() {
        assert!(Check::ALL.is_sorted());
        let names: std::collections::BTreeSet<&str> = Check::ALL.into_iter().map(Check::name).collect();
        assert_eq!(names.len(), Check::ALL.len());
        assert_eq!(Check::ALL.len(), Check::Policy as usize + 1);
    }
}
