//! The connections: a few, each shared by many requests, made anew when they break.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::migrations::{self, Failed};
use super::settings::PostgresSettings;
use super::tls::Rustls;
use crate::StoreError;

/// Connections of one replica. Each takes many requests at once, but does one at a time: reads have their own, since a
/// write waits for the disk.
const CONNECTIONS: usize = 8;
const FOR_READS: usize = 4;
/// So many reads share a connection before the next one is used. What is sent together costs less.
const DEEP: usize = 32;
/// How long a connection may take to be made, with its tables.
const CONNECT: Duration = Duration::from_secs(4);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// After a connection could not be made, the next attempt is made no sooner: who asks meanwhile hears the same.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

pub(super) struct Pool {
    config: Config,
    tls: Option<Rustls>,
    slots: [Slot; CONNECTIONS],
    next: AtomicUsize,
    failed: Mutex<Option<(Instant, StoreError)>>,
    name: String,
}

/// A place for a connection.
#[derive(Default)]
struct Slot {
    wire: Mutex<Option<Arc<Wire>>>,
    connecting: tokio::sync::Mutex<()>,
    /// What was asked and not answered.
    under_way: AtomicUsize,
}

/// Counts what is under way for as long as it is.
struct UnderWay<'a>(&'a AtomicUsize);

