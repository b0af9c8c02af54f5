use serde::Deserialize;

use crate::{HttpsUrl, ProviderError};

/// What a provider says of itself (OpenID Connect Discovery 1.0 s3, RFC 8414 s2), as far as it is used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Metadata {
    /// The issuer, byte for byte the configured one.
    pub issuer: String,
    /// Where the browser is sent to log in.
    pub authorization_endpoint: Option<HttpsUrl>,
    /// Where grants become tokens.
    pub token_endpoint: Option<HttpsUrl>,
    /// Where the keys are.
    pub jwks_uri: HttpsUrl,
    /// OpenID Connect Core 1.0 s5.3
    pub userinfo_endpoint: Option<HttpsUrl>,
    /// RFC 7009
    pub revocation_endpoint: Option<HttpsUrl>,
    /// RFC 7662
    pub introspection_endpoint: Option<HttpsUrl>,
    /// RP-Initiated Logout 1.0
    pub end_session_endpoint: Option<HttpsUrl>,
    /// RFC 8628 s4
    pub device_authorization_endpoint: Option<HttpsUrl>,
    /// RFC 9207 s3: every authorization response has the parameter `iss`.
    pub iss_parameter_supported: bool,
    /// RFC 9126 s5: where authorization requests are pushed to.
    pub pushed_authorization_request_endpoint: Option<HttpsUrl>,
    /// RFC 9126 s5: no other authorization request is taken.
    pub require_pushed_authorization_requests: bool,
    /// RFC 8705 s5: where clients go that show a certificate.
    pub mtls_aliases: MtlsAliases,
}

/// Addresses of endpoints for clients that show a certificate (RFC 8705 s5). Where there is none, the endpoint's own
/// address is meant for them too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MtlsAliases {
    /// Where grants become tokens.
    pub token: Option<HttpsUrl>,
    /// RFC 7009
    pub revocation: Option<HttpsUrl>,
    /// RFC 7662
    pub introspection: Option<HttpsUrl>,
    /// OpenID Connect Core 1.0 s5.3
    pub userinfo: Option<HttpsUrl>,
    /// RFC 9126
    pub pushed_authorization_request: Option<HttpsUrl>,
    /// RFC 8628
    pub device_authorization: Option<HttpsUrl>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    userinfo_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
    #[serde(default)]
    mtls_endpoint_aliases: Aliases,
}

#[derive(Default, Deserialize)]
struct Aliases {
    token_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
}

impl Metadata {
    /// The size up to which a metadata document is read.
    pub(crate) const LIMIT: usize = 256 * 1024;

    /// Where the metadata of `issuer` is (OpenID Connect Discovery 1.0 s4: a slash at the end of the issuer is
    /// dropped for this alone).
    pub(crate) fn location(issuer: &str) -> String {
        format!(
            "{}/.well-known/openid-configuration",
            issuer.strip_suffix('/').unwrap_or(issuer)
        )
    }

    /// Judges a metadata document.
    ///
    /// # Errors
    /// When it is no such document, speaks for another issuer, or names a URL that nothing may be sent to.
    pub fn parse(document: &[u8], issuer: &str) -> Result<Metadata, ProviderError> {
        let bad = |why: String| ProviderError::BadAnswer {
            endpoint: "discovery document",
            why,
        };
        let document: Document = serde_json::from_slice(document).map_err(|error| bad(error.to_string()))?;
        // OpenID Connect Discovery 1.0 s4.3: exactly equal.
        if document.issuer != issuer {
            return Err(ProviderError::IssuerMismatch {
                expected: issuer.into(),
                found: document.issuer,
            });
        }
        let url = |what: &'static str, text: Option<String>| {
            text.map(|text| HttpsUrl::parse(&text).map_err(|error| ProviderError::Url { what, error }))
                .transpose()
        };
        let aliases = document.mtls_endpoint_aliases;
        let mtls_aliases = MtlsAliases {
            token: url("token_endpoint", aliases.token_endpoint)?,
            revocation: url("revocation_endpoint", aliases.revocation_endpoint)?,
            introspection: url("introspection_endpoint", aliases.introspection_endpoint)?,
            userinfo: url("userinfo_endpoint", aliases.userinfo_endpoint)?,
            pushed_authorization_request: url(
                "pushed_authorization_request_endpoint",
                aliases.pushed_authorization_request_endpoint,
            )?,
            device_authorization: url("device_authorization_endpoint", aliases.device_authorization_endpoint)?,
        };
        Ok(Metadata {
            mtls_aliases,
            pushed_authorization_request_endpoint: url(
                "pushed_authorization_request_endpoint",
                document.pushed_authorization_request_endpoint,
            )?,
            require_pushed_authorization_requests: document.require_pushed_authorization_requests,
            issuer: document.issuer,
            authorization_endpoint: url("authorization_endpoint", document.authorization_endpoint)?,
            token_endpoint: url("token_endpoint", document.token_endpoint)?,
            jwks_uri: url("jwks_uri", document.jwks_uri)?.ok_or(ProviderError::EndpointMissing("jwks_uri"))?,
            userinfo_endpoint: url("userinfo_endpoint", document.userinfo_endpoint)?,
            revocation_endpoint: url("revocation_endpoint", document.revocation_endpoint)?,
            introspection_endpoint: url("introspection_endpoint", document.introspection_endpoint)?,
            end_session_endpoint: url("end_session_endpoint", document.end_session_endpoint)?,
            device_authorization_endpoint: url(
                "device_authorization_endpoint",
                document.device_authorization_endpoint,
            )?,
            iss_parameter_supported: document.authorization_response_iss_parameter_supported,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_location_drops_one_slash() {
        assert_eq!(
            Metadata::location("https://a.example/t/"),
            "https://a.example/t/.well-known/openid-configuration"
        );
        assert_eq!(
            Metadata::location("https://a.example"),
            "https://a.example/.well-known/openid-configuration"
        );
    }

    #[test]
    fn the_issuer_is_equal_to_the_letter() {
        let document = json!({ "issuer": "https://a.example", "jwks_uri": "https://a.example/jwks" }).to_string();
        assert!(Metadata::parse(document.as_bytes(), "https://a.example").is_ok());
        for other in ["https://a.example/", "https://A.example", "http://a.example"] {
            let error = Metadata::parse(document.as_bytes(), other).unwrap_err();
            assert_eq!(error.code(), "provider.issuer_mismatch", "{other}");
        }
    }

    #[test]
    fn endpoints_are_https() {
        let with = |name: &str, value: &str| {
            let mut document = json!({ "issuer": "https://a.example", "jwks_uri": "https://a.example/jwks" });
            document[name] = value.into();
            Metadata::parse(document.to_string().as_bytes(), "https://a.example")
                .map(|_| ())
                .map_err(|error| error.code())
        };
        assert_eq!(with("token_endpoint", "https://a.example/token"), Ok(()));
        assert_eq!(
            with("token_endpoint", "http://a.example/token"),
            Err("provider.endpoint_missing")
        );
        assert_eq!(
            with("jwks_uri", "http://169.254.169.254/"),
            Err("provider.endpoint_missing")
        );
    }
}
