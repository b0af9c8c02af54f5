use serde::Serialize;

/// Whether this process can serve, and what it looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether requests should be sent here.
    pub ready: bool,
    /// Each part that was looked at.
    pub checks: Vec<Check>,
}

/// One part that serving depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The part, for example `store` or `provider.entra`.
    pub name: String,
    /// Whether it can do its work.
    pub ready: bool,
    /// What is wrong, or what was seen; never a secret.
    pub detail: String,
}

impl Readiness {
    /// Ready if every check is.
    #[must_use]
    pub fn of(checks: Vec<Check>) -> Self {
        Self {
            ready: checks.iter().all(|check| check.ready),
            checks,
        }
    }
}

impl Check {
    /// A part that can do its work.
    #[must_use]
    pub fn ready(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ready: true,
            detail: String::new(),
        }
    }

    /// A part that cannot, and why.
    #[must_use]
    pub fn failed(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ready: false,
            detail: detail.into(),
        }
    }
}
