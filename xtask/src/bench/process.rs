//! What the kernel knows of a process, from `/proc`.

use std::path::Path;
use std::process::Command;

use crate::sh::{self, Failure, Outcome};

/// CPU seconds, user and system, of all threads of a process and of its children that still run.
pub(super) fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let ticks = ticks(&sh::read(Path::new(&format!("/proc/{pid}/stat")))?)
        .ok_or_else(|| Failure(format!("/proc/{pid}/stat is not as expected")))?;
    let mut seconds = ticks as f64 / ticks_per_second()?;
    for child in sh::read(Path::new(&format!("/proc/{pid}/task/{pid}/children")))?.split_whitespace() {
        if let Ok(child) = child.parse() {
            seconds += cpu_seconds(child)?;
        }
    }
    Ok(seconds)
}

/// Resident memory in KiB.
pub(super) fn resident_kib(pid: u32) -> Outcome<u64> {
    let status = sh::read(Path::new(&format!("/proc/{pid}/status")))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Failure(format!("/proc/{pid}/status has no VmRSS")))
}

/// The model of the processor, for the record beside the numbers.
pub(super) fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// User and system ticks: fields 14 and 15, counted behind the name, which may hold blanks and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn ticks_per_second() -> Outcome<f64> {
    let text = sh::capture(Command::new("getconf").arg("CLK_TCK"))?;
    text.trim()
        .parse()
        .map_err(|_| Failure::new("getconf CLK_TCK gave no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_behind_the_name() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1000 0 0 0 123 45 0 0 20 0 2 0 100 1000000 200";
        assert_eq!(ticks(stat), Some(168));
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_kib(pid).unwrap() > 100);
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
    }
}
