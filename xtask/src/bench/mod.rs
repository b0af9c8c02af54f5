//! `cargo xtask bench`: whole programs, measured from outside. `docs/BENCHMARKING.md` says how noise is handled.

mod contender;
mod gateway;
mod key;
mod load;
mod peers;
mod process;
mod provider;
mod session_peers;
mod sessions;
mod sign_in;
mod start;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::packages;
use crate::sh::{self, Outcome};

/// A benchmark by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Gateway,
    Sessions,
    Start,
    Jose,
}

// === impl Which ===

impl Which {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "gateway" => Some(Self::Gateway),
            "sessions" => Some(Self::Sessions),
            "start" => Some(Self::Start),
            "jose" => Some(Self::Jose),
            _ => None,
        }
    }
}

/// Runs one benchmark.
pub(crate) fn command(which: Which) -> Outcome {
    match which {
        Which::Gateway => gateway::run(),
        Which::Sessions => sessions::run(),
        Which::Start => start::run(),
        Which::Jose => sh::run(sh::cargo().args(["bench", "--locked", "--package", "portcullis-bench"])),
    }
}

/// Where configurations, logs and results go.
fn directory() -> Outcome<PathBuf> {
    let directory = sh::target()?.join("bench");
    std::fs::create_dir_all(&directory).map_err(|error| sh::at(&directory, &error))?;
    Ok(directory)
}

/// Keeps a result beside the logs.
fn record(directory: &Path, name: &str, result: &Value) -> Outcome {
    let file = directory.join(format!("{name}.json"));
    sh::write(&file, &format!("{result:#}\n"))?;
    println!(
        "written to {}",
        file.strip_prefix(sh::root()).unwrap_or(&file).display()
    );
    Ok(())
}

/// The release build of the command.
fn release() -> Outcome<PathBuf> {
    sh::run(sh::cargo().args(["build", "--release", "--locked", "--package", "portcullis"]))?;
    Ok(sh::target()?.join("release/portcullis"))
}

/// The programs that a benchmark uses, as pairs of a program and its Debian package.
fn need(programs: &[(&str, &str)]) -> Outcome {
    let wanted: Vec<&str> = programs
        .iter()
        .filter_map(|(program, package)| packages::missing(program, package))
        .collect();
    packages::install(&wanted)
}

/// A loopback port that was free a moment ago.
fn free_port() -> Outcome<u16> {
    let socket = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(socket.local_addr()?.port())
}

/// The middle of the values; of an even number, the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => f64::NAN,
        (Some(value), 1) => *value,
        (Some(value), _) => sorted
            .get(middle - 1)
            .map_or(*value, |below| f64::midpoint(*below, *value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }
}
