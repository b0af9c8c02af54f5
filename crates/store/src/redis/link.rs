//! The connection: one, shared by all requests, made anew when it breaks.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, Pipeline, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, ScriptInvocation,
    ServerErrorKind, TlsCertificates, TlsMode, Value,
};
use tokio::time::error::Elapsed;

use super::settings::{RedisLayout, RedisSettings};
use crate::{Address, StoreError};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// After a connection could not be made, the next attempt is made no sooner: who asks meanwhile hears the same.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Link {
    target: tokio::sync::Mutex<Target>,
    state: Mutex<State>,
    name: String,
}

/// What is connected to.
enum Target {
    Single(Box<Client>),
    Sentinel(Box<SentinelClient>),
    Cluster(Box<ClusterClient>),
}

struct State {
    wire: Option<Wire>,
    /// Counts connections, so that a late failure does not drop the next one.
    number: u64,
    failed: Option<(tokio::time::Instant, StoreError)>,
}

/// A connection; a clone is the same one.
#[derive(Clone)]
enum Wire {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

// === impl Link ===

impl Link {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, StoreError> {
        let name = settings
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let target = Target::new(settings).map_err(|error| StoreError::CannotOpen {
            path: format!("redis {name}").into(),
            cause: describe(&error),
            fix: "correct [store]".into(),
        })?;
        Ok(Self {
            target: tokio::sync::Mutex::new(target),
            state: Mutex::new(State {
                wire: None,
                number: 0,
                failed: None,
            }),
            name,
        })
    }

    /// Runs a command that may be sent twice.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut attempt = 0;
        loop {
            let (number, mut wire) = self.wire().await?;
            let answer = tokio::time::timeout(ANSWER, command.query_async(&mut wire)).await;
            if let Some(result) = self.judge(number, attempt, answer) {
                return result;
            }
            attempt += 1;
        }
    }

