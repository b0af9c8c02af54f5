//! Starting the command, reading what it says, and asking its servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine: a test that waits for so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

/// What a command that has ended left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the command in a directory until it ends.
pub(crate) fn portcullis(dir: &Path, arguments: &[&str]) -> Ended {
    let output = command(dir, arguments).output().unwrap();
    Ended {
        status: output.status.code().expect("it ended by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same with this as its standard output.
pub(crate) fn portcullis_writes_to(dir: &Path, arguments: &[&str], output: Stdio) -> Ended {
    let mut child = command(dir, arguments)
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A reader that is gone at once.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    Ended {
        status: output.status.code().expect("it ended by itself"),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same with something on its standard input.
pub(crate) fn portcullis_reads(dir: &Path, arguments: &[&str], input: &str) -> Ended {
    let mut child = command(dir, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that needs none of it may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        status: output.status.code().expect("it ended by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A command that runs. It dies with this value.
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// Starts the command in a directory.
pub(crate) fn start(dir: &Path, arguments: &[&str]) -> Running {
    start_with(dir, arguments, &[])
}

/// The same with variables of the environment.
pub(crate) fn start_with(dir: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Running {
    let mut child = command(dir, arguments)
        .envs(env.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = lines(child.stdout.take().unwrap());
    let stderr = lines(child.stderr.take().unwrap());
    Running { child, stdout, stderr }
}

impl Running {
    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it writes to stdout.
    pub(crate) fn line(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).unwrap_or_else(|why| {
            let errors: Vec<String> = self.stderr.try_iter().collect();
            panic!("no line on stdout: {why}; stderr: {errors:?}")
        })
    }

    /// The next line that it writes to stderr.
    pub(crate) fn error_line(&self) -> String {
        self.stderr
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|why| panic!("no line on stderr: {why}"))
    }

    /// Waits for its end; what was not read before is given.
    pub(crate) fn ended(mut self) -> Ended {
        let rest = |lines: &Receiver<String>| {
            let mut text = String::new();
            loop {
                match lines.recv_timeout(PATIENCE) {
                    Ok(line) => text = text + &line + "\n",
                    Err(RecvTimeoutError::Disconnected) => return text,
                    Err(RecvTimeoutError::Timeout) => panic!("it goes on: {text}"),
                }
            }
        };
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        let status = self.child.wait().unwrap().code().expect("it ended by itself");
        Ended { status, stdout, stderr }
    }

    /// Waits until `ready` says so.
    pub(crate) fn wait_until(&self, what: &str, mut ready: impl FnMut() -> bool) {
        let begun = Instant::now();
        let mut said = Vec::new();
        while !ready() {
            // The pause is over early when it says something, and the test when it is gone.
            match self.stdout.recv_timeout(STEP) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    panic!(
                        "it ended before {what}: {said:?} {:?}",
                        self.stderr.iter().collect::<Vec<_>>()
                    )
                }
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}: {said:?}");
        }
    }

    /// Sends a signal, waits for the end, and gives the status and what was left on stdout and stderr.
    pub(crate) fn end_by(mut self, signal: &str) -> (ExitStatus, Vec<String>, Vec<String>) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success(), "kill {signal}");
        let until_closed = |lines: &Receiver<String>| {
            let mut left = Vec::new();
            loop {
                match lines.recv_timeout(PATIENCE) {
                    Ok(line) => left.push(line),
                    Err(RecvTimeoutError::Disconnected) => return left,
                    Err(RecvTimeoutError::Timeout) => panic!("it goes on after {signal}: {left:?}"),
                }
            }
        };
        let (stdout, stderr) = (until_closed(&self.stdout), until_closed(&self.stderr));
        (self.child.wait().unwrap(), stdout, stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// `GET url`, as a program asks; `None` where nobody listens.
pub(crate) fn try_get(url: &str) -> Option<Answer> {
    let (authority, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap_or((url, ""));
    let mut stream = TcpStream::connect(authority).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

pub(crate) fn get(url: &str) -> Answer {
    try_get(url).unwrap_or_else(|| panic!("{url} does not answer"))
}

/// Different free ports of 127.0.0.1, for configurations that must name them.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null());
    command
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
