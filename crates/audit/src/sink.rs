use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use portcullis_jose::{Clock, ManualClock, UnixTime};
use tokio::sync::broadcast;

use crate::event::Event;
use crate::lines::{Accepted, Queue};
use crate::metrics::Metrics;
use crate::record::Record;
use crate::request_id::RequestId;

/// How many records a subscriber may be behind before it misses some; [`Audit::recent`] gives them back.
const BROADCAST: usize = 256;

/// Where JSON lines go.
#[derive(Default)]
#[non_exhaustive]
pub enum Lines {
    /// The process's standard output.
    #[default]
    Stdout,
    /// Some other writer.
    Writer(Box<dyn Write + Send>),
    /// Nowhere: the records are in memory only.
    Off,
}

/// Settings of an [`Audit`].
///
/// Take the defaults and change what differs: `AuditSettings { log_calls: false, ..AuditSettings::default() }`.
#[derive(Debug)]
pub struct AuditSettings {
    /// How many of the newest records are kept in memory. 1,000 by default.
    pub ring: usize,
    /// Where JSON lines go. Standard output by default.
    pub lines: Lines,
    /// Whether `call_forwarded`, the one event of every good call, is written as a line. It is counted and kept in
    /// memory in any case. True by default.
    pub log_calls: bool,
    /// How many lines may wait for the writer before routine events are dropped. Security events have as many places
    /// again of their own. 8,192 by default.
    pub queue: usize,
}

/// Takes events in: into memory, into the metrics, to subscribers, and as JSON lines to a writer.
///
/// A cheap handle; clones share everything. The last one to go lets the writer finish what is queued. Nothing here
/// waits for a reader: a stuck pipe costs lines, which are counted, never a request.
///
/// ```
/// use portcullis_audit::{Audit, Event, RequestId};
///
/// let audit = Audit::for_tests();
/// let id = RequestId::new();
/// audit.emit(Some(&id), Event::LoginStarted { frontend: "shop".into(), provider: "entra".into() });
///
/// let records = audit.recent(0);
/// assert_eq!(records.len(), 1);
/// assert!(records[0].json().contains(r#""event":"login_started","frontend":"shop""#));
/// ```
#[derive(Clone)]
pub struct Audit(Arc<Handle>);

/// Shared by the handles and the writer's thread.
pub(crate) struct Shared {
    clock: Arc<dyn Clock>,
    ring: Mutex<Ring>,
    ring_size: usize,
    log_calls: bool,
    subscribers: broadcast::Sender<Arc<Record>>,
    queue: Option<Queue>,
    metrics: Metrics,
}

struct Ring {
    last: u64,
    records: VecDeque<Arc<Record>>,
}

/// Tells the writer to end when the last [`Audit`] goes; the writer itself holds only what is [`Shared`].
struct Handle(Arc<Shared>);

// === impl AuditSettings ===

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            ring: 1_000,
            lines: Lines::Stdout,
            log_calls: true,
            queue: 8_192,
        }
    }
}

impl AuditSettings {
    /// The defaults, with lines to this writer.
    #[must_use]
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        Self {
            lines: Lines::Writer(Box::new(writer)),
            ..Self::default()
        }
    }

    /// The defaults, without lines.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            lines: Lines::Off,
            ..Self::default()
        }
    }
}

// === impl Audit ===

impl Audit {
    /// Starts to take events. With lines on, one thread named `audit` writes them.
    #[must_use]
    pub fn new(settings: AuditSettings, clock: Arc<dyn Clock>) -> Self {
        let (writer, queue): (Option<Box<dyn Write + Send>>, _) = match settings.lines {
            Lines::Stdout => (Some(Box::new(std::io::stdout())), Some(Queue::new(settings.queue))),
            Lines::Writer(writer) => (Some(writer), Some(Queue::new(settings.queue))),
            Lines::Off => (None, None),
        };
        let shared = Arc::new(Shared {
            metrics: Metrics::new(Arc::clone(&clock)),
            clock,
            ring: Mutex::new(Ring {
                last: 0,
                records: VecDeque::with_capacity(settings.ring.min(1_024)),
            }),
            ring_size: settings.ring,
            log_calls: settings.log_calls,
            subscribers: broadcast::channel(BROADCAST).0,
            queue,
        });
        if let Some(writer) = writer {
            crate::lines::spawn(Arc::clone(&shared), writer);
        }
        Self(Arc::new(Handle(shared)))
    }

