//! A secret is named, never written: from a file, a variable or a command.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use portcullis_jose::Secret;
use toml::de::DeValue;

use crate::config::faults::FaultKind;
use crate::config::kinds::{list, path, text};
use crate::config::reader::{Context, Item, Reader, shown};
use crate::config::schema::{Kind, SECRET};
use crate::diagnostic::Diagnostic;

/// Whether `dev_only` may be used here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DevOnly {
    Allowed,
    /// Not, and what is not loopback.
    Refused(&'static str),
    /// What decides is itself wrong, and reported.
    Unknown,
}

const MAX_BYTES: u64 = 64 * 1024;
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// Reads a secret reference and what it leads to.
pub(crate) fn secret(cx: &Context<'_>, item: &Item<'_>, dev_only: DevOnly) -> Option<Secret> {
    let table = match item.value {
        DeValue::Table(table) => table,
        DeValue::String(_) => {
            let message = format!("{} is written into the configuration", item.what);
            let fault = item.fault(FaultKind::SecretInline, message, "whoever reads this file has it");
            let fault = fault.help("move it to a file of its own, `chmod 600` it, and name that: { file = \"PATH\" }");
            cx.push(fault.help("then change it at the provider: it may be in backups and in version control"));
            return None;
        }
        _ => {
            cx.push(item.wrong_type());
            return None;
        }
    };
    let reader = Reader::new(cx, &SECRET, item.what.clone(), table, item.span.clone());
    match reader.exactly_one(&["file", "env", "command", "dev_only"], None)? {
        "file" => reader.get("file", from_file),
        "env" => reader.get("env", from_env),
        "command" => reader.get("command", |cx, item| from_command(cx, item, COMMAND_TIME)),
        _ => reader.get("dev_only", |cx, item| from_text(cx, item, dev_only)),
    }
    .map(|secret| secret.value)
}

/// Says that others can read a file, if so. Returns whether they cannot.
pub(crate) fn is_private(cx: &Context<'_>, item: &Item<'_>, file: &Path) -> bool {
    let Some(mode) = mode_of(file) else { return true };
    if mode & 0o077 == 0 {
        return true;
    }
    let message = format!("other users can read the file of {}", item.what);
    let fault = FaultKind::SecretPermissions
        .says(message)
        .at(item.span.clone(), format!("its mode is {:04o}", mode & 0o7777));
    let fault = fault.expected("a file that its owner alone can read: mode 0600 or 0400");
    cx.push(fault.help(format!("chmod 600 {}", file.display())));
    false
}

fn from_file(cx: &Context<'_>, item: &Item<'_>) -> Option<Secret> {
    let file = path(cx, item)?;
    let unreadable = |why: String| unavailable(item, "the file cannot be read", why);
    let opened = match std::fs::File::open(&file) {
        Ok(opened) => opened,
        Err(error) => {
            cx.push(unreadable(error.to_string()).help(format!("the path is {}", file.display())));
            return None;
        }
    };
    if file.is_dir() {
        cx.push(unreadable("a directory".to_owned()));
        return None;
    }
    if !is_private(cx, item, &file) {
        return None;
    }
    let mut bytes = Vec::new();
    if let Err(error) = opened.take(MAX_BYTES + 1).read_to_end(&mut bytes) {
        cx.push(unreadable(error.to_string()));
        return None;
    }
    from_bytes(cx, item, bytes)
}

fn from_env(cx: &Context<'_>, item: &Item<'_>) -> Option<Secret> {
    let name = text(cx, item)?;
    match cx.env.var(&name) {
        Some(value) => from_bytes(cx, item, value.into_encoded_bytes()),
        None => {
            let fault = unavailable(item, "the variable is not set", "not set".to_owned());
            cx.push(fault.help(format!("set {} where portcullis is started", shown(&name))));
            None
        }
    }
}

fn from_command(cx: &Context<'_>, item: &Item<'_>, time: Duration) -> Option<Secret> {
    let words = list(cx, item, &Kind::Text, |cx, item| match item.value.as_str() {
        Some(word) => Some(word.to_owned()),
        None => {
            cx.push(item.wrong_type());
            None
        }
    })?;
    let mut words = words.into_iter().map(|word| word.value);
    let mut command = Command::new(words.next()?);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if !cx.base_dir.as_os_str().is_empty() {
        command.current_dir(cx.base_dir);
    }
    match run(command, time) {
        Ok(bytes) => from_bytes(cx, item, bytes),
        Err(why) => {
            let fault = unavailable(item, "the command failed", why);
            cx.push(fault.help("run it by hand, as the same user, to see its messages"));
            None
        }
    }
}

fn from_text(cx: &Context<'_>, item: &Item<'_>, dev_only: DevOnly) -> Option<Secret> {
    let secret = text(cx, item)?;
    match dev_only {
        DevOnly::Allowed => Some(Secret::new(secret)),
        DevOnly::Unknown => None,
        DevOnly::Refused(what) => {
            let message = format!("{} is not for this configuration: {what} is not loopback", item.what);
            let fault = item.fault(FaultKind::SecretInline, message, "whoever reads this file has it");
            cx.push(fault.help("move it to a file of its own, `chmod 600` it, and name that: { file = \"PATH\" }"));
            None
        }
    }
}

fn from_bytes(cx: &Context<'_>, item: &Item<'_>, bytes: Vec<u8>) -> Option<Secret> {
    let problem = if bytes.len() as u64 > MAX_BYTES {
        "more than 64 KiB"
    } else {
        match String::from_utf8(bytes) {
            Err(_) => "not UTF-8",
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                if text.trim().is_empty() {
                    "nothing in it"
                } else if text.trim() != text || text.chars().any(char::is_control) {
                    "a space, line break or control character too many"
                } else {
                    return Some(Secret::new(text));
                }
            }
        }
    };
    cx.push(unavailable(item, "what it gives is no secret", problem.to_owned()));
    None
}

fn unavailable(item: &Item<'_>, what: &str, why: String) -> Diagnostic {
    FaultKind::SecretUnavailable
        .says(format!("{}: {what}", item.what))
        .at(item.span.clone(), why)
        .expected("one line of text")
}

/// The standard output of a program that ends well and in time.
fn run(mut command: Command, time: Duration) -> Result<Vec<u8>, String> {
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
fn mode_of(file: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(std::fs::metadata(file).ok()?.permissions().mode())
}

#[cfg(not(unix))]
fn mode_of(_: &Path) -> Option<u32> {
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
        assert_eq!(run(shell("echo abc"), long).unwrap(), b"abc\n");
        assert!(run(shell("echo abc; exit 3"), long).unwrap_err().contains('3'));
        assert!(run(Command::new("/no/such/program"), long).is_err());
        assert!(
            run(shell("exec sleep 600"), Duration::from_millis(20))
                .unwrap_err()
                .contains("longer")
        );
    }
}
