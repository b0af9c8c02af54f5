//! What the provider says of a person, to whoever has the access token.

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION};
use portcullis_jose::Secret;

use super::Client;
use super::request::{Endpoint, USERINFO};
use crate::client_auth::sensitive;
use crate::{HttpsUrl, ProviderError, token_response};

const ENDPOINT: &Endpoint = &USERINFO;

impl Client {
    /// The claims of the userinfo endpoint, which must be about `subject` (OpenID Connect Core 1.0 s5.3.2). `None`
    /// if the provider has no such endpoint.
    ///
    /// # Errors
    /// [`ProviderError::SubjectMismatch`], the provider's refusal, or why it could not be asked.
    pub async fn userinfo(
        &self,
        access_token: &Secret,
        subject: &str,
    ) -> Result<Option<serde_json::Value>, ProviderError> {
        let metadata = self.provider.metadata().await?;
        let Some(url) = ENDPOINT.of(&metadata, self.method()) else {
            return Ok(None);
        };
        let mut proof = self.proof("GET", url, Some(access_token))?;
        let mut response = self.ask(url, access_token, proof.as_deref()).await?;
        // RFC 9449 s9: it wants a nonce in the proof, and has said which.
        if let (Some(key), Some(used)) = (&self.options.dpop, &proof)
            && key.wants_another(url.as_str(), used, &response)
        {
            proof = self.proof("GET", url, Some(access_token))?;
            response = self.ask(url, access_token, proof.as_deref()).await?;
            key.note_nonce(url.as_str(), response.headers());
        }
        if response.status() != StatusCode::OK {
            return Err(ProviderError::BadStatus {
                endpoint: ENDPOINT.words,
                status: response.status().as_u16(),
            });
        }
        let claims: serde_json::Value = serde_json::from_slice(response.body()).map_err(|_| bad("not JSON"))?;
        if !claims.is_object() {
            return Err(bad("not a JSON object"));
        }
        if claims.get("sub").and_then(serde_json::Value::as_str) != Some(subject) {
            return Err(ProviderError::SubjectMismatch);
        }
        Ok(Some(claims))
    }

    async fn ask(
        &self,
        url: &HttpsUrl,
        access_token: &Secret,
        proof: Option<&str>,
    ) -> Result<http::Response<Bytes>, ProviderError> {
        let scheme = if self.options.dpop.is_some() { "DPoP" } else { "Bearer" };
        let authorization = sensitive(&format!("{scheme} {}", access_token.expose()));
        let mut request = http::Request::get(url.as_str())
            .header(ACCEPT, "application/json")
            .header(
                AUTHORIZATION,
                authorization.ok_or_else(|| bad("the token is no header value"))?,
            );
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        let request = request
            .body(Bytes::new())
            .map_err(|_| bad("the request cannot be made"))?;
        // RFC 8705 s3: a token may be bound to the certificate that it was asked for with.
        let response = match self.certified().await? {
            Some(http) => http.send(request, token_response::LIMIT).await,
            None => self.provider.http().send(request, token_response::LIMIT).await,
        };
        response.map_err(|error| ProviderError::Unreachable {
            endpoint: ENDPOINT.words,
            error,
        })
    }
}

fn bad(why: &str) -> ProviderError {
    ProviderError::BadAnswer {
        endpoint: ENDPOINT.words,
        why: why.into(),
    }
}
