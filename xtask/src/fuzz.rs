//! `cargo xtask fuzz`: every fuzz target for a bounded time.

use std::path::Path;

use crate::ci;
use crate::packages;
use crate::sh::{self, Failure, Outcome};

const CARGO_FUZZ: (&str, &str) = ("cargo-fuzz", "0.13.2");

/// How long a target runs when nothing is said.
const SECONDS: u32 = 30;

/// What to run, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fuzz {
    target: Option<String>,
    seconds: u32,
}

impl Fuzz {
    /// Reads `[--seconds N] [TARGET]`.
    pub(crate) fn from_args(args: &[&str]) -> Outcome<Self> {
        let mut fuzz = Self {
            target: None,
            seconds: SECONDS,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match (*arg, fuzz.target.is_some()) {
                ("--seconds", _) => {
                    let seconds = args.next().and_then(|text| text.parse().ok());
                    fuzz.seconds = seconds.ok_or_else(|| Failure::new("`--seconds` needs a whole number"))?;
                }
                (name, false) if !name.starts_with('-') => fuzz.target = Some(name.to_owned()),
                (other, _) => return Err(Failure(format!("`fuzz` does not understand `{other}`"))),
            }
        }
        Ok(fuzz)
    }

    /// Runs; an error when a target found something, whose input is then in `fuzz/artifacts`.
    pub(crate) fn run(&self) -> Outcome {
        let all = targets()?;
        let chosen: Vec<&String> = match &self.target {
            None => all.iter().collect(),
            Some(name) if all.contains(name) => vec![name],
            Some(name) => return Err(Failure(format!("there is no target `{name}`: {}", all.join(", ")))),
        };
        // The fuzzer itself, libFuzzer, is C++.
        let compiler = packages::missing("c++", "g++");
        packages::install(&compiler.into_iter().collect::<Vec<_>>())?;
        let target = sh::target()?;
        let program = ci::tool(&target, CARGO_FUZZ, &[])?;
        let mut broken = Vec::new();
        for name in chosen {
            if let Err(Failure(why)) = one(&program, &target, name, self.seconds) {
                eprintln!("error: {why}");
                broken.push(name.as_str());
            }
        }
        if broken.is_empty() {
            return Ok(());
        }
        Err(Failure(format!(
            "broken: {}; each input is in fuzz/artifacts and wants a test",
            broken.join(", ")
        )))
    }
}

/// What is found on the way is kept under the target directory, so that the next run goes on from there.
fn one(program: &Path, target: &Path, name: &str, seconds: u32) -> Outcome {
    let found = target.join("fuzz-corpus").join(name);
    std::fs::create_dir_all(&found).map_err(|error| sh::at(&found, &error))?;
    let mut command = sh::here(program);
    // No sanitizer: there is no unsafe code to watch, and so a stable compiler is enough.
    command
        .args(["fuzz", "run", "--fuzz-dir", "fuzz", "--sanitizer", "none", name])
        .arg(&found)
        .arg(Path::new("fuzz/corpus").join(name))
        .args(["--", "-timeout=10", "-max_len=8192", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"))
        .env("CARGO_TARGET_DIR", target.join("fuzz"));
    sh::run(&mut command)
}

fn targets() -> Outcome<Vec<String>> {
    let directory = sh::root().join("fuzz/targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(|error| sh::at(&directory, &error))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_target_may_be_given() {
        let read = |args: &[&str]| Fuzz::from_args(args);
        let of = |target: Option<&str>, seconds| {
            Ok(Fuzz {
                target: target.map(str::to_owned),
                seconds,
            })
        };
        assert_eq!(read(&[]), of(None, SECONDS));
        assert_eq!(read(&["jws"]), of(Some("jws"), SECONDS));
        assert_eq!(read(&["--seconds", "5", "jws"]), of(Some("jws"), 5));
        for wrong in [&["--seconds"][..], &["--seconds", "x"], &["a", "b"], &["--fast"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_target_has_a_corpus_and_a_program() {
        let manifest = sh::read(&sh::root().join("fuzz/Cargo.toml")).unwrap();
        let names = targets().unwrap();
        assert!(!names.is_empty());
        for name in names {
            assert!(sh::root().join("fuzz/corpus").join(&name).is_dir(), "{name}");
            assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
        }
    }
}
