use http::{HeaderMap, HeaderValue};
use portcullis_oidc::dpop::{Proof, ProofRules, TargetUri};

use crate::oauth_error::OAuthError;
use crate::provider::Provider;

/// The thumbprint of the key that a token request proves to have (RFC 9449 s5); the token is bound to it. Which proofs
/// were used before is not remembered here.
pub(super) fn proven_key(provider: &Provider, headers: &HeaderMap) -> Result<Option<String>, OAuthError> {
    let mut proofs = headers.get_all("dpop").iter().map(HeaderValue::as_bytes).peekable();
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

/// RFC 9449 s5, RFC 6749 s5.1.
pub(super) fn token_type(jkt: Option<&str>) -> &'static str {
    if jkt.is_some() { "DPoP" } else { "Bearer" }
}
