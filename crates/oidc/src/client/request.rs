//! Requests in the client's own name: to the token, revocation and introspection endpoint.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};

use super::{Client, Form};
use crate::client_auth::{Asking, AssertionAudience, AuthMethod, Carried, Credential};
use crate::token_response::{self, error_of};
use crate::{HttpClient, HttpsUrl, Metadata, Patience, ProviderError};
use portcullis_jose::Secret;

/// An endpoint that clients prove themselves at.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// In errors.
    pub(super) words: &'static str,
    /// Its member of the metadata.
    member: &'static str,
    own: fn(&Metadata) -> Option<&HttpsUrl>,
    /// RFC 8705 s5: the address for those who show a certificate.
    alias: fn(&Metadata) -> Option<&HttpsUrl>,
}

pub(super) const TOKEN: Endpoint = Endpoint {
    words: "token endpoint",
    member: "token_endpoint",
    own: |metadata| metadata.token_endpoint.as_ref(),
    alias: |metadata| metadata.mtls_aliases.token.as_ref(),
};

pub(super) const REVOCATION: Endpoint = Endpoint {
    words: "revocation endpoint",
    member: "revocation_endpoint",
    own: |metadata| metadata.revocation_endpoint.as_ref(),
    alias: |metadata| metadata.mtls_aliases.revocation.as_ref(),
};

pub(super) const PUSHED: Endpoint = Endpoint {
    words: "pushed authorization request endpoint",
    member: "pushed_authorization_request_endpoint",
    own: |metadata| metadata.pushed_authorization_request_endpoint.as_ref(),
    alias: |metadata| metadata.mtls_aliases.pushed_authorization_request.as_ref(),
};

pub(super) const INTROSPECTION: Endpoint = Endpoint {
    words: "introspection endpoint",
    member: "introspection_endpoint",
    own: |metadata| metadata.introspection_endpoint.as_ref(),
    alias: |metadata| metadata.mtls_aliases.introspection.as_ref(),
};

pub(super) const DEVICE: Endpoint = Endpoint {
    words: "device authorization endpoint",
    member: "device_authorization_endpoint",
    own: |metadata| metadata.device_authorization_endpoint.as_ref(),
    alias: |metadata| metadata.mtls_aliases.device_authorization.as_ref(),
};

pub(super) const USERINFO: Endpoint = Endpoint {
    words: "userinfo endpoint",
    member: "userinfo_endpoint",
    own: |metadata| metadata.userinfo_endpoint.as_ref(),
    alias: |metadata| metadata.mtls_aliases.userinfo.as_ref(),
};

/// A refresh token that rotates is spent as soon as it was sent: an answer that nobody waits for would be the only one, and
/// whoever asked again with the old token would be taken for a thief.
const REFRESH_PATIENCE: Duration = Duration::from_secs(30);

impl Endpoint {
    /// Its address for a client of this method.
    pub(super) fn of<'m>(&self, metadata: &'m Metadata, method: AuthMethod) -> Option<&'m HttpsUrl> {
        let alias = (self.alias)(metadata).filter(|_| method.is_tls());
        alias.or_else(|| (self.own)(metadata))
    }

    pub(super) fn need<'m>(&self, metadata: &'m Metadata, method: AuthMethod) -> Result<&'m HttpsUrl, ProviderError> {
        self.of(metadata, method)
            .ok_or(ProviderError::EndpointMissing(self.member))
    }
}

impl Client {
    /// Posts a form with the client's authentication. Where the provider does not know the client by its credential,
    /// and there is another, once more with that one: a client that is not known has had nothing done for it
    /// (RFC 6749 s5.2), so nothing happens twice.
    pub(super) async fn post(
        &self,
        endpoint: &Endpoint,
        url: &HttpsUrl,
        form: &Form<'_>,
    ) -> Result<http::Response<Bytes>, ProviderError> {
        let now = || self.provider.clock().now();
        let mut credential = self.auth.choose(now(), &[]).await?;
        let mut response = self.post_once(endpoint, url, form, credential.as_ref()).await?;
        // RFC 9449 s8: the provider wants a nonce in the proof, and has said which.
        if error_of(&response).as_deref() == Some("use_dpop_nonce") && self.options.dpop.is_some() {
            response = self.post_once(endpoint, url, form, credential.as_ref()).await?;
        }
        if !is_unknown_client(&response) {
            self.note_success(&response, credential.as_ref());
            return Ok(response);
        }
        let refused: Vec<Credential> = credential.take().into_iter().collect();
        match self.auth.refused(now(), refused.first(), &refused).await {
            None => Ok(response),
            Some(next) => {
                let response = self.post_once(endpoint, url, form, Some(&next)).await?;
                if is_unknown_client(&response) {
                    let refused = [refused, vec![next.clone()]].concat();
                    self.auth.refused(now(), Some(&next), &refused).await;
                } else {
                    self.note_success(&response, Some(&next));
                }
                Ok(response)
            }
        }
    }

