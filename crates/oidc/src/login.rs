//! The front half of the Authorization Code grant with PKCE, as functions without I/O: RFC 6749 s4.1, RFC 7636,
//! RFC 9207, OpenID Connect Core 1.0 s3.1.

use portcullis_jose::{Secret, UnixTime, base64url_encode, constant_time_eq, random_token, sha256};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{HttpsUrl, IssuerRule, Metadata};

/// What a login asks for.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LoginRequest<'a> {
    /// Where the provider sends the browser back to, exactly as registered.
    pub redirect_uri: &'a str,
    /// The scopes; `openid` is added where it is missing.
    pub scopes: &'a [String],
    /// RFC 8707: the API that the access token is for.
    pub resource: Option<&'a str>,
    /// How the provider may ask: `none`, `login`, ... (OpenID Connect Core 1.0 s3.1.2.1).
    pub prompt: Option<&'a str>,
    /// The person must have authenticated within so many seconds.
    pub max_age: Option<u64>,
    /// How the person is to be authenticated, the best first, with spaces in between.
    pub acr_values: Option<&'a str>,
    /// Who will sign in, as far as is known.
    pub login_hint: Option<&'a str>,
    /// The languages that the person reads, the best first, with spaces in between.
    pub ui_locales: Option<&'a str>,
}

impl<'a> LoginRequest<'a> {
    /// A login that comes back to `redirect_uri`.
    #[must_use]
    pub fn new(redirect_uri: &'a str, scopes: &'a [String]) -> LoginRequest<'a> {
        LoginRequest {
            redirect_uri,
            scopes,
            ..LoginRequest::default()
        }
    }
}

/// What has to be remembered of a login until the browser comes back: the proof that both ends are one login.
#[derive(Debug, Clone)]
pub struct LoginAttempt {
    state: Secret,
    nonce: Secret,
    verifier: Secret,
    redirect_uri: String,
    issuer: String,
    /// The answer must say which issuer it comes from, whatever the metadata announces.
    iss_required: bool,
    started: UnixTime,
}

/// The same in the clear, for sealing alone.
#[derive(Serialize, Deserialize)]
struct Sealable<'a> {
    state: &'a str,
    nonce: &'a str,
    verifier: &'a str,
    redirect_uri: &'a str,
    issuer: &'a str,
    #[serde(default)]
    iss_required: bool,
    started: UnixTime,
}

impl LoginAttempt {
    /// The `state` of the request, which the answer has to repeat.
    #[must_use]
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// The `nonce`, which the ID token has to hold.
    #[must_use]
    pub fn nonce(&self) -> &Secret {
        &self.nonce
    }

    /// The issuer that it went to; of several tenants, their template.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When it began.
    #[must_use]
    pub fn started(&self) -> UnixTime {
        self.started
    }

    pub(crate) fn verifier(&self) -> &Secret {
        &self.verifier
    }

    pub(crate) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The attempt as bytes in the clear, to be sealed at once.
    #[must_use]
    pub fn to_sealable(&self) -> Secret {
        let sealable = Sealable {
            state: self.state.expose(),
            nonce: self.nonce.expose(),
            verifier: self.verifier.expose(),
            redirect_uri: &self.redirect_uri,
            issuer: &self.issuer,
            iss_required: self.iss_required,
            started: self.started,
        };
        Secret::new(serde_json::to_string(&sealable).unwrap_or_default())
    }

    /// The attempt from what [`LoginAttempt::to_sealable`] made; `None` if it is anything else.
    #[must_use]
    pub fn from_sealable(text: &str) -> Option<LoginAttempt> {
        let sealable: Sealable<'_> = serde_json::from_str(text).ok()?;
        Some(LoginAttempt {
            state: Secret::new(sealable.state),
            nonce: Secret::new(sealable.nonce),
            verifier: Secret::new(sealable.verifier),
            redirect_uri: sealable.redirect_uri.to_owned(),
            issuer: sealable.issuer.to_owned(),
            iss_required: sealable.iss_required,
            started: sealable.started,
        })
    }
}

