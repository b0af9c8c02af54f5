//! `cargo xtask docs`: the pages of the manual that are made from the code, and in the README what the demo prints.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::sh::{self, Failure, Outcome};

const README: &str = "README.md";
/// The transcript stands between these lines.
const MARKS: (&str, &str) = (
    "<!-- what the demo prints, by `cargo xtask docs` -->\n",
    "<!-- end -->\n",
);
/// The ports that the demo takes where they are free.
const USUAL: [(&str, u16); 4] = [("app", 8080), ("console", 8083), ("provider", 8081), ("API", 8082)];

/// Each page, and the arguments of `portcullis` that print it.
const PAGES: &[(&str, &[&str])] = &[
    ("docs/error-codes.md", &["docs", "error-codes"]),
    ("docs/configuration.md", &["docs", "configuration"]),
    ("docs/causes.md", &["docs", "causes"]),
    ("docs/doctor.md", &["docs", "doctor"]),
];

/// Writes the pages, or says which of them the code would write differently.
pub(crate) fn command(check: bool) -> Outcome {
    let mut old = Vec::new();
    for (page, arguments) in PAGES {
        let mut made = sh::capture(
            sh::cargo()
                .args(["run", "--quiet", "--locked", "--package", "portcullis", "--"])
                .args(*arguments),
        )?;
        if !made.ends_with('\n') {
            made.push('\n');
        }
        let path = sh::root().join(page);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == made) {
            continue;
        }
        if check {
            old.push(*page);
        } else {
            sh::write(&path, &made)?;
            eprintln!("wrote {page}");
        }
    }
    let readme = sh::read(&sh::root().join(README))?;
    let made = with_transcript(&readme, &transcript()?)?;
    if made != readme && check {
        old.push(README);
    } else if made != readme {
        sh::write(&sh::root().join(README), &made)?;
        eprintln!("wrote {README}");
    }
    if old.is_empty() {
        return Ok(());
    }
    Err(Failure(format!(
        "not what the code says: {}. Run `cargo xtask docs`",
        old.join(", ")
    )))
}

/// Starts the demo, and gives what it prints until it is ready, with the usual ports.
fn transcript() -> Outcome<String> {
    let mut demo = sh::cargo()
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "portcullis",
            "--",
            "demo",
            "--port",
            "0",
        ])
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = demo
        .stdout
        .take()
        .into_iter()
        .flat_map(|stdout| BufReader::new(stdout).lines());
    let mut text = String::new();
    for line in lines.map_while(Result::ok) {
        text.push_str(&usual(&line));
        text.push('\n');
        if line.starts_with("  3. ") {
            break;
        }
    }
    // `cargo run` becomes the demo, which takes its temporary files along when it is asked to end.
    sh::output(sh::here("kill").args(["-TERM", &demo.id().to_string()]))?;
    demo.wait()?;
    match text.contains("  3. ") {
        true => Ok(text),
        false => Err(Failure(format!("the demo ended early; it printed: {text}"))),
    }
}

/// `  app       http://127.0.0.1:41234` with the port that is usual there.
fn usual(line: &str) -> String {
    let found = USUAL
        .iter()
        .find(|(name, _)| line.trim_start().starts_with(&format!("{name} ")));
    match found.and_then(|(_, port)| Some((line.split_once("http://127.0.0.1:")?.0, port))) {
        Some((before, port)) => format!("{before}http://127.0.0.1:{port}"),
        None => line.to_owned(),
    }
}

fn with_transcript(readme: &str, transcript: &str) -> Outcome<String> {
    let (before, rest) = readme
        .split_once(MARKS.0)
        .ok_or_else(|| Failure(format!("no mark for the transcript in {README}")))?;
    let (_, after) = rest
        .split_once(MARKS.1)
        .ok_or_else(|| Failure(format!("no end of the transcript in {README}")))?;
    let (begin, end) = MARKS;
    Ok(format!("{before}{begin}```text\n{transcript}```\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_an_address_gets_the_usual_port_and_others_stay() {
        assert_eq!(
            usual("  app       http://127.0.0.1:41234"),
            "  app       http://127.0.0.1:8080"
        );
        assert_eq!(
            usual("  API       http://127.0.0.1:1"),
            "  API       http://127.0.0.1:8082"
        );
        for line in [
            "  application http://127.0.0.1:1",
            "People",
            "  1. Open the app, sign in",
        ] {
            assert_eq!(usual(line), line);
        }
    }

    #[test]
    fn the_transcript_stands_between_its_marks() {
        let (begin, end) = MARKS;
        let readme = format!("a\n{begin}old\n{end}b\n");
        assert_eq!(
            with_transcript(&readme, "new\n").unwrap(),
            format!("a\n{begin}```text\nnew\n```\n{end}b\n")
        );
        assert!(with_transcript("a", "new").is_err());
    }
}
