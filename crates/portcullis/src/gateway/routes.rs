//! Which API a path belongs to, and who may call it.

use std::sync::Arc;

use portcullis_audit::{Refused, RouteMetrics};
use portcullis_guard::{Guard, ResourceMetadata};
use portcullis_policy::{Decision, NamedPolicy, RouteTable};
use portcullis_proxy::Upstream;

use super::attach::Attach;

/// The methods that a configuration can name.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// One API: a path, and everything below it.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) upstream: Upstream,
    pub(crate) metrics: RouteMetrics,
    /// Which token the upstream gets.
    pub(crate) attach: Attach,
    /// `None` for a public route.
    pub(crate) guarded: Option<GuardedApi>,
}

#[derive(Debug)]
pub(crate) struct GuardedApi {
    pub(crate) guard: Guard,
    /// A session's cookie is accepted.
    pub(crate) session: bool,
    /// A bearer token is accepted.
    pub(crate) bearer: bool,
    /// Names of the frontends whose sessions count; empty: all.
    pub(crate) frontends: Vec<String>,
    /// The upstream serves pages: links and forms need no header of ours.
    pub(crate) pages: bool,
    pub(crate) routes: RouteTable<Arc<NamedPolicy>>,
}

impl Api {
    /// What a caller without any credential is told, where a bearer token would do (RFC 6750 s3).
    pub(crate) fn challenges(&self) -> Vec<String> {
        match self.guarded.as_ref().filter(|guarded| guarded.bearer) {
            Some(guarded) => guarded.guard.realm().invitation(),
            None => Vec::new(),
        }
    }

    /// The methods that a path takes, as `Allow` lists them (RFC 9110 s10.2.1).
    pub(crate) fn allow(&self, path: &str) -> String {
        match &self.guarded {
            Some(guarded) => guarded.routes.allowed(&METHODS, path),
            None => METHODS.to_vec(),
        }
        .join(", ")
    }
}

impl GuardedApi {
    /// The policy that decides about a call.
    pub(crate) fn policy(&self, method: &str, path: &str) -> Result<&Arc<NamedPolicy>, Refused> {
        match self.routes.decide(method, path) {
            Decision::Policy(policy) => Ok(policy),
            Decision::MethodNotAllowed => Err(Refused::new("route.method_not_allowed")
                .expected(self.routes.allowed(&METHODS, path).join(", "))
                .found(method)),
            _ => Err(Refused::new("route.no_policy").found(format!("{method} {path}"))),
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

    /// The document that stands at this path (RFC 9728 s3.1).
    pub(crate) fn metadata(&self, path: &str) -> Option<&ResourceMetadata> {
        let mut all = self.0.iter().filter_map(|api| api.guarded.as_ref()?.guard.metadata());
        // Clients differ about a slash at the end of the resource.
        let path = path.trim_end_matches('/');
        all.find(|metadata| metadata.path().trim_end_matches('/') == path)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Api> {
        self.0.iter()
    }
}
