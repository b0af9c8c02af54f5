//! Who sends a request to the token, revocation or introspection endpoint, and how that is proven.

mod assertion;
mod basic;
mod certificate;
mod keys;

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use portcullis_jose::{base64url_encode, constant_time_eq, sha256};
use portcullis_oidc::client_auth::AuthMethod;

use crate::config::Client;
use crate::form::Params;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;

pub(crate) use certificate::{Authorities, PeerCertificate};
pub(crate) use keys::{JwksFetcher, keys_of};

/// What a request brings to prove its sender, beside the form.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) headers: HeaderMap,
    pub(crate) certificate: Option<PeerCertificate>,
}

/// The client that a request comes from.
///
/// # Errors
/// `invalid_client` for whatever does not prove it, `invalid_request` for more than one method (RFC 6749 s2.3).
pub(crate) async fn authenticate(
    provider: &Provider,
    caller: &Caller,
    form: &Params,
) -> Result<Arc<Client>, OAuthError> {
    let basic = basic::credentials(&caller.headers)?;
    let posted_id = form.get("client_id");
    let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
    if usize::from(basic.is_some()) + usize::from(secret.is_some()) + usize::from(assertion.is_some()) > 1 {
        return Err(OAuthError::invalid_request("the client is authenticated in two ways"));
    }
    let client = |id: &str| provider.registry.client(id).ok_or_else(OAuthError::invalid_client);
    if let Some((id, secret)) = &basic {
        if posted_id.is_some_and(|posted| posted != id) {
            return Err(OAuthError::invalid_request(
                "client_id is not the client that is authenticated",
            ));
        }
        return knows_secret(provider, id, secret, AuthMethod::Basic);
    }
    if let Some(assertion) = assertion {
        return assertion::check(provider, posted_id, form.get("client_assertion_type"), assertion).await;
    }
    let id = posted_id.ok_or_else(OAuthError::invalid_client)?;
    if let Some(secret) = secret {
        return knows_secret(provider, id, secret, AuthMethod::Post);
    }
    let client = client(id)?;
    let proven = client.is_public()
        || caller
            .certificate
            .as_ref()
            .is_some_and(|certificate| certificate::proves(provider, certificate, &client));
    if proven {
        Ok(client)
    } else {
        Err(OAuthError::invalid_client())
    }
}

fn knows_secret(provider: &Provider, id: &str, secret: &str, method: AuthMethod) -> Result<Arc<Client>, OAuthError> {
    let client = provider.registry.client(id);
    let given = sha256(secret.as_bytes());
    // Digests have one length, so that the comparison tells nothing; an unknown client costs the same.
    let nothing = constant_time_eq(&given, &sha256(b""));
    let known = client.as_ref().is_some_and(|client| {
        let former = provider.registry.former_secrets(id, provider.now());
        let mut secrets = client.all_secrets().chain(&former);
        secrets.any(|known| constant_time_eq(&given, &sha256(known.expose().as_bytes())))
    });
    client
        .filter(|client| known && !nothing && client.may_use(method))
        .ok_or_else(OAuthError::invalid_client)
}

// === impl Caller ===

impl Caller {
    /// The SHA-256 of the certificate that was shown (RFC 8705 s3.1, `x5t#S256`).
    pub(crate) fn x5t(&self) -> Option<String> {
        let certificate = self.certificate.as_ref()?;
        Some(base64url_encode(&sha256(certificate.der())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Infallible> {
        Ok(Caller {
            headers: parts.headers.clone(),
            certificate: parts.extensions.get::<PeerCertificate>().cloned(),
        })
    }
}
