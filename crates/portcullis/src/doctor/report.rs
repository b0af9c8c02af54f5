//! What a run of the doctor found, as text and for programs.

use std::fmt::Write;

use portcullis_guard::{Explained, Outcome as Verdict};
use serde_json::{Map, Value, json};

use super::causes::Likely;
use super::examine::Examined;
use super::finding::{Finding, Outcome};
use super::inspection::likely_json;
use super::screen::Screen;
use super::token::{MASK, is_personal, masked};
use super::words::{tidy, tidy_long, time, wrap};
use crate::config::Places;
use crate::diagnostic::{Diagnostic, SourceText, render};
use portcullis_jose::UnixTime;

/// Everything that was found.
pub(crate) struct Report {
    findings: Vec<Finding>,
    token: Option<TokenReport>,
    dangers: Vec<String>,
}

/// The token that the doctor was given.
pub(crate) struct TokenReport {
    api: String,
    kind: String,
    kind_name: &'static str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    status: u16,
    refused: Option<&'static str>,
    checks: Vec<Explained>,
    causes: Vec<Likely>,
}

// === impl TokenReport ===

impl TokenReport {
    /// What personal claims say is masked wherever it stands, unless it is asked for.
    pub(super) fn of(examined: Examined, api: &str, shows_personal: bool) -> TokenReport {
        let Examined {
            explanation,
            token,
            kind,
            because,
            mut causes,
        } = examined;
        let mut checks = explanation.checks;
        let mut claims = token.claims.clone();
        if !shows_personal {
            let hide = Hidden::of(&token.claims);
            claims = masked(&claims);
            for check in &mut checks {
                check.found = check.found.take().map(|found| hide.in_text(&found));
            }
            for likely in &mut causes {
                likely.sign.found = hide.in_text(&likely.sign.found);
            }
        }
        TokenReport {
            api: api.to_owned(),
            kind: format!("{}: {because}", kind.words()),
            kind_name: kind.name(),
            header: token.header,
            claims,
            status: explanation.status,
            refused: explanation.refused.map(|refused| refused.code),
            checks,
            causes,
        }
    }

    fn to_json(&self, places: &Places) -> Value {
        let causes = self.causes.iter().map(|likely| likely_json(likely, places));
        json!({
            "api": self.api,
            "kind": self.kind_name,
            "header": self.header,
            "claims": self.claims,
            "status": self.status,
            "refused": self.refused,
            "checks": self.checks,
            "causes": causes.collect::<Vec<_>>(),
        })
    }
}

/// The texts of claims that say who somebody is.
struct Hidden(Vec<String>);

impl Hidden {
    fn of(claims: &Map<String, Value>) -> Hidden {
        // A text of a letter or two stands everywhere.
        const SHORTEST: usize = 3;
        let personal = claims.iter().filter(|(name, _)| is_personal(name));
        let mut texts = Vec::new();
        personal.for_each(|(_, value)| all_texts(value, &mut texts));
        // Who has an address has the part before the at sign, and the domain that policies compare.
        let parts: Vec<String> = texts
            .iter()
            .flat_map(|text| text.split('@'))
            .map(str::to_owned)
            .collect();
        texts.extend(parts);
        texts.retain(|text| text.chars().count() >= SHORTEST);
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Hidden(texts)
    }

    fn in_text(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, hidden| text.replace(hidden.as_str(), MASK))
    }
}

/// Every text in a value.
fn all_texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| all_texts(value, into)),
        Value::Object(members) => members.values().for_each(|value| all_texts(value, into)),
        _ => {}
    }
}

// === impl Report ===

impl Report {
    pub(super) fn new(findings: Vec<Finding>, token: Option<TokenReport>, dangers: Vec<String>) -> Report {
        Report {
            findings,
            token,
            dangers,
        }
    }

