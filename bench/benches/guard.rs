//! The guard in front of a service: what a request costs in the layer when its token was verified before (`warm`), and
//! when it was not (`cold`); and what a second thread brings.
//!
//! - `warm`: 100,000 live tokens are remembered. Lifetime, revocation, the keys' generation and the policy are asked on
//!   every request; two revocations are in force, so that the list is not empty. `all` brings them in random order, so
//!   that nearly every look into the cache is one into main memory; `busy` brings 1,000 of them, as when most of the
//!   people who are signed in are not clicking this very moment; `one` brings one again and again: what the checks cost
//!   by themselves.
//! - `bare`: the same requests on the same service without the layer. What the layer costs is the difference.
//! - `cold`: a guard without a cache: each request is verified as if it were the first.
//!
//! Rounds take turns, so that what slows the machine for a moment slows all alike; the medians are shown.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use portcullis_bench::{AUDIENCE, ISSUER, Sample};
use portcullis_guard::{Guard, Guarded, Policy, Revocation, RevocationTarget};
use portcullis_jose::{Algorithm, Clock as _, JwkSet, SigningKey, SystemClock};
use portcullis_oidc::{Provider, ProviderSettings};
use tower_layer::Layer as _;
use tower_service::Service;

const TOKENS: usize = 100_000;
const BUSY: usize = 1_000;
const CACHE_BYTES: usize = 2 << 30;
/// Requests are made this many at a time and then sent, so that each is as fresh in the processor's cache as one that was
/// just read from a connection.
const BATCH: usize = 16;
const BATCHES: usize = 1_000;
const COLD_BATCHES: usize = 100;
const ROUNDS: usize = 25;

/// Answers at once.
#[derive(Clone)]
struct Bare;

fn main() {
    if std::env::args().any(|arg| matches!(arg.as_str(), "--test" | "--list")) {
        // What is timed below works at all.
        let (guard, tokens) = warm_guard(50);
        let mut requests = requests(&tokens, 50, 1);
        assert_eq!(drive(&mut layered(&guard), requests.drain(..)), 50);
        return;
    }
    println!("{TOKENS} tokens are made and verified ...");
    let (guard, tokens) = warm_guard(TOKENS);
    let (cached, bytes) = guard.cached();
    assert_eq!(cached, TOKENS);
    println!("remembered: {cached} tokens in {} MiB", bytes >> 20);

    let busy_tokens: Vec<String> = tokens.iter().step_by(TOKENS / BUSY).cloned().collect();
    let one_token = vec![busy_tokens.first().cloned().unwrap()];
    let (mut bare, mut one, mut busy, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bare.push(nanos(&mut Bare, &busy_tokens, BATCHES, round));
        one.push(nanos(&mut layered(&guard), &one_token, BATCHES, round));
        busy.push(nanos(&mut layered(&guard), &busy_tokens, BATCHES, round));
        all.push(nanos(&mut layered(&guard), &tokens, BATCHES, round));
    }
    let (bare, one, busy, all) = (median(bare), median(one), median(busy), median(all));
    println!("\nnanoseconds for one request, median of {ROUNDS} rounds of {BATCHES} times {BATCH}, one thread:\n");
    println!("{:<22} {:>8} {:>13}", "", "whole", "in the layer");
    println!("{:<22} {bare:>8.0}", "bare service");
    println!("{:<22} {one:>8.0} {:>13.0}", "warm, one token", one - bare);
    println!("{:<22} {busy:>8.0} {:>13.0}", "warm, busy tokens", busy - bare);
    println!("{:<22} {all:>8.0} {:>13.0}", "warm, all tokens", all - bare);

    let sample = Sample::make(Algorithm::RS256, &SystemClock).unwrap();
    let cold_guard = guard_of(&sample.jwk, 0);
    let cold_tokens = vec![sample.token; 64];
    println!("\ntwo threads against one, requests per second, median of {ROUNDS} rounds:\n");
    println!("{:<6} {:>12} {:>12} {:>8}", "", "one", "two", "ratio");
    for (name, guard, tokens, batches) in [
        ("warm", &guard, &tokens, BATCHES),
        ("cold", &cold_guard, &cold_tokens, COLD_BATCHES),
    ] {
        let (mut one, mut two, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let single = rate(1, guard, tokens, batches, round);
            let double = rate(2, guard, tokens, batches, round);
            one.push(single);
            two.push(double);
            ratio.push(double / single);
        }
        println!(
            "{name:<6} {:>12.0} {:>12.0} {:>8.2}",
            median(one),
            median(two),
            median(ratio)
        );
    }
}

