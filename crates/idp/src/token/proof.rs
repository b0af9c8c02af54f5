use http::HeaderValue;
use portcullis_oidc::dpop::{Proof, ProofRules, TargetUri};
use serde_json::{Map, Value};

use crate::client_auth::Caller;
use crate::config::Client;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;

/// What an access token is bound to (RFC 7800 s3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Binding {
    /// The thumbprint of a key that a DPoP proof was made with (RFC 9449 s6.1).
    pub(crate) jkt: Option<String>,
    /// The hash of the client's certificate (RFC 8705 s3.1).
    pub(crate) x5t: Option<String>,
}

/// What the tokens of this request are bound to.
pub(super) fn binding(provider: &Provider, client: &Client, caller: &Caller) -> Result<Binding, OAuthError> {
    let x5t = match client.tls_client_certificate_bound_access_tokens {
        false => None,
        // RFC 8705 s3.4
        true => Some(caller.x5t().ok_or_else(|| {
            OAuthError::invalid_request("the client's tokens are bound to its certificate, and it has shown none")
        })?),
    };
    let jkt = proven_key(provider, caller)?;
    Ok(Binding { jkt, x5t })
}

/// The thumbprint of the key that a token request proves to have (RFC 9449 s5). Which proofs were used before is not
/// remembered here.
fn proven_key(provider: &Provider, caller: &Caller) -> Result<Option<String>, OAuthError> {
    let values = caller.headers.get_all("dpop").iter();
    let mut proofs = values.map(HeaderValue::as_bytes).peekable();
    if proofs.peek().is_none() {
        return Ok(None);
    }
    let target = TargetUri::parse(&provider.url("/token")).ok_or_else(OAuthError::server_error)?;
    let rules = ProofRules::new("POST", &target, provider.now());
    match Proof::check(proofs, &rules) {
        Ok(proof) => Ok(Some(proof.thumbprint)),
        Err(_) => Err(OAuthError::new(
            "invalid_dpop_proof",
            "the DPoP proof is not valid for this request (RFC 9449 s4.3)",
        )),
    }
}

impl Binding {
    /// RFC 9449 s5, RFC 6749 s5.1.
    pub(super) fn token_type(&self) -> &'static str {
        if self.jkt.is_some() { "DPoP" } else { "Bearer" }
    }

    /// The claim `cnf`.
    pub(super) fn confirmation(&self) -> Option<Value> {
        let mut members = Map::new();
        for (name, value) in [("jkt", &self.jkt), ("x5t#S256", &self.x5t)] {
            if let Some(value) = value {
                members.insert(name.into(), value.as_str().into());
            }
        }
        (!members.is_empty()).then(|| members.into())
    }
}
