//! A service's own token, handed out from the cache of a [`TokenSource`]: what each outgoing call of the service pays.
//!
//! `TokenSource::token` with a token that is alive and not yet due, and what the clock alone takes of it.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use portcullis_bench::{ISSUER, Sample};
use portcullis_jose::{Algorithm, Clock as _, Secret, SystemClock};
use portcullis_oidc::{BoxFuture, Client, ClientAuth, HttpClient, HttpError, Provider, ProviderSettings, TokenSource};
use serde_json::json;

const ROUNDS: usize = 51;
const CALLS: usize = 20_000;

/// A provider in memory, with one token for everybody.
#[derive(Debug)]
struct OneToken(Secret);

impl HttpClient for OneToken {
    fn send(&self, request: Request<Bytes>, _: usize) -> BoxFuture<'_, Result<Response<Bytes>, HttpError>> {
        let answer = match request.uri().path().ends_with("openid-configuration") {
            true => json!({ "issuer": ISSUER, "jwks_uri": ISSUER, "token_endpoint": ISSUER }),
            false => json!({ "access_token": self.0.expose(), "token_type": "Bearer", "expires_in": 3600 }),
        };
        Box::pin(async move { Ok(Response::new(Bytes::from(answer.to_string()))) })
    }
}

fn main() {
    let token = Secret::new(Sample::make(Algorithm::RS256, &SystemClock).unwrap().token);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let settings = ProviderSettings::new("bench", ISSUER);
    let http = Arc::new(OneToken(token.clone()));
    let provider = Provider::new(settings, http, Arc::new(SystemClock), Arc::new(|_, _| {}));
    let source = TokenSource::client_credentials(Client::new(provider, "job", ClientAuth::None));
    assert_eq!(runtime.block_on(source.token()).unwrap(), token);
    if std::env::args().any(|arg| matches!(arg.as_str(), "--test" | "--list")) {
        return;
    }
    let (mut handed_out, mut clock) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        handed_out.push(nanos(|| source.token().now_or_never().unwrap().unwrap()));
        clock.push(nanos(|| SystemClock.now()));
    }
    println!(
        "\nnanoseconds, median of {ROUNDS} rounds of {CALLS}, a token of {} bytes:\n",
        token.expose().len()
    );
    println!("handed out {:>6.0}", median(handed_out));
    println!("the clock  {:>6.0}", median(clock));
}

fn nanos<T>(mut call: impl FnMut() -> T) -> f64 {
    let began = Instant::now();
    for _ in 0..CALLS {
        black_box(call());
    }
    began.elapsed().as_secs_f64() * 1e9 / CALLS as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
