//! A policy with the name that routes refer to.

use std::sync::Arc;

use portcullis_jose::{Claims, Verified};

use crate::context::CallContext;
use crate::denied::{Authorized, Denied};
use crate::policy::{Policy, PolicyError};

/// A [`Policy`] that was found to make sense, and its name.
#[derive(Clone, Debug)]
pub struct NamedPolicy {
    name: Arc<str>,
    policy: Policy,
}

impl NamedPolicy {
    /// Gives the policy a name.
    ///
    /// # Errors
    ///
    /// The policy makes no sense ([`Policy::fault`]), or the name cannot be shown.
    pub fn new(name: impl Into<Arc<str>>, policy: Policy) -> Result<NamedPolicy, PolicyError> {
        let name = name.into();
        let shown = name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if name.is_empty() || name.len() > 128 || !shown {
            return Err(PolicyError::Name);
        }
        match policy.fault() {
            Some(error) => Err(error.clone()),
            None => Ok(NamedPolicy { name, policy }),
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Asks the policy about a token; both answers carry the name.
    ///
    /// # Errors
    ///
    /// The token does not satisfy the policy.
    pub fn evaluate(&self, claims: &Verified<Claims>, call: &CallContext<'_>) -> Result<Authorized, Denied> {
        match self.policy.unmet(claims, call) {
            None => Ok(Authorized::by(Some(Arc::clone(&self.name)))),
            Some(unmet) => Err(Denied {
                policy: Some(Arc::clone(&self.name)),
                ..self.policy.explain(unmet, claims, call)
            }),
        }
    }
}
