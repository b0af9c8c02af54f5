//! `portcullis explain-token`: what the gateway would say to a token, check by check.

use std::io::{IsTerminal, Read, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use portcullis_audit::{Audit, AuditSettings, Refused, catalogue};
use portcullis_guard::{Check, Explained, Explanation, NamedPolicy, Outcome};
use portcullis_jose::{Clock, ManualClock, SystemClock, UnixTime};

use super::failure::{Failure, end};
use super::{FAILED, load};
use crate::config::{Places, Settings};
use crate::diagnostic::{Diagnostic, SourceText, Style, render};
use crate::doctor::examine::{Call, Examined};
use crate::doctor::inspection::likely_json;
use crate::doctor::screen::Screen;
use crate::doctor::target;
use crate::doctor::token::Written;
use crate::gateway::{GuardedApi, guard_alone};
use crate::serve::runtime;

/// More than any header may hold.
const MAX_INPUT: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct ExplainTokenArgs {
    /// `-`: read the token from standard input, as is done without it
    #[arg(value_name = "-", conflicts_with = "token_file")]
    stdin: Option<String>,
    /// Read the token from a file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The gateway's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The API that is called; found by --path, or the only one
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// The method of the call
    #[arg(long, value_name = "METHOD", default_value = "GET", requires = "path")]
    method: String,
    /// The path of the call, whose policy is asked; a whole address may be given, with its query
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Ask this policy instead
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Judge as if it were this time, in seconds since 1970
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    now: Option<i64>,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// What is asked of which guard.
struct Question {
    api: String,
    guarded: GuardedApi,
    method: String,
    path: String,
    policy: Option<Arc<NamedPolicy>>,
    /// Why it is not known what is revoked.
    unseen: Option<String>,
}

pub(super) fn run(args: &ExplainTokenArgs) -> ExitCode {
    let explained = load(&args.config).and_then(|settings| explain(args, &settings));
    end(explained.map(status), args.json)
}

/// Whether the token is taken, as an exit status.
pub(super) fn status(good: bool) -> ExitCode {
    match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    }
}

fn explain(args: &ExplainTokenArgs, settings: &Settings) -> Result<bool, Failure> {
    let clock: Arc<dyn Clock> = match args.now {
        Some(now) => Arc::new(ManualClock::at(UnixTime::from_secs(now))),
        None => Arc::new(SystemClock),
    };
    // A token on the command line stands in the shell's history and in the list of processes. It is not repeated here.
    if args.stdin.as_ref().is_some_and(|text| text != "-") {
        let why = "a token does not belong on the command line, where the shell's history keeps it: pipe it in, or \
                   name a file with --token-file";
        return Err(Failure::wrong(why.to_owned()));
    }
    let (source, written) = token(args)?;
    // The keys are fetched, and the store's threads answer, in a runtime of this call's own.
    let examined = runtime(Some(1)).map_err(Failure::wrong)?.block_on(async {
        let question = question(args, settings, &clock)?;
        let call = Call {
            settings,
            api: &question.api,
            guarded: &question.guarded,
            method: &question.method,
            path: &question.path,
            policy: question.policy.as_deref(),
            token_in_query: args.path.as_deref().is_some_and(target::has_token_in_query),
            clock: &clock,
            asks_clock: args.now.is_none(),
        };
        let mut examined = call.examine(&written, None).await;
        question.complete(&mut examined.explanation);
        Ok::<_, Failure>((question, examined))
    });
    let (question, examined) = examined?;
    let places = Places::load(&args.config);
    if args.json {
        println!(
            "{}",
            json(&examined, &places).map_err(|error| Failure::wrong(error.to_string()))?
        );
    } else {
        let screen = Screen::for_stream(&stdout());
        print!("{}", report(&question, &examined, &source, &places, screen));
    }
    Ok(examined.explanation.allowed())
}

/// The explanation, and at its end the likely causes.
fn json(examined: &Examined, places: &Places) -> serde_json::Result<String> {
    #[derive(serde::Serialize)]
    struct Told<'e> {
        #[serde(flatten)]
        explanation: &'e Explanation,
        causes: Vec<serde_json::Value>,
    }
    serde_json::to_string(&Told {
        explanation: &examined.explanation,
        causes: examined
            .causes
            .iter()
            .map(|likely| likely_json(likely, places))
            .collect(),
    })
}

/// Where the token comes from, and the token. It is bare, or as it stands in a header.
fn token(args: &ExplainTokenArgs) -> Result<(String, Written), Failure> {
    let (name, read) = match &args.token_file {
        Some(path) => (path.display().to_string(), std::fs::File::open(path).and_then(text)),
        None => {
            if stdin().is_terminal() {
                eprintln!("Paste the token, then press Enter and Ctrl-D:");
            }
            ("standard input".to_owned(), text(stdin()))
        }
    };
    let text = read.map_err(|error| Failure::wrong(format!("cannot read the token from {name}: {error}")))?;
    let written = Written::read(&text);
    if written.token.is_empty() {
        return Err(Failure::wrong(format!("there is no token in {name}")));
    }
    Ok((name, written))
}

