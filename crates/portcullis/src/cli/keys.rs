//! `portcullis keys`: the key pairs that Portcullis makes for its clients.
#![expect(clippy::print_stdout, reason = "it is the command's output")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use portcullis_jose::{Clock, SystemClock};

use crate::config::{ClientAuth, Settings};
use crate::gateway::own_keys;
use crate::own_keys::{OwnKeys, Role, roles};

/// What is done with them.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Show them, the newest first
    List {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Answer with one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Make a new one; it signs when it has been published for an hour
    Rotate {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// NAME of the client
        #[arg(long, value_name = "NAME")]
        client: String,
    },
    /// Remove one at once, as after a theft: what it has signed is worth nothing any more
    Retire {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// NAME of the client
        #[arg(long, value_name = "NAME")]
        client: String,
        /// The key, as `list` shows it
        kid: String,
    },
}

pub(super) fn run(action: &Action) -> ExitCode {
    let (Action::List { config, .. } | Action::Rotate { config, .. } | Action::Retire { config, .. }) = action;
    match super::load(config) {
        Ok(settings) => super::finish(act(&settings, action)),
        Err(code) => code,
    }
}

fn act(settings: &Settings, action: &Action) -> Result<(), String> {
    let now = SystemClock.now();
    match action {
        Action::List { json, .. } => list(settings, *json),
        Action::Rotate { client, .. } => {
            let made = of(settings, client)?.rotate(now)?;
            println!("{}", made.key.kid());
            Ok(())
        }
        Action::Retire { client, kid, .. } => match of(settings, client)?.retire(kid, now)? {
            true => Ok(()),
            false => Err(format!("client {client} has no key {kid}; see: portcullis keys list")),
        },
    }
}

fn list(settings: &Settings, json: bool) -> Result<(), String> {
    let now = SystemClock.now();
    let mut rows = Vec::new();
    for (name, client) in &settings.clients {
        if !matches!(client.auth, ClientAuth::OwnKeys(_)) {
            continue;
        }
        let keys = of(settings, name)?.all(now)?;
        for (key, role) in keys.iter().zip(roles(&keys, now)) {
            let role = match role {
                Role::Next => "next",
                Role::Signing => "signing",
                Role::Former => "former",
            };
            let created = portcullis_audit::rfc3339(key.created);
            rows.push((
                name.clone(),
                key.key.kid().to_owned(),
                key.key.algorithm().name(),
                role,
                created,
            ));
        }
    }
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(client, kid, algorithm, role, created)| {
                serde_json::json!({
                    "client": client, "kid": kid, "algorithm": algorithm, "role": role, "created": created,
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
        return Ok(());
    }
    for (client, kid, algorithm, role, created) in rows {
        println!("{client}  {kid}  {algorithm}  {role:<7}  {created}");
    }
    Ok(())
}

fn of(settings: &Settings, name: &str) -> Result<OwnKeys, String> {
    let client = settings.clients.get(name).map(|client| &client.auth);
    match client {
        Some(ClientAuth::OwnKeys(own)) => own_keys(settings, name, own),
        Some(_) => Err(format!("client {name} has no own_keys in the configuration")),
        None => Err(format!("there is no client {name} in the configuration")),
    }
}
