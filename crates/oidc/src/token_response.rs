use portcullis_jose::{Secret, UnixTime};
use serde::Deserialize;

use crate::{OAuthError, ProviderError};

pub(crate) const LIMIT: usize = 256 * 1024;
const ENDPOINT: &str = "token endpoint";

/// The answer to a grant (RFC 6749 s5.1, OpenID Connect Core 1.0 s3.1.3.3).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenResponse {
    /// The access token.
    pub access_token: Secret,
    /// Whether it is bound to a key by DPoP (RFC 9449 s5), and no bearer token.
    pub dpop: bool,
    /// Its lifetime in seconds, where the provider says.
    pub expires_in: Option<i64>,
    /// The refresh token, if there is one.
    pub refresh_token: Option<Secret>,
    /// The ID token as it came; not verified.
    pub id_token: Option<Secret>,
    /// The scope granted, where it is said.
    pub scope: Option<String>,
}

#[derive(Deserialize)]
struct Success {
    access_token: Secret,
    token_type: String,
    expires_in: Option<serde_json::Value>,
    refresh_token: Option<Secret>,
    id_token: Option<Secret>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
    error_description: Option<String>,
}

impl TokenResponse {
    /// When the access token expires, if it came at `now`.
    #[must_use]
    pub fn expires_at(&self, now: UnixTime) -> Option<UnixTime> {
        self.expires_in.map(|seconds| now.plus(seconds))
    }

    /// Judges an answer of the token endpoint.
    ///
    /// # Errors
    /// The provider's refusal, or why the answer is none.
    pub fn parse(status: http::StatusCode, body: &[u8]) -> Result<TokenResponse, ProviderError> {
        TokenResponse::read(status, body, false)
    }

    /// The same; `bound` says that the request had a DPoP proof.
    pub(crate) fn read(status: http::StatusCode, body: &[u8], bound: bool) -> Result<TokenResponse, ProviderError> {
        if status != http::StatusCode::OK {
            return Err(parse_failure(ENDPOINT, status, body));
        }
        let bad = |why: &str| ProviderError::BadAnswer {
            endpoint: ENDPOINT,
            why: why.into(),
        };
        // serde_json's own text could quote what it read.
        let answer: Success =
            serde_json::from_slice(body).map_err(|_| bad("not a JSON object with access_token and token_type"))?;
        if answer.access_token.is_empty() {
            return Err(bad("the access token is empty"));
        }
        // RFC 6749 s7.1: the type is compared without regard to case, and one that is not understood is not used.
        let dpop = answer.token_type.eq_ignore_ascii_case("dpop");
        match (dpop, bound) {
            (true, true) => {}
            (false, false) if answer.token_type.eq_ignore_ascii_case("bearer") => {}
            // RFC 9449 s5: a client that asked for a bound token does not use one that anybody could use.
            (_, true) => return Err(bad("the token_type is not DPoP: the token is not bound to our key")),
            (_, false) => return Err(bad("the token_type is not Bearer")),
        }
        let expires_in = match answer.expires_in {
            None | Some(serde_json::Value::Null) => None,
            // Some providers send the number as a string; RFC 6749 has a number.
            Some(serde_json::Value::String(text)) => {
                Some(text.parse::<i64>().map_err(|_| bad("expires_in is not a number"))?)
            }
            Some(value) => Some(value.as_i64().ok_or_else(|| bad("expires_in is not a whole number"))?),
        };
        if expires_in.is_some_and(|seconds| !(1..=315_360_000).contains(&seconds)) {
            return Err(bad("expires_in is not between 1 second and 10 years"));
        }
        Ok(TokenResponse {
            access_token: answer.access_token,
            dpop,
            expires_in,
            refresh_token: answer.refresh_token.filter(|token| !token.is_empty()),
            id_token: answer.id_token.filter(|token| !token.is_empty()),
            scope: answer.scope,
        })
    }
}

/// The error code of an answer that refuses (RFC 6749 s5.2); `None` for one that does not.
pub(crate) fn error_of(response: &http::Response<bytes::Bytes>) -> Option<String> {
    let refuses = matches!(response.status().as_u16(), 400 | 401 | 403);
    let failure = refuses.then(|| serde_json::from_slice::<Failure>(response.body()).ok());
    failure.flatten().map(|failure| failure.error)
}

/// Reads an OAuth error, by its JSON alone: a web page that happens to hold "invalid_grant" is none.
pub(crate) fn parse_failure(endpoint: &'static str, status: http::StatusCode, body: &[u8]) -> ProviderError {
    let status = status.as_u16();
    match serde_json::from_slice::<Failure>(body) {
        // RFC 6585 s4: 429 says "later", whatever its body says.
        Ok(failure) if (400..500).contains(&status) && status != 429 => ProviderError::OAuth(OAuthError {
            error: failure
                .error
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                .take(64)
                .collect(),
            description: failure
                .error_description
                .map(|text| text.chars().filter(|c| !c.is_control()).take(200).collect()),
            status,
        }),
        _ => ProviderError::BadStatus { endpoint, status },
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;

    fn parse(body: &serde_json::Value) -> Result<TokenResponse, ProviderError> {
        TokenResponse::parse(StatusCode::OK, body.to_string().as_bytes())
    }

    #[test]
    fn reads_an_answer() {
        let answer =
            parse(&json!({"access_token": "a", "token_type": "bearer", "expires_in": 60, "refresh_token": "r"}))
                .unwrap();
        assert_eq!((answer.access_token.expose(), answer.expires_in), ("a", Some(60)));
        assert_eq!(
            parse(&json!({"access_token": "a", "token_type": "Bearer"}))
                .unwrap()
                .expires_in,
            None
        );
        assert_eq!(
            parse(&json!({"access_token": "a", "token_type": "Bearer", "expires_in": "60"}))
                .unwrap()
                .expires_in,
            Some(60)
        );
    }

    #[test]
    fn refuses_hostile_answers() {
        for body in [
            json!({}),
            json!([]),
            json!({"access_token": "a"}),
            json!({"access_token": "", "token_type": "Bearer"}),
            json!({"access_token": 7, "token_type": "Bearer"}),
            json!({"access_token": "a", "token_type": "DPoP"}),
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": -1}),
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": 0}),
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": 1e300}),
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": "soon"}),
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": true}),
        ] {
            assert_eq!(parse(&body).unwrap_err().code(), "provider.bad_answer", "{body}");
        }
    }

    #[test]
    fn invalid_grant_is_read_from_json_with_a_client_error_alone() {
        let refused = |status: u16, body: &str| {
            TokenResponse::parse(StatusCode::from_u16(status).unwrap(), body.as_bytes()).unwrap_err()
        };
        assert!(refused(400, r#"{"error":"invalid_grant"}"#).is_invalid_grant());
        assert!(!refused(400, "<p>invalid_grant</p>").is_invalid_grant());
        let outage = refused(503, r#"{"error":"invalid_grant"}"#);
        assert!(!outage.is_invalid_grant() && outage.is_temporary());
    }
}
