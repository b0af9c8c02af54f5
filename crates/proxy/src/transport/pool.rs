//! Idle connections of one upstream: the one used last is used first, and those that nobody needs grow old and go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use crate::upstream::Target;

/// How many idle connections are kept for an upstream, and how long.
#[derive(Clone, Copy)]
pub(crate) struct Keep {
    pub(crate) count: usize,
    pub(crate) age: Duration,
}

#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: VecDeque<Idle>,
    /// A task looks after what is idle.
    swept: bool,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Pool {
    /// The connection that became idle last, if any is younger than `max_age`.
    pub(crate) fn take(&self, max_age: Duration) -> Option<Box<Connection>> {
        let mut state = self.lock();
        let last = state.idle.pop_back()?;
        if last.since.elapsed() < max_age {
            return Some(last.connection);
        }
        // The others are older still.
        state.idle.clear();
        None
    }

    /// Keeps a connection that has done its work, if it can carry another request and there is room.
    pub(crate) fn put(target: &Arc<Target>, mut connection: Box<Connection>, keep: Keep) {
        if !connection.park() {
            return;
        }
        let mut state = target.pool.lock();
        if state.idle.len() >= keep.count {
            return;
        }
        state.idle.push_back(Idle {
            connection,
            since: Instant::now(),
        });
        if !std::mem::replace(&mut state.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(target), keep.age));
        }
    }

    /// Drops connections that are old, or that the upstream has closed. Returns whether any is left.
    fn retire(&self, max_age: Duration) -> bool {
        let mut state = self.lock();
        state
            .idle
            .retain_mut(|idle| idle.since.elapsed() < max_age && idle.connection.park());
        state.swept = !state.idle.is_empty();
        state.swept
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs while connections are idle: after the last request, nobody else would close them.
async fn sweep(target: std::sync::Weak<Target>, max_age: Duration) {
    loop {
        tokio::time::sleep(max_age / 2).await;
        let Some(target) = target.upgrade() else { return };
        if !target.pool.retire(max_age) {
            return;
        }
    }
}