/// The parameters of an authorization request, and what to remember of it.
pub(crate) fn begin(
    issuer: &str,
    client_id: &str,
    request: &LoginRequest<'_>,
    iss_required: bool,
    now: UnixTime,
) -> (Parameters, LoginAttempt) {
    // 32 random bytes, 43 characters each: RFC 7636 s4.1 for the verifier, and the same for the others.
    let attempt = LoginAttempt {
        state: Secret::new(random_token(32)),
        nonce: Secret::new(random_token(32)),
        verifier: Secret::new(random_token(32)),
        redirect_uri: request.redirect_uri.to_owned(),
        issuer: issuer.to_owned(),
        iss_required,
        started: now,
    };
    let mut scopes: Vec<&str> = request.scopes.iter().map(String::as_str).collect();
    if !scopes.contains(&"openid") {
        scopes.insert(0, "openid");
    }
    // RFC 7636 s4.2: S256, always.
    let challenge = base64url_encode(&sha256(attempt.verifier.expose().as_bytes()));
    let (scope, max_age) = (scopes.join(" "), request.max_age.map(|seconds| seconds.to_string()));
    let parameters = [
        ("response_type", Some("code")),
        ("client_id", Some(client_id)),
        ("redirect_uri", Some(request.redirect_uri)),
        ("scope", Some(scope.as_str())),
        ("state", Some(attempt.state.expose())),
        ("nonce", Some(attempt.nonce.expose())),
        ("code_challenge", Some(challenge.as_str())),
        ("code_challenge_method", Some("S256")),
        ("resource", request.resource),
        ("prompt", request.prompt),
        ("max_age", max_age.as_deref()),
        ("acr_values", request.acr_values),
        ("login_hint", request.login_hint),
        ("ui_locales", request.ui_locales),
    ];
    let parameters = parameters
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    (parameters, attempt)
}

/// The parameters of an authorization request, by name.
pub(crate) type Parameters = Vec<(String, String)>;

/// Where the browser is sent with these parameters.
pub(crate) fn to_url<N: AsRef<str>, V: AsRef<str>>(endpoint: &HttpsUrl, parameters: &[(N, V)]) -> Url {
    let mut url = endpoint.as_url().clone();
    url.query_pairs_mut().extend_pairs(parameters);
    url
}

/// The parameters of the callback (RFC 6749 s4.1.2, RFC 9207 s2). Unknown ones are passed over.
#[derive(Debug, Clone, Default)]
pub struct CallbackParameters {
    code: Option<Secret>,
    state: Option<Secret>,
    iss: Option<String>,
    error: Option<String>,
    /// For people; where there are several, the first.
    description: Option<String>,
}

impl CallbackParameters {
    /// Reads a query string or form.
    ///
    /// # Errors
    /// [`LoginError::DuplicateParameter`]: each may be there once (RFC 6749 s3.1).
    pub fn parse(query: &str) -> Result<CallbackParameters, LoginError> {
        fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), LoginError> {
            if slot.replace(value).is_some() {
                Err(LoginError::DuplicateParameter(name))
            } else {
                Ok(())
            }
        }
        let mut parameters = CallbackParameters::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "code" => once(&mut parameters.code, "code", Secret::new(value))?,
                "state" => once(&mut parameters.state, "state", Secret::new(value))?,
                "iss" => once(&mut parameters.iss, "iss", value.into_owned())?,
                "error" => once(&mut parameters.error, "error", value.into_owned())?,
                "error_description" => {
                    parameters.description.get_or_insert(value.into_owned());
                }
                _ => {}
            }
        }
        Ok(parameters)
    }

    /// The `state`, by which the attempt is found.
    #[must_use]
    pub fn state(&self) -> Option<&Secret> {
        self.state.as_ref()
    }
}

/// A code that came back to the login it belongs to. Only [`validate_callback`] makes one.
#[derive(Debug)]
pub struct ValidatedCallback {
    code: Secret,
    issuer: Option<String>,
}

