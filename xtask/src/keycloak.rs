//! Keycloak: the server's own distribution, for the interoperability test.

use std::process::Command;

use crate::packages;
use crate::sh::{self, Failure, Outcome};

const VERSION: &str = "26.7.3";
/// SHA-256 of the distribution.
const DIGEST: &str = "77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47";
/// The oldest Java that this version runs on.
const OLDEST_JAVA: u32 = 17;
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";

/// The server in `target/tools/keycloak`, fetched where it is missing.
pub(crate) fn prepare() -> Outcome {
    let tools = sh::target()?.join("tools");
    let home = tools.join("keycloak");
    let java = [
        packages::missing("java", "default-jre-headless"),
        packages::missing("mvn", "maven"),
    ];
    packages::install(&java.into_iter().flatten().collect::<Vec<_>>())?;
    let java = sh::output(Command::new("java").arg("-version"))?;
    let told = String::from_utf8_lossy(&java.stderr);
    if major(&told).is_none_or(|major| major < OLDEST_JAVA) {
        let told = told.lines().next().unwrap_or_default();
        return Err(Failure(format!(
            "java is {told}, and Keycloak needs {OLDEST_JAVA} or newer"
        )));
    }
    if std::fs::read_to_string(home.join("version.txt")).is_ok_and(|text| text.trim_end().ends_with(VERSION)) {
        return Ok(());
    }
    let fetched = tools.join("keycloak-fetched");
    remove(&fetched)?;
    std::fs::create_dir_all(&fetched).map_err(|error| sh::at(&fetched, &error))?;
    sh::run(Command::new("mvn").args([
        "--batch-mode",
        "--quiet",
        PLUGIN,
        &format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"),
        &format!("-DoutputDirectory={}", fetched.display()),
    ]))?;
    let archive = fetched.join(format!("keycloak-quarkus-dist-{VERSION}.tar.gz"));
    let digest = sh::capture(Command::new("sha256sum").arg(&archive))?;
    if !digest.starts_with(DIGEST) {
        return Err(Failure(format!(
            "{} is not what was expected: {digest}",
            archive.display()
        )));
    }
    sh::run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&fetched))?;
    remove(&home)?;
    let unpacked = fetched.join(format!("keycloak-{VERSION}"));
    std::fs::rename(&unpacked, &home).map_err(|error| sh::at(&unpacked, &error))?;
    remove(&fetched)
}

fn remove(directory: &std::path::Path) -> Outcome {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(sh::at(directory, &error)),
        _ => Ok(()),
    }
}

/// The number in `openjdk version "17.0.15" 2025-04-15`.
fn major(told: &str) -> Option<u32> {
    told.split('"').nth(1)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_java_are_read() {
        assert_eq!(
            major("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"),
            Some(17)
        );
        assert_eq!(major("openjdk version \"25\" 2025-09-16"), Some(25));
        assert_eq!(major("java version \"1.8.0_202\""), Some(1));
        assert_eq!(major("not found"), None);
    }
}
