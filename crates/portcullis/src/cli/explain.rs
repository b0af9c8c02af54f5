//! `portcullis explain`: an error code, a fault of a configuration, a likely cause, or a finding of the doctor.

use std::borrow::Cow;
use std::process::ExitCode;

use portcullis_audit::catalogue;
use serde_json::json;

use super::failure::{Failure, end};
use crate::config::{KINDS, nearest_codes};
use crate::doctor::{causes, problems};

/// What there is to say about a name.
struct Explained {
    name: &'static str,
    title: &'static str,
    cause: Cow<'static, str>,
    fix: &'static str,
    /// The status of the public answer, of an error code.
    status: Option<u16>,
}

pub(super) fn run(code: &str, json: bool) -> ExitCode {
    let Some(explained) = find(code) else {
        return end(Err(Failure::wrong(unknown(code))), json);
    };
    let Explained {
        name,
        title,
        cause,
        fix,
        status,
    } = explained;
    if json {
        println!(
            "{}",
            json!({ "code": name, "title": title, "cause": cause, "fix": fix, "status": status })
        );
        return ExitCode::SUCCESS;
    }
    println!("{name}: {title}\n\nCause: {cause}\n\nFix: {fix}");
    if let Some(status) = status {
        println!("\nPublic status: {status}");
    }
    ExitCode::SUCCESS
}

/// What was probably meant, or all that there is.
fn unknown(code: &str) -> String {
    let codes = || catalogue::entries().iter().map(|entry| entry.code);
    let faults = || KINDS.iter().map(|kind| kind.code());
    let findings = || problems::ALL.iter().map(|problem| problem.code);
    let causes = || causes::entries().map(|entry| entry.name);
    // The short reasons of answers are names too.
    let reasons = catalogue::entries().iter().map(|entry| entry.reason);
    let known = codes().chain(faults()).chain(findings()).chain(causes()).chain(reasons);
    let meant = nearest_codes(code, known);
    if !meant.is_empty() {
        return format!("there is no error code {code:?}; did you mean {}?", meant.join(", "));
    }
    let all = |names: &mut dyn Iterator<Item = &'static str>| names.collect::<Vec<_>>().join("\n  ");
    format!(
        "there is no error code {code:?}; there are:\n  {}\nwhat `check` finds:\n  {}\nand what `doctor` finds:\n  {}\n  {}",
        all(&mut codes()),
        all(&mut faults()),
        all(&mut findings()),
        all(&mut causes()),
    )
}

/// Whether there is anything to say about a code.
pub(super) fn knows(code: &str) -> bool {
    find(code).is_some()
}

fn find(code: &str) -> Option<Explained> {
    if let Some(plain) = public(code).or_else(|| of_commands(code)) {
        return Some(plain);
    }
    let entries = catalogue::entries();
    let named = || entries.iter().find(|entry| entry.reason == code);
    if let Some(entry) = catalogue::find(code).or_else(named) {
        return Some(Explained {
            name: entry.code,
            title: entry.title,
            cause: entry.cause.into(),
            fix: entry.fix,
            status: Some(entry.status),
        });
    }
    if let Some(entry) = causes::find(code) {
        return Some(Explained {
            name: entry.name,
            title: entry.title,
            cause: entry.cause.into(),
            fix: entry.fix,
            status: None,
        });
    }
    if let Some(kind) = KINDS.iter().find(|kind| kind.code() == code) {
        return Some(Explained {
            name: kind.code(),
            title: "what `check` finds in a configuration",
            cause: sentence(kind.about()).into(),
            fix: kind.fix(),
            status: None,
        });
    }
    let problem = problems::find(code)?;
    Some(Explained {
        name: problem.code,
        title: problem.title,
        cause: problem.cause.into(),
        fix: problem.fix,
        status: None,
    })
}

/// What `--json` says of a command that failed, where nothing more exact is known.
fn of_commands(code: &str) -> Option<Explained> {
    let (name, cause, fix) = match code {
        "command.failed" => (
            "command.failed",
            "The command could not do what it was asked; its message says what stood in the way. Exit status 1.",
            "Act on the message. Where the network or a server is at fault, the same command may work later.",
        ),
        "command.wrong" => (
            "command.wrong",
            "The command line, or something that it names, is wrong: the same command fails again. Exit status 2.",
            "Correct it; `portcullis COMMAND --help` has every option.",
        ),
        "command.configuration" => (
            "command.configuration",
            "The configuration has faults, which are listed, each with its code and line. Exit status 2.",
            "Correct them; `portcullis check` shows them again.",
        ),
        _ => return None,
    };
    Some(Explained {
        name,
        title: "why a command ended without what it was asked for",
        cause: cause.into(),
        fix,
        status: None,
    })
}

/// With a capital letter and a full stop.
fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

/// What callers see (RFC 6750 s3.1), which says little by design.
fn public(code: &str) -> Option<Explained> {
    let (name, status) = match code {
        "invalid_token" => ("invalid_token", 401),
        "invalid_request" => ("invalid_request", 400),
        "insufficient_scope" => ("insufficient_scope", 403),
        _ => return None,
    };
    Some(Explained {
        name,
        title: "what a caller sees of a refused token (RFC 6750)",
        cause: "The reason stands in the audit event with the answer's request_id.".into(),
        fix: "Explain the `code` of that event.",
        status: Some(status),
    })
}