    fn note_success(&self, response: &http::Response<Bytes>, credential: Option<&Credential>) {
        if response.status().is_success() {
            self.auth.taken(credential);
        }
    }

    async fn post_once(
        &self,
        endpoint: &Endpoint,
        url: &HttpsUrl,
        form: &Form<'_>,
        credential: Option<&Credential>,
    ) -> Result<http::Response<Bytes>, ProviderError> {
        let token_endpoint;
        let audience = match self.options.assertion_audience {
            AssertionAudience::Issuer => self.provider.issuer(),
            AssertionAudience::TokenEndpoint => {
                token_endpoint = self.provider.metadata().await?;
                TOKEN.need(&token_endpoint, AuthMethod::None)?.as_str()
            }
        };
        let asking = Asking {
            client_id: &self.client_id,
            audience,
            now: self.provider.clock().now(),
        };
        let carried = Carried::by(self.method(), credential, asking)?;
        let own = carried.form.iter().map(|(name, value)| (*name, value.expose()));
        let body = Serializer::new(String::new())
            .extend_pairs(form)
            .extend_pairs(own)
            .finish();
        let mut request = http::Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        if let Some(value) = carried.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let bound = endpoint.member == TOKEN.member;
        if let Some(proof) = self.proof("POST", url, None)?.filter(|_| bound) {
            request = request.header("dpop", proof);
        }
        if form.contains(&("grant_type", "refresh_token")) {
            request = request.extension(Patience(REFRESH_PATIENCE));
        }
        let request = request
            .body(Bytes::from(body))
            .map_err(|error| ProviderError::BadAnswer {
                endpoint: endpoint.words,
                why: error.to_string(),
            })?;
        let response = match carried.http {
            Some(http) => http.send(request, token_response::LIMIT).await,
            None => self.provider.http().send(request, token_response::LIMIT).await,
        };
        let response = response.map_err(|error| ProviderError::Unreachable {
            endpoint: endpoint.words,
            error,
        })?;
        if let Some(key) = &self.options.dpop {
            key.note_nonce(url.as_str(), response.headers());
        }
        Ok(response)
    }

    /// The HTTP client that shows the client's certificate, where it has one.
    pub(super) async fn certified(&self) -> Result<Option<Arc<dyn HttpClient>>, ProviderError> {
        if !self.method().is_tls() {
            return Ok(None);
        }
        let now = self.provider.clock().now();
        let credential = self.auth.choose(now, &[]).await?;
        let asking = Asking {
            client_id: &self.client_id,
            audience: self.provider.issuer(),
            now,
        };
        Ok(Carried::by(self.method(), credential.as_ref(), asking)?.http)
    }

    /// A proof of the key that tokens are bound to, where they are.
    pub(super) fn proof(
        &self,
        method: &str,
        url: &HttpsUrl,
        token: Option<&Secret>,
    ) -> Result<Option<String>, ProviderError> {
        let Some(key) = &self.options.dpop else {
            return Ok(None);
        };
        let proof = key.proof(method, url.as_str(), token, self.provider.clock().now());
        proof
            .map(Some)
            .map_err(|error| ProviderError::Credential { why: error.to_string() })
    }

    /// Whether the client's authentication puts `client_id` into the form.
    pub(super) fn names_itself_in_forms(&self) -> bool {
        self.method() != AuthMethod::Basic
    }
}

fn is_unknown_client(response: &http::Response<Bytes>) -> bool {
    error_of(response).as_deref() == Some("invalid_client")
}
