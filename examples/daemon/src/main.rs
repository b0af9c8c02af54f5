//! A daemon that calls an API as itself: client credentials through `portcullis-oidc`.
//!
//! ```sh
//! # while `portcullis demo` runs
//! ISSUER=http://127.0.0.1:8081 CLIENT_ID=demo-daemon CLIENT_SECRET=demo-daemon-secret SCOPE=orders.read \
//!     API_URL=http://127.0.0.1:8080/api/orders cargo run -p example-daemon
//! ```

use std::error::Error;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use portcullis_jose::Secret;
use portcullis_oidc::{Client, ClientAuth, HttpClient, HttpsUrl, HyperClient, Provider, TokenSource};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the answer is what the program is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let provider = Provider::discover(&var("ISSUER")?)?;
    let secret = Secret::new(var("CLIENT_SECRET")?);
    let client = Client::new(provider, var("CLIENT_ID")?, ClientAuth::Basic(secret));
    // Keep it: it holds one token for all callers and renews it ahead of its expiry.
    let tokens = TokenSource::client_credentials(client).scope(var("SCOPE")?);

    // A token goes to https, or to loopback, and nowhere else.
    let api = HttpsUrl::parse(&var("API_URL")?)?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", tokens.token().await?.expose()))?;
    bearer.set_sensitive(true);
    let request = http::Request::get(api.as_str())
        .header(AUTHORIZATION, bearer)
        .body(Bytes::new())?;
    let response = HyperClient::new()?.send(request, 1024 * 1024).await?;

    let (status, body) = (response.status(), String::from_utf8_lossy(response.body()));
    if !status.is_success() {
        // The challenge says what the token lacks (RFC 6750 s3).
        let challenge = response.headers().get(WWW_AUTHENTICATE);
        return Err(format!("the API answered {status}: {challenge:?} {body}").into());
    }
    println!("{body}");
    Ok(())
}

fn var(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}"))
}
