//! The command line: what a person types, and exit statuses.
//!
//! 0 is success, 1 is a failure at run time, 2 is a wrong command line or a faulty configuration. Data goes to stdout,
//! everything else to stderr.
#![expect(clippy::print_stderr, reason = "it is the command's output")]

mod call;
mod check;
mod doctor;
mod explain;
mod explain_token;
mod failure;
mod idp;
mod inspect;
mod keys;
mod login;
mod qr;
mod revocations;
mod revoke;
mod secret;
mod sessions;
mod shell;
mod time;
mod token;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::{Failure, finish};
use crate::config::{self, ClientSettings, Settings};
use crate::demo::{self, DemoArgs};
use crate::doctor::{causes, problems};
use crate::serve;

const FAILED: u8 = 1;
const FAULTY: u8 = 2;

/// OAuth 2.0 and OpenID Connect security for APIs and single-page apps.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work: provider, app, API and gateway on this machine, with three people to be
    Demo(DemoArgs),
    /// Run the gateway
    Serve {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say what is wrong with a configuration; exit status 2 if anything is
    Check {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Run the development provider: loopback only, never for production
    Idp {
        /// The provider's users, clients and APIs
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print {"issuer": ..., "admin_token": ...} on one line when it is ready
        #[arg(long)]
        json: bool,
    },
    /// Show, enter and take back revocations at a running gateway, by its admin address
    Revocations {
        #[command(subcommand)]
        action: revocations::Action,
    },
    /// Show, replace and remove the key pairs that Portcullis makes for its clients, and the keys that seal sessions
    Keys {
        #[command(subcommand)]
        action: keys::Action,
    },
    /// Replace a client's secret without a restart, and try whether the provider takes it
    Secret {
        #[command(subcommand)]
        action: secret::Action,
    },
    /// Revoke one token, whole as it is, at a running gateway and at the provider
    Revoke(revoke::RevokeArgs),
    /// Show the sessions of a person at a running gateway, and end them
    Sessions {
        #[command(subcommand)]
        action: sessions::Action,
    },
    /// Say what an error code, or a fault that `check` finds, means and what to change
    Explain {
        /// For example token.audience_mismatch, config.contradiction, or cause.id_token_sent
        code: String,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say what the gateway says of a token, check by check; exit status 1 if it refuses
    ExplainToken(explain_token::ExplainTokenArgs),
    /// Send a request with a fresh client-credentials token, and explain the answer
    Call(call::CallArgs),
    /// Look at the real thing: providers, clients, APIs, store, a token; exit status 1 warnings, 2 something broken
    Doctor(doctor::DoctorArgs),
    /// Lay a token open: header, claims with times in words, kind, faults; verified where keys are named
    Inspect(inspect::InspectArgs),
    /// Sign in as a person: at a browser here, or on another device with --device
    Login(Box<login::LoginArgs>),
    /// Print an access token of a login, refreshed where it is needed
    Token(token::TokenArgs),
    /// Say who is signed in
    Whoami(token::WhoamiArgs),
    /// End a login: revoke its tokens at the provider and forget them
    Logout(token::LogoutArgs),
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print a man page, or write all of them
    Man {
        /// The page of this command alone, such as doctor
        #[arg(value_name = "COMMAND", conflicts_with = "directory")]
        page: Option<String>,
        /// Write all pages into this directory
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Print a generated page of the manual
    #[command(hide = true)]
    Docs {
        /// Which one
        #[arg(value_parser = ["error-codes", "configuration", "causes", "doctor"])]
        page: String,
    },
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    run_line(std::env::args_os())
}

/// Runs the command of this line, whose first word is the program's name. It ends the process where the line means
/// nothing, and where it asks for help.
#[must_use]
pub fn run_line(line: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Cli::parse_from(line).command {
        Command::Demo(args) => finish(demo::run(&args), args.json),
        Command::Serve { config } => finish(load(&config).and_then(|settings| Ok(serve::run(&settings)?)), false),
        Command::Check { config, json } => check::run(&config, json),
        Command::Idp { config, json } => idp::run(&config, json),
        Command::Revocations { action } => revocations::run(action),
        Command::Keys { action } => keys::run(&action),
        Command::Secret { action } => secret::run(&action),
        Command::Revoke(args) => revoke::run(&args),
        Command::Sessions { action } => sessions::run(&action),
        Command::Explain { code, json } => explain::run(&code, json),
        Command::ExplainToken(args) => explain_token::run(&args),
        Command::Call(args) => call::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Login(args) => login::run(&args),
        Command::Token(args) => token::token(&args),
        Command::Whoami(args) => token::whoami(&args),
        Command::Logout(args) => token::logout(&args),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { page, directory } => shell::man(page.as_deref(), directory.as_deref()),
        Command::Docs { page } => {
            let text = match page.as_str() {
                "configuration" => config::reference_markdown(),
                "causes" => causes::markdown(),
                "doctor" => problems::markdown(),
                _ => portcullis_audit::catalogue::markdown(),
            };
            print!("{text}");
            ExitCode::SUCCESS
        }
    }
}

fn load(path: &Path) -> Result<Settings, Failure> {
    Ok(config::load(path)?)
}

/// The client of this name, or which there are.
fn configured<'s>(settings: &'s Settings, name: &str) -> Result<&'s ClientSettings, Failure> {
    settings.clients.get(name).ok_or_else(|| {
        let known: Vec<&str> = settings.clients.keys().map(String::as_str).collect();
        let known = match known.as_slice() {
            [] => "the configuration has none".to_owned(),
            known => format!("there are: {}", known.join(", ")),
        };
        Failure::wrong(format!("there is no client {name}; {known}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Identifiers are base64url, more often than not.
    #[test]
    fn an_identifier_may_begin_like_an_option() {
        for line in [
            "keys retire --client web -x7",
            "keys retire -x7 --client -web",
            "revocations add --issuer https://id.test --session -x7 --reason -",
            "revocations add --issuer https://id.test --subject -x7",
            "revocations add --issuer https://id.test --client -x7",
            "revocations add --issuer https://id.test --jti -x7",
            "revocations add --signed-part -AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "sessions list --subject -x7",
            "sessions end --subject -x7 --id -y8",
        ] {
            let line = format!("portcullis {line} --config a.toml");
            let read = Cli::try_parse_from(line.split(' '));
            assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
        }
        let without = Cli::try_parse_from("portcullis keys retire --client web --config a.toml".split(' '));
        assert!(without.is_err(), "an option is no key");
    }
}
