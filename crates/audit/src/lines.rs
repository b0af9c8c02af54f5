//! JSON lines: a bounded queue, and the one thread that writes.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::record::Record;
use crate::sink::Shared;

/// How long the writer lets lines gather before it writes. Under load it wakes at most 200 times a second instead of
/// once for each event, which would cost more than the line itself.
const GATHER: Duration = Duration::from_millis(5);

/// The size of one write.
const CHUNK: usize = 64 * 1024;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    Yes,
    DroppedRoutine,
    DroppedSecurity,
}

/// Lines that wait for the writer.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The writer waits here.
    work: Condvar,
    /// Those who flush wait here.
    done: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    waiting: Vec<Arc<Record>>,
    /// Records that the writer has taken and not yet written.
    in_hand: usize,
    /// The writer waits for the first line, and has to be woken for it.
    idle: bool,
    /// Somebody waits: do not gather.
    urgent: bool,
    closed: bool,
    dropped_routine: u64,
    dropped_security: u64,
}

/// What the writer takes out of the queue at once.
struct Batch {
    dropped_routine: u64,
    dropped_security: u64,
    closed: bool,
}

// === impl Queue ===

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            capacity,
        }
    }

    /// Never waits for the writer. Routine events have `capacity` places, security events twice as many.
    pub(crate) fn push(&self, record: Arc<Record>) -> Accepted {
        let mut state = self.state();
        let routine = record.event.is_routine();
        let places = if routine {
            self.capacity
        } else {
            self.capacity.saturating_mul(2)
        };
        if state.waiting.len() >= places {
            if routine {
                state.dropped_routine += 1;
                return Accepted::DroppedRoutine;
            }
            state.dropped_security += 1;
            return Accepted::DroppedSecurity;
        }
        state.waiting.push(record);
        if std::mem::take(&mut state.idle) {
            self.work.notify_one();
        }
        Accepted::Yes
    }

    pub(crate) fn flush(&self, at_most: Duration) -> bool {
        let end = Instant::now() + at_most;
        let mut state = self.state();
        loop {
            if state.waiting.is_empty() && state.in_hand == 0 {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state.urgent = true;
            self.work.notify_one();
            state = self
                .done
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.work.notify_one();
    }

    /// Waits for lines and moves them into `batch`.
    fn take(&self, batch: &mut Vec<Arc<Record>>) -> Batch {
        let mut state = self.state();
        while state.waiting.is_empty() && !state.closed {
            state.idle = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        if !state.urgent && !state.closed {
            state = self
                .work
                .wait_timeout(state, GATHER)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.urgent = false;
        std::mem::swap(&mut state.waiting, batch);
        state.in_hand = batch.len();
        Batch {
            dropped_routine: std::mem::take(&mut state.dropped_routine),
            dropped_security: std::mem::take(&mut state.dropped_security),
            closed: state.closed,
        }
    }

    fn written(&self) {
        let mut state = self.state();
        state.in_hand = 0;
        self.done.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the writer. Where the system gives no thread, the queue fills up and what is dropped is counted.
pub(crate) fn spawn(shared: Arc<Shared>, mut writer: Box<dyn Write + Send>) {
    let run = move || {
        let Some(queue) = shared.queue() else { return };
        let mut batch = Vec::new();
        let mut text = Vec::with_capacity(CHUNK);
        loop {
            let taken = queue.take(&mut batch);
            if batch.is_empty() && taken.closed {
                return;
            }
            if write(&mut *writer, &mut text, &batch).is_err() {
                // A closed pipe must not end the service; it shows in the metrics instead.
                shared.metrics().write_failed(batch.len());
            }
            batch.clear();
            if taken.dropped_routine > 0 || taken.dropped_security > 0 {
                // The reader is back: say what it has missed. This goes through the queue, before `written`, so that
                // a flush waits for it too.
                shared.emit(
                    None,
                    Event::EventsDropped {
                        routine: taken.dropped_routine,
                        security: taken.dropped_security,
                    },
                );
            }
            queue.written();
        }
    };
    let started = std::thread::Builder::new().name("audit".to_owned()).spawn(run);
    drop(started);
}

fn write(writer: &mut dyn Write, text: &mut Vec<u8>, batch: &[Arc<Record>]) -> std::io::Result<()> {
    text.clear();
    for record in batch {
        // Serialising into memory cannot fail; were it to, the line is cut and the next one starts clean.
        let _ = serde_json::to_writer(&mut *text, &**record);
        text.push(b'\n');
        if text.len() >= CHUNK {
            writer.write_all(text)?;
            text.clear();
        }
    }
    writer.write_all(text)?;
    writer.flush()
}
