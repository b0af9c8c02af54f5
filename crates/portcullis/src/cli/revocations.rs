//! `portcullis revocations`: the admin API, from a terminal.

use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use portcullis_jose::{Secret, UnixTime, base64url_decode};
use portcullis_oidc::{HttpClient, HttpsUrl, HyperClient};
use portcullis_store::{RevocationTarget, TokenId};
use serde_json::{Value, json};

use super::failure::{Failure, print};
use super::{load, time};
use crate::admin::Entry;
use crate::serve::runtime;

/// A list of a hundred thousand revocations.
const LIMIT: usize = 64 * 1024 * 1024;
/// Whoever has a token in a file has no more than this.
const MAX_TOKEN: u64 = 16 * 1024;

/// Where the gateway's admin address is, and what proves who asks.
#[derive(Debug, Args)]
pub(super) struct Connection {
    /// The gateway's configuration, which has the admin address and token
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "token_file"], required_unless_present = "admin")]
    pub(super) config: Option<PathBuf>,
    /// The admin address, where the configuration is not at hand, such as http://127.0.0.1:9090
    #[arg(long, value_name = "URL", requires = "token_file")]
    admin: Option<String>,
    /// The file with the admin token
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
    /// Print the gateway's answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// What is revoked at this gateway
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Revoke by session, subject, client, token identifier or issuer
    Add {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        what: Box<What>,
    },
    /// Take a revocation back
    Remove {
        #[command(flatten)]
        connection: Connection,
        /// The number that `list` shows
        id: u64,
    },
}

/// What is to be revoked.
#[derive(Debug, Args)]
pub(super) struct What {
    /// The issuer, as the configuration has it
    #[arg(long, value_name = "URL", required_unless_present = "signed_part")]
    issuer: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Only tokens from before: now, seconds since 1970, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = issued_before)]
    issued_before: Option<Value>,
    /// When it ends; by default when the last token that was issued by now has expired
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    expires: Option<UnixTime>,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, default_value = "")]
    reason: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// All tokens of a session at the provider
    #[arg(long, value_name = "SID", allow_hyphen_values = true)]
    session: Option<String>,
    /// All tokens of a person or service
    #[arg(long, value_name = "SUB", allow_hyphen_values = true)]
    subject: Option<String>,
    /// All tokens that were issued to a client
    #[arg(long, value_name = "CLIENT_ID", allow_hyphen_values = true)]
    client: Option<String>,
    /// One token, by its identifier
    #[arg(long, value_name = "JTI", allow_hyphen_values = true)]
    jti: Option<String>,
    /// One token, by the SHA-256 of what was signed, in base64url
    #[arg(long, value_name = "HASH", allow_hyphen_values = true, value_parser = digest, conflicts_with = "issuer")]
    signed_part: Option<Digest>,
    /// All tokens of the issuer
    #[arg(long)]
    whole_issuer: bool,
}

#[derive(Clone, Copy, Debug)]
struct Digest([u8; 32]);

/// `portcullis revocations ...`
pub(super) fn run(action: Action) -> ExitCode {
    let (Action::List { connection } | Action::Add { connection, .. } | Action::Remove { connection, .. }) = &action;
    let json = connection.json;
    let result = match action {
        Action::List { connection } => list(&connection),
        Action::Add { connection, what } => add(&connection, what.into_body()),
        Action::Remove { connection, id } => remove(&connection, id),
    };
    print(result, json)
}

fn list(connection: &Connection) -> Result<String, Failure> {
    let answer = connection.send(&Method::GET, "revocations", None)?;
    if connection.json {
        return Ok(answer.to_string());
    }
    let entries = answer.get("revocations").cloned().unwrap_or_default();
    let entries: Vec<Entry> = serde_json::from_value(entries).map_err(unreadable)?;
    if entries.is_empty() {
        return Ok("nothing is revoked".to_owned());
    }
    Ok(table(&entries))
}

fn add(connection: &Connection, body: Value) -> Result<String, Failure> {
    let answer = connection.send(&Method::POST, "revocations", Some(body))?;
    match connection.json {
        true => Ok(answer.to_string()),
        false => added(answer),
    }
}

/// What was entered, in words.
pub(super) fn added(answer: Value) -> Result<String, Failure> {
    let entry: Entry = serde_json::from_value(answer).map_err(unreadable)?;
    let (kind, what) = described(&entry.target);
    let until = time::shown(entry.expires);
    Ok(format!(
        "revoked: {kind} {what}, until {until}; take it back by its number, {}",
        entry.id
    ))
}

fn remove(connection: &Connection, id: u64) -> Result<String, Failure> {
    connection.send(&Method::DELETE, &format!("revocations/{id}"), None)?;
    Ok(match connection.json {
        true => json!({ "removed": id }).to_string(),
        false => format!("taken back: {id}"),
    })
}

// === impl Connection ===

