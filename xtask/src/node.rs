//! Node, and the npm packages that tests use.

use std::path::Path;
use std::process::Command;

use crate::packages;
use crate::sh::{self, Failure, Outcome};

/// The oldest Node that the tests run on.
const OLDEST: u32 = 20;

/// Directories whose packages the tests need.
pub(crate) const PACKAGES: &[&str] = &["web/tests", "examples/react", "interop/oidc-provider", "interop/jose"];

/// Node and npm, installed where they are missing, and every package as its lock file says.
pub(crate) fn prepare() -> Outcome {
    let wanted: Vec<&str> = [packages::missing("node", "nodejs"), packages::missing("npm", "npm")]
        .into_iter()
        .flatten()
        .collect();
    packages::install(&wanted)?;
    let version = sh::capture(Command::new("node").arg("--version"))?;
    match major(&version) {
        Some(major) if major >= OLDEST => {}
        _ => {
            return Err(Failure(format!(
                "node is {}, and the tests need {OLDEST} or newer",
                version.trim()
            )));
        }
    }
    for directory in PACKAGES {
        install(&sh::root().join(directory))?;
    }
    Ok(())
}

/// `npm ci`, unless `node_modules` was made from this very lock file.
fn install(directory: &Path) -> Outcome {
    let lock = sh::read(&directory.join("package-lock.json"))?;
    let mark = directory.join("node_modules/.made-from-lock.json");
    if std::fs::read_to_string(&mark).is_ok_and(|made_from| made_from == lock) {
        return Ok(());
    }
    sh::run(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(directory),
    )?;
    sh::write(&mark, &lock)
}

fn major(version: &str) -> Option<u32> {
    version.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("24.0.0"), Some(24));
        assert_eq!(major("node"), None);
    }
}
