//! The development side: a handle for tests and demonstrations, misbehaviour on request, tokens made to order.

mod behaviour;
mod control;
mod defect;
pub(crate) mod http;
mod log;
mod mint;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_jose::{Secret, random_token};
use tokio::sync::watch;

pub use behaviour::{Behaviour, Endpoint, FailNext, TokenError};
pub use control::{Control, RotateHow};
pub use defect::Defect;
pub(crate) use defect::OTHER_ISSUER;
pub(crate) use log::LogNote;
pub use log::RequestLogEntry;
pub use mint::Mint;

const LOG_ENTRIES: usize = 10_000;
const SECRETS: usize = 20_000;

/// What the development side keeps.
#[derive(Debug)]
pub(crate) struct Dev {
    behaviour: Mutex<Behaviour>,
    log: Mutex<VecDeque<RequestLogEntry>>,
    secrets: Mutex<VecDeque<Secret>>,
    admin_token: Secret,
    /// Becomes true when the provider stops, so that an answer that is being delayed is given up.
    pub(crate) stopping: watch::Sender<bool>,
}

impl Dev {
    pub(crate) fn new() -> Dev {
        Dev {
            behaviour: Mutex::default(),
            log: Mutex::default(),
            secrets: Mutex::default(),
            admin_token: Secret::new(random_token(32)),
            stopping: watch::Sender::new(false),
        }
    }

    pub(crate) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, VecDeque<RequestLogEntry>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, entry: RequestLogEntry) {
        push_bounded(&mut self.log(), entry, LOG_ENTRIES);
    }

    /// Remembers a secret that leaves the provider, for the test that looks for it where it must not be.
    pub(crate) fn note_secret(&self, secret: &str) {
        push_bounded(&mut self.secrets(), Secret::new(secret), SECRETS);
    }

    pub(crate) fn secrets(&self) -> MutexGuard<'_, VecDeque<Secret>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, bound: usize) {
    if queue.len() >= bound {
        queue.pop_front();
    }
    queue.push_back(item);
}
