//! The reader threads: disk reads stay off the threads that serve connections. What was read lately is in memory, and
//! is read on the spot.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, available_parallelism};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::StoreError;

/// More threads than this read no faster.
const MAX_THREADS: usize = 4;

/// The threads and what they have to do.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Connections for whoever does not wait for a thread.
    spare: Vec<Mutex<Connection>>,
}

type Job = Box<dyn FnOnce(&Connection) + Send>;

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Threads that serve the queue; without any, a job would wait for ever.
    threads: usize,
    closed: bool,
}

/// Counts its thread out, also when the thread panics.
struct Serving(Arc<Shared>);

// === impl Readers ===

impl Readers {
    /// Starts the threads, each with a connection of its own.
    pub(super) fn start(connect: impl Fn() -> Result<Connection, StoreError>) -> Result<Self, StoreError> {
        let count = available_parallelism().map_or(2, |cores| cores.get().clamp(2, MAX_THREADS));
        let mut readers = Self {
            shared: Arc::default(),
            threads: Vec::with_capacity(count),
            spare: Vec::with_capacity(count),
        };
        for number in 0..count {
            let spare = connect()?;
            // A lock that is held is waited for on a thread.
            spare.busy_timeout(Duration::ZERO)?;
            readers.spare.push(Mutex::new(spare));
            let connection = connect()?;
            let shared = Arc::clone(&readers.shared);
            shared.lock().threads += 1;
            let serving = Serving(shared);
            let thread = std::thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || serving.0.serve(&connection))
                .map_err(|error| StoreError::unavailable(format!("no reader thread: {error}")))?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Runs `work` here and now; `None` where it would have to wait, or has failed.
    pub(super) fn at_once<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Option<T> {
        let connection = self.spare.iter().find_map(|spare| spare.try_lock().ok())?;
        work(&connection).ok()
    }

    /// Runs `work` on one of the threads.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody waits any more: spare the disk.
            if !reply.is_closed() {
                let _ = reply.send(work(connection));
            }
        });
        self.shared.push(job)?;
        answer
            .await
            .map_err(|_| StoreError::unavailable("the reader thread has stopped; restart the process"))?
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn push(&self, job: Job) -> Result<(), StoreError> {
        let mut queue = self.lock();
        if queue.threads == 0 {
            return Err(StoreError::unavailable(
                "the reader threads have stopped; restart the process",
            ));
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.work.notify_one();
        Ok(())
    }

    fn serve(&self, connection: &Connection) {
        while let Some(job) = self.next() {
            job(connection);
        }
    }

    /// The next job; `None` when the queue is closed and empty.
    fn next(&self) -> Option<Job> {
        let queue = self.lock();
        let mut queue = self
            .work
            .wait_while(queue, |queue| queue.jobs.is_empty() && !queue.closed)
            .unwrap_or_else(PoisonError::into_inner);
        queue.jobs.pop_front()
    }

    /// No code that can panic runs under the lock, so a poisoned queue is a sound one.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.threads -= 1;
        if queue.threads == 0 {
            // Their callers get an error instead of waiting for ever.
            queue.jobs.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers() -> Readers {
        Readers::start(|| Ok(Connection::open_in_memory()?)).unwrap()
    }

    #[tokio::test]
    async fn reads_run_side_by_side() {
        let readers = readers();
        let (first, second) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        // Each waits for the other: one thread alone would never end.
        let one = readers.run(move |_| {
            first.0.send(()).unwrap();
            second.1.recv().unwrap();
            Ok(1)
        });
        let two = readers.run(move |_| {
            second.0.send(()).unwrap();
            first.1.recv().unwrap();
            Ok(2)
        });
        assert_eq!(tokio::join!(one, two), (Ok(1), Ok(2)));
    }

    #[tokio::test]
    async fn threads_that_died_are_an_error_and_no_hang() {
        let readers = readers();
        for _ in 0..readers.threads.len() {
            let died = readers.run(|_| -> Result<(), _> { panic!("a fault of ours") });
            assert_eq!(died.await.unwrap_err().code(), "store.unavailable");
        }
        for thread in &readers.threads {
            while !thread.is_finished() {
                std::thread::yield_now();
            }
        }
        assert_eq!(readers.run(|_| Ok(())).await.unwrap_err().code(), "store.unavailable");
    }
}