struct Wire {
    client: Client,
    /// By their text, which is the program's own.
    statements: Mutex<HashMap<&'static str, Statement>>,
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let hosts = settings
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let name = format!("postgres {hosts}/{}", settings.database);
        let cannot = |cause: String| StoreError::CannotOpen {
            path: name.clone().into(),
            cause,
            fix: "correct [store]".into(),
        };
        let mut config = Config::new();
        for address in &settings.addresses {
            config.host(&address.host).port(address.port);
        }
        config
            .user(&settings.user)
            .dbname(&settings.database)
            .application_name("portcullis")
            .connect_timeout(Duration::from_secs(2))
            .keepalives_idle(Duration::from_secs(10))
            .tcp_user_timeout(Duration::from_secs(10))
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .ssl_mode(if settings.tls {
                SslMode::Require
            } else {
                SslMode::Disable
            });
        if let Some(password) = &settings.password {
            config.password(password.expose());
        }
        let tls = match settings.tls {
            true => Some(Rustls::new(settings.ca.as_deref()).map_err(cannot)?),
            false => None,
        };
        Ok(Self {
            config,
            tls,
            slots: Default::default(),
            next: AtomicUsize::new(0),
            failed: Mutex::new(None),
            name,
        })
    }

    /// Reads. A connection that broke is made anew, and the statement is sent once more.
    pub(super) async fn read(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
        match self.read_once(sql, parameters).await {
            Err(StoreError::Unavailable { .. }) => self.read_once(sql, parameters).await,
            other => other,
        }
    }

    async fn read_once(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
        let (reading, _) = self.slots.split_at(FOR_READS);
        let asked = |slot: &&Slot| slot.under_way.load(Ordering::Relaxed);
        let free = reading.iter().find(|slot| asked(slot) < DEEP);
        let slot = free.or_else(|| reading.iter().min_by_key(asked));
        self.query_on(slot, sql, parameters).await
    }

    /// Runs a statement that returns rows, once.
    pub(super) async fn query(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
        self.query_on(self.in_turn(), sql, parameters).await
    }

    async fn query_on(
        &self,
        slot: Option<&Slot>,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let slot = slot.ok_or_else(|| self.unavailable("no place"))?;
        let _under_way = UnderWay::new(&slot.under_way);
        let wire = self.wire(slot).await?;
        let run = async {
            let statement = wire.statement(sql).await?;
            wire.client.query(&statement, parameters).await
        };
        self.settle(slot, &wire, timeout(ANSWER, run).await)
    }

    /// Runs a statement, once. Returns how many rows it changed.
    pub(super) async fn execute(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<u64, StoreError> {
        let slot = self.in_turn().ok_or_else(|| self.unavailable("no place"))?;
        let wire = self.wire(slot).await?;
        let run = async {
            let statement = wire.statement(sql).await?;
            wire.client.execute(&statement, parameters).await
        };
        self.settle(slot, &wire, timeout(ANSWER, run).await)
    }

    fn settle<T, E>(
        &self,
        slot: &Slot,
        wire: &Arc<Wire>,
        answer: Result<Result<T, tokio_postgres::Error>, E>,
    ) -> Result<T, StoreError> {
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                // It was a primary and is none any more: there is another by now, or will be.
                if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) {
                    slot.forget(wire);
                }
                Err(self.translate(&error))
            }
            Err(_) => {
                // The host may have vanished, which no connection notices by itself for a long time.
                slot.forget(wire);
                Err(self.unavailable(&format!("no answer within {} s", ANSWER.as_secs())))
            }
        }
    }

    /// Where the next write goes.
    fn in_turn(&self) -> Option<&Slot> {
        let (_, writing) = self.slots.split_at(FOR_READS);
        writing.get(self.next.fetch_add(1, Ordering::Relaxed) % writing.len())
    }

    async fn wire(&self, slot: &Slot) -> Result<Arc<Wire>, StoreError> {
        if let Some(wire) = slot.alive() {
            return Ok(wire);
        }
        self.hold_back()?;
        let _turn = slot.connecting.lock().await;
        // Somebody else was at it.
        if let Some(wire) = slot.alive() {
            return Ok(wire);
        }
        self.hold_back()?;
        let made = match timeout(CONNECT, self.connect()).await {
            Ok(made) => made,
            Err(_) => Err(self.unavailable(&format!("no connection within {} s", CONNECT.as_secs()))),
        };
        match made {
            Ok(wire) => {
                let wire = Arc::new(wire);
                *lock(&slot.wire) = Some(Arc::clone(&wire));
                *lock(&self.failed) = None;
                Ok(wire)
            }
            Err(error) => {
                *lock(&self.failed) = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn hold_back(&self) -> Result<(), StoreError> {
        match &*lock(&self.failed) {
            Some((when, error)) if when.elapsed() < PAUSE => Err(error.clone()),
            _ => Ok(()),
        }
    }

    async fn connect(&self) -> Result<Wire, StoreError> {
        let mut client = match &self.tls {
            Some(tls) => {
                let made = self.config.connect(tls.clone()).await;
                let (client, connection) = made.map_err(|error| self.translate(&error))?;
                // It ends with the connection, and the client then knows.
                tokio::spawn(connection);
                client
            }
            None => {
                let made = self.config.connect(NoTls).await;
                let (client, connection) = made.map_err(|error| self.translate(&error))?;
                tokio::spawn(connection);
                client
            }
        };
        match migrations::migrate(&mut client, &self.name).await {
            Ok(()) => Ok(Wire {
                client,
                statements: Mutex::default(),
            }),
            Err(Failed::Server(error)) => Err(self.translate(&error)),
            Err(Failed::Store(error)) => Err(error),
        }
    }

    /// What went wrong, in words that hold nothing of what was sent.
    fn translate(&self, error: &tokio_postgres::Error) -> StoreError {
        let Some(said) = error.as_db_error() else {
            let cause = std::error::Error::source(error)
                .map(ToString::to_string)
                .unwrap_or_default();
            return self.unavailable(&format!("{error} {cause}"));
        };
        if *said.code() == SqlState::DISK_FULL {
            return StoreError::Full {
                cause: self.name.clone(),
            };
        }
        match said.code().code() {
            // Class 28 and 3D: what it says names the user and the database, and nothing else.
            code if code.starts_with("28") || code.starts_with("3D") || code.starts_with("42") => {
                self.unavailable(&format!("{} (SQLSTATE {code})", said.message()))
            }
            code => self.unavailable(&format!("it answers SQLSTATE {code}")),
        }
    }

    fn unavailable(&self, cause: &str) -> StoreError {
        StoreError::unavailable(format!("{}: {}", self.name, cause.trim_end()))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).finish_non_exhaustive()
    }
}

// === impl Slot ===

impl Slot {
    /// Has a connection made anew, if it is still this one.
    fn forget(&self, wire: &Arc<Wire>) {
        let mut current = lock(&self.wire);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, wire)) {
            *current = None;
        }
    }

    fn alive(&self) -> Option<Arc<Wire>> {
        lock(&self.wire)
            .as_ref()
            .filter(|wire| !wire.client.is_closed())
            .cloned()
    }
}

// === impl UnderWay ===

impl UnderWay<'_> {
    fn new(count: &AtomicUsize) -> UnderWay<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        UnderWay(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Wire ===

impl Wire {
    async fn statement(&self, sql: &'static str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = lock(&self.statements).get(sql).cloned() {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        lock(&self.statements).insert(sql, statement.clone());
        Ok(statement)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
