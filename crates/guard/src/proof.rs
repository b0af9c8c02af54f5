//! Whether whoever sends a token has the key that it is bound to.

use portcullis_jose::{Refusal, UnixTime};
use portcullis_oidc::Binding;
use portcullis_oidc::dpop::Proof;

use crate::credential::{Presented, Scheme};
use crate::dpop::{Proofs, SenderConstraint};
use crate::error::GuardError;

/// A token that is bound to a key is refused without the proof, whether or not the route asks for one. What is returned
/// was checked but for one thing: whether it was used before.
pub(crate) fn check_proof(
    binding: &Binding,
    presented: &Presented<'_>,
    proofs: Option<&Proofs>,
    constraint: Option<SenderConstraint>,
    now: UnixTime,
) -> Result<Option<Proof>, GuardError> {
    if let Some(constraint) = constraint {
        let (jkt, x5t) = (binding.jkt().is_some(), binding.certificate().is_some());
        let bound = match constraint {
            SenderConstraint::Dpop => jkt,
            SenderConstraint::MutualTls => x5t,
            SenderConstraint::Any => jkt || x5t,
        };
        if !bound {
            return Err(GuardError::NotBound {
                expected: constraint.member(),
            });
        }
    }
    if presented.is_held() {
        return Ok(None);
    }
    let missing = |method: &str| Refusal::BindingRequired {
        method: method.to_owned(),
    };
    let proof = match (binding.jkt(), presented.scheme()) {
        (None, Scheme::Bearer) => None,
        // RFC 9449 s7.1: with this scheme, the token is bound to the key of the proof.
        (None, Scheme::Dpop) => return Err(GuardError::NotBound { expected: "jkt" }),
        // RFC 9449 s7.2: a bound token is never a bearer token.
        (Some(_), Scheme::Bearer) => return Err(missing("jkt").into()),
        (Some(jkt), Scheme::Dpop) => match proofs {
            Some(proofs) => Some(proofs.check(presented, jkt, now)?),
            None => return Err(missing("jkt").into()),
        },
    };
    if let Some(thumbprint) = binding.certificate()
        && presented.certificate().map(|certificate| certificate.thumbprint()) != Some(thumbprint)
    {
        return Err(missing("x5t#S256").into());
    }
    Ok(proof)
}
