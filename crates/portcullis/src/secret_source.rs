//! Where a secret comes from, read at the start and again while the program runs.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use portcullis_jose::Secret;

pub(crate) const MAX_BYTES: u64 = 64 * 1024;
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// A file that its owner alone can read.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// The standard output of a program that is run in a directory.
    Command {
        /// The program and its arguments.
        words: Vec<String>,
        /// Where it is run.
        dir: PathBuf,
    },
    /// The configuration itself, on loopback.
    Written,
}

/// What a secret looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One line of text. A line break at its end is left out.
    Line,
    /// PEM or JSON.
    Key,
}

/// By what a change is seen without reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<(SystemTime, u64, u64)>>);

// === impl SecretSource ===

impl SecretSource {
    /// What it gives now. It may take as long as the program does.
    pub(crate) fn read(&self, shape: Shape) -> Result<Option<Secret>, String> {
        let bytes = match self {
            SecretSource::File(path) => {
                if let Some(mode) = mode_of(path).filter(|mode| mode & 0o077 != 0) {
                    return Err(format!("other users can read it (mode {:04o})", mode & 0o7777));
                }
                let mut bytes = Vec::new();
                let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
                let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
                read.map_err(|error| error.to_string())?;
                bytes
            }
            SecretSource::Env(name) => match std::env::var_os(name) {
                Some(value) => value.into_encoded_bytes(),
                // The start had it from elsewhere.
                None => return Ok(None),
            },
            SecretSource::Command { words, dir } => run(words, dir)?,
            SecretSource::Written => return Ok(None),
        };
        shape.read(bytes).map(Some).map_err(str::to_owned)
    }

    /// Its files.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            SecretSource::File(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::File(path) => write!(f, "file {}", path.display()),
            SecretSource::Env(name) => write!(f, "variable {name}"),
            SecretSource::Command { words, .. } => {
                write!(f, "command {}", words.first().map_or("", String::as_str))
            }
            SecretSource::Written => f.write_str("the configuration"),
        }
    }
}

// === impl Shape ===

impl Shape {
    /// The secret in these bytes, or why there is none.
    pub(crate) fn read(self, bytes: Vec<u8>) -> Result<Secret, &'static str> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err("more than 64 KiB");
        }
        check_encoding(&bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.trim().is_empty() {
            return Err("nothing in it");
        }
        let odd = line.trim() != line || line.chars().any(char::is_control);
        match self {
            Shape::Line if odd => Err("a space, line break or control character too many"),
            Shape::Line => Ok(Secret::new(line)),
            Shape::Key => Ok(Secret::new(text)),
        }
    }
}

/// What editors and shells of Windows put in front of a text. It would be sent as a part of the secret, which nobody sees.
/// It is not taken off either: a secret is what is there, byte for byte.
pub(crate) fn check_encoding(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Err("a byte order mark in front (U+FEFF): save it as UTF-8 without one"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Err("UTF-16, as PowerShell writes with `>`: save it as UTF-8 without a byte order mark")
        }
        _ => Ok(()),
    }
}

// === impl Stamp ===

impl Stamp {
    /// Of these files, as they are now.
    pub(crate) fn of<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Stamp {
        let stamp = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), inode(&metadata)))
        };
        Stamp(paths.into_iter().map(stamp).collect())
    }
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &std::fs::Metadata) -> u64 {
    0
}

/// The standard output of a program, without a shell.
pub(crate) fn run(words: &[String], dir: &Path) -> Result<Vec<u8>, String> {
    let (program, arguments) = words.split_first().ok_or("no program is named")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if !dir.as_os_str().is_empty() {
        command.current_dir(dir);
    }
    run_within(command, COMMAND_TIME)
}

/// The standard output of a program that ends well and in time.
fn run_within(mut command: Command, time: Duration) -> Result<Vec<u8>, String> {
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(MAX_BYTES + 1).read_to_end(&mut bytes);
            // Nobody listens any more where the time was over.
            let _ = sender.send(read.map(|_| bytes));
        });
    }
    let Ok(output) = receiver.recv_timeout(time) else {
        // It may have ended in this moment.
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("it took longer than {} s", time.as_secs()));
    };
    let status = child.wait().map_err(|error| error.to_string())?;
    match output {
        Ok(bytes) if status.success() => Ok(bytes),
        Ok(_) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(unix)]
pub(crate) fn mode_of(file: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(std::fs::metadata(file).ok()?.permissions().mode())
}

#[cfg(not(unix))]
pub(crate) fn mode_of(_: &Path) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    #[test]
    fn a_command_gives_its_output_when_it_ends_well_and_in_time() {
        let long = Duration::from_secs(60);
        assert_eq!(run_within(shell("echo abc"), long).unwrap(), b"abc\n");
        assert!(run_within(shell("echo abc; exit 3"), long).unwrap_err().contains('3'));
        assert!(run_within(Command::new("/no/such/program"), long).is_err());
        assert!(
            run_within(shell("exec sleep 600"), Duration::from_millis(20))
                .unwrap_err()
                .contains("longer")
        );
    }
}
