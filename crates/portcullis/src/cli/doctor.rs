//! `portcullis doctor`: the real thing looked at, and what is wrong with it told like a compiler does.

use std::io::{IsTerminal, Read, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use portcullis_jose::{Clock, SystemClock};

use super::failure::{Failure, end};
use super::{FAILED, FAULTY, load};
use crate::config::Places;
use crate::doctor::screen::Screen;
use crate::doctor::token::Written;
use crate::doctor::{Outcome, Run, address};
use crate::serve::runtime;

/// More than any header may hold.
const MAX_INPUT: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The gateway's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A token to look at too: a file, or - for standard input; never the token itself
    #[arg(long, value_name = "FILE|-")]
    token: Option<String>,
    /// The API that the token is for; found by --url, or the only one
    #[arg(long, value_name = "NAME", requires = "token")]
    api: Option<String>,
    /// The address that callers use: it is asked, with the token if there is one
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// PEM file of the authority to trust for --url instead of the system's
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
    /// Show claims that say who somebody is; they are masked else
    #[arg(long, requires = "token")]
    show_personal: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// Exit status 0 all well, 1 warnings, 2 something broken, which a faulty configuration is too.
pub(super) fn run(args: &DoctorArgs) -> ExitCode {
    end(look(args), args.json)
}

fn look(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let settings = load(&args.config)?;
    let token = args.token.as_deref().map(read).transpose().map_err(Failure::wrong)?;
    let url = args.url.as_deref().map(address).transpose().map_err(Failure::wrong)?;
    let places = Places::load(&args.config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let run = Run {
        settings: &settings,
        clock: &clock,
        token: token.as_ref(),
        api: args.api.as_deref(),
        url: url.as_ref(),
        ca_file: args.ca_file.as_deref(),
        shows_personal: args.show_personal,
    };
    let report = runtime(Some(1)).and_then(|runtime| runtime.block_on(run.make()));
    let report = report.map_err(Failure::wrong)?;
    if args.json {
        println!("{}", report.to_json(&args.config.display().to_string(), &places));
    } else {
        print!("{}", report.render(&places, Screen::for_stream(&stdout()), clock.now()));
    }
    Ok(match report.worst() {
        Outcome::Broken => ExitCode::from(FAULTY),
        Outcome::Warning => ExitCode::from(FAILED),
        _ => ExitCode::SUCCESS,
    })
}

fn read(from: &str) -> Result<Written, String> {
    let mut text = String::new();
    let (name, read) = match from {
        "-" => {
            if stdin().is_terminal() {
                eprintln!("Paste the token, then press Enter and Ctrl-D:");
            }
            ("standard input", stdin().take(MAX_INPUT).read_to_string(&mut text))
        }
        path => (
            path,
            std::fs::File::open(path).and_then(|file| file.take(MAX_INPUT).read_to_string(&mut text)),
        ),
    };
    // Whoever put a token here must not find it in the error message too.
    let name = if name.matches('.').count() == 2 && name.len() > 60 {
        "that file"
    } else {
        name
    };
    read.map_err(|error| format!("cannot read the token from {name}: {error}"))?;
    let written = Written::read(&text);
    match written.token.is_empty() {
        true => Err(format!("there is no token in {name}")),
        false => Ok(written),
    }
}
