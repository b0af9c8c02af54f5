//! `cargo xtask bench sessions`: the same calls with 10,000 sessions on Portcullis with each of its stores, on Apache with
//! mod_auth_openidc, and on oauth2-proxy. All hand the access token on to the same upstream, one core each.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::contender::{Contender, table};
use super::load::Bring;
use super::session_peers::{self, Idp, Peer};
use super::sign_in::Browser;
use super::{directory, load, need, peers, process, record, release};
use crate::packages;
use crate::sh::{self, Failure, Outcome};

const SESSIONS: usize = 10_000;
const WARM_UP_SECONDS: u64 = 3;
const ROUND_SECONDS: u64 = 2;
const ROUNDS: usize = 15;

/// Prints the table and writes `target/bench/sessions.json`.
pub(super) fn run() -> Outcome {
    need(&[
        ("nginx", "nginx-light"),
        ("wrk", "wrk"),
        ("openssl", "openssl"),
        ("taskset", "util-linux"),
        ("apache2", "apache2"),
    ])?;
    packages::databases()?;
    session_peers::need_module()?;
    let binary = release()?;
    let directory = directory()?;
    let (_upstream, upstream) = peers::upstream(&directory)?;
    let ports = session_peers::Ports::pick()?;
    let idp = Idp::start(&directory, &binary, &ports)?;
    let (_redis, redis) = session_peers::redis(&directory)?;
    let (_postgres, postgres) = session_peers::postgres(&directory)?;

    let stores = [
        ("sqlite", "sqlite:sessions.db".to_owned()),
        ("redis", format!("redis://127.0.0.1:{redis}/0")),
        (
            "postgres",
            format!("postgres://portcullis@127.0.0.1:{postgres}/postgres"),
        ),
        ("cookie", "cookie".to_owned()),
    ];
    let mut all = Vec::new();
    for (store, url) in &stores {
        all.push(session_peers::portcullis(
            &directory, &binary, &ports, &idp, upstream, store, url,
        )?);
    }
    all.push(session_peers::apache(&directory, &ports, &idp, upstream)?);
    all.extend(session_peers::oauth2_proxy(&directory, &ports, &idp, upstream, redis)?);

    let mut browser = Browser::new("alice", "alice-demo");
    let nothing = Bring::Headers(Vec::new());
    let mut contenders = Vec::new();
    if let Some(first) = all.first() {
        contenders.push(Contender::new(
            "Portcullis, plain route",
            first.server.pid(),
            first.port,
            "/plain",
            &nothing,
        ));
    }
    for peer in &all {
        let file = sign_in(peer, &mut browser, &directory)?;
        contenders.push(Contender::new(
            peer.name,
            peer.server.pid(),
            peer.port,
            "/api/orders",
            &Bring::Each {
                header: "Cookie",
                before: "",
                file,
                skip: 0,
            },
        ));
    }
    for contender in &contenders {
        contender.warm_up(WARM_UP_SECONDS)?;
    }
    for round in 1..=ROUNDS {
        for contender in &mut contenders {
            eprintln!("round {round} of {ROUNDS}: {}", contender.name);
            if let Bring::Each { skip, .. } = &mut contender.bring {
                *skip = SESSIONS / (ROUNDS + 1) * round;
            }
            contender.round(ROUND_SECONDS)?;
        }
    }
    report(&contenders, &directory)
}

/// Signs 10,000 people in, so to speak; a file with what each of their browsers has to send. A call without a session is
/// refused, and one with a session reaches the upstream.
fn sign_in(peer: &Peer, browser: &mut Browser, directory: &Path) -> Outcome<PathBuf> {
    eprintln!("{SESSIONS} sign-ins at {} ...", peer.name);
    let mut cookies = String::new();
    let mut last = String::new();
    for _ in 0..SESSIONS {
        last = browser.sign_in(peer.port, peer.start)?;
        cookies.push_str(&last);
        cookies.push('\n');
    }
    let (status, _) = load::get(peer.port, "/api/orders", &["X-CSRF: 1".to_owned()])?;
    if (200..300).contains(&status) {
        return Err(Failure(format!("{} lets a call without a session pass", peer.name)));
    }
    let headers = [format!("Cookie: {last}"), "X-CSRF: 1".to_owned()];
    let (status, body) = load::get(peer.port, "/api/orders", &headers)?;
    if status != 200 || !body.contains("orders") {
        return Err(Failure(format!(
            "{} answers {status} to a call with a session: {body}",
            peer.name
        )));
    }
    let file = directory.join(format!("cookies-{}.txt", peer.port));
    sh::write(&file, &cookies)?;
    Ok(file)
}

fn report(contenders: &[Contender], directory: &Path) -> Outcome {
    let rows = table(contenders);
    println!(
        "\nmedian of {ROUNDS} rounds of {ROUND_SECONDS} s, 32 connections, {SESSIONS} sessions, {}",
        process::processor()
    );
    let result = json!({
        "processor": process::processor(), "rounds": ROUNDS, "round_seconds": ROUND_SECONDS, "connections": 32,
        "sessions": SESSIONS, "contenders": rows,
    });
    record(directory, "sessions", &result)
}
