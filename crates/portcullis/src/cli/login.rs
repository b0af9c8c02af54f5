//! `portcullis login`: a person signs in from a terminal.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use portcullis_jose::{Algorithm, Secret};
use portcullis_oidc::device::DeviceAuthorization;
use portcullis_oidc::loopback::Redirect;
use serde_json::json;

use super::failure::print;
use super::time;
use crate::config;
use crate::login::{
    Asked, Kept, Key, Party, Place, Problem, Shown, Tokens, Wanted, on_another_device, on_this_machine,
};
use crate::secret_source::{SecretSource, Shape};
use crate::serve::runtime;

/// Where logins are kept, and which one is meant.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Which login, where there are several
    #[arg(long, value_name = "NAME", default_value = "default")]
    login: String,
    /// Where logins are kept [default: $PORTCULLIS_LOGINS, or portcullis/logins in the user's state directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Which {
    pub(super) fn place(&self) -> Result<Place, Problem> {
        Place::new(self.dir.as_deref(), &self.login)
    }
}

#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// A provider of the configuration
    #[arg(
        long,
        value_name = "NAME",
        requires = "config",
        required_unless_present = "issuer",
        conflicts_with = "issuer"
    )]
    provider: Option<String>,
    /// The gateway's configuration
    #[arg(long, value_name = "FILE", requires = "provider")]
    config: Option<PathBuf>,
    /// A public client of the configuration; without it the only one of the provider
    #[arg(long, value_name = "NAME", requires = "provider", conflicts_with = "client_id")]
    client: Option<String>,
    /// The issuer, as its metadata name it
    #[arg(long, value_name = "URL", requires = "client_id")]
    issuer: Option<String>,
    /// The client identifier that the provider gave out
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The file with the secret that some providers give out for applications on people's machines
    #[arg(long, value_name = "FILE", requires = "issuer")]
    client_secret_file: Option<PathBuf>,
    /// The algorithm of the issuer's ID tokens
    #[arg(long, value_name = "ALG", requires = "issuer", value_parser = algorithm, default_value = "RS256")]
    id_token_algorithm: Algorithm,
    /// Certificates to trust at the issuer, in PEM
    #[arg(long, value_name = "FILE", requires = "issuer")]
    ca_file: Option<PathBuf>,
    /// A scope to ask for, beside openid, profile and offline_access
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The API that the access token is for (RFC 8707)
    #[arg(long, value_name = "URI")]
    audience: Option<String>,
    /// Who will sign in, as far as is known
    #[arg(long, value_name = "TEXT", conflicts_with = "device")]
    login_hint: Option<String>,
    /// How the provider may ask
    #[arg(long, value_enum, conflicts_with = "device")]
    prompt: Option<Prompt>,
    /// The redirect URI as it is registered; without a port any free one is taken [default: http://127.0.0.1/callback]
    #[arg(long, value_name = "URL", conflicts_with = "device")]
    redirect_uri: Option<Redirect>,
    /// Print where to go, and open no browser
    #[arg(long)]
    no_browser: bool,
    /// Sign in on another device: show a code to type there, and a QR code
    #[arg(long)]
    device: bool,
    /// For how long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    sealing: Sealing,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// What the login is sealed with.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Sealing {
    /// Seal the login with a key in the system's keyring, or not at all; the default where there is a keyring
    #[arg(long)]
    keyring: bool,
    /// Seal it with the key in this file, which is made if it is not there
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Seal it with a passphrase, which is asked for; the default where there is no keyring
    #[arg(long)]
    passphrase: bool,
    /// Seal it with the passphrase in this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// `prompt` (OpenID Connect Core 1.0 s3.1.2.1), where a person is there.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Prompt {
    Login,
    Consent,
    SelectAccount,
}

pub(super) fn run(args: &LoginArgs) -> ExitCode {
    print(sign_in(args), args.json)
}

fn sign_in(args: &LoginArgs) -> Result<String, Problem> {
    let place = args.which.place()?;
    let party = party(args)?;
    place.prepare()?;
    // Whoever cannot keep the login need not sign in.
    let key = Key::make(&args.sealing.wanted(), &place)?;
    let asked = Asked {
        scopes: scopes(&args.scopes),
        audience: args.audience.clone(),
        login_hint: args.login_hint.clone(),
        prompt: args
            .prompt
            .and_then(|prompt| Some(prompt.to_possible_value()?.get_name().to_owned())),
        redirect: args.redirect_uri.clone().unwrap_or_default(),
        wait: Duration::from_secs(args.wait),
    };
    let show = |shown: Shown<'_>| match shown {
        Shown::Url(url) => show_url(url, !args.no_browser),
        Shown::Device(device) => show_device(device),
    };
    let kept = runtime(Some(1)).map_err(Problem::new)?.block_on(async {
        match args.device {
            true => on_another_device(party, &asked, show).await,
            false => on_this_machine(party, &asked, show).await,
        }
    })?;
    let tokens = Tokens::keep(place, key, kept)?;
    Ok(told(&tokens, args.json))
}

