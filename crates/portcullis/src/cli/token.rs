//! `portcullis token`, `portcullis whoami` and `portcullis logout`: what a login is good for afterwards.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_jose::{Clock as _, SystemClock};
use serde_json::json;

use super::failure::print;
use super::login::{Which, printable, summary};
use super::time;
use crate::login::{Ask, Bearer, Problem, Revoked, Target, Tokens};

/// Where the passphrase of a login is, if it has one.
#[derive(Debug, Args)]
struct Opening {
    #[command(flatten)]
    which: Which,
    /// The file with the passphrase, where the login has one; otherwise it is asked for
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// The API that the token is for (RFC 8707); without it that of the login
    #[arg(long, value_name = "URI")]
    audience: Option<String>,
    /// A scope of those that were granted; without it all of them
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Print the ID token, as the API server of Kubernetes wants it
    #[arg(long, conflicts_with_all = ["audience", "scopes"])]
    id_token: bool,
    /// The token must be good for so many seconds, or for half of its life where that is shorter
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    valid_for: u32,
    /// Ask for a new token, however long the old one is good
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    opening: Opening,
}

/// How the token is printed.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Form {
    /// Print a JSON object with the token and its end
    #[arg(long)]
    json: bool,
    /// Print the header to send: Authorization: Bearer ...
    #[arg(long)]
    header: bool,
    /// Print an ExecCredential, as kubectl asks for one (client.authentication.k8s.io/v1)
    #[arg(long)]
    exec_credential: bool,
}

#[derive(Debug, Args)]
pub(super) struct WhoamiArgs {
    #[command(flatten)]
    opening: Opening,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct LogoutArgs {
    #[command(flatten)]
    opening: Opening,
    /// Forget the login here without telling the provider; also where it cannot be opened any more
    #[arg(long)]
    here_only: bool,
}

impl Opening {
    fn open(&self) -> Result<Tokens, Problem> {
        Tokens::open(self.which.place()?, self.passphrase_file.as_deref())
    }
}

pub(super) fn token(args: &TokenArgs) -> ExitCode {
    print(one(args), args.form.json)
}

fn one(args: &TokenArgs) -> Result<String, Problem> {
    let split = args.scopes.iter().flat_map(|text| text.split(' '));
    let scopes: Vec<String> = split.filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    let ask = Ask {
        target: Target::new(args.audience.clone(), scopes),
        id_token: args.id_token,
        seconds: i64::from(args.valid_for),
        anew: args.refresh,
    };
    let bearer = args.opening.open()?.bearer(&ask)?;
    if let Some(why) = &bearer.old {
        eprintln!(
            "warning: the token could not be renewed, and the old one is used while it lives: {}",
            printable(why)
        );
    }
    let lacks = bearer.lacks(&ask.target.scopes);
    if !lacks.is_empty() {
        return Err(Problem::new(format!("the provider did not grant {}", lacks.join(" "))));
    }
    Ok(args.form.print(&bearer, args.id_token))
}

impl Form {
    fn print(&self, bearer: &Bearer, id_token: bool) -> String {
        let token = bearer.token.expose();
        if self.header {
            return format!("Authorization: Bearer {token}");
        }
        let expires = bearer.expires.map(time::shown);
        if self.exec_credential {
            // The API server is asked anew when it says 401; without an end kubectl would keep the token until then.
            return json!({
                "apiVersion": "client.authentication.k8s.io/v1",
                "kind": "ExecCredential",
                "status": { "token": token, "expirationTimestamp": expires },
            })
            .to_string();
        }
        if self.json {
            let name = if id_token { "id_token" } else { "access_token" };
            let mut answer = json!({ name: token, "expires": expires, "scope": bearer.scope });
            if let (Some(answer), false) = (answer.as_object_mut(), id_token) {
                answer.insert("token_type".to_owned(), "Bearer".into());
                let left = bearer.expires.map(|expires| expires.since(SystemClock.now()));
                answer.insert("expires_in".to_owned(), left.into());
            }
            return answer.to_string();
        }
        token.to_owned()
    }
}

pub(super) fn whoami(args: &WhoamiArgs) -> ExitCode {
    print(args.opening.open().map(|tokens| who(&tokens, args.json)), args.json)
}

fn who(tokens: &Tokens, json: bool) -> String {
    let kept = tokens.kept();
    if json {
        return summary(kept).to_string();
    }
    let mut lines = vec![
        ("person", kept.person().to_owned()),
        ("subject", kept.subject.clone()),
        ("issuer", kept.issuer.clone()),
        ("client", kept.party.client_id.clone()),
        ("signed in", time::shown(kept.signed_in)),
    ];
    if let Some(email) = kept.claims.get("email").and_then(|email| email.as_str()) {
        lines.insert(1, ("email", email.to_owned()));
    }
    for access in &kept.access {
        let end = match access.expires {
            Some(expires) if SystemClock.now() < expires => format!("until {}", time::shown(expires)),
            Some(expires) => format!("until {}, which is over", time::shown(expires)),
            None => "its end is not known".to_owned(),
        };
        let audience = access.target.audience.as_ref();
        let audience = audience.map_or_else(String::new, |audience| format!(" for {audience}"));
        let scope = access.scope.as_deref().unwrap_or("(not told)");
        lines.push(("token", format!("{end}{audience}; scope {scope}")));
    }
    let refresh = match kept.refresh_token {
        Some(_) => "yes",
        None => "no: the login ends with its token",
    };
    lines.push(("refreshable", refresh.to_owned()));
    lines.push(("sealed with", tokens.key().words()));
    let lines = lines
        .iter()
        .map(|(name, value)| format!("{name:<12} {}", printable(value)));
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn logout(args: &LogoutArgs) -> ExitCode {
    print(end(args), false)
}

fn end(args: &LogoutArgs) -> Result<String, Problem> {
    if args.here_only {
        Tokens::forget(&args.opening.which.place()?)?;
        return Ok("forgotten here; its tokens stay good at the provider until they expire".to_owned());
    }
    let (revoked, kept) = args.opening.open()?.end()?;
    let person = printable(kept.person());
    match revoked {
        Revoked::Yes => Ok(format!("signed out: {person}; the tokens are revoked and forgotten")),
        Revoked::Cannot => Ok(format!(
            "signed out: {person}; the tokens are forgotten. The provider has no revocation endpoint: the access token \
             stays good there until it expires"
        )),
        Revoked::Failed(problem) => Err(Problem {
            why: format!(
                "the tokens are forgotten here, and could not be revoked at the provider: {}",
                problem.why
            ),
            ..problem
        }),
    }
}
