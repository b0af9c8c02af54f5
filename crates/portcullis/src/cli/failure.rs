//! Why a command did not do what it was asked: in words on standard error, and with `--json` as one object on standard
//! output too, where the answer would have been.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::stderr;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{FAILED, FAULTY, explain};
use crate::config::Faults;
use crate::diagnostic::Style;
use crate::login::Problem;

/// What went wrong, and the exit status for it. It holds no token and no secret.
pub(super) struct Failure {
    status: u8,
    code: Cow<'static, str>,
    /// Empty: it was said already, in the answer.
    why: String,
    /// Behind it, each on a line of its own.
    notes: Vec<String>,
    faults: Option<Faults>,
    /// The object of `--json` was printed already.
    answered: bool,
}

impl Failure {
    /// Something failed at run time.
    pub(super) fn failed(why: impl Into<String>) -> Failure {
        Failure {
            status: FAILED,
            code: Cow::Borrowed("command.failed"),
            why: why.into(),
            notes: Vec::new(),
            faults: None,
            answered: false,
        }
    }

    /// The command line, or what it names, is wrong.
    pub(super) fn wrong(why: impl Into<String>) -> Failure {
        Failure {
            status: FAULTY,
            code: Cow::Borrowed("command.wrong"),
            ..Failure::failed(why)
        }
    }

    /// The answer was printed, and says it all.
    pub(super) fn told() -> Failure {
        Failure::failed("").answered()
    }

    /// With a code that is more exact.
    pub(super) fn code(self, code: impl Into<Cow<'static, str>>) -> Failure {
        Failure {
            code: code.into(),
            ..self
        }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Failure {
        self.notes.push(note.into());
        self
    }

    pub(super) fn answered(self) -> Failure {
        Failure { answered: true, ..self }
    }

    /// Whether the configuration is what is wrong.
    pub(super) fn is_faulty(&self) -> bool {
        self.faults.is_some()
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let mut told = json!({ "code": self.code, "message": self.why });
        if let (Some(told), Some(faults)) = (told.as_object_mut(), &self.faults) {
            let faults = faults.to_json();
            told.insert("faults".to_owned(), faults.get("faults").cloned().unwrap_or_default());
        }
        if let (Some(told), false) = (told.as_object_mut(), self.notes.is_empty()) {
            told.insert("notes".to_owned(), json!(self.notes));
        }
        told
    }

    /// Says it, and ends.
    fn end(self, json: bool) -> ExitCode {
        if json && !self.answered {
            println!("{}", json!({ "error": self.to_json() }));
        }
        match &self.faults {
            Some(faults) => eprint!("{}", faults.render(Style::for_stream(&stderr()))),
            None if self.why.is_empty() => {}
            None => eprintln!("error: {}", self.why),
        }
        if explain::knows(&self.code) && self.faults.is_none() && !self.code.starts_with("command.") {
            eprintln!("hint: portcullis explain {}", self.code);
        }
        for note in &self.notes {
            eprintln!("note: {note}");
        }
        ExitCode::from(self.status)
    }
}

/// Ends a command: what went wrong is said.
pub(super) fn end(result: Result<ExitCode, Failure>, json: bool) -> ExitCode {
    result.unwrap_or_else(|failure| failure.end(json))
}

/// The same, where the answer is still to be printed.
pub(super) fn print<T: Display>(result: Result<T, impl Into<Failure>>, json: bool) -> ExitCode {
    let printed = result.map_err(Into::into).map(|text| {
        println!("{text}");
        ExitCode::SUCCESS
    });
    end(printed, json)
}

/// The same, where it was printed.
pub(super) fn finish(result: Result<(), impl Into<Failure>>, json: bool) -> ExitCode {
    end(result.map_err(Into::into).map(|()| ExitCode::SUCCESS), json)
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Failure {
        let count = faults.count();
        let plural = if count == 1 { "" } else { "s" };
        let why = format!("{} has {count} fault{plural}", faults.source().name());
        Failure {
            faults: Some(faults),
            ..Failure::wrong(why).code("command.configuration")
        }
    }
}

/// What the parts of the program say where they fail at run time.
impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::failed(why)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        if let Some(faults) = problem.faults {
            return faults.into();
        }
        let why = super::login::printable(&problem.why);
        let failure = match problem.usage {
            true => Failure::wrong(why),
            false => Failure::failed(why),
        };
        match problem.code {
            Some(code) => failure.code(code),
            None => failure,
        }
    }
}
