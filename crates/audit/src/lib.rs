//! Security events, the catalogue of error codes, and metrics.
//!
//! What this crate promises:
//!
//! - An [`Event`] is a typed struct with a stable name, never a format string. It has no member for a token, a secret, a
//!   cookie or a code, and text from outside is escaped and capped before anybody reads it.
//! - [`Audit::emit`] never waits: not for a disk, not for a pipe that nobody reads, not for a subscriber. Lines that are
//!   lost are counted, routine ones before security events, and the count is itself reported.
//! - Every refusal has a code of the [catalogue], with a cause and a fix that say what to change and where.
//! - [`Metrics`] have labels from the configuration and from fixed lists only, and counting a request takes no lock.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use portcullis_audit::{Audit, AuditSettings, Credential, Event, Refused, RequestId};
//! use portcullis_jose::SystemClock;
//!
//! # let settings = AuditSettings::in_memory();
//! # #[cfg(any())]
//! let settings = AuditSettings::default(); // JSON lines to standard output
//! let audit = Audit::new(settings, Arc::new(SystemClock));
//!
//! let id = RequestId::new();
//! let refused = Refused::new("token.audience_mismatch").expected("api://orders").found("api://billing");
//! audit.emit(Some(&id), Event::CallRefused {
//!     route: Some("orders".into()),
//!     method: "GET".into(),
//!     path: "/api/orders".into(),
//!     credential: Credential::Bearer,
//!     subject: None,
//!     client: None,
//!     checks: Vec::new(),
//!     status: refused.status(),
//!     refused,
//! });
//!
//! assert_eq!(audit.of_request(&id).len(), 1);
//! assert_eq!(audit.metrics().refusals("token.audience_mismatch"), 1);
//! assert!(audit.flush(Duration::from_secs(1)));
//! ```

mod event;
mod lines;
mod metrics;
mod record;
mod refused;
mod request_id;
mod sink;
mod text;

pub mod catalogue;

pub use event::{CheckLine, Credential, Event};
pub use metrics::{Counts, Metrics, RouteMetrics};
pub use record::{Record, rfc3339};
pub use refused::Refused;
pub use request_id::RequestId;
pub use sink::{Audit, AuditSettings, Lines};
