use portcullis_jose::Refusal;

use crate::{HttpError, UrlError};

/// An error answer of the token endpoint or the like (RFC 6749 s5.2).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OAuthError {
    /// The code, such as `invalid_grant`; `[A-Za-z0-9_]`, at most 64 characters.
    pub error: String,
    /// The provider's text, cut to 200 characters. It can quote what was sent: not for logs.
    pub description: Option<String>,
    /// The HTTP status.
    pub status: u16,
}

impl std::fmt::Debug for OAuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OAuthError")
            .field("error", &self.error)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Display for OAuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the description: some providers quote the code or token there, and this text goes into logs.
        f.write_str(&self.error)
    }
}

/// What went wrong with a provider. It never holds a token, code or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// No complete answer. What was asked may be asked again.
    #[error("the {endpoint} of the provider gave no answer: {error}")]
    Unreachable {
        /// `discovery document`, `token endpoint`, ...
        endpoint: &'static str,
        /// Why.
        error: HttpError,
    },
    /// An answer that is neither success nor an OAuth error, such as 503 or a web page.
    #[error("the {endpoint} of the provider answered with status {status}")]
    BadStatus {
        /// `discovery document`, `token endpoint`, ...
        endpoint: &'static str,
        /// The status.
        status: u16,
    },
    /// A success whose content breaks the specification.
    #[error("the {endpoint} of the provider answered something unusable: {why}")]
    BadAnswer {
        /// `discovery document`, `token endpoint`, ...
        endpoint: &'static str,
        /// Which rule it breaks.
        why: String,
    },
    /// The metadata speaks for another issuer (OpenID Connect Discovery 1.0 s4.3).
    #[error(
        "the metadata names the issuer {found:?}, the configuration {expected:?}; they must be equal to the letter"
    )]
    IssuerMismatch {
        /// The configured issuer.
        expected: String,
        /// The issuer of the metadata.
        found: String,
    },
    /// The metadata lacks an endpoint that is needed.
    #[error("the provider's metadata names no {0}")]
    EndpointMissing(&'static str),
    /// A URL that nothing may be sent to.
    #[error("{what}: {error}")]
    Url {
        /// Which URL.
        what: &'static str,
        /// What is wrong with it.
        error: UrlError,
    },
    /// The provider said no (RFC 6749 s5.2).
    #[error("the provider refused: {0}")]
    OAuth(OAuthError),
    /// A token that the provider sent breaks a rule.
    #[error("the provider sent a token that is not acceptable: {0}")]
    Token(Refusal),
    /// What proves the client cannot be had or used.
    #[error("the client cannot prove itself: {why}")]
    Credential {
        /// Why.
        why: String,
    },
    /// Userinfo speaks of somebody else (OpenID Connect Core 1.0 s5.3.2).
    #[error("the userinfo answer is about another subject than the ID token")]
    SubjectMismatch,
}

impl ProviderError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ProviderError::Unreachable {
                error: HttpError::Inside { .. },
                ..
            } => "provider.endpoint_internal",
            ProviderError::Unreachable { .. } => "provider.unreachable",
            ProviderError::BadStatus { status: 429, .. } => "provider.rate_limited",
            ProviderError::BadStatus { .. } | ProviderError::BadAnswer { .. } => "provider.bad_answer",
            ProviderError::IssuerMismatch { .. } => "provider.issuer_mismatch",
            ProviderError::EndpointMissing(_) | ProviderError::Url { .. } => "provider.endpoint_missing",
            ProviderError::OAuth(error) if error.error == "invalid_client" => "provider.client_rejected",
            ProviderError::OAuth(error) if error.error == "invalid_grant" => "refresh.rejected",
            ProviderError::OAuth(_) => "provider.bad_answer",
            ProviderError::Token(refusal) => refusal.code(),
            ProviderError::Credential { .. } => "client.no_credential",
            ProviderError::SubjectMismatch => "login.userinfo_mismatch",
        }
    }

    /// Whether the grant itself (code or refresh token) was refused for good: `invalid_grant`, read as JSON.
    #[must_use]
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, ProviderError::OAuth(error) if error.error == "invalid_grant")
    }

    /// Whether nothing but a login helps, with the person there: a policy has changed, a consent was taken back, or the
    /// person was shut out. Providers answer a refresh so although OpenID Connect Core 1.0 s3.1.2.6 has most of these for
    /// the authorization endpoint alone.
    #[must_use]
    pub fn needs_the_person(&self) -> bool {
        const ERRORS: [&str; 6] = [
            "interaction_required",
            "login_required",
            "consent_required",
            "account_selection_required",
            "mfa_required",
            "access_denied",
        ];
        matches!(self, ProviderError::OAuth(error) if ERRORS.contains(&error.error.as_str()))
    }

    /// Whether the provider could not answer, so that what we hold stays good and a later try may succeed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            ProviderError::Unreachable { .. } => true,
            ProviderError::BadStatus { status, .. } => *status >= 500 || *status == 429,
            // RFC 6749 s4.1.2.1 and s5.2
            ProviderError::OAuth(error) => {
                error.status >= 500 || matches!(error.error.as_str(), "temporarily_unavailable" | "server_error")
            }
            _ => false,
        }
    }
}