impl Connection {
    /// Sends a request to the admin API, and gives its answer.
    pub(super) fn send(&self, method: &Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        let (base, token) = self.place()?;
        let url = HttpsUrl::parse(&format!("{}/admin/v1/{path}", base.trim_end_matches('/')))
            .map_err(|error| Failure::wrong(format!("{base}: {error}")))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| Failure::wrong("the admin token has characters that no header can carry"))?;
        bearer.set_sensitive(true);
        let mut request = Request::builder().method(method.clone()).uri(url.as_str());
        request = request.header(AUTHORIZATION, bearer);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let failed = |why: String| Failure::failed(why);
        let request = request.body(body).map_err(|error| failed(error.to_string()))?;
        let client = HyperClient::new().map_err(|error| failed(error.to_string()))?;
        let answer = runtime(Some(1)).map_err(failed)?.block_on(client.send(request, LIMIT));
        let answer = answer.map_err(|error| failed(format!("{base}: {error}; does the gateway run?")))?;
        let told: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if answer.status().is_success() {
            return Ok(told);
        }
        let text = |name: &str| told.get(name).and_then(Value::as_str).map(printable);
        let detail = text("detail").unwrap_or_default();
        Err(match text("code") {
            Some(code) => failed(format!("{code}: {detail}")).code(code),
            None => failed(format!("{base} answers {}: {detail}", answer.status())),
        })
    }

    fn place(&self) -> Result<(String, Secret), Failure> {
        let faulty = |why: &str| Failure::wrong(why);
        if let (Some(url), Some(file)) = (&self.admin, &self.token_file) {
            return Ok((url.clone(), read_token(file)?));
        }
        let config = self
            .config
            .as_ref()
            .ok_or_else(|| faulty("--config or --admin is needed"))?;
        let settings = load(config)?;
        let address = settings
            .server
            .admin
            .ok_or_else(|| faulty("the configuration has no `admin` address in [server]"))?;
        let token = settings
            .admin
            .ok_or_else(|| faulty("the configuration has no [admin] table with a `token`"))?;
        Ok((format!("http://{address}"), token.token))
    }
}

// === impl What ===

impl What {
    fn into_body(self) -> Value {
        let iss = self.issuer.unwrap_or_default();
        let Target {
            session,
            subject,
            client,
            jti,
            signed_part,
            ..
        } = self.target;
        let target = match (session, subject, client, jti, signed_part) {
            (Some(sid), ..) => RevocationTarget::Session { iss, sid },
            (_, Some(sub), ..) => RevocationTarget::Subject { iss, sub },
            (_, _, Some(client_id), ..) => RevocationTarget::Client { iss, client_id },
            (_, _, _, Some(jti), _) => RevocationTarget::Token {
                id: TokenId::Jti { iss, jti },
            },
            (.., Some(Digest(hash))) => RevocationTarget::Token {
                id: TokenId::SignedPart(hash),
            },
            _ => RevocationTarget::Issuer { iss },
        };
        let mut body = json!({ "target": target, "reason": self.reason });
        if let Some(body) = body.as_object_mut() {
            body.extend(self.issued_before.map(|time| ("issued_before".to_owned(), time)));
            body.extend(self.expires.map(|time| ("expires".to_owned(), json!(time))));
        }
        body
    }
}

/// The one line of a file, or of standard input where it is `-`.
pub(super) fn read_token(file: &Path) -> Result<Secret, Failure> {
    let failed = |why: String| Failure::failed(why);
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        if stdin().is_terminal() {
            eprintln!("paste the token, then press Enter and Ctrl-D");
        }
        stdin().take(MAX_TOKEN + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_TOKEN + 1).read_to_string(&mut text))
    };
    // A token in place of the file's name is not repeated.
    read.map_err(|error| {
        failed(format!(
            "cannot read the token: {error}; name its file, or - for standard input"
        ))
    })?;
    match text.trim() {
        "" => Err(failed("there is no token".to_owned())),
        _ if text.len() as u64 > MAX_TOKEN => Err(failed(format!("no token is larger than {MAX_TOKEN} bytes"))),
        token => Ok(Secret::new(token)),
    }
}

fn table(entries: &[Entry]) -> String {
    let head = ["ID", "KIND", "WHAT", "ISSUED BEFORE", "ENDS", "REASON"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        let (kind, what) = described(&entry.target);
        [
            entry.id.to_string(),
            kind.to_owned(),
            what,
            entry.issued_before.map_or_else(|| "-".to_owned(), time::shown),
            time::shown(entry.expires),
            printable(&entry.reason),
        ]
    });
    aligned(std::iter::once(head).chain(rows).collect())
}

/// Rows whose columns stand below one another.
#[expect(clippy::needless_pass_by_value, reason = "nobody needs the rows any more")]
pub(super) fn aligned<const N: usize>(rows: Vec<[String; N]>) -> String {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn described(target: &RevocationTarget) -> (&'static str, String) {
    let at = |name: &str, iss: &str| printable(&format!("{name} at {iss}"));
    let what = match target {
        RevocationTarget::Token {
            id: TokenId::Jti { iss, jti },
        } => at(jti, iss),
        RevocationTarget::Session { iss, sid } => at(sid, iss),
        RevocationTarget::Subject { iss, sub } => at(sub, iss),
        RevocationTarget::Client { iss, client_id } => at(client_id, iss),
        RevocationTarget::Issuer { iss } => printable(iss),
        other => match json!(other).pointer("/id/signed_part").and_then(Value::as_str) {
            Some(hash) => format!("with the hash {hash}"),
            None => String::new(),
        },
    };
    (target.kind(), what)
}

/// What comes over the network must not steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

fn issued_before(text: &str) -> Result<Value, String> {
    match text {
        "now" => Ok(json!("now")),
        _ => time::parse(text).map(|time| json!(time)),
    }
}

fn digest(text: &str) -> Result<Digest, String> {
    base64url_decode(text)
        .and_then(|bytes| bytes.try_into().ok())
        .map(Digest)
        .ok_or_else(|| "expected 32 bytes in base64url".to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "it is the shape that map_err asks for")]
pub(super) fn unreadable(error: serde_json::Error) -> Failure {
    Failure::failed(format!("the gateway's answer is not understood: {error}"))
}