fn party(args: &LoginArgs) -> Result<Party, Problem> {
    if let (Some(provider), Some(config)) = (&args.provider, &args.config) {
        let settings = config::load(config)?;
        return Party::configured(&settings, provider, args.client.as_deref(), args.client_id.as_deref());
    }
    let (Some(issuer), Some(client_id)) = (&args.issuer, &args.client_id) else {
        return Err(Problem::usage(
            "--provider with --config, or --issuer with --client-id, is needed",
        ));
    };
    let secret = args.client_secret_file.as_ref().map(|path| {
        let read = SecretSource::File(path.clone()).read(Shape::Line);
        let read = read.and_then(|secret| secret.ok_or_else(|| "there is nothing".to_owned()));
        read.map_err(|why| Problem::usage(format!("{}: {why}", path.display())))
    });
    let secret: Option<Secret> = secret.transpose()?;
    Party::named(
        issuer,
        client_id,
        secret,
        args.id_token_algorithm,
        args.ca_file.as_deref(),
    )
}

/// `offline_access` asks for the refresh token, without which a login is over in minutes.
fn scopes(asked: &[String]) -> Vec<String> {
    let mut scopes: Vec<String> = ["openid", "profile", "offline_access"].map(str::to_owned).to_vec();
    for scope in asked
        .iter()
        .flat_map(|text| text.split(' '))
        .filter(|scope| !scope.is_empty())
    {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

fn show_url(url: &str, browser: bool) {
    if browser && webbrowser::open(url).is_ok() {
        eprintln!("Sign in in your browser. Where none has opened, go to:\n\n{url}\n");
    } else {
        eprintln!("Go to this address to sign in:\n\n{url}\n");
    }
}

fn show_device(device: &DeviceAuthorization) {
    let place = device.verification_uri.as_str();
    eprintln!(
        "Go to {place} on any device and enter this code:\n\n    {}\n",
        device.user_code
    );
    if stderr().is_terminal()
        && let Some(complete) = &device.verification_uri_complete
        && let Some(picture) = super::qr::picture(complete.as_str())
    {
        eprintln!("{picture}\nWith the picture the code is there already: compare it with the one above.\n");
    }
    let minutes = device.expires_in.as_secs().div_ceil(60);
    eprintln!("Waiting for up to {minutes} min.");
}

fn told(tokens: &Tokens, json: bool) -> String {
    let kept = tokens.kept();
    if json {
        return json!(summary(kept)).to_string();
    }
    let sealed = tokens.key().words();
    let refreshed = match kept.refresh_token {
        Some(_) => "portcullis token prints an access token",
        None => "the provider gave no refresh token: the login lasts as long as its access token",
    };
    format!(
        "signed in as {} at {}; {refreshed}\nkept sealed with {sealed}",
        printable(kept.person()),
        printable(&kept.issuer)
    )
}

/// What is known of a login, without any token.
pub(super) fn summary(kept: &Kept) -> serde_json::Value {
    let access = kept.access.first();
    json!({
        "issuer": kept.issuer,
        "client_id": kept.party.client_id,
        "subject": kept.subject,
        "claims": kept.claims,
        "signed_in": time::shown(kept.signed_in),
        "audience": access.and_then(|access| access.target.audience.clone()),
        "scope": access.and_then(|access| access.scope.clone()),
        "access_token_expires": access.and_then(|access| access.expires).map(time::shown),
        "refreshable": kept.refresh_token.is_some(),
    })
}

impl Sealing {
    fn wanted(&self) -> Wanted {
        match (&self.key_file, &self.passphrase_file) {
            (Some(file), _) => Wanted::KeyFile(file.clone()),
            (_, Some(file)) => Wanted::Passphrase(Some(file.clone())),
            _ if self.passphrase => Wanted::Passphrase(None),
            _ if self.keyring => Wanted::Keyring,
            _ => Wanted::Usual,
        }
    }
}

/// What comes over the network must not steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let algorithm = Algorithm::from_name(text).filter(|algorithm| !text.starts_with("HS") && algorithm.name() == text);
    algorithm.ok_or_else(|| "expected an algorithm with public keys, such as RS256 or ES256".to_owned())
}