fn text(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(MAX_INPUT).read_to_string(&mut text)?;
    Ok(text)
}

fn question(args: &ExplainTokenArgs, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Question, Failure> {
    let path = args
        .path
        .as_deref()
        .map(target::path)
        .transpose()
        .map_err(Failure::wrong)?;
    let api = target::api(settings, args.api.as_deref(), path.as_deref()).map_err(Failure::wrong)?;
    let audit = Audit::new(AuditSettings::in_memory(), clock.clone());
    let (revocations, unseen) = target::revocations(settings, clock);
    let guarded =
        guard_alone(settings, api, &revocations, &audit, clock).map_err(|error| Failure::wrong(error.to_string()))?;
    let guarded = guarded.ok_or_else(|| Failure::wrong(format!("api {api} is public: it looks at no token")))?;
    let method = args.method.to_ascii_uppercase();
    let policy = match (&args.policy, &path) {
        (Some(name), _) => {
            let declared = settings.policies.get(name).map(|policy| Arc::new(policy.clone()));
            // One is there without being declared.
            let found = declared.or_else(|| guarded.guard.policy(name).ok());
            let known = || {
                settings
                    .policies
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            Some(found.ok_or_else(|| Failure::wrong(format!("there is no policy {name}; there are: {}", known())))?)
        }
        (None, Some(path)) => Some(guarded.policy(&method, path).cloned().map_err(|refused| {
            let (code, cause) = (refused.code, refused.cause);
            Failure::wrong(format!(
                "{method} {path} is refused before a token is looked at: {code}: {cause}"
            ))
        })?),
        (None, None) => None,
    };
    let path = path.or_else(|| Some(settings.apis.get(api)?.path.clone()));
    Ok(Question {
        api: api.to_owned(),
        guarded,
        method,
        path: path.unwrap_or_default(),
        policy,
        unseen,
    })
}

// === impl Question ===

impl Question {
    /// Says of a check what only we know: that it was not made.
    fn complete(&self, explanation: &mut Explanation) {
        let Some(why) = &self.unseen else { return };
        let checks = explanation.checks.iter_mut();
        for unseen in checks.filter(|check| check.check == Check::Revocation && check.outcome == Outcome::Passed) {
            unseen.outcome = Outcome::NotReached;
            unseen.found = Some(why.clone());
        }
    }
}

fn report(question: &Question, examined: &Examined, source: &str, places: &Places, screen: Screen) -> String {
    let (explanation, style) = (&examined.explanation, screen.style);
    let policy = match &question.policy {
        Some(policy) => format!("{} {}, policy {}", question.method, question.path, policy.name()),
        None => "no policy: --path or --policy names one".to_owned(),
    };
    let mut out = format!("A call to api {}, {policy}\n\n", question.api);
    for explained in &explanation.checks {
        out.push_str(&line(explained, style));
    }
    out.push('\n');
    let failed = explanation
        .checks
        .iter()
        .filter(|explained| explained.outcome == Outcome::Failed);
    let faults: Vec<Diagnostic> = failed.filter_map(fault).collect();
    let source = SourceText::new(source, "");
    out.push_str(&render(&faults, &source, style));
    out.push_str(&screen.likely(&examined.causes, places, &source));
    out.push_str(&match &explanation.refused {
        None => style.good("allowed"),
        Some(refused) => style.bad(&format!("refused: {} {}", explanation.status, refused.code)),
    });
    out.push('\n');
    out
}

fn line(explained: &Explained, style: Style) -> String {
    let word = match explained.outcome {
        Outcome::Passed => style.good("passed "),
        Outcome::Failed => style.bad("FAILED "),
        _ => "-      ".to_owned(),
    };
    let told = match explained.outcome {
        Outcome::NotReached => Some(explained.found.as_deref().unwrap_or("not reached")),
        _ => explained.found.as_deref().or(explained.expected.as_deref()),
    };
    let line = format!("{word} {:<11} {}", explained.check.name(), told.unwrap_or_default());
    format!("{}\n", line.trim_end())
}

/// Cause and fix of a check that failed.
fn fault(explained: &Explained) -> Option<Diagnostic> {
    let told = Refused::new(explained.code?);
    let title = catalogue::find(told.code).map_or(told.code, |entry| entry.title);
    let mut fault = Diagnostic::new(told.code, title);
    if let Some(expected) = &explained.expected {
        fault = fault.expected(expected);
    }
    if let Some(found) = &explained.found {
        fault = fault.note(format!("found {found}"));
    }
    fault = fault.note(told.cause).help(told.fix);
    if explained.check == Check::Proof {
        fault = fault.note("here the token is seen alone; with a call, its proof is looked at");
    }
    Some(fault)
}
