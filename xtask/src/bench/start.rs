//! `cargo xtask bench start`: from start to ready, memory at rest, size on disk; and `inspect`, from start to exit.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::provider::Provider;
use super::{directory, free_port, load, median, need, peers, process, release};
use crate::sh::{self, Failure, Outcome, Server};

const STARTS: usize = 15;
const INSPECTIONS: usize = 100;

/// Prints the three numbers and writes `target/bench/start.json`.
pub(super) fn run() -> Outcome {
    need(&[("openssl", "openssl")])?;
    let binary = release()?;
    let directory = directory()?;
    let provider = Provider::start(&directory)?;
    let mut milliseconds = Vec::new();
    let mut resident = Vec::new();
    for _ in 0..STARTS {
        let (port, admin) = (free_port()?, free_port()?);
        let file = directory.join("start.toml");
        // Nothing is forwarded here, so nothing needs to listen at the upstream.
        sh::write(
            &file,
            &peers::portcullis_config(port, admin, free_port()?, &provider.issuer),
        )?;
        let began = Instant::now();
        let mut command = sh::here(&binary);
        let mut server = Server::start(
            "portcullis",
            command.args(["serve", "--config"]).arg(&file),
            &directory.join("start.log"),
        )?;
        until_ready(&mut server, admin)?;
        milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
        // What start-up allocated and gave back settles.
        sh::pause(Duration::from_millis(500));
        resident.push(process::resident_kib(server.pid())? as f64 / 1024.0);
    }
    let inspected = inspect(&binary, &directory, &provider.token()?)?;
    let size = std::fs::metadata(&binary)
        .map_err(|error| sh::at(&binary, &error))?
        .len() as f64
        / 1048576.0;
    let (ready, memory) = (median(&milliseconds), median(&resident));
    let slowest = milliseconds.iter().copied().fold(0.0, f64::max);
    println!("start to ready    {ready:>8.1} ms   (median of {STARTS}; the slowest {slowest:.1} ms)");
    println!("resident, idle    {memory:>8.1} MiB");
    println!("inspect a token   {inspected:>8.1} ms   (median of {INSPECTIONS})");
    println!("release binary    {size:>8.1} MiB");
    let result = json!({
        "processor": process::processor(), "starts": STARTS, "ready_ms": ready, "ready_ms_all": milliseconds,
        "resident_mib": memory, "binary_mib": size, "inspect_ms": inspected,
    });
    sh::write(&directory.join("start.json"), &format!("{result:#}\n"))
}

/// Milliseconds of `portcullis inspect` on an access token of 1.1 KB, from the spawn of the process to its end.
fn inspect(binary: &Path, directory: &Path, token: &str) -> Outcome<f64> {
    let file = directory.join("token.txt");
    sh::write(&file, token)?;
    let mut milliseconds = Vec::new();
    for _ in 0..INSPECTIONS {
        let token = std::fs::File::open(&file).map_err(|error| sh::at(&file, &error))?;
        let began = Instant::now();
        let output = sh::here(binary).args(["inspect", "-"]).stdin(token).output()?;
        milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
        if !String::from_utf8_lossy(&output.stdout).contains("access token") {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure(format!("inspect did not look at the token: {said}")));
        }
    }
    Ok(median(&milliseconds))
}

fn until_ready(server: &mut Server, admin: u16) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        server.still_runs()?;
        if let Ok((200, _)) = load::get(admin, "/readyz", &[]) {
            return Ok(());
        }
        sh::pause(Duration::from_millis(1));
    }
    Err(Failure::new("not ready in 20 s; the log is target/bench/start.log"))
}
