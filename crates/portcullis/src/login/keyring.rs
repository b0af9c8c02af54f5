//! The operating system's keyring, through the program that comes with it: `secret-tool` of libsecret (GNOME Keyring,
//! KWallet, KeePassXC) and `security` of macOS. Secrets go through pipes, never through arguments.

use std::io::{ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use portcullis_jose::Secret;

/// Why the keyring was of no use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// There is none, or its program is missing.
    Absent(String),
    /// It has nothing of this name.
    NotFound,
}

#[cfg(not(target_os = "macos"))]
mod system {
    use super::*;

    const PROGRAM: &str = "secret-tool";

    pub(in super::super) fn store(account: &str, secret: &Secret) -> Result<(), Failed> {
        let label = format!("--label=Portcullis login {account}");
        let arguments = ["store", &label, "application", "portcullis", "login", account];
        let output = run(PROGRAM, &arguments, secret.expose())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(absent(PROGRAM, &output))
        }
    }

    pub(in super::super) fn find(account: &str) -> Result<Secret, Failed> {
        let output = run(PROGRAM, &["lookup", "application", "portcullis", "login", account], "")?;
        // It says nothing where there is nothing, and why where it cannot tell.
        found(PROGRAM, output)
    }

    pub(in super::super) fn forget(account: &str) -> Result<(), Failed> {
        let output = run(PROGRAM, &["clear", "application", "portcullis", "login", account], "")?;
        if output.status.success() {
            Ok(())
        } else {
            Err(absent(PROGRAM, &output))
        }
    }
}

#[cfg(target_os = "macos")]
mod system {
    use super::*;

    const PROGRAM: &str = "/usr/bin/security";
    const SERVICE: &str = "portcullis login";

    pub(in super::super) fn store(account: &str, secret: &Secret) -> Result<(), Failed> {
        // With -i it reads the command from a pipe, where no list of processes shows it.
        let quoted = account.replace(['\\', '"'], "_");
        let command = format!(
            "add-generic-password -U -s \"{SERVICE}\" -a \"{quoted}\" -w \"{}\"\n",
            secret.expose()
        );
        let output = run(PROGRAM, &["-i"], &command)?;
        if output.status.success() {
            Ok(())
        } else {
            Err(absent(PROGRAM, &output))
        }
    }

    pub(in super::super) fn find(account: &str) -> Result<Secret, Failed> {
        let quoted = account.replace(['\\', '"'], "_");
        let output = run(
            PROGRAM,
            &["find-generic-password", "-s", SERVICE, "-a", &quoted, "-w"],
            "",
        )?;
        found(PROGRAM, output)
    }

    pub(in super::super) fn forget(account: &str) -> Result<(), Failed> {
        let quoted = account.replace(['\\', '"'], "_");
        let output = run(PROGRAM, &["delete-generic-password", "-s", SERVICE, "-a", &quoted], "")?;
        if output.status.success() {
            Ok(())
        } else {
            Err(absent(PROGRAM, &output))
        }
    }
}

pub(super) use system::{find, forget, store};

fn found(program: &str, output: Output) -> Result<Secret, Failed> {
    if !output.status.success() {
        return Err(match output.stderr.is_empty() {
            true => Failed::NotFound,
            false => absent(program, &output),
        });
    }
    match String::from_utf8(output.stdout) {
        Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
        _ => Err(Failed::NotFound),
    }
}

fn absent(program: &str, output: &Output) -> Failed {
    let said = String::from_utf8_lossy(&output.stderr);
    let line: String = said
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    Failed::Absent(format!(
        "{program}: {}",
        if line.is_empty() { "it failed" } else { &line }
    ))
}

fn run(program: &str, arguments: &[&str], input: &str) -> Result<Output, Failed> {
    let why = |error: std::io::Error| {
        Failed::Absent(match error.kind() {
            ErrorKind::NotFound => format!("there is no program {program}"),
            _ => format!("{program}: {error}"),
        })
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(why)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that wants none of it may be gone already.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(why)
}
