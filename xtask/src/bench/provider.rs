//! The provider of a benchmark: two documents on loopback, and a token that fits them.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::key::Key;
use crate::sh::{self, Failure, Outcome};

/// The audience that everything of the benchmark checks for.
pub(super) const AUDIENCE: &str = "api://bench";
/// The scope likewise.
pub(super) const SCOPE: &str = "bench.read";

/// It answers until the benchmark's process ends.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) key: Key,
}

// === impl Provider ===

impl Provider {
    /// Makes a key and publishes it.
    pub(super) fn start(directory: &Path) -> Outcome<Self> {
        let key = Key::make(directory)?;
        let socket = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let issuer = format!("http://{}", socket.local_addr()?);
        let metadata = metadata(&issuer).to_string();
        let jwks = key.jwks().to_string();
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let (metadata, jwks) = (metadata.clone(), jwks.clone());
                std::thread::spawn(move || answer(stream, &metadata, &jwks));
            }
        });
        Ok(Self { issuer, key })
    }

    /// An access token of about 1.1 KB, as providers issue them, good for an hour.
    pub(super) fn token(&self) -> Outcome<String> {
        self.token_with(&[])
    }

    /// The same with other values for some claims.
    pub(super) fn token_with(&self, other: &[(&str, Value)]) -> Outcome<String> {
        let mut claims = self.claims()?;
        for (name, value) in other {
            if let Some(claim) = claims.get_mut(name) {
                *claim = value.clone();
            }
        }
        self.key.sign(&claims)
    }

    /// A file of so many tokens, one a line, that differ in their `jti`. Signing them with the `openssl` program, one
    /// process each, would take minutes.
    pub(super) fn tokens(&self, directory: &Path, count: usize) -> Outcome<PathBuf> {
        let (claims, tokens) = (directory.join("claims.json"), directory.join("tokens.txt"));
        sh::write(&claims, &self.claims()?.to_string())?;
        let mut mint = sh::cargo();
        mint.args([
            "run",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            "portcullis-bench",
        ]);
        mint.args(["--bin", "mint", "--"]);
        let text = sh::capture(mint.arg(&self.key.private).arg(&claims).arg(count.to_string()))?;
        sh::write(&tokens, &text)?;
        Ok(tokens)
    }

    fn claims(&self) -> Outcome<Value> {
        let now = now()?;
        Ok(json!({
            "iss": self.issuer, "aud": AUDIENCE, "sub": "b6f1ff5c-6f70-4d1e-9d1b-1f2b6a5d9d27",
            "client_id": "6cb04018-a3f5-46a7-b995-940c78f5aef3", "jti": "7f5c3c1e-5a3b-4f0e-8d0b-0f4c0d6b2a11",
            "iat": now, "nbf": now, "exp": now + 3600, "auth_time": now,
            "scope": format!("openid profile {SCOPE} bench.write"), "name": "Alice Example",
            "email": "alice@example.com", "preferred_username": "alice", "sid": "2d7a3f8e-93b8-4d2b-a1a5-54b8f2f0a7c1",
            "roles": ["Orders.Admin", "Orders.Reader"], "acr": "urn:example:mfa",
        }))
    }
}

fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "authorization_response_iss_parameter_supported": true,
    })
}

/// One request, one answer; who closes early loses nothing of ours.
fn answer(mut stream: TcpStream, metadata: &str, jwks: &str) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    let body = match first.split(' ').nth(1)? {
        "/.well-known/openid-configuration" => Some(metadata),
        "/jwks" => Some(jwks),
        _ => None,
    };
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or("{}");
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: max-age=3600\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the token is for programs that read the real clock"
)]
fn now() -> Outcome<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map(|since| since.as_secs())
        .map_err(|_| Failure::new("the clock stands before 1970"))
}
