use serde::{Deserialize, Serialize};

use super::Defect;

/// How the provider misbehaves. The default is not at all.
///
/// ```
/// # use portcullis_idp::{Behaviour, Endpoint, FailNext};
/// let behaviour = Behaviour {
///     wrong_nonce: true,
///     fail_next: vec![FailNext { endpoint: Endpoint::Jwks, status: 503, times: 2 }],
///     ..Behaviour::default()
/// };
/// # assert_ne!(behaviour, Behaviour::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// Every answer waits for this long.
    pub latency_ms: u64,
    /// Only these endpoints wait. Empty: all.
    pub latency_at: Vec<Endpoint>,
    /// Failures to come; each entry counts down.
    pub fail_next: Vec<FailNext>,
    /// The discovery document answers 503.
    pub discovery_down: bool,
    /// The discovery document names another issuer.
    pub discovery_wrong_issuer: bool,
    /// The JWK set answers 503.
    pub jwks_down: bool,
    /// The token endpoint answers with this error.
    pub token_error: Option<TokenError>,
    /// The refresh grant answers `invalid_grant`; the refresh token is not used up.
    pub refresh_invalid_grant: bool,
    /// A refresh keeps the refresh token that it was given, as some providers do.
    pub keep_refresh_token: bool,
    /// Seconds for which a refresh token that was just used is forgiven.
    pub reuse_grace: i64,
    /// The `iss` of authorization responses is another's (RFC 9207).
    pub wrong_iss_parameter: bool,
    /// Authorization responses have no `iss`.
    pub omit_iss_parameter: bool,
    /// The `state` of authorization responses is not the one that was sent.
    pub wrong_state: bool,
    /// Token answers have no ID token.
    pub omit_id_token: bool,
    /// ID tokens have another nonce.
    pub wrong_nonce: bool,
    /// ID tokens have no nonce.
    pub omit_nonce: bool,
    /// ID tokens are for another client.
    pub id_token_wrong_audience: bool,
    /// ID tokens have another `at_hash`.
    pub wrong_at_hash: bool,
    /// ID tokens of a refresh are about another subject.
    pub refresh_wrong_sub: bool,
    /// ID tokens have this defect.
    pub id_token_defect: Option<Defect>,
    /// Access tokens are no JWTs but random text, which only the introspection endpoint knows.
    pub opaque_access_tokens: bool,
    /// The introspection endpoint says `"active": "true"`, as text.
    pub introspection_active_as_text: bool,
    /// DPoP proofs at the token endpoint must have this nonce (RFC 9449 s8).
    pub dpop_nonce: Option<String>,
    /// Access tokens of the token endpoint have this defect.
    pub access_token_defect: Option<Defect>,
    /// The userinfo answer is about another subject.
    pub userinfo_wrong_sub: bool,
}

/// Answers of one endpoint that will fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailNext {
    /// Which endpoint.
    pub endpoint: Endpoint,
    /// The HTTP status.
    pub status: u16,
    /// How often.
    pub times: u32,
}

/// An OAuth error that the token endpoint answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenError {
    /// The HTTP status.
    #[serde(default = "bad_request")]
    pub status: u16,
    /// `error`
    pub error: String,
    /// `error_description`
    #[serde(default)]
    pub description: Option<String>,
}

/// An endpoint of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub enum Endpoint {
    Discovery,
    Jwks,
    Authorize,
    Login,
    Consent,
    Token,
    DeviceAuthorization,
    Device,
    Userinfo,
    Revocation,
    Introspection,
    PushedRequest,
    EndSession,
    Registration,
}

impl Behaviour {
    /// How long answers of this endpoint wait.
    pub(crate) fn latency_of(&self, endpoint: Endpoint) -> Option<std::time::Duration> {
        let concerned = self.latency_at.is_empty() || self.latency_at.contains(&endpoint);
        (concerned && self.latency_ms > 0).then(|| std::time::Duration::from_millis(self.latency_ms))
    }

    /// The status that this answer of the endpoint must have, if it must fail. Counts down.
    pub(crate) fn take_failure(&mut self, endpoint: Endpoint) -> Option<u16> {
        if let Some(next) = self
            .fail_next
            .iter_mut()
            .find(|next| next.endpoint == endpoint && next.times > 0)
        {
            next.times -= 1;
            return Some(next.status);
        }
        let down = match endpoint {
            Endpoint::Discovery => self.discovery_down,
            Endpoint::Jwks => self.jwks_down,
            _ => false,
        };
        down.then_some(503)
    }
}

impl Endpoint {
    /// The endpoint of a path below the issuer.
    pub(crate) fn of_path(path: &str) -> Option<Endpoint> {
        Some(match path {
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => Endpoint::Discovery,
            "/jwks" => Endpoint::Jwks,
            "/authorize" => Endpoint::Authorize,
            "/login" => Endpoint::Login,
            "/consent" => Endpoint::Consent,
            "/token" => Endpoint::Token,
            "/device_authorization" => Endpoint::DeviceAuthorization,
            "/device" => Endpoint::Device,
            "/userinfo" => Endpoint::Userinfo,
            "/revoke" => Endpoint::Revocation,
            "/introspect" => Endpoint::Introspection,
            "/par" => Endpoint::PushedRequest,
            "/end-session" | "/end-session/confirm" => Endpoint::EndSession,
            path if path == "/register" || path.starts_with("/register/") => Endpoint::Registration,
            _ => return None,
        })
    }
}

fn bad_request() -> u16 {
    400
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_down_for_their_endpoint_alone() {
        let next = FailNext {
            endpoint: Endpoint::Token,
            status: 500,
            times: 2,
        };
        let mut behaviour = Behaviour {
            fail_next: vec![next],
            ..Behaviour::default()
        };
        assert_eq!(behaviour.take_failure(Endpoint::Jwks), None);
        assert_eq!(behaviour.take_failure(Endpoint::Token), Some(500));
        assert_eq!(behaviour.take_failure(Endpoint::Token), Some(500));
        assert_eq!(behaviour.take_failure(Endpoint::Token), None);
    }

    #[test]
    fn json_has_the_same_names() {
        let text = r#"{"latency_ms":5,"fail_next":[{"endpoint":"end_session","status":500,"times":1}],"jwks_down":true,
            "token_error":{"error":"invalid_client"},"id_token_defect":"bad_signature"}"#;
        let behaviour: Behaviour = serde_json::from_str(text).unwrap();
        assert_eq!(behaviour.token_error.as_ref().unwrap().status, 400);
        assert_eq!(behaviour.id_token_defect, Some(Defect::BadSignature));
        let again: Behaviour = serde_json::from_str(&serde_json::to_string(&behaviour).unwrap()).unwrap();
        assert_eq!(again, behaviour);
        assert!(serde_json::from_str::<Behaviour>(r#"{"jwks_dwn":true}"#).is_err());
    }
}
