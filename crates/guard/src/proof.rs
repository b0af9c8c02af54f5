//! Whether whoever sends a token has the key that it is bound to.

use portcullis_jose::Refusal;
use portcullis_oidc::Binding;

use crate::credential::{Presented, Scheme};
use crate::error::GuardError;

/// A token that is bound to a key is refused without the proof, whether or not the route asks for one.
pub(crate) fn check_proof(binding: &Binding, presented: &Presented<'_>) -> Result<(), GuardError> {
    let missing = |method: &str| Refusal::BindingRequired {
        method: method.to_owned(),
    };
    // RFC 9449 s7.1: with the scheme DPoP the token must be bound to the key of the proof.
    if binding.jkt().is_some() || presented.scheme() == Scheme::Dpop {
        return Err(missing("jkt").into());
    }
    if let Some(thumbprint) = binding.certificate()
        && presented.certificate().map(|certificate| certificate.thumbprint()) != Some(thumbprint)
    {
        return Err(missing("x5t#S256").into());
    }
    Ok(())
}
