//! The two answers of a policy.

use std::fmt;
use std::sync::Arc;

/// The proof that a policy was asked and said yes. Only this crate makes one.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "the proof belongs to the request that it was made for"]
pub struct Authorized {
    policy: Option<Arc<str>>,
}

/// Why a policy said no: which rule, what it wants, and what the token has instead (never the token).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: expected {expected}, found {}", found.as_deref().unwrap_or("nothing"))]
#[non_exhaustive]
pub struct Denied {
    /// A stable code such as `policy.scope_insufficient`.
    pub code: &'static str,
    /// The policy's name, where it has one.
    pub policy: Option<Arc<str>>,
    /// What the rule that failed asks for.
    pub expected: Box<str>,
    /// What the token has in that place.
    pub found: Option<Box<str>>,
    /// The scopes to ask for, separated by spaces: the `scope` attribute of RFC 6750 s3. Safe inside a quoted string.
    pub scope: Option<Box<str>>,
    /// The classes to authenticate with: the `acr_values` attribute of RFC 9470 s3. Safe inside a quoted string.
    pub acr_values: Option<Box<str>>,
    /// How many seconds ago the user may have authenticated: the `max_age` attribute of RFC 9470 s3.
    pub max_age: Option<u32>,
}

// === impl Authorized ===

impl Authorized {
    /// The name of the policy that said yes; empty where it has none.
    #[must_use]
    pub fn policy(&self) -> &str {
        self.policy.as_deref().unwrap_or_default()
    }

    pub(crate) fn by(policy: Option<Arc<str>>) -> Authorized {
        Authorized { policy }
    }
}

impl fmt::Debug for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized").field("policy", &self.policy()).finish()
    }
}

// === impl Denied ===

impl Denied {
    /// A stable code such as `policy.scope_insufficient`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Whether another authentication of the same user would help (RFC 9470).
    #[must_use]
    pub fn asks_for_step_up(&self) -> bool {
        self.acr_values.is_some() || self.max_age.is_some()
    }
}
