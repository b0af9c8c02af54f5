//! `cargo xtask test`: everything that is tested, counted.

use std::path::PathBuf;
use std::process::Command;

use crate::sh::{self, Failure, Outcome};
use crate::tally::Tally;
use crate::{keycloak, node, packages};

const NODE_TEST: [&str; 2] = ["--test", "--test-reporter=spec"];

/// Runs everything and ends with the plain line.
pub(crate) fn command() -> Outcome {
    let tally = all()?;
    println!("{tally}");
    if tally.failed == 0 {
        Ok(())
    } else {
        Err(Failure::new(""))
    }
}

/// Runs everything; says in words what failed or was skipped, and counts.
pub(crate) fn all() -> Outcome<Tally> {
    let mut tally = Tally::default();
    // The Rust tests start the other provider with node, so the packages come first.
    let node = node::prepare();
    if let Err(Failure(why)) = &node {
        eprintln!("warning: {why}");
    }
    tally.add(rust()?);
    tally.add(interop(&node)?);
    tally.add(browser(&node)?);
    Ok(tally)
}

fn rust() -> Outcome<Tally> {
    let mut tally = Tally::default();
    let mut command = sh::cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    // Whatever needs a server says so in its name.
    let mut skipped = Vec::new();
    if let Err(Failure(why)) = packages::databases() {
        eprintln!("skipped: the tests on Redis and PostgreSQL, because the servers cannot be had: {why}");
        skipped.extend(["redis", "postgres"]);
        tally.add(Tally::skipped());
    }
    if let Err(Failure(why)) = keycloak::prepare() {
        eprintln!("skipped: the test on Keycloak, because the server cannot be had: {why}");
        skipped.push("keycloak");
        tally.add(Tally::skipped());
    }
    command.arg("--");
    command.args(skipped.iter().flat_map(|name| ["--skip", *name]));
    let good = sh::run_lines(&mut command, |line| {
        println!("{line}");
        tally.read_cargo(line);
    })?;
    if !good && tally.failed == 0 {
        // It did not build, or a test program died before it could count.
        eprintln!("error: cargo test failed without naming a test");
        tally.failed = 1;
    }
    Ok(tally)
}

/// The other provider, by itself: that it does what the Rust tests rely on.
fn interop(node: &Outcome) -> Outcome<Tally> {
    if node.is_err() {
        return Ok(without_node("the other provider's own tests"));
    }
    run_node(
        sh::here("node")
            .args(NODE_TEST)
            .args(tests_in("interop/oidc-provider")?),
    )
}

/// The walk through the demo in Chromium.
fn browser(node: &Outcome) -> Outcome<Tally> {
    if node.is_err() {
        return Ok(without_node("the browser walk"));
    }
    let chromium = match packages::chromium() {
        Ok(program) => program,
        Err(Failure(why)) => {
            eprintln!("skipped: the browser walk, because Chromium cannot be had: {why}");
            return Ok(Tally::skipped());
        }
    };
    if let Err(Failure(why)) = sh::run(sh::cargo().args(["build", "--locked", "--package", "portcullis"])) {
        eprintln!("error: {why}");
        return Ok(Tally::one(false));
    }
    let target = sh::target()?;
    let mut command = sh::here("node");
    command
        .args(NODE_TEST)
        .args(tests_in("web/tests")?)
        .env("CHROMIUM", chromium)
        .env("PORTCULLIS_BIN", target.join("debug/portcullis"))
        .env("ARTEFACTS", target.join("screenshots"));
    run_node(&mut command)
}

fn without_node(what: &str) -> Tally {
    eprintln!("skipped: {what}, because node or its packages cannot be had (see the warning above)");
    Tally::skipped()
}

fn run_node(command: &mut Command) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let good = sh::run_lines(command, |line| {
        println!("{line}");
        tally.read_node(line);
    })?;
    if !good && tally.failed == 0 {
        eprintln!("error: node --test failed without naming a test");
        tally.failed = 1;
    }
    Ok(tally)
}

/// The files of a directory that hold tests. Their names are given one by one, because what
/// `node --test DIRECTORY` means changed between versions of node.
fn tests_in(directory: &str) -> Outcome<Vec<PathBuf>> {
    let directory = sh::root().join(directory);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(|error| sh::at(&directory, &error))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "mjs")
            && sh::read(&path)?.contains("from \"node:test\"")
        {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        Err(Failure(format!("{} has no file with tests", directory.display())))
    } else {
        Ok(files)
    }
}
