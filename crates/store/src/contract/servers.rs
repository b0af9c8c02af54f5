//! Real servers, started for a test: Redis alone, behind Sentinel or as a cluster, and PostgreSQL.
//!
//! Each has a directory and ports of its own, and is gone when it is dropped.

mod postgres;
mod redis;
mod tls;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_jose::random_token;

pub use self::postgres::Postgres;
pub use self::redis::{Redis, RedisCluster, RedisSentinel};
pub use self::tls::Certificates;

/// A machine that is busy is no fault of what is tested.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(10);

/// A directory that is gone when it is dropped.
#[derive(Debug)]
struct Directory(PathBuf);

/// A program that is killed when it is dropped.
#[derive(Debug)]
struct Process(Child);

impl Directory {
    fn new(what: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portcullis-{what}-{}", random_token(9)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        let started = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(
            started
                .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask test` installs what the tests need")),
        )
    }

    fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Ends it as a power cut would.
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody uses at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Tries until `ready` says yes.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody tells when a server is ready: it is asked again and again"
)]
fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not ready");
        std::thread::sleep(STEP);
    }
}

fn accepts(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn run(command: &mut Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Tries until it says yes.
///
/// # Panics
/// When it never does.
pub async fn until(ready: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !ready().await {
        assert!(begun.elapsed() < PATIENCE, "it never came to pass");
        tokio::time::sleep(STEP).await;
    }
}