impl ValidatedCallback {
    /// The `iss` of the answer, if it had one (RFC 9207). The ID token must be of the same issuer: of a template's
    /// tenants there are several.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    pub(crate) fn into_code(self) -> Secret {
        self.code
    }
}

/// A callback is the answer to `attempt`, which went to an issuer of `rule`, and to nothing else.
///
/// # Errors
/// The first rule that is broken: `state`, `iss`, the provider's own error, `code`.
pub fn validate_callback(
    rule: &IssuerRule,
    metadata: &Metadata,
    attempt: &LoginAttempt,
    parameters: CallbackParameters,
) -> Result<ValidatedCallback, LoginError> {
    let state = parameters.state.ok_or(LoginError::StateMissing)?;
    // RFC 6749 s10.12
    if !constant_time_eq(state.expose().as_bytes(), attempt.state.expose().as_bytes()) {
        return Err(LoginError::StateMismatch);
    }
    // RFC 9207 s2.4: compared whenever it is there, and demanded where it is announced.
    match &parameters.iss {
        Some(issuer) if attempt.issuer == rule.as_str() && rule.matches(issuer) => {}
        Some(found) => {
            return Err(LoginError::IssuerMismatch {
                expected: attempt.issuer.clone(),
                found: found.clone(),
            });
        }
        None if metadata.iss_parameter_supported || attempt.iss_required => return Err(LoginError::IssuerMissing),
        None => {}
    }
    if let Some(error) = parameters.error {
        let error: String = error
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .take(64)
            .collect();
        // It goes to events alone, where it is escaped.
        let description = parameters.description.filter(|text| !text.is_empty());
        let description = description.map(|text| text.chars().take(200).collect());
        return Err(LoginError::Provider { error, description });
    }
    let code = parameters
        .code
        .filter(|code| !code.is_empty())
        .ok_or(LoginError::CodeMissing)?;
    let issuer = parameters.iss;
    Ok(ValidatedCallback { code, issuer })
}

/// Why a callback is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// No `state`.
    #[error("the answer to the login has no state")]
    StateMissing,
    /// The `state` of another login.
    #[error("the state of the answer is not that of this login")]
    StateMismatch,
    /// No `iss`, although the provider announces it.
    #[error("the answer to the login does not say which issuer it comes from")]
    IssuerMissing,
    /// Another issuer's answer.
    #[error("the answer to the login comes from the issuer {found:?}, the login went to {expected:?}")]
    IssuerMismatch {
        /// Where the login went.
        expected: String,
        /// Who answered.
        found: String,
    },
    /// A parameter that is there twice.
    #[error("the parameter {0} is there more than once")]
    DuplicateParameter(&'static str),
    /// Neither a code nor an error.
    #[error("the answer to the login has no code")]
    CodeMissing,
    /// The provider said no (RFC 6749 s4.1.2.1).
    #[error("the provider answered {error}")]
    Provider {
        /// The error code.
        error: String,
        /// What it says to people (`error_description`), 200 characters at most, as it came.
        description: Option<String>,
    },
}

impl LoginError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            LoginError::StateMissing => "login.state_missing",
            LoginError::StateMismatch => "login.state_mismatch",
            LoginError::IssuerMissing => "login.issuer_missing",
            LoginError::IssuerMismatch { .. } => "login.issuer_mismatch",
            LoginError::DuplicateParameter(_) => "login.duplicate_parameter",
            LoginError::CodeMissing => "login.code_rejected",
            LoginError::Provider { error, .. } => provider_code(error),
        }
    }
}

/// The errors of RFC 6749 s4.1.2.1 and OpenID Connect Core 1.0 s3.1.2.6, by what a person can do about them.
fn provider_code(error: &str) -> &'static str {
    match error {
        "access_denied" => "login.access_denied",
        "login_required" | "interaction_required" | "account_selection_required" | "consent_required" => {
            "login.interaction_required"
        }
        "temporarily_unavailable" | "server_error" => "login.provider_unavailable",
        // OpenID Connect Core Unmet Authentication Requirements 1.0
        "unmet_authentication_requirements" => "login.authentication_unmet",
        _ => "login.provider_error",
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