    /// In memory only, with a clock that stands still at 2026-01-01.
    #[must_use]
    pub fn for_tests() -> Self {
        Self::new(
            AuditSettings::in_memory(),
            Arc::new(ManualClock::at(UnixTime::from_secs(1_767_225_600))),
        )
    }

    /// Takes an event in. It never waits: what cannot be written is counted and dropped.
    pub fn emit(&self, request_id: Option<&RequestId>, event: Event) {
        self.0.0.emit(request_id, event);
    }

    /// The records in memory that came after this one, oldest first; 0 asks for all.
    #[must_use]
    pub fn recent(&self, after_seq: u64) -> Vec<Arc<Record>> {
        let ring = self.0.0.ring();
        let newer = usize::try_from(ring.last.saturating_sub(after_seq)).unwrap_or(usize::MAX);
        let skip = ring.records.len().saturating_sub(newer);
        ring.records.iter().skip(skip).cloned().collect()
    }

    /// The records in memory that belong to a request, oldest first.
    #[must_use]
    pub fn of_request(&self, request_id: &RequestId) -> Vec<Arc<Record>> {
        let ring = self.0.0.ring();
        ring.records
            .iter()
            .filter(|record| record.request_id.as_ref() == Some(request_id))
            .cloned()
            .collect()
    }

    /// The number of the newest record; 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.0.0.ring().last
    }

    /// Every record from now on. A subscriber that is too slow misses records and is told how many.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Record>> {
        self.0.0.subscribers.subscribe()
    }

    /// The counters, and the handles to count with.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.0.metrics
    }

    /// Waits until every line so far is written, at most this long; says whether it is. For the end of a program: it
    /// blocks the thread.
    #[must_use = "false means that lines may be lost"]
    pub fn flush(&self, at_most: Duration) -> bool {
        self.0.0.queue.as_ref().is_none_or(|queue| queue.flush(at_most))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(queue) = &self.0.queue {
            queue.close();
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("last_seq", &self.last_seq())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "Stdout",
            Self::Writer(_) => "Writer",
            Self::Off => "Off",
        })
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn emit(&self, request_id: Option<&RequestId>, mut event: Event) {
        event.tidy();
        let time = self.stamp();
        self.metrics.observe(&event);
        let as_line = self.log_calls || !matches!(event, Event::CallForwarded { .. });

        // One lock gives the number and the order everywhere: in memory, to subscribers, and in the lines.
        let mut ring = self.ring();
        ring.last += 1;
        let record = Arc::new(Record::new(ring.last, time, request_id.cloned(), event));
        let oldest = if ring.records.len() >= self.ring_size {
            ring.records.pop_front()
        } else {
            None
        };
        if self.ring_size > 0 {
            ring.records.push_back(Arc::clone(&record));
        }
        if self.subscribers.receiver_count() > 0 {
            // An error only says that the last subscriber has just gone.
            let _ = self.subscribers.send(Arc::clone(&record));
        }
        let accepted = match &self.queue {
            Some(queue) if as_line => queue.push(record),
            _ => Accepted::Yes,
        };
        drop(ring);
        drop(oldest);

        match accepted {
            Accepted::Yes => {}
            Accepted::DroppedRoutine => self.metrics.line_dropped(false),
            Accepted::DroppedSecurity => self.metrics.line_dropped(true),
        }
    }

    pub(crate) const fn queue(&self) -> Option<&Queue> {
        self.queue.as_ref()
    }

    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Nothing that runs under the lock can panic half-way, so a poisoned lock still holds good data.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock's second, with thousandths from the machine's clock where both show the same second.
    fn stamp(&self) -> (UnixTime, u16) {
        let now = self.clock.now();
        #[expect(
            clippy::disallowed_methods,
            reason = "only for the thousandths of a log line; the second is the clock's"
        )]
        let machine = std::time::SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let ahead = i64::try_from(machine.as_secs())
            .unwrap_or_default()
            .saturating_sub(now.as_secs());
        let millis = match ahead {
            0 => u16::try_from(machine.subsec_millis()).unwrap_or_default(),
            1 => 999,
            _ => 0,
        };
        (now, millis)
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
