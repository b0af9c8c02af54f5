//! The writer thread: whatever asks at the same time shares one transaction and one flush to disk.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use portcullis_jose::{Clock, UnixTime};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;

/// Callers beyond this wait before they are queued.
const QUEUE: usize = 1_024;

/// Writes in one transaction at most.
const BATCH: usize = 256;

/// What a write must outlive, beside the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// Nothing: it may be undone by a power cut.
    Relaxed,
    /// A power cut: it is on the disk before the caller hears of it.
    PowerCut,
}

/// The thread and the way to it.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// A write on its way.
trait Job: Send {
    fn durability(&self) -> Durability;
    /// Does the work, inside the transaction of its batch. An error means that the transaction can no longer be
    /// committed; a work that failed and was undone is none.
    fn run(&mut self, connection: &Connection, now: UnixTime) -> Result<(), StoreError>;
    /// Tells the caller, after the transaction has ended.
    fn settle(self: Box<Self>, commit: Result<(), StoreError>);
}

struct Write<T, F> {
    durability: Durability,
    work: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

/// What the thread owns.
struct Worker {
    /// Locked for each transaction.
    connection: Arc<Mutex<Connection>>,
    clock: Arc<dyn Clock>,
    durability: Option<Durability>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn start(connection: Arc<Mutex<Connection>>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let worker = Worker {
            connection,
            clock,
            durability: None,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || worker.serve(jobs))
            .map_err(|error| StoreError::unavailable(format!("no writer thread: {error}")))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs `work` in a transaction; returns when it is committed.
    ///
    /// When `work` fails, what it changed is undone and the other writes of its batch are not touched.
    pub(super) async fn run<T, F>(&self, durability: Durability, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, UnixTime) -> Result<T, StoreError> + Send + 'static,
    {
        let stopped = || StoreError::unavailable("the writer thread has stopped; restart the process");
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Write {
            durability,
            work: Some(work),
            outcome: None,
            reply,
        });
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(job).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The closed queue ends the thread when it has done what is left in it.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

// === impl Worker ===

impl Worker {
    fn serve(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH {
                let Ok(job) = jobs.try_recv() else { break };
                batch.push(job);
            }
            self.run_batch(batch);
        }
    }

    fn run_batch(&mut self, mut batch: Vec<Box<dyn Job>>) {
        while !batch.is_empty() {
            let (done, result) = self.transact(&mut batch);
            let rest = batch.split_off(done);
            for job in std::mem::replace(&mut batch, rest) {
                job.settle(result.clone());
            }
        }
    }

    /// Runs the jobs in one transaction. Returns how many of them it concerned, and how it ended.
    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> (usize, Result<(), StoreError>) {
        let connection = Arc::clone(&self.connection);
        let connection = &*connection.lock().unwrap_or_else(PoisonError::into_inner);
        let durability = batch.iter().map(|job| job.durability()).max();
        if let Err(error) = self.begin(connection, durability.unwrap_or(Durability::PowerCut)) {
            return (batch.len(), Err(error));
        }
        for (index, job) in batch.iter_mut().enumerate() {
            // What ran until now is lost; what did not run yet gets a transaction of its own.
            if let Err(error) = job.run(connection, self.clock.now()) {
                abandon(connection);
                return (index + 1, Err(error));
            }
        }
        let committed = execute(connection, "COMMIT");
        if committed.is_err() {
            abandon(connection);
        }
        (batch.len(), committed)
    }

    fn begin(&mut self, connection: &Connection, durability: Durability) -> Result<(), StoreError> {
        if self.durability != Some(durability) {
            // A later flush covers what was committed without one before it: the log is flushed as a whole.
            let level = match durability {
                Durability::Relaxed => "NORMAL",
                Durability::PowerCut => "FULL",
            };
            connection.pragma_update(None, "synchronous", level)?;
            self.durability = Some(durability);
        }
        execute(connection, "BEGIN IMMEDIATE")
    }
}

/// A transaction left open would swallow the next batch. Nothing more can be done if this fails too: the next BEGIN
/// fails, and with it every write.
fn abandon(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK");
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

// === impl Write ===

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&Connection, UnixTime) -> Result<T, StoreError> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, connection: &Connection, now: UnixTime) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        connection.prepare_cached("SAVEPOINT job")?.execute([])?;
        let outcome = self.outcome.insert(work(connection, now));
        // SQLite undoes the whole transaction by itself when the disk is full or fails; there is no savepoint then.
        if connection.is_autocommit() {
            return Err(StoreError::unavailable(
                "the disk failed, and the transaction was undone",
            ));
        }
        if outcome.is_err() {
            connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
        }
        connection.prepare_cached("RELEASE job")?.execute([])?;
        Ok(())
    }

    fn settle(self: Box<Self>, commit: Result<(), StoreError>) {
        let outcome = match (commit, self.outcome) {
            // The reason why the transaction was undone is better than that it was.
            (Err(_), Some(Err(error))) | (Err(error), _) => Err(error),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::unavailable("the write was not run")),
        };
        // The caller may have stopped waiting; the write is done all the same.
        let _ = self.reply.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_jose::ManualClock;

    use super::*;

    type Answer = oneshot::Receiver<Result<(), StoreError>>;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (v TEXT) STRICT").unwrap();
        connection
    }

    fn worker() -> Worker {
        Worker {
            connection: Arc::new(Mutex::new(connection())),
            clock: Arc::new(ManualClock::default()),
            durability: None,
        }
    }

    fn job(work: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static) -> (Box<dyn Job>, Answer) {
        let (reply, answer) = oneshot::channel();
        let write = Write {
            durability: Durability::PowerCut,
            work: Some(move |connection: &Connection, _: UnixTime| work(connection)),
            outcome: None,
            reply,
        };
        (Box::new(write), answer)
    }

    fn insert(text: &'static str) -> (Box<dyn Job>, Answer) {
        job(move |connection| {
            connection.execute("INSERT INTO t VALUES (?1)", [text])?;
            Ok(())
        })
    }

    fn stored(connection: &Connection) -> Vec<String> {
        let mut statement = connection.prepare("SELECT v FROM t ORDER BY v").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn a_write_that_fails_is_undone_alone() {
        let mut worker = worker();
        let (first, mut first_answer) = insert("first");
        let (failing, mut failing_answer) = job(|connection| {
            connection.execute("INSERT INTO t VALUES ('half done')", [])?;
            Err(StoreError::Conflict)
        });
        let (last, mut last_answer) = insert("last");
        worker.run_batch(vec![first, failing, last]);
        assert_eq!(stored(&worker.connection.lock().unwrap()), ["first", "last"]);
        assert_eq!(first_answer.try_recv().unwrap(), Ok(()));
        assert_eq!(failing_answer.try_recv().unwrap(), Err(StoreError::Conflict));
        assert_eq!(last_answer.try_recv().unwrap(), Ok(()));
    }

    #[test]
    fn nobody_hears_of_success_when_the_transaction_is_lost() {
        let mut worker = worker();
        let (first, mut first_answer) = insert("first");
        // What SQLite does by itself when the disk fails.
        let (failing, mut failing_answer) = job(|connection| {
            connection.execute("ROLLBACK", [])?;
            Err(StoreError::Full { cause: "test".into() })
        });
        let (last, mut last_answer) = insert("last");
        worker.run_batch(vec![first, failing, last]);
        assert_eq!(
            stored(&worker.connection.lock().unwrap()),
            ["last"],
            "what came after has a transaction of its own"
        );
        assert_eq!(
            first_answer.try_recv().unwrap().unwrap_err().code(),
            "store.unavailable"
        );
        assert_eq!(failing_answer.try_recv().unwrap().unwrap_err().code(), "store.full");
        assert_eq!(last_answer.try_recv().unwrap(), Ok(()));
        assert!(worker.connection.lock().unwrap().is_autocommit());
    }

    #[test]
    fn one_write_that_must_outlive_a_power_cut_makes_its_whole_batch_do_so() {
        let mut worker = worker();
        let mut level_of = |durabilities: &[Durability]| {
            let jobs = durabilities.iter().map(|durability| -> Box<dyn Job> {
                Box::new(Write {
                    durability: *durability,
                    work: Some(|_: &Connection, _: UnixTime| Ok(())),
                    outcome: None,
                    reply: oneshot::channel().0,
                })
            });
            worker.run_batch(jobs.collect());
            let level: i64 = worker
                .connection
                .lock()
                .unwrap()
                .pragma_query_value(None, "synchronous", |row| row.get(0))
                .unwrap();
            level
        };
        const NORMAL: i64 = 1;
        const FULL: i64 = 2;
        assert_eq!(level_of(&[Durability::Relaxed, Durability::Relaxed]), NORMAL);
        assert_eq!(
            level_of(&[Durability::Relaxed, Durability::PowerCut, Durability::Relaxed]),
            FULL
        );
        assert_eq!(level_of(&[Durability::Relaxed]), NORMAL);
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_passes() {
        let connection = connection();
        let pages: i64 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        connection
            .pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(()))
            .unwrap();
        let writer = Writer::start(Arc::new(Mutex::new(connection)), Arc::new(ManualClock::default())).unwrap();
        let write = |size: usize| {
            writer.run(Durability::PowerCut, move |connection, _| {
                connection.execute("INSERT INTO t VALUES (?1)", ["x".repeat(size)])?;
                Ok(())
            })
        };
        assert_eq!(write(100_000).await.unwrap_err().code(), "store.full");
        write(10).await.unwrap();
    }

    #[tokio::test]
    async fn a_thread_that_died_is_an_error_and_no_hang() {
        let writer = Writer::start(Arc::new(Mutex::new(connection())), Arc::new(ManualClock::default())).unwrap();
        let died = writer.run(Durability::Relaxed, |_, _| -> Result<(), _> {
            panic!("a fault of ours")
        });
        assert_eq!(died.await.unwrap_err().code(), "store.unavailable");
        let after = writer.run(Durability::Relaxed, |_, _| Ok(()));
        assert_eq!(after.await.unwrap_err().code(), "store.unavailable");
    }

    #[tokio::test]
    async fn a_write_is_finished_though_nobody_waits_for_it() {
        let writer = Writer::start(Arc::new(Mutex::new(connection())), Arc::new(ManualClock::default())).unwrap();
        let (begun, has_begun) = oneshot::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let write = writer.run(Durability::PowerCut, move |connection, _| {
            let _ = begun.send(());
            let _ = may_go_on.recv();
            connection.execute("INSERT INTO t VALUES ('kept')", [])?;
            Ok(())
        });
        // The caller goes away while the write is under way.
        tokio::select! {
            biased;
            _ = has_begun => {}
            _ = write => {}
        }
        go_on.send(()).unwrap();
        let stored = writer.run(Durability::Relaxed, |connection, _| Ok(stored(connection)));
        assert_eq!(stored.await.unwrap(), ["kept"]);
    }
}
