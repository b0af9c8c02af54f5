//! `portcullis sessions`: who is signed in where, and an end to it, through the admin API.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use portcullis_jose::UnixTime;
use serde::Deserialize;
use serde_json::json;

use super::failure::{Failure, print};
use super::revocations::{Connection, aligned, printable, unreadable};
use super::time;

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// The sessions of a person, without anything that opens one
    List {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        person: Person,
    },
    /// End a session of a person, or all; refresh tokens are revoked at the provider
    End {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        person: Person,
        #[command(flatten)]
        which: Which,
    },
}

/// Whose sessions.
#[derive(Debug, Args)]
pub(super) struct Person {
    /// The person, by the `sub` that the provider gives
    #[arg(long, value_name = "SUB", allow_hyphen_values = true)]
    subject: String,
    /// The issuer, where the gateway has several
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// The session that `list` calls so
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    id: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

/// A session as the gateway tells it.
#[derive(Debug, Deserialize)]
struct Told {
    id: String,
    frontend: String,
    device: Option<String>,
    address: Option<String>,
    since: UnixTime,
    ends: UnixTime,
}

pub(super) fn run(action: &Action) -> ExitCode {
    let (Action::List { connection, .. } | Action::End { connection, .. }) = action;
    let result = match action {
        Action::List { connection, person } => list(connection, person),
        Action::End {
            connection,
            person,
            which,
        } => end(connection, person, which),
    };
    print(result, connection.json)
}

fn list(connection: &Connection, person: &Person) -> Result<String, Failure> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("subject", &person.subject);
    if let Some(issuer) = &person.issuer {
        query.append_pair("issuer", issuer);
    }
    let answer = connection.send(&Method::GET, &format!("sessions?{}", query.finish()), None)?;
    if connection.json {
        return Ok(answer.to_string());
    }
    let sessions = answer.get("sessions").cloned().unwrap_or_default();
    let sessions: Vec<Told> = serde_json::from_value(sessions).map_err(unreadable)?;
    if sessions.is_empty() {
        return Ok("this person has no session here".to_owned());
    }
    let head = ["ID", "FRONTEND", "SINCE", "ENDS", "ADDRESS", "DEVICE"].map(str::to_owned);
    let shown = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), printable);
    let rows = sessions.iter().map(|session| {
        [
            printable(&session.id),
            printable(&session.frontend),
            time::shown(session.since),
            time::shown(session.ends),
            shown(&session.address),
            shown(&session.device),
        ]
    });
    Ok(aligned(std::iter::once(head).chain(rows).collect()))
}

fn end(connection: &Connection, person: &Person, which: &Which) -> Result<String, Failure> {
    let mut body = json!({ "subject": person.subject, "all": which.all });
    if let Some(body) = body.as_object_mut() {
        body.extend(
            person
                .issuer
                .as_ref()
                .map(|issuer| ("issuer".to_owned(), json!(issuer))),
        );
        body.extend(which.id.as_ref().map(|id| ("id".to_owned(), json!(id))));
    }
    let answer = connection.send(&Method::POST, "sessions/end", Some(body))?;
    if connection.json {
        return Ok(answer.to_string());
    }
    let ended = answer.get("ended").and_then(serde_json::Value::as_u64).unwrap_or(0);
    Ok(match ended {
        0 => "this person has no session here".to_owned(),
        1 => "ended: 1 session".to_owned(),
        count => format!("ended: {count} sessions"),
    })
}
