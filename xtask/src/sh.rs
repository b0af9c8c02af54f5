//! Other programs: where they are, how they are run, and what is said when they fail.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What went wrong, in words for the person at the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);

/// The outcome of everything here.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// A server that ends when this value goes.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

// === impl Server ===

impl Server {
    /// Starts a server with its errors in `log`. Standard output, where access logs go, is read by nobody.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Outcome<Self> {
        let errors = std::fs::File::create(log).map_err(|error| at(log, &error))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .map_err(|error| Failure(format!("{name} does not start: {error}")))?;
        Ok(Self {
            child,
            name,
            log: log.to_owned(),
        })
    }

    /// The number of the process that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error when the process is gone.
    pub(crate) fn still_runs(&mut self) -> Outcome {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let said = read(&self.log).unwrap_or_default();
        Err(Failure(format!(
            "{} ended by itself: {status}\n{}",
            self.name,
            said.trim_end()
        )))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // SIGTERM first: nginx's master has a worker to take along.
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        let deadline = Instant::now() + Duration::from_secs(3);
        while asked.is_ok() && Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            pause(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Cargo's target directory, wherever it is set to be.
pub(crate) fn target() -> Outcome<PathBuf> {
    let text = capture(cargo().args(["metadata", "--format-version=1", "--no-deps", "--offline", "--locked"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| Failure(format!("cargo metadata is no JSON: {error}")))?;
    metadata
        .get("target_directory")
        .and_then(serde_json::Value::as_str)
        .map(PathBuf::from)
        .ok_or_else(|| Failure::new("cargo metadata has no target_directory"))
}

/// The cargo that runs this, in the root.
pub(crate) fn cargo() -> Command {
    here(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A command in the root.
pub(crate) fn here(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs with the terminal as output; an error when it fails.
pub(crate) fn run(command: &mut Command) -> Outcome {
    eprintln!("$ {}", shown(command));
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("`{}` failed: {status}", shown(command))))
    }
}

/// Runs, hands each line of standard output to `line`, and tells whether it succeeded.
pub(crate) fn run_lines(command: &mut Command, mut line: impl FnMut(&str)) -> Outcome<bool> {
    eprintln!("$ {}", shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(command, &error))?;
    if let Some(out) = child.stdout.take() {
        for text in BufReader::new(out).split(b'\n') {
            line(String::from_utf8_lossy(&text?).trim_end_matches('\r'));
        }
    }
    Ok(child.wait()?.success())
}

/// Standard output of a command that must succeed.
pub(crate) fn capture(command: &mut Command) -> Outcome<String> {
    let out = output(command)?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(Failure(format!(
        "`{}` failed: {}\n{}",
        shown(command),
        out.status,
        said.trim_end()
    )))
}

/// Everything that a command wrote, whether it succeeded or not.
pub(crate) fn output(command: &mut Command) -> Outcome<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot_start(command, &error))
}

/// Where a program is, by `PATH` or as the path that it is.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Path::new(program).is_file().then(|| program.into());
    }
    let path = std::env::var_os("PATH")?;
    // Debian keeps servers where an ordinary user's PATH does not look.
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.map(|place| place.join(program)).find(|file| file.is_file())
}

/// Lets another process get on before the next look at it.
pub(crate) fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
    {
        std::thread::park_timeout(left);
    }
}

/// An error at a file.
pub(crate) fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure(format!("{}: {error}", path.display()))
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| at(path, &error))
}

/// Writes a file, and the directories above it.
pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above).map_err(|error| at(above, &error))?;
    }
    std::fs::write(path, text).map_err(|error| at(path, &error))
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure(format!("`{}` cannot be started: {error}", shown(command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        let sh = which("sh").unwrap();
        assert_eq!(which(sh.to_str().unwrap()), Some(sh));
        assert_eq!(which("no-such-program-anywhere"), None);
        assert_eq!(which("/no/such/file"), None);
    }

    #[test]
    fn a_failed_command_tells_its_status_and_its_words() {
        let failed = capture(Command::new("sh").args(["-c", "echo why >&2; exit 3"]))
            .unwrap_err()
            .0;
        assert!(failed.contains("exit status: 3") && failed.ends_with("why"), "{failed}");
        assert_eq!(
            capture(Command::new("sh").args(["-c", "echo out"])),
            Ok("out\n".to_owned())
        );
    }

    #[test]
    fn lines_arrive_one_by_one() {
        let mut lines = Vec::new();
        let good = run_lines(Command::new("sh").args(["-c", "echo a; echo b; exit 1"]), |line| {
            lines.push(line.to_owned())
        });
        assert_eq!(good, Ok(false));
        assert_eq!(lines, ["a", "b"]);
    }
}
