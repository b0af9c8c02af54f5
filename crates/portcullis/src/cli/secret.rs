//! `portcullis secret`: a client's secret replaced, and tried.
#![expect(clippy::print_stderr, reason = "it is the command's output")]

use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use portcullis_jose::Secret;
use serde_json::{Value, json};

use super::failure::{Failure, finish};
use super::revocations::aligned;
use super::{configured, load};
use crate::config::{ClientSettings, Settings};
use crate::rotation::{self, Rotation, Verdict, try_secret};
use crate::secret_source::{MAX_BYTES, Shape};
use crate::serve::runtime;

/// What is done with them.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Replace a client's secret while the gateway runs: by a new one of the provider's (RFC 7592), or by one that was
    /// made there by hand
    Rotate {
        /// NAME of the client
        #[arg(long, value_name = "NAME")]
        client: String,
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The file with a secret that was made at the provider, or - for standard input; it is tried, then written
        #[arg(long, value_name = "FILE")]
        new_secret: Option<PathBuf>,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Try each secret of a client at its provider; exit status 1 if one is not taken
    Check {
        /// NAME of the client
        #[arg(long, value_name = "NAME")]
        client: String,
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Answer with one JSON array
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(action: &Action) -> ExitCode {
    let (Action::Rotate { config, client, .. } | Action::Check { config, client, .. }) = action;
    let (Action::Rotate { json, .. } | Action::Check { json, .. }) = action;
    let result = load(config).and_then(|settings| {
        let configured = configured(&settings, client)?;
        match action {
            Action::Rotate { new_secret, json, .. } => {
                rotate(&settings, config, client, configured, new_secret.as_deref(), *json)
            }
            Action::Check { json, .. } => check(&settings, client, configured, *json),
        }
    });
    finish(result, *json)
}

fn rotate(
    settings: &Settings,
    config: &Path,
    name: &str,
    client: &ClientSettings,
    new_secret: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    let rotation = Rotation::of(settings, name, client)?;
    let registration = match (new_secret, rotation.registration()) {
        (None, None) => return Err(Failure::wrong(by_hand(name, client, config))),
        (Some(_), _) => None,
        (None, Some(registration)) => Some(registration),
    };
    let given = new_secret.map(read_secret).transpose()?;
    let mut steps = Vec::new();
    let mut tell = |step: &'static str, what: String| {
        if !json {
            println!("{step:<9} {what}");
        }
        steps.push(json!({ "step": step, "what": what }));
    };
    let runtime = runtime(Some(1))?;
    let result = runtime.block_on(async {
        match (&given, registration) {
            (Some(secret), _) => rotation.take(secret, &mut tell).await,
            (None, Some(registration)) => rotation.ask(registration, &mut tell).await,
            (None, None) => Ok(()),
        }
    });
    if result.is_ok() && given.is_some() {
        tell(
            "next",
            format!("{}, and then: {}", delete_old(client), check_line(name, config)),
        );
    }
    let result = result.map_err(Failure::from);
    if json {
        let error = result.as_ref().err().map(Failure::to_json);
        let told = json!({
            "client": name, "provider": client.provider, "rotated": result.is_ok(), "steps": steps, "error": error,
        });
        println!("{told}");
    }
    result.map_err(Failure::answered)
}

fn check(settings: &Settings, name: &str, client: &ClientSettings, json: bool) -> Result<(), Failure> {
    let secrets = rotation::secrets(name, client)?;
    let runtime = runtime(Some(1))?;
    let mut rows = Vec::new();
    for secret in secrets {
        let verdict = runtime.block_on(try_secret(settings, client, &secret.value));
        rows.push((secret.source.to_string(), verdict?));
    }
    let words = |verdict: &Verdict| match verdict {
        Verdict::Taken => ("taken", String::new()),
        Verdict::Refused => ("refused", String::new()),
        Verdict::Unknown(why) => ("unknown", why.clone()),
    };
    if json {
        let rows = rows.iter().map(|(source, verdict)| {
            let (word, why) = words(verdict);
            json!({ "client": name, "secret": source, "verdict": word, "why": why })
        });
        println!("{}", Value::from_iter(rows));
    } else {
        let rows = rows.iter().map(|(source, verdict)| {
            let (word, why) = words(verdict);
            [word.to_owned(), source.clone(), why]
        });
        println!("{}", aligned(rows.collect()));
    }
    match rows.iter().all(|(_, verdict)| *verdict == Verdict::Taken) {
        true => Ok(()),
        false => Err(Failure::told()),
    }
}

/// What a person does where the provider cannot be asked.
fn by_hand(name: &str, client: &ClientSettings, config: &Path) -> String {
    format!(
        "client {name} has no `registration` in the configuration, by which the provider could be asked; nothing was \
         changed. By hand:\n\
         1. make a new secret for {} at the provider {}, and leave the old one there\n\
         2. portcullis secret rotate --client {name} --config {} --new-secret -\n   \
         and paste it: it is tried at the provider, then written\n\
         3. {}\n\
         4. {}",
        client.client_id,
        client.provider,
        config.display(),
        delete_old(client),
        check_line(name, config),
    )
}

fn delete_old(client: &ClientSettings) -> String {
    format!(
        "delete the old secret of {} at the provider {}",
        client.client_id, client.provider
    )
}

fn check_line(name: &str, config: &Path) -> String {
    format!("portcullis secret check --client {name} --config {}", config.display())
}

/// The one line of a file, or of standard input where it is `-`.
fn read_secret(file: &Path) -> Result<Secret, Failure> {
    let mut bytes = Vec::new();
    let read = match file.as_os_str() == "-" {
        true => {
            if stdin().is_terminal() {
                eprintln!("paste the new secret, then press Enter and Ctrl-D");
            }
            stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes)
        }
        false => std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)),
    };
    // A secret in place of the file's name is not repeated.
    let unreadable = |why: String| {
        Failure::failed(format!(
            "cannot read the new secret: {why}; name its file, or - for standard input"
        ))
    };
    read.map_err(|error| unreadable(error.to_string()))?;
    Shape::Line.read(bytes).map_err(|why| unreadable(why.to_owned()))
}

impl From<rotation::Failure> for Failure {
    fn from(failure: rotation::Failure) -> Failure {
        match failure {
            rotation::Failure::Faulty(why) => Failure::wrong(why),
            rotation::Failure::Failed(why) => Failure::failed(why),
        }
    }
}
