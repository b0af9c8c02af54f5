//! How a client proves itself to its provider: the method, what it is proven with, and what a request looks like then.

mod assertion;
mod credentials;
mod file;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;
use portcullis_jose::{Secret, SigningKey, UnixTime};
use std::sync::Arc;

use crate::{HttpClient, ProviderError};

pub use assertion::{ASSERTION_LIFETIME, AssertionAudience};
pub use credentials::{Credential, CredentialEvent, CredentialObserver, CredentialSource, Credentials, Proof};
pub use file::AssertionFile;

/// RFC 7523 s2.2
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The method, by its name in the metadata (RFC 8414 s2, `token_endpoint_auth_methods_supported`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// `client_secret_basic` (RFC 6749 s2.3.1)
    Basic,
    /// `client_secret_post` (RFC 6749 s2.3.1)
    Post,
    /// `private_key_jwt` (RFC 7523, OpenID Connect Core 1.0 s9)
    PrivateKeyJwt,
    /// `tls_client_auth` (RFC 8705 s2.1)
    Tls,
    /// `self_signed_tls_client_auth` (RFC 8705 s2.2)
    SelfSignedTls,
    /// `none`
    None,
}

/// How a client proves itself at the token, revocation and introspection endpoint.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientAuth {
    /// `client_secret_basic`
    Basic(Secret),
    /// `client_secret_post`
    Post(Secret),
    /// `private_key_jwt`: an assertion that this key signs anew for each request (RFC 7523 s2.2).
    PrivateKeyJwt(SigningKey),
    /// `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 s2): requests go through this HTTP client, which
    /// shows a certificate.
    Tls(Arc<dyn HttpClient>),
    /// An assertion that somebody else has signed (RFC 7523 s2.2), out of a file that is read again for each request:
    /// the identity that Kubernetes, GitHub Actions or a cloud gives to a workload.
    Assertion(AssertionFile),
    /// Several secrets, keys or certificates, of which the newest that works is used.
    Rotating(Credentials),
    /// `none`: a public client, protected by PKCE alone.
    None,
}

/// What a request carries in the client's name.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// The `Authorization` header.
    pub(crate) authorization: Option<HeaderValue>,
    /// Parameters of the form, beside those of the request itself.
    pub(crate) form: Vec<(&'static str, Secret)>,
    /// The HTTP client to send it with, where it is not the provider's own.
    pub(crate) http: Option<Arc<dyn HttpClient>>,
}

/// Who proves itself to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) client_id: &'a str,
    /// The `aud` of an assertion.
    pub(crate) audience: &'a str,
    pub(crate) now: UnixTime,
}

// === impl AuthMethod ===

impl AuthMethod {
    /// All of them.
    pub const ALL: [AuthMethod; 6] = [
        AuthMethod::Basic,
        AuthMethod::Post,
        AuthMethod::PrivateKeyJwt,
        AuthMethod::Tls,
        AuthMethod::SelfSignedTls,
        AuthMethod::None,
    ];

    /// The name in metadata and registrations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            AuthMethod::Basic => "client_secret_basic",
            AuthMethod::Post => "client_secret_post",
            AuthMethod::PrivateKeyJwt => "private_key_jwt",
            AuthMethod::Tls => "tls_client_auth",
            AuthMethod::SelfSignedTls => "self_signed_tls_client_auth",
            AuthMethod::None => "none",
        }
    }

    /// The method of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<AuthMethod> {
        AuthMethod::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether the client shows a certificate, so that endpoints of their own may be meant for it (RFC 8705 s5).
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, AuthMethod::Tls | AuthMethod::SelfSignedTls)
    }
}

// === impl ClientAuth ===

impl ClientAuth {
    /// The method.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        match self {
            ClientAuth::Basic(_) => AuthMethod::Basic,
            ClientAuth::Post(_) => AuthMethod::Post,
            ClientAuth::PrivateKeyJwt(_) | ClientAuth::Assertion(_) => AuthMethod::PrivateKeyJwt,
            ClientAuth::Tls(_) => AuthMethod::Tls,
            ClientAuth::Rotating(credentials) => credentials.method(),
            ClientAuth::None => AuthMethod::None,
        }
    }

    /// What proves the client now; `refused` are those that the provider has just refused in this very request.
    /// `None` for a public client.
    pub(crate) async fn choose(
        &self,
        now: UnixTime,
        refused: &[Credential],
    ) -> Result<Option<Credential>, ProviderError> {
        let proof = match self {
            ClientAuth::Basic(secret) | ClientAuth::Post(secret) => Proof::Secret(secret.clone()),
            ClientAuth::PrivateKeyJwt(key) => Proof::Key(key.clone()),
            ClientAuth::Tls(http) => Proof::Certificate(http.clone()),
            ClientAuth::Assertion(file) => Proof::Assertion(file.read().await?),
            ClientAuth::Rotating(credentials) => return credentials.choose(now, refused).await.map(Some),
            ClientAuth::None => return Ok(None),
        };
        Ok(Some(Credential::new("the client's only credential", proof)))
    }

    /// The provider knows the client by this one.
    pub(crate) fn taken(&self, credential: Option<&Credential>) {
        if let (ClientAuth::Rotating(credentials), Some(credential)) = (self, credential) {
            credentials.taken(credential);
        }
    }

    /// What there is to try after the provider answered `invalid_client`.
    pub(crate) async fn refused(
        &self,
        now: UnixTime,
        credential: Option<&Credential>,
        refused: &[Credential],
    ) -> Option<Credential> {
        match (self, credential) {
            (ClientAuth::Rotating(credentials), Some(credential)) => {
                credentials.refused(now, credential, refused).await
            }
            _ => None,
        }
    }
}

impl Carried {
    /// What a request carries so that `credential` proves the client by `method`.
    pub(crate) fn by(
        method: AuthMethod,
        credential: Option<&Credential>,
        asking: Asking<'_>,
    ) -> Result<Carried, ProviderError> {
        let mut carried = Carried::default();
        let id = || ("client_id", Secret::new(asking.client_id));
        match (method, credential.map(Credential::proof)) {
            (AuthMethod::Basic, Some(Proof::Secret(secret))) => {
                // RFC 6749 s2.3.1: both are form-urlencoded before they are joined.
                let pair = format!("{}:{}", urlencode(asking.client_id), urlencode(secret.expose()));
                carried.authorization = sensitive(&format!("Basic {}", STANDARD.encode(pair)));
            }
            (_, Some(Proof::Secret(secret))) => {
                carried.form.push(id());
                carried.form.push(("client_secret", secret.clone()));
            }
            (_, Some(Proof::Key(key))) => {
                carried.form.push(id());
                let assertion = assertion::sign(key, asking)?;
                carried.form.extend(assertion_parameters(assertion));
            }
            (_, Some(Proof::Assertion(assertion))) => {
                carried.form.push(id());
                carried.form.extend(assertion_parameters(assertion.clone()));
            }
            // RFC 8705 s2: `client_id` names the client whose certificate it must be.
            (_, Some(Proof::Certificate(http))) => {
                carried.form.push(id());
                carried.http = Some(http.clone());
            }
            (_, None) => carried.form.push(id()),
        }
        Ok(carried)
    }
}

fn assertion_parameters(assertion: Secret) -> [(&'static str, Secret); 2] {
    [
        ("client_assertion_type", Secret::new(JWT_BEARER)),
        ("client_assertion", assertion),
    ]
}

fn urlencode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A header value that does not show itself.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
#[path = "../client_auth_tests.rs"]
mod tests;
