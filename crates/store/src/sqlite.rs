//! The SQLite engine: one file, one writer thread with group commit, a few reader threads.
//!
//! - `journal_mode = WAL`: readers never wait for the writer.
//! - Writes that ask at the same time share one transaction, and so one flush to disk.
//! - `synchronous = FULL` for whatever must outlive a power cut (deletions, updates, revocations, replay
//!   marks); `NORMAL` for a batch of touches, leases and purges alone. Both outlive a killed process.
//! - Other processes may use the same file, on the same machine; never over a network file system.

mod leases;
mod look;
mod migrations;
mod number;
mod open;
mod readers;
mod replay;
mod revocations;
mod sessions;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex};

use portcullis_jose::{Clock, UnixTime};
use rusqlite::Connection;

use self::readers::Readers;
use self::writer::{Durability, Writer};
use crate::{BoxFuture, Store, StoreError};

/// Rows that one purging transaction removes at most, so that other writes get their turn.
const PURGE_CHUNK: i64 = 1_000;

/// State in a SQLite file.
///
/// Dropping it finishes the writes under way and closes the file.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped before the writer, whose connection is the last to close and tidies the WAL up.
    reading: Reading,
    writer: Writer,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
enum Reading {
    /// On connections of their own.
    Apart(Readers),
    /// On the writer's, between two of its transactions: a database in memory has no other, and no disk to wait for.
    WithTheWriter(Arc<Mutex<Connection>>),
}

// === impl SqliteStore ===

impl SqliteStore {
    /// Opens the store in the file at `path`; where there is none, it is made, for its owner alone.
    ///
    /// This blocks on the disk, for some milliseconds as a rule.
    ///
    /// # Errors
    /// A file that is damaged, of another program, of a newer version, or open to other users is
    /// refused, and the error says what to do.
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let connection = open::writer(path)?;
        Ok(Self {
            reading: Reading::Apart(Readers::start(|| open::reader(path))?),
            writer: Writer::start(Arc::new(Mutex::new(connection)), Arc::clone(&clock))?,
            clock,
        })
    }

    /// Opens the store of another process to look at it. Nothing is written, and no file is made beside it; every write
    /// is refused.
    ///
    /// # Errors
    /// As [`open`](Self::open) has them; and there is no file, it was not closed, or its schema is an older one.
    pub fn open_read_only(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let connection = open::read_only(path)?;
        Ok(Self {
            reading: Reading::Apart(Readers::start(|| open::read_only(path))?),
            writer: Writer::start(Arc::new(Mutex::new(connection)), Arc::clone(&clock))?,
            clock,
        })
    }

    /// A store that is gone when it is dropped.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no memory or thread for it.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let connection = Arc::new(Mutex::new(open::in_memory()?));
        Ok(Self {
            reading: Reading::WithTheWriter(Arc::clone(&connection)),
            writer: Writer::start(connection, Arc::clone(&clock))?,
            clock,
        })
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, UnixTime) -> Result<T, StoreError> + Send + 'static,
    {
        let now = self.clock.now();
        match &self.reading {
            Reading::Apart(readers) => readers.run(move |connection| work(connection, now)).await,
            Reading::WithTheWriter(connection) => {
                let stopped = || StoreError::unavailable("the writer thread has stopped; restart the process");
                work(&*connection.lock().map_err(|_| stopped())?, now)
            }
        }
    }

    /// The same for what is most likely in memory: without a change of thread, where nothing has to be waited for.
    async fn read_at_once<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection, UnixTime) -> Result<T, StoreError> + Send + 'static,
    {
        if let Reading::Apart(readers) = &self.reading {
            let now = self.clock.now();
            if let Some(found) = readers.at_once(|connection| work(connection, now)) {
                return Ok(found);
            }
        }
        self.read(work).await
    }

    async fn write<T, F>(&self, durability: Durability, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, UnixTime) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.run(durability, work).await
    }

    async fn purge(&self, chunk: fn(&Connection, UnixTime, i64) -> rusqlite::Result<usize>) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let removed = self
                .write(Durability::Relaxed, move |connection, now| {
                    Ok(chunk(connection, now, PURGE_CHUNK)?)
                })
                .await?;
            total += removed as u64;
            if (removed as u64) < PURGE_CHUNK.unsigned_abs() {
                return Ok(total);
            }
        }
    }
}

impl Store for SqliteStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.read(|connection, _| Ok(connection.query_row("SELECT count(*) FROM counters", [], |_| Ok(()))?))
                .await?;
            // An empty transaction takes the write lock, and finds a file that became read-only.
            self.write(Durability::Relaxed, |_, _| Ok(())).await
        })
    }

    fn purge_expired(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async {
            let sessions = self.purge(sessions::purge).await?;
            let leases = self.purge(leases::purge).await?;
            let marks = self.purge(replay::purge).await?;
            let revocations = self.purge(revocations::purge).await?;
            Ok(sessions + leases + marks + revocations)
        })
    }
}

/// rusqlite's errors end here; none of its types is in the public interface.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full {
                cause: error.to_string(),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::corrupt(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::unavailable(format!(
                "another process has held the file's lock for more than {} s",
                open::BUSY_TIMEOUT.as_secs()
            )),
            Some(_) => Self::unavailable(error.to_string()),
            // Not SQLite's refusal but ours: a row is not what it must be.
            None => Self::corrupt(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_jose::ManualClock;

    use super::*;
    use crate::{SessionKey, SessionRecord, SessionStore as _};

    #[tokio::test]
    async fn a_lock_of_another_process_makes_it_unavailable_and_loses_nothing() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("state.db");
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(UnixTime::from_secs(1_000)));
        let connection = open::writer(&path).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        let store = SqliteStore {
            reading: Reading::Apart(Readers::start(|| open::reader(&path)).unwrap()),
            writer: Writer::start(Arc::new(Mutex::new(connection)), Arc::clone(&clock)).unwrap(),
            clock,
        };
        let key = SessionKey::from_cookie("a");
        let record = SessionRecord {
            sealed: b"one".to_vec(),
            subject_index: None,
            sid_index: None,
            created: UnixTime::from_secs(1_000),
            idle_expires: UnixTime::from_secs(2_000),
            expires: UnixTime::from_secs(3_000),
        };
        store.create(key, record).await.unwrap();

        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(store.delete(key).await.unwrap_err().code(), "store.unavailable");
        assert_eq!(store.ping().await.unwrap_err().code(), "store.unavailable");
        assert!(
            store.get(key).await.unwrap().is_some(),
            "reading goes on while another process writes"
        );

        other.execute_batch("ROLLBACK").unwrap();
        store.ping().await.unwrap();
        assert!(
            store.delete(key).await.unwrap(),
            "and so does writing, once the lock is gone"
        );
    }
}
