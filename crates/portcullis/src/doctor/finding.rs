//! What was checked, and what was found.

use serde_json::{Value, json};

use super::problems::Problem;
use crate::config::{Key, Places};

/// How a check went. The order is that of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It could not be made, or there is nothing to make.
    Skipped,
    Fine,
    Warning,
    Broken,
}

/// One check.
pub(crate) struct Finding {
    /// What it is about: `provider entra`.
    pub(crate) area: String,
    pub(crate) check: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) found: String,
    pub(crate) expected: Option<String>,
    pub(crate) problem: Option<&'static Problem>,
    /// The key of the configuration that has to do with it.
    pub(crate) key: Option<Key>,
}

/// All checks of one area, while they are made.
pub(crate) struct Area {
    name: String,
    findings: Vec<Finding>,
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Outcome::Skipped => "skipped",
            Outcome::Fine => "ok",
            Outcome::Warning => "warning",
            Outcome::Broken => "broken",
        }
    }
}

// === impl Area ===

impl Area {
    pub(crate) fn new(name: impl Into<String>) -> Area {
        Area {
            name: name.into(),
            findings: Vec::new(),
        }
    }

    pub(crate) fn fine(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(check, Outcome::Fine, found.into());
    }

    pub(crate) fn skipped(&mut self, check: &'static str, why: impl Into<String>) {
        self.add(check, Outcome::Skipped, why.into());
    }

    /// Gives the finding back, to say more.
    pub(crate) fn warning(
        &mut self,
        check: &'static str,
        problem: &'static Problem,
        found: impl Into<String>,
    ) -> &mut Finding {
        let finding = self.add(check, Outcome::Warning, found.into());
        finding.problem = Some(problem);
        finding
    }

    /// Gives the finding back, to say more.
    pub(crate) fn broken(
        &mut self,
        check: &'static str,
        problem: &'static Problem,
        found: impl Into<String>,
    ) -> &mut Finding {
        let finding = self.add(check, Outcome::Broken, found.into());
        finding.problem = Some(problem);
        finding
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    fn add(&mut self, check: &'static str, outcome: Outcome, found: String) -> &mut Finding {
        self.findings.push(Finding {
            area: self.name.clone(),
            check,
            outcome,
            found,
            expected: None,
            problem: None,
            key: None,
        });
        #[expect(clippy::expect_used, reason = "one was pushed in the line before")]
        self.findings.last_mut().expect("not empty")
    }
}

// === impl Finding ===

impl Finding {
    pub(crate) fn expected(&mut self, expected: impl Into<String>) -> &mut Finding {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn at<const N: usize>(&mut self, key: [&str; N]) -> &mut Finding {
        self.key = Some(Key::of(key));
        self
    }

    pub(crate) fn to_json(&self, places: &Places) -> Value {
        let place = self.key.as_ref().and_then(|key| places.find(key));
        let position = place.map(|span| places.source().position(span.start));
        json!({
            "area": self.area,
            "check": self.check,
            "outcome": self.outcome.word(),
            "found": self.found,
            "expected": self.expected,
            "code": self.problem.map(|problem| problem.code),
            "title": self.problem.map(|problem| problem.title),
            "cause": self.problem.map(|problem| problem.cause),
            "fix": self.problem.map(|problem| problem.fix),
            "line": position.map(|position| position.line),
            "column": position.map(|position| position.column),
        })
    }
}
