//! `portcullis inspect`: a token laid open, without asking anybody unless keys are named.

use std::io::{IsTerminal, Read, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use portcullis_audit::{Audit, AuditSettings};
use portcullis_jose::{Clock, JwkSet, ManualClock, SystemClock, UnixTime};
use portcullis_oidc::{HttpClient, HttpsUrl, HyperClient, Provider};

use super::explain_token::status;
use super::failure::{Failure, end};
use super::{load, time};
use crate::doctor::inspection::{Inspection, Keys, Verification, WARNING, render};
use crate::doctor::screen::Screen;
use crate::doctor::token::Written;
use crate::gateway::provider_alone;
use crate::serve::runtime;

/// More than any header may hold.
const MAX_INPUT: u64 = 1024 * 1024;
const MAX_KEYS: usize = 512 * 1024;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The token; `-` or nothing: read it from standard input, where no shell's history keeps it
    #[arg(value_name = "TOKEN")]
    token: Option<String>,
    /// Verify with the keys of this provider of the configuration
    #[arg(long, value_name = "NAME", requires = "config")]
    provider: Option<String>,
    /// The gateway's configuration
    #[arg(long, value_name = "FILE", requires = "provider")]
    config: Option<PathBuf>,
    /// Verify with the keys of this issuer
    #[arg(long, value_name = "URL", conflicts_with = "provider")]
    issuer: Option<String>,
    /// Verify with the keys of this file (JWK set, JWK or PEM) or address
    #[arg(long, value_name = "FILE|URL", conflicts_with_all = ["provider", "issuer"])]
    jwks: Option<String>,
    /// Look at it as if it were this time: seconds since 1970, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_negative_numbers = true)]
    now: Option<UnixTime>,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InspectArgs) -> ExitCode {
    end(inspect(args).map(status), args.json)
}

fn inspect(args: &InspectArgs) -> Result<bool, Failure> {
    let (source, written) = match args.token.as_deref() {
        None | Some("-") => ("standard input", Written::read(&standard_input()?)),
        Some(token) => {
            eprintln!("note: the shell's history has this token now; next time pipe it in");
            ("the command line", Written::read(token))
        }
    };
    if written.token.is_empty() {
        return Err(Failure::wrong(format!("there is no token in {source}")));
    }
    let clock: Arc<dyn Clock> = match args.now {
        Some(now) => Arc::new(ManualClock::at(now)),
        None => Arc::new(SystemClock),
    };
    let verification = match keys(args, &clock)? {
        Some(keys) => keys.verify(written.token.expose()),
        None => Verification::NotAsked,
    };
    let inspection = Inspection::of(&written, clock.now(), verification);
    if args.json {
        println!("{}", inspection.to_json());
    } else {
        print!("{}", render(&inspection, source, Screen::for_stream(&stdout())));
        eprintln!("{WARNING}");
    }
    Ok(inspection.is_good())
}

fn standard_input() -> Result<String, Failure> {
    if stdin().is_terminal() {
        eprintln!("Paste the token, then press Enter and Ctrl-D:");
    }
    let mut text = String::new();
    let read = stdin().take(MAX_INPUT).read_to_string(&mut text);
    read.map_err(|error| Failure::wrong(format!("cannot read the token from standard input: {error}")))?;
    Ok(text)
}

/// The keys that were named. Only here somebody is asked.
fn keys(args: &InspectArgs, clock: &Arc<dyn Clock>) -> Result<Option<Keys>, Failure> {
    if let Some(place) = &args.jwks {
        let set = match HttpsUrl::parse(place) {
            Ok(url) => runtime(Some(1)).map_err(Failure::wrong)?.block_on(fetch(&url))?,
            Err(_) if place.contains("://") => {
                return Err(Failure::wrong(format!(
                    "{place} is not https (http is accepted on loopback alone)"
                )));
            }
            Err(_) => {
                let read =
                    std::fs::read(place).map_err(|error| Failure::wrong(format!("cannot read {place}: {error}")))?;
                JwkSet::from_local(&read)
                    .map_err(|error| Failure::wrong(format!("{place}: {error}")))?
                    .0
            }
        };
        return Ok(Some(Keys {
            set,
            issuer: None,
            origin: place.clone(),
        }));
    }
    let provider = match (&args.provider, &args.config, &args.issuer) {
        (Some(name), Some(path), _) => {
            let settings = load(path)?;
            let audit = Audit::new(AuditSettings::in_memory(), clock.clone());
            provider_alone(&settings, name, &audit, clock).map_err(|error| Failure::wrong(error.to_string()))?
        }
        (_, _, Some(issuer)) => Provider::discover(issuer).map_err(|error| Failure::wrong(error.to_string()))?,
        _ => return Ok(None),
    };
    let fetched = runtime(Some(1))
        .map_err(Failure::wrong)?
        .block_on(provider.keys_or_fetch());
    let keys = fetched.map_err(|error| Failure::wrong(format!("the keys of {}: {error}", provider.issuer())))?;
    Ok(Some(Keys {
        set: keys.set.clone(),
        issuer: Some(provider.issuer_rule().clone()),
        origin: provider.issuer().to_owned(),
    }))
}

async fn fetch(url: &HttpsUrl) -> Result<JwkSet, Failure> {
    let wrong = |why: String| Failure::wrong(format!("the keys of {url}: {why}"));
    let client = HyperClient::new().map_err(|error| wrong(error.to_string()))?;
    let request = http::Request::get(url.as_str())
        .body(Bytes::new())
        .map_err(|error| wrong(error.to_string()))?;
    let answer = client
        .send(request, MAX_KEYS)
        .await
        .map_err(|error| wrong(error.to_string()))?;
    if answer.status() != http::StatusCode::OK {
        return Err(wrong(format!("status {}", answer.status().as_u16())));
    }
    let (set, _) = JwkSet::parse(answer.body()).map_err(|error| wrong(error.to_string()))?;
    Ok(set)
}
