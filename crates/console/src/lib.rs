//! The operator's side: one page with live events and counters, `/metrics`, `/livez` and `/readyz`.
//!
//! What this crate promises:
//!
//! - It only reads. No request to the console changes anything, and nothing here holds a token or a secret to show.
//!   Routes that change something are the program's own ([`router_with`]), and so is the check who may call them.
//! - It answers only under a name that it was given, an IP address or `localhost`: a page that rebinds its own name to
//!   the admin address gets 421 and learns nothing.
//! - The page loads nothing from elsewhere and has no inline script or style; its policy forbids both.
//!
//! ```
//! use std::sync::Arc;
//! use portcullis_audit::Audit;
//! use portcullis_console::{Check, ConsoleInfo, ConsoleState, Readiness};
//!
//! let readiness = Arc::new(|| Readiness::of(vec![Check::ready("store")]));
//! let info = ConsoleInfo::new("gateway", "0.1.0", readiness).host("admin.internal.example");
//! let app: axum::Router = portcullis_console::router(ConsoleState { audit: Audit::for_tests(), info });
//! ```

mod guard;
mod pages;
mod problem;
mod readiness;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use portcullis_audit::Audit;

pub use readiness::{Check, Readiness};

/// What the console shows.
#[derive(Clone, Debug)]
pub struct ConsoleState {
    /// Where events and counters come from.
    pub audit: Audit,
    /// What runs here.
    pub info: ConsoleInfo,
}

/// Asks every part whether it can do its work. It is called for each `/readyz`, so it should look at what is known and
/// not ask the network.
pub type ReadinessCheck = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// What runs here, and how the admin address may be called.
#[derive(Clone)]
#[non_exhaustive]
pub struct ConsoleInfo {
    /// The component's name, for the page's title.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Host names, beside `localhost` and IP addresses, that the admin address is called by. A port is not looked at.
    pub hosts: Vec<String>,
    /// Settings that weaken security; the page shows them on top.
    pub dangers: Vec<String>,
    /// Says whether this process can serve.
    pub readiness: ReadinessCheck,
}

/// All routes of the admin address.
pub fn router(state: ConsoleState) -> Router {
    router_with(state, Router::new())
}

/// The same, with routes of the program's own behind the same check of the host. They must have no fallback, and check
/// themselves who calls.
pub fn router_with(state: ConsoleState, more: Router) -> Router {
    let state = Arc::new(state);
    Router::new()
        .route("/", get(pages::index))
        .route("/console.css", get(pages::style))
        .route("/console.js", get(pages::script))
        .route("/favicon.svg", get(pages::icon))
        .route("/events.json", get(pages::events))
        .route("/metrics", get(pages::metrics))
        .route("/livez", get(pages::livez))
        .route("/readyz", get(pages::readyz))
        .merge(more.with_state(()))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard::known_host))
        .layer(middleware::map_response(guard::safe_headers))
        .with_state(state)
}

/// What a probe or a collector of metrics asks, and nothing else: `/livez`, `/readyz` and `/metrics`, under any name.
pub fn probes(state: ConsoleState) -> Router {
    Router::new()
        .route("/metrics", get(pages::metrics))
        .route("/livez", get(pages::livez))
        .route("/readyz", get(pages::readyz))
        .fallback(problem::no_probe)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::map_response(guard::safe_headers))
        .with_state(Arc::new(state))
}

// === impl ConsoleInfo ===

impl ConsoleInfo {
    /// For a component that is called by `localhost` or an IP address.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>, readiness: ReadinessCheck) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            hosts: Vec::new(),
            dangers: Vec::new(),
            readiness,
        }
    }

    /// Adds a name that the admin address may be called by.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Says which settings weaken security.
    #[must_use]
    pub fn dangers(mut self, names: Vec<String>) -> Self {
        self.dangers = names;
        self
    }
}

impl fmt::Debug for ConsoleInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleInfo")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("hosts", &self.hosts)
            .field("dangers", &self.dangers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
