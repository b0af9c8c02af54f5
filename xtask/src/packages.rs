//! Programs from the distribution: found, or installed through apt.

use std::path::Path;
use std::process::Command;

use crate::sh::{self, Failure, Outcome};

/// Installs the Debian packages among `wanted` that are missing.
pub(crate) fn install(wanted: &[&str]) -> Outcome {
    if wanted.is_empty() {
        return Ok(());
    }
    let list = wanted.join(" ");
    if sh::which("apt-get").is_none() {
        return Err(Failure(format!(
            "missing: {list}. There is no apt here: install them by hand"
        )));
    }
    let Some(how) = privilege() else {
        return Err(Failure(format!(
            "missing: {list}. Not root, and no sudo: run `apt-get install {list}` as root"
        )));
    };
    if apt(how, "install", wanted).is_ok() {
        return Ok(());
    }
    // The usual reason: the lists are old, or were never fetched.
    apt(how, "update", &[])?;
    apt(how, "install", wanted)
}

/// The package, when the program is not there.
pub(crate) fn missing<'a>(program: &str, package: &'a str) -> Option<&'a str> {
    sh::which(program).is_none().then_some(package)
}

/// Chromium, installed where it is missing, and a font to draw its pages with.
pub(crate) fn chromium() -> Outcome<std::path::PathBuf> {
    let found = || {
        let named = std::env::var("CHROMIUM").ok();
        named
            .iter()
            .map(String::as_str)
            .chain(["chromium", "chromium-browser", "google-chrome"])
            .find_map(sh::which)
    };
    let mut wanted = Vec::new();
    if found().is_none() {
        wanted.push("chromium");
    }
    // Without any font, Chromium draws boxes and the screenshots are worth nothing.
    if !Path::new("/usr/share/fonts/truetype").is_dir() {
        wanted.push("fonts-dejavu-core");
    }
    let installed = install(&wanted);
    match found() {
        Some(program) => Ok(program),
        None => Err(installed
            .err()
            .unwrap_or_else(|| Failure::new("chromium was installed, but there is no program"))),
    }
}

/// Redis and PostgreSQL, installed where they are missing.
pub(crate) fn databases() -> Outcome {
    let mut wanted: Vec<&str> = [
        ("redis-server", "redis-server"),
        ("redis-cli", "redis-tools"),
        ("openssl", "openssl"),
    ]
    .into_iter()
    .filter_map(|(program, package)| missing(program, package))
    .collect();
    // Debian keeps the server's programs off the path, by version.
    let postgres = Path::new("/usr/lib/postgresql").is_dir() || sh::which("initdb").is_some();
    if !postgres {
        wanted.push("postgresql");
    }
    install(&wanted)
}

pub(crate) fn is_root() -> bool {
    sh::capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// How root is had: directly, through sudo, or not at all.
fn privilege() -> Option<&'static [&'static str]> {
    if is_root() {
        return Some(&["env"]);
    }
    // `-n`: never wait for a password that nobody is there to type.
    sh::which("sudo").map(|_| ["sudo", "-n", "env"].as_slice())
}

fn apt(how: &[&str], action: &str, packages: &[&str]) -> Outcome {
    let Some((program, before)) = how.split_first() else {
        return Err(Failure::new("no way to run apt-get"));
    };
    let mut command = Command::new(program);
    command
        .args(before)
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"])
        .arg(action);
    if action == "install" {
        command.arg("--no-install-recommends").args(packages);
    }
    sh::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for() {
        assert_eq!(missing("sh", "dash"), None);
        assert_eq!(
            missing("no-such-program-anywhere", "some-package"),
            Some("some-package")
        );
        assert_eq!(install(&[]), Ok(()));
    }
}
