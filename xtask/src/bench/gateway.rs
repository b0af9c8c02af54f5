//! `cargo xtask bench gateway`: the same load on nginx, HAProxy and Portcullis, one core each.

use std::path::Path;

use serde_json::json;

use super::contender::{Contender, table};
use super::load::Bring;
use super::provider::Provider;
use super::{directory, load, need, peers, process, record, release};
use crate::sh::{Failure, Outcome};

const WARM_UP_SECONDS: u64 = 2;
const ROUND_SECONDS: u64 = 2;
const ROUNDS: usize = 12;
/// Enough that the cache of verified tokens, which is small here and holds some thousands, has forgotten one before it comes again.
const TOKENS: usize = 120_000;

/// Prints the table and writes `target/bench/gateway.json`.
pub(super) fn run() -> Outcome {
    need(&[
        ("nginx", "nginx-light"),
        ("haproxy", "haproxy"),
        ("wrk", "wrk"),
        ("openssl", "openssl"),
        ("taskset", "util-linux"),
    ])?;
    let binary = release()?;
    let directory = directory()?;
    let provider = Provider::start(&directory)?;
    let token = provider.token()?;
    let (_upstream, upstream) = peers::upstream(&directory)?;
    let (nginx, nginx_port) = peers::nginx_proxy(&directory, upstream)?;
    let (haproxy, haproxy_port) = peers::haproxy(&directory, upstream, &provider)?;
    let (ours, our_port) = peers::portcullis(&directory, &binary, upstream, &provider.issuer)?;

    let nothing = Bring::Headers(Vec::new());
    let bearer = Bring::Headers(vec![format!("Authorization: Bearer {token}")]);
    eprintln!("making {TOKENS} tokens ...");
    let new = Bring::Each {
        header: "Authorization",
        before: "Bearer ",
        file: provider.tokens(&directory, TOKENS)?,
        skip: 0,
    };
    let mut contenders = [
        Contender::new("nginx, plain proxy", nginx.pid(), nginx_port, "/plain", &nothing),
        Contender::new("Portcullis, plain route", ours.pid(), our_port, "/plain", &nothing),
        Contender::new("HAProxy, jwt_verify", haproxy.pid(), haproxy_port, "/guarded", &bearer),
        Contender::new("Portcullis, guarded route", ours.pid(), our_port, "/guarded", &bearer),
        Contender::new("HAProxy, tokens new", haproxy.pid(), haproxy_port, "/guarded", &new),
        Contender::new("Portcullis, tokens new", ours.pid(), our_port, "/guarded", &new),
    ];
    checks_are_made(haproxy_port, our_port, &provider)?;

    for contender in &contenders {
        contender.warm_up(WARM_UP_SECONDS)?;
    }
    // One round of each in turn: what disturbs the machine for a while disturbs all alike.
    for round in 1..=ROUNDS {
        for contender in &mut contenders {
            eprintln!("round {round} of {ROUNDS}: {}", contender.name);
            if let Bring::Each { skip, .. } = &mut contender.bring {
                *skip = TOKENS / (ROUNDS + 1) * round;
            }
            contender.round(ROUND_SECONDS)?;
        }
    }
    report(&contenders, token.len(), &directory)
}

/// A guard that checks less than the other would win: both let the good token pass, and refuse the same others.
fn checks_are_made(haproxy: u16, ours: u16, provider: &Provider) -> Outcome {
    let good = provider.token()?;
    let cases = [
        ("a changed token", changed(&good), 401),
        (
            "another issuer",
            provider.token_with(&[("iss", json!("http://127.0.0.1:1"))])?,
            401,
        ),
        (
            "another audience",
            provider.token_with(&[("aud", json!("api://other"))])?,
            401,
        ),
        (
            "an expired token",
            provider.token_with(&[("exp", json!(1_700_000_000))])?,
            401,
        ),
        (
            "a token without the scope",
            provider.token_with(&[("scope", json!("openid bench.reader"))])?,
            403,
        ),
        ("a good token", good, 200),
    ];
    for (name, port) in [("HAProxy", haproxy), ("Portcullis", ours)] {
        let (status, _) = load::get(port, "/guarded", &[])?;
        if status != 401 {
            return Err(Failure(format!(
                "{name} answers {status} to a request without a token, not 401"
            )));
        }
        for (what, token, expected) in &cases {
            let (status, body) = load::get(port, "/guarded", &[format!("Authorization: Bearer {token}")])?;
            if status != *expected {
                return Err(Failure(format!(
                    "{name} answers {status} to {what}, not {expected}: {body}"
                )));
            }
        }
    }
    Ok(())
}

/// The token with another letter in the middle of its signature.
fn changed(token: &str) -> String {
    let at = token.len().saturating_sub(100);
    let other = if token.as_bytes().get(at) == Some(&b'A') {
        "B"
    } else {
        "A"
    };
    token.get(..at).unwrap_or_default().to_owned() + other + token.get(at + 1..).unwrap_or_default()
}

fn report(contenders: &[Contender], token_bytes: usize, directory: &Path) -> Outcome {
    let rows = table(contenders);
    let ratio = |one: usize, other: usize| {
        let both = contenders.get(one).zip(contenders.get(other));
        both.map_or(f64::NAN, |(one, other)| one.against(other))
    };
    println!("\nPortcullis plain / nginx:     {:.2}", ratio(1, 0));
    println!("Portcullis guarded / plain:   {:.2}", ratio(3, 1));
    println!("Portcullis guarded / HAProxy: {:.2}", ratio(3, 2));
    println!("the same, every token new:    {:.2}", ratio(5, 4));
    println!(
        "\nmedian of {ROUNDS} rounds of {ROUND_SECONDS} s, 32 connections, token of {token_bytes} bytes, {}",
        process::processor()
    );
    let result = json!({
        "processor": process::processor(), "rounds": ROUNDS, "round_seconds": ROUND_SECONDS, "connections": 32,
        "token_bytes": token_bytes, "contenders": rows,
    });
    record(directory, "gateway", &result)
}
