//! Which API a path belongs to, and who may call it.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_audit::RouteMetrics;
use portcullis_guard::Guard;
use portcullis_policy::NamedPolicy;
use portcullis_proxy::Upstream;

use crate::config::{Guarded, Selected};

/// The methods that a configuration can name.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// One API: a path, and everything below it.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) upstream: Upstream,
    pub(crate) metrics: RouteMetrics,
    /// `None` for a public route.
    pub(crate) guarded: Option<GuardedApi>,
}

#[derive(Debug)]
pub(crate) struct GuardedApi {
    pub(crate) guard: Guard,
    pub(crate) settings: Guarded,
    pub(crate) policies: BTreeMap<String, Arc<NamedPolicy>>,
    /// Where no policy was configured: a token for this audience is enough.
    pub(crate) any_token: Arc<NamedPolicy>,
}

impl Api {
    /// What a caller without any credential is told, where a bearer token would do (RFC 6750 s3).
    pub(crate) fn challenge(&self) -> Option<String> {
        let guarded = self.guarded.as_ref().filter(|guarded| guarded.settings.bearer)?;
        Some(format!("Bearer realm=\"{}\"", guarded.guard.realm().as_str()))
    }

    /// The methods that a path takes, as `Allow` lists them.
    pub(crate) fn allow(&self, path: &str) -> String {
        let taken = |method: &&str| match &self.guarded {
            Some(guarded) => !matches!(guarded.settings.select(method, path), Selected::Refuse),
            None => true,
        };
        METHODS.into_iter().filter(taken).collect::<Vec<_>>().join(", ")
    }
}

impl GuardedApi {
    /// The methods that have a policy, as `Allow` lists them (RFC 9110 s10.2.1).
    pub(crate) fn allowed(&self) -> String {
        let mut methods: Vec<&str> = self.settings.policy.methods.keys().map(String::as_str).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.join(", ")
    }

    /// The policy that decides about a call; `None` refuses it.
    pub(crate) fn policy(&self, method: &str, path: &str) -> Option<&Arc<NamedPolicy>> {
        match self.settings.select(method, path) {
            Selected::Policy(name) => self.policies.get(name),
            Selected::ValidToken => Some(&self.any_token),
            Selected::Refuse => None,
        }
    }
}

/// The APIs, the longest path first.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Api>);

impl Routes {
    pub(crate) fn new(mut apis: Vec<Api>) -> Routes {
        apis.sort_by_key(|api| std::cmp::Reverse(api.path.len()));
        Routes(apis)
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Api> {
        self.0.iter().find(|api| crate::config::is_within(path, &api.path))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Api> {
        self.0.iter()
    }
}