    /// Runs a script; where the connection broke, once more over a new one. `build` is told the number of the
    /// attempt, from 0.
    pub(super) async fn script<'s, T: FromRedisValue>(
        &self,
        build: impl Fn(u8) -> ScriptInvocation<'s>,
    ) -> Result<T, StoreError> {
        let mut attempt = 0;
        loop {
            let (number, mut wire) = self.wire().await?;
            let call = build(attempt);
            let answer = tokio::time::timeout(ANSWER, call.invoke_async(&mut wire)).await;
            if let Some(result) = self.judge(number, attempt, answer) {
                return result;
            }
            attempt += 1;
        }
    }

    /// What an attempt came to; `None`: make another.
    fn judge<T>(
        &self,
        number: u64,
        attempt: u8,
        answer: Result<RedisResult<T>, Elapsed>,
    ) -> Option<Result<T, StoreError>> {
        let error = match answer {
            Ok(Ok(value)) => return Some(Ok(value)),
            Ok(Err(error)) => error,
            Err(_) => {
                self.drop_wire(number);
                return Some(Err(
                    self.unavailable(&format!("no answer within {} s", ANSWER.as_secs()))
                ));
            }
        };
        let broken = is_broken(&error);
        if broken {
            self.drop_wire(number);
        }
        (!broken || attempt > 0).then(|| Err(self.translate(&error)))
    }

    async fn wire(&self) -> Result<(u64, Wire), StoreError> {
        if let Some(found) = self.current()? {
            return Ok(found);
        }
        let mut target = self.target.lock().await;
        // Somebody else was at it.
        if let Some(found) = self.current()? {
            return Ok(found);
        }
        let made = match tokio::time::timeout(CONNECT, target.connect()).await {
            Ok(made) => made.map_err(|error| self.translate(&error)),
            Err(_) => Err(self.unavailable(&format!("no connection within {} s", CONNECT.as_secs()))),
        };
        let mut state = self.state();
        match made {
            Ok(wire) => {
                state.number += 1;
                state.wire = Some(wire.clone());
                state.failed = None;
                Ok((state.number, wire))
            }
            Err(error) => {
                state.failed = Some((tokio::time::Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn current(&self) -> Result<Option<(u64, Wire)>, StoreError> {
        let state = self.state();
        match (&state.wire, &state.failed) {
            (Some(wire), _) => Ok(Some((state.number, wire.clone()))),
            (None, Some((when, error))) if when.elapsed() < PAUSE => Err(error.clone()),
            _ => Ok(None),
        }
    }

    fn drop_wire(&self, number: u64) {
        let mut state = self.state();
        if state.number == number {
            state.wire = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn translate(&self, error: &RedisError) -> StoreError {
        match error.code() {
            Some("OOM") => StoreError::Full {
                cause: format!("redis {}: the limit of its memory is reached", self.name),
            },
            _ => self.unavailable(&describe(error)),
        }
    }

    fn unavailable(&self, cause: &str) -> StoreError {
        StoreError::unavailable(format!("redis {}: {cause}", self.name))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}

// === impl Target ===

impl Target {
    fn new(settings: &RedisSettings) -> RedisResult<Self> {
        let certificates = settings.tls.then(|| TlsCertificates {
            client_tls: None,
            root_cert: settings.ca.clone(),
        });
        let password = settings.password.as_ref().map(|password| password.expose());
        Ok(match &settings.layout {
            RedisLayout::Single => {
                let address = settings.addresses.first().ok_or_else(no_address)?;
                let info = info(address, settings)?;
                Self::Single(Box::new(match certificates {
                    Some(certificates) => Client::build_with_tls(info, certificates)?,
                    None => Client::open(info)?,
                }))
            }
            RedisLayout::Sentinel(service) => {
                let sentinels = settings.addresses.iter().map(|address| addr(address, settings.tls));
                let mut builder = SentinelClientBuilder::new(sentinels, service, SentinelServerType::Master)?
                    .set_client_to_redis_db(settings.database);
                if let Some(certificates) = certificates {
                    builder = builder
                        .set_client_to_redis_tls_mode(TlsMode::Secure)
                        .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                        .set_client_to_redis_certificates(certificates.clone())
                        .set_client_to_sentinel_certificates(certificates);
                }
                if let Some(user) = &settings.user {
                    builder = builder.set_client_to_redis_username(user);
                }
                if let Some(password) = password {
                    builder = builder.set_client_to_redis_password(password);
                }
                if let Some(password) = &settings.sentinel_password {
                    builder = builder.set_client_to_sentinel_password(password.expose());
                }
                Self::Sentinel(Box::new(builder.build()?))
            }
            RedisLayout::Cluster => {
                let nodes: RedisResult<Vec<_>> = settings
                    .addresses
                    .iter()
                    .map(|address| info(address, settings))
                    .collect();
                let mut builder = ClusterClient::builder(nodes?)
                    .connection_timeout(CONNECT)
                    .response_timeout(ANSWER)
                    .retries(4)
                    .max_retry_wait(400);
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates);
                }
                if let Some(user) = &settings.user {
                    builder = builder.username(user);
                }
                if let Some(password) = password {
                    builder = builder.password(password);
                }
                Self::Cluster(Box::new(builder.build()?))
            }
        })
    }

    async fn connect(&mut self) -> RedisResult<Wire> {
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            // `Link` waits for no answer longer than that.
            .set_response_timeout(None);
        Ok(match self {
            Self::Single(client) => Wire::Node(client.get_multiplexed_async_connection_with_config(&limits).await?),
            Self::Sentinel(client) => Wire::Node(client.get_async_connection_with_config(&limits).await?),
            Self::Cluster(client) => Wire::Cluster(client.get_async_connection().await?),
        })
    }
}

// === impl Wire ===

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Node(node) => node.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Node(node) => node.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Node(node) => node.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

fn addr(address: &Address, tls: bool) -> ConnectionAddr {
    let (host, port) = (address.host.clone(), address.port);
    match tls {
        true => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
        false => ConnectionAddr::Tcp(host, port),
    }
}

fn info(address: &Address, settings: &RedisSettings) -> RedisResult<ConnectionInfo> {
    let mut redis = RedisConnectionInfo::default().set_db(settings.database);
    if let Some(user) = &settings.user {
        redis = redis.set_username(user);
    }
    if let Some(password) = &settings.password {
        redis = redis.set_password(password.expose());
    }
    Ok(addr(address, settings.tls)
        .into_connection_info()?
        .set_redis_settings(redis))
}

/// Whether the connection is of no use any more, or leads to a server that takes no writes (any more).
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// What went wrong, in words that hold nothing of what was sent.
fn describe(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::AuthenticationFailed => "it refuses the user or the password".to_owned(),
        ErrorKind::Server(_) | ErrorKind::Extension => {
            format!("it answers {}", error.code().unwrap_or("with an error"))
        }
        _ => error.to_string(),
    }
}

fn no_address() -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, "there is no address"))
}
