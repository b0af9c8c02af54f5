//! `cargo xtask bench gateway`: the same load on nginx, HAProxy and Portcullis, one core each.

use serde_json::json;

use super::load::Bring;
use super::provider::Provider;
use super::{directory, load, median, need, peers, process, release};
use crate::sh::{self, Failure, Outcome, Server};

const WARM_UP_SECONDS: u64 = 2;
const ROUND_SECONDS: u64 = 8;
const ROUNDS: usize = 3;
/// Enough that the cache of verified tokens, which holds some thousands, has forgotten one before it comes again.
const TOKENS: usize = 120_000;

/// One line of the table.
struct Contender<'a> {
    name: &'static str,
    server: &'a Server,
    url: String,
    bring: Bring,
    per_second: Vec<f64>,
    cpu_micros: Vec<f64>,
    busy: Vec<f64>,
}

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
    let new = Bring::Tokens {
        file: provider.tokens(&directory, TOKENS)?,
        skip: 0,
    };
    let mut contenders = [
        Contender::new("nginx, plain proxy", &nginx, nginx_port, "/plain", &nothing),
        Contender::new("Portcullis, plain route", &ours, our_port, "/plain", &nothing),
        Contender::new("HAProxy, jwt_verify", &haproxy, haproxy_port, "/guarded", &bearer),
        Contender::new("Portcullis, guarded route", &ours, our_port, "/guarded", &bearer),
        Contender::new("HAProxy, tokens new", &haproxy, haproxy_port, "/guarded", &new),
        Contender::new("Portcullis, tokens new", &ours, our_port, "/guarded", &new),
    ];
    checks_are_made(haproxy_port, our_port, &provider)?;

    for contender in &contenders {
        load::wrk(peers::OTHERS, WARM_UP_SECONDS, &contender.url, &contender.bring)?;
    }
    // One round of each in turn: what disturbs the machine for a while disturbs all alike.
    for round in 1..=ROUNDS {
        for contender in &mut contenders {
            eprintln!("round {round} of {ROUNDS}: {}", contender.name);
            contender.round(round)?;
        }
    }
    report(&contenders, token.len(), &directory)
}

// === impl Contender ===

impl<'a> Contender<'a> {
    fn new(name: &'static str, server: &'a Server, port: u16, path: &str, bring: &Bring) -> Self {
        let url = format!("http://127.0.0.1:{port}{path}");
        Self {
            name,
            server,
            url,
            bring: bring.clone(),
            per_second: Vec::new(),
            cpu_micros: Vec::new(),
            busy: Vec::new(),
        }
    }

    fn round(&mut self, round: usize) -> Outcome {
        if let Bring::Tokens { skip, .. } = &mut self.bring {
            *skip = TOKENS / (ROUNDS + 1) * round;
        }
        let before = process::cpu_seconds(self.server.pid())?;
        let load = load::wrk(peers::OTHERS, ROUND_SECONDS, &self.url, &self.bring)?;
        let cpu = process::cpu_seconds(self.server.pid())? - before;
        if load.errors > 0 || load.requests == 0 {
            return Err(Failure(format!(
                "{}: {} of {} requests failed; the round does not count",
                self.name, load.errors, load.requests
            )));
        }
        self.per_second.push(load.per_second);
        self.cpu_micros.push(cpu * 1e6 / load.requests as f64);
        self.busy.push(cpu / ROUND_SECONDS as f64 * 100.0);
        Ok(())
    }
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

fn report(contenders: &[Contender<'_>], token_bytes: usize, directory: &std::path::Path) -> Outcome {
    let base = contenders.first().map_or(f64::NAN, |first| median(&first.cpu_micros));
    println!(
        "\n{:<26} {:>12} {:>16} {:>14} {:>10}",
        "", "requests/s", "CPU us/request", "against nginx", "core busy"
    );
    let mut rows = Vec::new();
    for contender in contenders {
        let (rate, cpu, busy) = (
            median(&contender.per_second),
            median(&contender.cpu_micros),
            median(&contender.busy),
        );
        println!(
            "{:<26} {rate:>12.0} {cpu:>16.2} {:>14.2} {busy:>8.0} %",
            contender.name,
            cpu / base
        );
        rows.push(json!({
            "name": contender.name, "requests_per_second": rate, "cpu_micros_per_request": cpu, "ratio_to_nginx": cpu / base,
            "core_busy_percent": busy,
            "rounds": { "requests_per_second": contender.per_second, "cpu_micros_per_request": contender.cpu_micros },
        }));
    }
    let cpu = |at: usize| {
        contenders
            .get(at)
            .map_or(f64::NAN, |contender| median(&contender.cpu_micros))
    };
    println!("\nPortcullis plain / nginx:     {:.2}", cpu(1) / cpu(0));
    println!("Portcullis guarded / plain:   {:.2}", cpu(3) / cpu(1));
    println!("Portcullis guarded / HAProxy: {:.2}", cpu(3) / cpu(2));
    println!("the same, every token new:    {:.2}", cpu(5) / cpu(4));
    println!(
        "\nmedian of {ROUNDS} rounds of {ROUND_SECONDS} s, 32 connections, token of {token_bytes} bytes, {}",
        process::processor()
    );
    let file = directory.join("gateway.json");
    let result = json!({
        "processor": process::processor(), "rounds": ROUNDS, "round_seconds": ROUND_SECONDS, "connections": 32,
        "token_bytes": token_bytes, "contenders": rows,
    });
    sh::write(&file, &format!("{result:#}\n"))?;
    println!(
        "written to {}",
        file.strip_prefix(sh::root()).unwrap_or(&file).display()
    );
    Ok(())
}
