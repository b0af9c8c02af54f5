//! `portcullis call`: one request with a fresh token of a client, and what the answer means.

use std::io::{IsTerminal, Read, Write, stderr, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portcullis_jose::{Clock, SystemClock};

use super::failure::{Failure, end};
use super::{FAILED, load};
use crate::config::Places;
use crate::doctor::address;
use crate::doctor::call::{Called, Request};
use crate::doctor::screen::Screen;
use crate::serve::runtime;

const MAX_BODY: u64 = 16 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// The address to call: https, or http on loopback
    url: String,
    /// The client whose token is sent
    #[arg(long, value_name = "NAME")]
    client: String,
    /// The gateway's configuration, which has the client
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A scope to ask for; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The API to ask a token for (RFC 8707)
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// The method; POST where there is a body, else GET
    #[arg(long, short = 'X', value_name = "METHOD")]
    method: Option<String>,
    /// The body: a file, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    data: Option<String>,
    /// A header, such as "Content-Type: application/json"; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// PEM file of the authority to trust for the address instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print answer, explanation and body as one JSON object
    #[arg(long)]
    json: bool,
}

/// Exit status 0 for an answer below 400, 1 for another or none, 2 where the question is wrong.
pub(super) fn run(args: &CallArgs) -> ExitCode {
    end(call(args), args.json)
}

fn call(args: &CallArgs) -> Result<ExitCode, Failure> {
    let settings = load(&args.config)?;
    let url = address(&args.url).map_err(Failure::wrong)?;
    let body = args.data.as_deref().map(body).transpose().map_err(Failure::wrong)?;
    let default = if body.is_some() { "POST" } else { "GET" };
    let method = args.method.as_deref().unwrap_or(default).to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Failure::wrong(format!("{method} is no method")))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let request = Request {
        settings: &settings,
        clock: &clock,
        url: &url,
        client: &args.client,
        scopes: &args.scopes,
        resource: args.resource.as_deref(),
        method,
        headers: args.headers.iter().cloned().collect::<HeaderMap>(),
        body: body.unwrap_or_default(),
        ca_file: args.ca_file.as_deref(),
    };
    let called = runtime(Some(1))?.block_on(request.send())?;
    let places = Places::load(&args.config);
    if args.json {
        println!("{}", called.to_json(&places));
    } else {
        eprint!("{}", called.explain(&places, Screen::for_stream(&stderr())));
        print(&called)?;
    }
    Ok(match called.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    })
}

/// The body as it came; on a terminal without what could steer that.
fn print(called: &Called) -> Result<(), String> {
    let body = called.response.body();
    let text = String::from_utf8_lossy(body);
    let plain: String = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    let bytes = match stdout().is_terminal() {
        true => plain.as_bytes(),
        false => body,
    };
    match stdout().write_all(bytes).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn body(from: &str) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    let read = match from {
        "-" => stdin().take(MAX_BODY).read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|file| file.take(MAX_BODY).read_to_end(&mut bytes)),
    };
    read.map_err(|error| format!("cannot read the body from {from}: {error}"))?;
    Ok(bytes.into())
}

/// `Authorization` is ours to set.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || "expected NAME: VALUE, such as Accept: application/json".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
    if name == http::header::AUTHORIZATION {
        return Err("Authorization is what this command sets".to_owned());
    }
    Ok((name, value.trim().parse().map_err(|_| wrong())?))
}
