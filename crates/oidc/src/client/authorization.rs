//! Authorization requests that do not stand in a URL: signed (RFC 9101), pushed (RFC 9126).

use http::StatusCode;
use portcullis_jose::random_token;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Client;
use super::request::PUSHED;
use crate::client_auth::Proof;
use crate::login::Parameters;
use crate::token_response::parse_failure;
use crate::{Metadata, ProviderError};

/// RFC 9101 s10.8
const REQUEST_TYPE: &str = "oauth-authz-req+jwt";
/// Seconds that a signed request is good for.
const LIFETIME: i64 = 300;

#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
}

impl Client {
    /// The parameters as one that is signed by the client's key. `in_url` leaves those beside it that OpenID Connect
    /// Core 1.0 s6.1 asks for there.
    pub(super) async fn signed(&self, parameters: Parameters, in_url: bool) -> Result<Parameters, ProviderError> {
        let now = self.provider.clock().now();
        let credential = self.auth.choose(now, &[]).await?;
        let Some(Proof::Key(key)) = credential.as_ref().map(|credential| credential.proof()) else {
            return Err(ProviderError::Credential {
                why: "requests are to be signed, and the client has no private key".into(),
            });
        };
        let mut claims = Map::new();
        let mut beside: Parameters = vec![("client_id".into(), self.client_id.clone())];
        for (name, value) in parameters {
            if in_url && matches!(name.as_str(), "response_type" | "scope") {
                beside.push((name.clone(), value.clone()));
            }
            // A number, and JSON that in a URL is text: OpenID Connect Core 1.0 s3.1.2.1 and s5.5, RFC 9396 s3.
            let structured = match name.as_str() {
                "max_age" | "claims" | "authorization_details" => serde_json::from_str(&value).ok(),
                _ => None,
            };
            claims.insert(name, structured.unwrap_or_else(|| Value::from(value)));
        }
        for (name, value) in [
            ("iss", json!(self.client_id)),
            ("aud", json!(self.provider.issuer())),
            ("iat", json!(now)),
            ("nbf", json!(now)),
            ("exp", json!(now.plus(LIFETIME))),
            ("jti", json!(random_token(16))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        let signed = key.sign_jwt(REQUEST_TYPE, &claims.into());
        let signed = signed.map_err(|error| ProviderError::Credential { why: error.to_string() })?;
        beside.push(("request".into(), signed));
        Ok(beside)
    }

    /// Pushes the parameters; what stands for them in the URL.
    pub(super) async fn push(&self, metadata: &Metadata, parameters: &Parameters) -> Result<String, ProviderError> {
        let url = PUSHED.need(metadata, self.method())?;
        let form = parameters
            .iter()
            // The client's authentication brings it where it belongs to a form.
            .filter(|(name, _)| name != "client_id" || !self.names_itself_in_forms())
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let response = self.post(&PUSHED, url, &form).await?;
        // RFC 9126 s2.2: 201. Some send 200.
        if !matches!(response.status(), StatusCode::CREATED | StatusCode::OK) {
            return Err(parse_failure(PUSHED.words, response.status(), response.body()));
        }
        let bad = |why: &str| ProviderError::BadAnswer {
            endpoint: PUSHED.words,
            why: why.into(),
        };
        let pushed: Pushed =
            serde_json::from_slice(response.body()).map_err(|_| bad("not a JSON object with request_uri"))?;
        if pushed.request_uri.is_empty() || pushed.request_uri.len() > 1024 {
            return Err(bad("the request_uri is empty or too long"));
        }
        Ok(pushed.request_uri)
    }
}
