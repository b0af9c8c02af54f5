use http::HeaderValue;
use portcullis_oidc::dpop::{Proof, ProofRefusal, ProofRules, TargetUri};
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
    if client.dpop_bound_access_tokens && jkt.is_none() {
        return Err(OAuthError::new(
            "invalid_dpop_proof",
            "the client's tokens are bound to a key, and it has proven none",
        ));
    }
    Ok(Binding { jkt, x5t })
}

/// The thumbprint of the key that a token request proves to have (RFC 9449 s5). Which proofs were used before is not
/// remembered here.
fn proven_key(provider: &Provider, caller: &Caller) -> Result<Option<String>, OAuthError> {
    let values = caller.headers.get_all("dpop").iter();
    let proofs: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
    if proofs.is_empty() {
        return Ok(None);
    }
    let target = TargetUri::parse(&provider.url("/token")).ok_or_else(OAuthError::server_error)?;
    // The address that a client with a certificate goes to.
    let alias = provider.mtls_url("/token").and_then(|url| TargetUri::parse(&url));
    let wanted = provider.dev.behaviour().dpop_nonce.clone();
    let is_wanted = |nonce: &str| Some(nonce) == wanted.as_deref();
    let check = |target: &TargetUri| {
        let mut rules = ProofRules::new("POST", target, provider.now());
        if wanted.is_some() {
            rules.nonce = Some(&is_wanted);
        }
        Proof::check(proofs.iter().copied(), &rules)
    };
    let checked = check(&target).or_else(|error| match (&error, &alias) {
        (ProofRefusal::OtherTarget { .. }, Some(alias)) => check(alias),
        _ => Err(error),
    });
    match checked {
        Ok(proof) => Ok(Some(proof.thumbprint)),
        // RFC 9449 s8
        Err(ProofRefusal::NonceRequired | ProofRefusal::NonceStale) => Err(OAuthError::new(
            "use_dpop_nonce",
            "the DPoP proof must have the nonce of the header DPoP-Nonce",
        )),
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
