//! Access tokens by the thousand, for a load in which every token is new: `mint KEY.pem CLAIMS.json COUNT`.
//!
//! One RS256 token a line, each with a `jti` of its own; the other claims are those of the file.
#![expect(clippy::print_stderr, reason = "it is the command's output")]

use std::io::Write as _;
use std::process::ExitCode;
use std::thread;

use portcullis_jose::{Algorithm, SigningKey};
use serde_json::Value;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), String> {
    let [key, claims, count] = args else {
        return Err("usage: mint KEY.pem CLAIMS.json COUNT".to_owned());
    };
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let signer = SigningKey::from_pem(&read(key)?, Algorithm::RS256).map_err(|error| format!("{key}: {error}"))?;
    let signer = &signer.with_kid("bench-1".to_owned());
    let claims: Value = serde_json::from_str(&read(claims)?).map_err(|error| format!("{claims}: {error}"))?;
    let count: usize = count.parse().map_err(|_| format!("{count} is no number"))?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let parts = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let claims = claims.clone();
                scope.spawn(move || mint(signer, claims, (thread..count).step_by(threads)))
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err("a thread died".to_owned())))
            .collect::<Result<Vec<String>, String>>()
    })?;
    let mut out = std::io::stdout().lock();
    parts
        .iter()
        .try_for_each(|lines| out.write_all(lines.as_bytes()))
        .map_err(|error| error.to_string())
}

fn mint(signer: &SigningKey, mut claims: Value, numbers: impl Iterator<Item = usize>) -> Result<String, String> {
    let mut lines = String::new();
    for number in numbers {
        if let Some(jti) = claims.get_mut("jti") {
            *jti = format!("7f5c3c1e-5a3b-4f0e-8d0b-{number:012x}").into();
        }
        lines.push_str(&signer.sign_jwt("at+jwt", &claims).map_err(|error| error.to_string())?);
        lines.push('\n');
    }
    Ok(lines)
}
