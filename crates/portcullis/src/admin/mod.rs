//! The part of the admin address that changes something: below `/admin/v1/`, for whoever has the admin token.
//!
//! | request | what it does |
//! | --- | --- |
//! | `GET /admin/v1/revocations` | what is revoked here |
//! | `POST /admin/v1/revocations` | revokes |
//! | `DELETE /admin/v1/revocations/{id}` | takes a revocation back |
//! | `GET /admin/v1/sessions?subject=...` | the sessions of a person |
//! | `POST /admin/v1/sessions/end` | ends one of them, or all |

mod check;
mod entry;
mod pasted;
mod revocations;
mod sessions;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};
use portcullis_audit::Audit;
use portcullis_bff::Bff;
use portcullis_guard::{Guard, Revocations};
use portcullis_jose::{Clock, Secret};

pub(crate) use entry::Entry;

/// What the admin API works on.
#[derive(Clone, Debug)]
pub struct Admin(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Without one, nobody is an administrator.
    token: Option<Secret>,
    revocations: Revocations,
    /// Of each frontend.
    bffs: Vec<Bff>,
    /// The issuers whose tokens are taken by some API; no other can be revoked.
    issuers: Vec<String>,
    /// Of each API.
    guards: Vec<Guard>,
    audit: Audit,
    clock: Arc<dyn Clock>,
}

// === impl Admin ===

impl Admin {
    pub(crate) fn new(
        token: Option<Secret>,
        revocations: Revocations,
        bffs: Vec<Bff>,
        issuers: Vec<String>,
        guards: Vec<Guard>,
        audit: Audit,
        clock: Arc<dyn Clock>,
    ) -> Admin {
        Admin(Arc::new(Inner {
            token,
            revocations,
            bffs,
            issuers,
            guards,
            audit,
            clock,
        }))
    }

    /// The routes, to be served on the admin address behind its check of the host.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/admin/v1/revocations", get(revocations::list).post(revocations::enter))
            .route("/admin/v1/revocations/{id}", delete(revocations::take_back))
            .route("/admin/v1/sessions", get(sessions::list))
            .route("/admin/v1/sessions/end", post(sessions::end))
            .with_state(self.clone())
    }
}
