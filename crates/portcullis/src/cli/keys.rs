//! `portcullis keys`: the key pairs that Portcullis makes for its clients, and the keys that seal sessions.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use portcullis_jose::{Clock, SystemClock};

use super::failure::finish;
use crate::config::{ClientAuth, Settings};
use crate::gateway::{key_ring, own_keys};
use crate::own_keys::{OwnKeys, Role, roles};
use crate::rotation::ring::{self, Place};

/// What is done with them.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Show them, the newest first
    List {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Those that seal sessions, and not those of clients
        #[arg(long)]
        sealing: bool,
        /// Answer with one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Make a new one: a client's signs when it has been published for an hour, a sealing one seals at once
    Rotate {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        #[command(flatten)]
        whose: Whose,
        /// Put it behind the one that seals: it opens what other replicas seal with it, and seals nothing yet
        #[arg(long, conflicts_with = "client")]
        behind: bool,
    },
    /// Remove one at once, as after a theft: what it has signed is worth nothing any more, and what it
    /// has sealed cannot be opened
    Retire {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        #[command(flatten)]
        whose: Whose,
        /// The key, as `list` shows it
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

/// Whose key it is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whose {
    /// NAME of the client
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    client: Option<String>,
    /// The keys that seal sessions, in the file of `[store]`; a running gateway reads it again
    #[arg(long)]
    sealing: bool,
}

pub(super) fn run(action: &Action) -> ExitCode {
    let (Action::List { config, .. } | Action::Rotate { config, .. } | Action::Retire { config, .. }) = action;
    let json = matches!(action, Action::List { json: true, .. });
    finish(
        super::load(config).and_then(|settings| Ok(act(&settings, action)?)),
        json,
    )
}

fn act(settings: &Settings, action: &Action) -> Result<(), String> {
    let now = SystemClock.now();
    match action {
        Action::List {
            json, sealing: true, ..
        } => list_sealing(settings, *json),
        Action::List { json, .. } => list(settings, *json),
        Action::Rotate { whose, behind, .. } => {
            let made = match &whose.client {
                Some(client) => of(settings, client)?.rotate(now)?.key.kid().to_owned(),
                None => {
                    let place = if *behind { Place::Behind } else { Place::First };
                    let made = ring::add(settings, place)?.to_string();
                    reseal(settings)?;
                    made
                }
            };
            println!("{made}");
            Ok(())
        }
        Action::Retire { whose, kid, .. } => match &whose.client {
            Some(client) => match of(settings, client)?.retire(kid, now)? {
                true => Ok(()),
                false => Err(format!("client {client} has no key {kid}; see: portcullis keys list")),
            },
            None => {
                reseal(settings)?;
                match ring::remove(settings, kid)? {
                    true => Ok(()),
                    false => Err(format!(
                        "there is no sealing key {kid}; see: portcullis keys list --sealing"
                    )),
                }
            }
        },
    }
}

/// The keys of clients are sealed as well: their files follow, also where no gateway runs that would see to it.
fn reseal(settings: &Settings) -> Result<(), String> {
    let now = SystemClock.now();
    for (name, client) in &settings.clients {
        if let ClientAuth::OwnKeys(own) = &client.auth
            && own.file.exists()
        {
            of(settings, name)?.reseal(now)?;
        }
    }
    Ok(())
}

fn list_sealing(settings: &Settings, json: bool) -> Result<(), String> {
    let ring = key_ring(settings)?;
    let rows = ring.key_ids().enumerate();
    let rows = rows.map(|(at, id)| (id.to_string(), if at == 0 { "seals" } else { "opens" }));
    if json {
        let rows = rows.map(|(kid, role)| serde_json::json!({ "kid": kid, "role": role }));
        println!("{}", serde_json::Value::from_iter(rows));
        return Ok(());
    }
    for (kid, role) in rows {
        println!("{kid}  {role}");
    }
    Ok(())
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