// === impl Bare ===

impl Service<Request<()>> for Bare {
    type Response = Response<Bytes>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Bytes>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Bytes::new())))
    }
}

fn layered(guard: &Guard) -> Guarded<Bare> {
    guard.require("ReadOrders").unwrap().layer(Bare)
}

fn guard_of(jwk: &serde_json::Value, cache_bytes: usize) -> Guard {
    let jwks = serde_json::json!({ "keys": [jwk] }).to_string();
    let (keys, ignored) = JwkSet::parse(jwks.as_bytes()).unwrap();
    assert!(ignored.is_empty());
    let settings = ProviderSettings::new("bench", ISSUER);
    Guard::builder()
        .provider(Provider::with_keys(settings, keys, Arc::new(SystemClock)))
        .audience(AUDIENCE)
        .policy(
            "ReadOrders",
            Policy::all([Policy::scope("orders.read"), Policy::role("Orders.Admin")]),
        )
        .cache_bytes(cache_bytes)
        .build()
        .unwrap()
}

/// A guard that remembers so many tokens, and the tokens as the header has them.
fn warm_guard(tokens: usize) -> (Guard, Vec<String>) {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let guard = guard_of(&key.public_jwk(), CACHE_BYTES);
    for sub in ["somebody else", "and another"] {
        let target = RevocationTarget::Subject {
            iss: ISSUER.into(),
            sub: sub.into(),
        };
        let revocation = Revocation {
            target,
            issued_before: None,
            expires: SystemClock.now().plus(7200),
            reason: "bench".into(),
        };
        guard.revoke(revocation).now_or_never().unwrap().unwrap();
    }
    let now = SystemClock.now().as_secs();
    let tokens: Vec<String> = (0..tokens)
        .map(|number| {
            key.sign_jwt("at+jwt", &portcullis_bench::claims(now, 192, number))
                .unwrap()
        })
        .collect();
    let mut service = layered(&guard);
    let requests = tokens.iter().map(|token| request(token));
    assert_eq!(drive(&mut service, requests), tokens.len());
    (guard, tokens)
}

fn request(token: &str) -> Request<()> {
    let request = Request::get("/orders").header("authorization", format!("Bearer {token}"));
    request.body(()).unwrap()
}

/// Requests with tokens in an order that no prefetcher guesses.
fn requests(tokens: &[String], count: usize, seed: usize) -> Vec<Request<()>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (seed as u64 + 1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % tokens.len() as u64).unwrap()
    };
    (0..count)
        .filter_map(|_| tokens.get(next()))
        .map(|token| request(token))
        .collect()
}

/// Sends them all; how many were let through.
fn drive<S>(service: &mut S, requests: impl Iterator<Item = Request<()>>) -> usize
where
    S: Service<Request<()>, Response = Response<Bytes>, Error = Infallible>,
{
    requests
        .map(|request| service.call(request).now_or_never().unwrap().unwrap())
        .filter(|response| response.status() == 200)
        .count()
}

/// Nanoseconds for one request; making the requests is not timed.
fn nanos<S>(service: &mut S, tokens: &[String], batches: usize, seed: usize) -> f64
where
    S: Service<Request<()>, Response = Response<Bytes>, Error = Infallible>,
{
    let mut spent = Duration::ZERO;
    for batch in 0..batches {
        let requests = requests(tokens, BATCH, seed * batches + batch);
        let began = Instant::now();
        let passed = drive(service, requests.into_iter());
        spent += began.elapsed();
        assert_eq!(passed, BATCH);
    }
    spent.as_secs_f64() * 1e9 / (batches * BATCH) as f64
}

/// Requests per second of so many threads that begin together.
fn rate(threads: usize, guard: &Guard, tokens: &[String], batches: usize, round: usize) -> f64 {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut service = layered(guard);
                    barrier.wait();
                    1e9 / nanos(&mut service, tokens, batches, round * threads + thread)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
