//! `portcullis explain`: an error code, a likely cause, or a finding of the doctor.

use std::process::ExitCode;

use portcullis_audit::catalogue;
use serde_json::json;

use super::FAULTY;
use crate::doctor::{causes, problems};

/// What there is to say about a name.
struct Explained {
    name: &'static str,
    title: &'static str,
    cause: &'static str,
    fix: &'static str,
    /// The status of the public answer, of an error code.
    status: Option<u16>,
}

pub(super) fn run(code: &str, json: bool) -> ExitCode {
    let Some(explained) = find(code) else {
        let codes: Vec<&str> = catalogue::entries().iter().map(|entry| entry.code).collect();
        let causes: Vec<&str> = causes::entries().map(|entry| entry.name).collect();
        let findings: Vec<&str> = problems::ALL.iter().map(|problem| problem.code).collect();
        eprintln!(
            "error: there is no error code {code:?}; there are:\n  {}\nand what `doctor` finds:\n  {}\n  {}",
            codes.join("\n  "),
            findings.join("\n  "),
            causes.join("\n  ")
        );
        return ExitCode::from(FAULTY);
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

fn find(code: &str) -> Option<Explained> {
    if let Some(public) = public(code) {
        return Some(public);
    }
    let entries = catalogue::entries();
    let named = || entries.iter().find(|entry| entry.reason == code);
    if let Some(entry) = catalogue::find(code).or_else(named) {
        return Some(Explained {
            name: entry.code,
            title: entry.title,
            cause: entry.cause,
            fix: entry.fix,
            status: Some(entry.status),
        });
    }
    if let Some(entry) = causes::find(code) {
        return Some(Explained {
            name: entry.name,
            title: entry.title,
            cause: entry.cause,
            fix: entry.fix,
            status: None,
        });
    }
    let problem = problems::find(code)?;
    Some(Explained {
        name: problem.code,
        title: problem.title,
        cause: problem.cause,
        fix: problem.fix,
        status: None,
    })
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
        cause: "The reason stands in the audit event with the answer's request_id.",
        fix: "Explain the `code` of that event.",
        status: Some(status),
    })
}