    /// The worst that was found.
    pub(crate) fn worst(&self) -> Outcome {
        self.findings
            .iter()
            .map(|finding| finding.outcome)
            .max()
            .unwrap_or(Outcome::Fine)
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.outcome == outcome)
            .count()
    }

    pub(crate) fn to_json(&self, file: &str, places: &Places) -> Value {
        let status = match self.worst() {
            Outcome::Broken => "broken",
            Outcome::Warning => "warnings",
            _ => "ok",
        };
        json!({
            "file": file,
            "status": status,
            "broken": self.count(Outcome::Broken),
            "warnings": self.count(Outcome::Warning),
            "checks": self.findings.iter().map(|finding| finding.to_json(places)).collect::<Vec<_>>(),
            "token": self.token.as_ref().map(|token| token.to_json(places)),
            "dangers": self.dangers,
        })
    }

    pub(crate) fn render(&self, places: &Places, screen: Screen, now: UnixTime) -> String {
        let mut out = String::new();
        let mut area = "";
        for finding in &self.findings {
            if finding.area != area {
                let gap = if area.is_empty() { "" } else { "\n" };
                let _ = writeln!(out, "{gap}{}", screen.style.strong(&finding.area));
                area = &finding.area;
            }
            out.push_str(&line(finding, screen));
        }
        if let Some(token) = &self.token {
            show(&mut out, token, screen, now);
        }
        out.push('\n');
        for finding in &self.findings {
            if let Some(problem) = diagnostic(finding, screen) {
                let span = finding.key.as_ref().and_then(|key| places.find(key));
                out.push_str(&match span {
                    Some(span) => render(&[problem.at(span, "")], places.source(), screen.style),
                    None => render(&[problem], &SourceText::new(finding.area.as_str(), ""), screen.style),
                });
            }
        }
        if let Some(token) = &self.token {
            out.push_str(&screen.likely(&token.causes, places, &SourceText::new("the token", "")));
        }
        out.push_str(&self.verdict(screen));
        out
    }

    fn verdict(&self, screen: Screen) -> String {
        let (broken, warnings) = (self.count(Outcome::Broken), self.count(Outcome::Warning));
        let fine = self.count(Outcome::Fine);
        let told = format!("{fine} checks well, {warnings} warnings, {broken} broken");
        let told = match self.worst() {
            Outcome::Broken => screen.style.bad(&told),
            Outcome::Warning => screen.style.uncertain(&told),
            _ => screen.style.good(&told),
        };
        format!("{told}\n")
    }
}

fn line(finding: &Finding, screen: Screen) -> String {
    const INDENT: usize = 24;
    let word = match finding.outcome {
        Outcome::Fine => screen.style.good("ok     "),
        Outcome::Skipped => screen.style.faint("-      "),
        Outcome::Warning => screen.style.uncertain("warning"),
        Outcome::Broken => screen.style.bad("BROKEN "),
    };
    let lines = wrap(&tidy_long(&finding.found), screen.width.saturating_sub(INDENT).max(20));
    let told = lines.join(&format!("\n{:INDENT$}", ""));
    format!("  {word} {:<13} {told}\n", finding.check)
}

/// Title, cause and fix of what is not well.
fn diagnostic(finding: &Finding, screen: Screen) -> Option<Diagnostic> {
    let problem = finding.problem?;
    let mut diagnostic = Diagnostic::new(problem.code, problem.title);
    if finding.outcome == Outcome::Warning {
        diagnostic = diagnostic.warning();
    }
    if let Some(expected) = &finding.expected {
        diagnostic = diagnostic.expected(screen.wrapped("", expected));
    }
    diagnostic = diagnostic
        .note(screen.wrapped("found", &format!("{}: {}", finding.area, finding.found)))
        .note(screen.wrapped("cause", problem.cause))
        .help(screen.wrapped("", problem.fix));
    Some(diagnostic)
}

fn show(out: &mut String, token: &TokenReport, screen: Screen, now: UnixTime) {
    let _ = writeln!(out, "\n{}  {}", screen.style.strong("the token"), token.kind);
    for (title, members) in [("header", &token.header), ("claims", &token.claims)] {
        for (name, value) in members {
            let shown = match value {
                Value::String(text) => tidy(text),
                other => tidy(&other.to_string()),
            };
            let when = ["exp", "iat", "nbf", "auth_time"].contains(&name.as_str());
            let when = when.then(|| value.as_i64().and_then(|at| time(at, now))).flatten();
            let when = when
                .map(|when| screen.style.faint(&format!("  {when}")))
                .unwrap_or_default();
            let _ = writeln!(out, "  {title}  {:<18} {shown}{when}", tidy(name));
        }
    }
    out.push('\n');
    for check in &token.checks {
        let word = match check.outcome {
            Verdict::Passed => screen.style.good("passed "),
            Verdict::Failed => screen.style.bad("FAILED "),
            _ => "-      ".to_owned(),
        };
        let told = match (&check.expected, &check.found) {
            (Some(expected), Some(found)) if check.outcome == Verdict::Failed => {
                format!("expected {}, found {}", tidy(expected), tidy(found))
            }
            (Some(expected), None) if check.outcome == Verdict::Failed => format!("expected {}", tidy(expected)),
            (expected, found) => found.as_deref().or(expected.as_deref()).map(tidy).unwrap_or_default(),
        };
        let code = check.code.map(|code| format!(" ({code})")).unwrap_or_default();
        let line = format!("  {word} {:<13} {told}{code}", check.check.name());
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
