//! A client that has its token bound to a key of its own, and proves with each request that it has that key (DPoP,
//! RFC 9449).
//!
//! ```sh
//! ISSUER=http://127.0.0.1:8081 CLIENT_ID=demo-daemon CLIENT_SECRET=demo-daemon-secret SCOPE=orders.read \
//!     API_URL=http://127.0.0.1:5000/orders cargo run -p example-guard --bin example-dpop-client
//! ```

#![expect(
    clippy::indexing_slicing,
    reason = "a member of a JSON object that is not there is null"
)]

use std::env::var;
use std::error::Error;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use http::{Request, Response};
use portcullis_guard::{Algorithm, Clock as _, Provider, SystemClock};
use portcullis_jose::{SigningKey, base64url_encode, random_token, sha256};
use portcullis_oidc::{HttpClient as _, HttpsUrl, HyperClient};
use serde_json::{Value, json};

/// The key does not leave the program. With it goes every token that was bound to it.
struct Prover(SigningKey);

impl Prover {
    /// A proof for one request (RFC 9449 s4.2): the URL without its query, and for an API the token's hash.
    fn prove(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<String, Box<dyn Error>> {
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let mut claims = json!({ "jti": random_token(16), "htm": method, "htu": url, "iat": SystemClock.now() });
        if let Some(token) = token {
            claims["ath"] = base64url_encode(&sha256(token.as_bytes())).into();
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.0.public_jwk() });
        Ok(self.0.sign_with_header(&header, claims.to_string().as_bytes())?)
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the answer is what the program is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let prover = Prover(SigningKey::generate(Algorithm::ES256)?);
    let http = HyperClient::new()?;

    // RFC 9449 s5: the provider binds the token to the key of the proof.
    let metadata = Provider::discover(&var("ISSUER")?)?.metadata().await?;
    let endpoint = metadata
        .token_endpoint
        .clone()
        .ok_or("the provider has no token endpoint")?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &var("CLIENT_ID")?)
        .append_pair("client_secret", &var("CLIENT_SECRET")?)
        .append_pair("scope", &var("SCOPE")?)
        .finish();
    let request = Request::post(endpoint.as_str())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("dpop", prover.prove("POST", endpoint.as_str(), None, None)?)
        .body(Bytes::from(form))?;
    let answer: Value = serde_json::from_slice(http.send(request, 64 * 1024).await?.body())?;
    let (Some("DPoP"), Some(token)) = (answer["token_type"].as_str(), answer["access_token"].as_str()) else {
        return Err(format!("the provider gave no bound token: {}", answer["error"]).into());
    };

    // A token goes to https, or to loopback, and nowhere else.
    let api = HttpsUrl::parse(&var("API_URL")?)?;
    let mut response = call(&http, &prover, &api, token, None).await?;
    // RFC 9449 s9: the API wants a nonce of its own in the proof, and says which.
    if let Some(nonce) = wanted_nonce(response.headers()) {
        response = call(&http, &prover, &api, token, Some(&nonce)).await?;
    }
    let (status, body) = (response.status(), String::from_utf8_lossy(response.body()));
    if !status.is_success() {
        return Err(format!("the API answered {status}: {body}").into());
    }
    println!("{body}");
    Ok(())
}

/// Each request has a proof of its own: a proof is good once.
async fn call(
    http: &HyperClient,
    prover: &Prover,
    api: &HttpsUrl,
    token: &str,
    nonce: Option<&str>,
) -> Result<Response<Bytes>, Box<dyn Error>> {
    let request = Request::get(api.as_str())
        .header(AUTHORIZATION, format!("DPoP {token}"))
        .header("dpop", prover.prove("GET", api.as_str(), Some(token), nonce)?)
        .body(Bytes::new())?;
    Ok(http.send(request, 1024 * 1024).await?)
}

fn wanted_nonce(headers: &HeaderMap) -> Option<String> {
    let challenges = headers.get_all("www-authenticate").iter();
    let mut challenges = challenges.filter_map(|challenge| challenge.to_str().ok());
    challenges.find(|challenge| challenge.contains("error=\"use_dpop_nonce\""))?;
    Some(headers.get("dpop-nonce")?.to_str().ok()?.to_owned())
}
