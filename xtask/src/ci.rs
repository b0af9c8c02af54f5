//! `cargo xtask ci`: what must be green. Every step runs, so that one run tells everything.

use std::path::Path;
use std::time::Instant;

use crate::sh::{self, Failure, Outcome};
use crate::tally::Tally;
use crate::{docs, links, test};

const MDBOOK: (&str, &str) = ("mdbook", "0.5.4");
const CARGO_DENY: (&str, &str) = ("cargo-deny", "0.20.2");

/// A step and what it does. All but the tests count as one in the plain line.
type Step = (&'static str, fn() -> Outcome<Tally>);

const STEPS: &[Step] = &[
    ("fmt", || one(fmt(true))),
    ("clippy", || one(clippy())),
    ("test", test::all),
    ("rustdoc", || one(rustdoc())),
    ("pages", || one(docs::command(true))),
    ("links", || one(links::check())),
    ("manual", || one(manual())),
    ("deny", || one(deny())),
    ("advisories", advisories),
];

/// Whether there is a step of this name.
pub(crate) fn knows(name: &str) -> bool {
    STEPS.iter().any(|(step, _)| *step == name)
}

/// The names of the steps.
pub(crate) fn names() -> String {
    STEPS.iter().map(|(step, _)| *step).collect::<Vec<_>>().join(", ")
}

/// Runs the steps that are named; all of them when none is.
pub(crate) fn command(wanted: &[String]) -> Outcome {
    let mut report = Report::default();
    for (name, work) in STEPS {
        if wanted.is_empty() || wanted.iter().any(|step| step == name) {
            report.step(name, work);
        }
    }
    report.end()
}

fn one(outcome: Outcome) -> Outcome<Tally> {
    outcome.map(|()| Tally::one(true))
}

/// Formats, or says what is not formatted.
pub(crate) fn fmt(check: bool) -> Outcome {
    let mut command = sh::cargo();
    command.args(["fmt", "--all"]);
    if check {
        command.arg("--check");
    }
    sh::run(&mut command)
}

#[derive(Default)]
struct Report {
    tally: Tally,
    lines: Vec<String>,
}

// === impl Report ===

impl Report {
    fn step(&mut self, name: &str, work: &fn() -> Outcome<Tally>) {
        eprintln!("\n==> {name}");
        let began = Instant::now();
        let tally = work().unwrap_or_else(|Failure(why)| {
            eprintln!("error: {why}");
            Tally::one(false)
        });
        let word = match tally {
            Tally { failed: 1.., .. } => "FAILED",
            Tally { passed: 0, .. } => "skipped",
            _ => "ok",
        };
        self.lines
            .push(format!("{name:<16} {word:<8} {:>6.0} s", began.elapsed().as_secs_f64()));
        self.tally.add(tally);
    }

    fn end(self) -> Outcome {
        println!();
        for line in &self.lines {
            println!("{line}");
        }
        println!("{}", self.tally);
        if self.tally.failed == 0 {
            Ok(())
        } else {
            Err(Failure::new(""))
        }
    }
}

fn clippy() -> Outcome {
    sh::run(sh::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

fn rustdoc() -> Outcome {
    sh::run(
        sh::cargo()
            .args(["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn manual() -> Outcome {
    let target = sh::target()?;
    let mdbook = tool(&target, MDBOOK, &["--no-default-features", "--features", "search"])?;
    sh::run(
        sh::here(mdbook)
            .args(["build", "docs", "--dest-dir"])
            .arg(target.join("book")),
    )
}

fn deny() -> Outcome {
    let deny = tool(&sh::target()?, CARGO_DENY, &[])?;
    sh::run(sh::here(deny).args(["check", "bans", "licenses", "sources"]))
}

/// Known weaknesses of the crates. The database is fetched, which not every network allows.
fn advisories() -> Outcome<Tally> {
    let deny = tool(&sh::target()?, CARGO_DENY, &[])?;
    let out = sh::output(sh::here(deny).args(["check", "advisories"]))?;
    let said = String::from_utf8_lossy(&out.stderr);
    eprint!("{said}");
    if out.status.success() {
        return Ok(Tally::one(true));
    }
    if said.contains("failed to fetch advisory database") || said.contains("failed to load advisory database") {
        eprintln!("skipped: the advisory database cannot be reached from here");
        return Ok(Tally::skipped());
    }
    Err(Failure::new("a crate that we use has an advisory, see above"))
}

/// A tool of a pinned version, built once into the target directory.
pub(crate) fn tool(target: &Path, (name, version): (&str, &str), features: &[&str]) -> Outcome<std::path::PathBuf> {
    let root = target.join("tools");
    let program = root.join("bin").join(name);
    let there = program.is_file()
        && sh::capture(sh::here(&program).arg("--version")).is_ok_and(|text| text.trim_end().ends_with(version));
    if !there {
        let mut install = sh::cargo();
        install
            .args(["install", name, "--locked", "--force", "--version", version, "--root"])
            .arg(&root)
            .args(features);
        // Built to be used a few times: quick to compile, not quick to run.
        for (key, value) in [
            ("OPT_LEVEL", "1"),
            ("LTO", "off"),
            ("CODEGEN_UNITS", "16"),
            ("DEBUG", "0"),
        ] {
            install.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
        }
        // One directory for both, so that what they share is compiled once and the steps can be repeated.
        sh::run(install.env("CARGO_TARGET_DIR", target.join("tools/build")))?;
    }
    Ok(program)
}
