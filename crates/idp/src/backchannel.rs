//! Telling clients that a session is over: OpenID Connect Back-Channel Logout 1.0.

use std::sync::Arc;
use std::time::Duration;

use portcullis_jose::random_token;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::keys::Signing;
use crate::provider::Provider;
use crate::state::Session;

/// s2.4 recommends two minutes.
const LIFETIME: i64 = 120;
/// A client that does not answer is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells every client that wants to know; nobody waits for it. Clients that do not know the session have nothing to do.
pub(crate) fn tell_clients(provider: &Arc<Provider>, session: &Session) {
    for client in provider.registry.clients() {
        let Some(address) = client
            .backchannel_logout_uri
            .as_ref()
            .and_then(|uri| Url::parse(uri).ok())
        else {
            continue;
        };
        let claims = logout_claims(provider, &client.client_id, session);
        let Ok(token) = provider.keys.sign("logout+jwt", &claims, Signing::Sound) else {
            continue;
        };
        provider.dev.note_secret(&token);
        tokio::spawn(async move {
            let body = form_urlencoded::Serializer::new(String::new())
                .append_pair("logout_token", &token)
                .finish();
            // Whether the client took it is the client's concern.
            drop(tokio::time::timeout(PATIENCE, post(&address, &body)).await);
        });
    }
}

/// s2.4
fn logout_claims(provider: &Provider, client_id: &str, session: &Session) -> Value {
    let now = provider.now();
    json!({
        "iss": provider.issuer,
        "aud": client_id,
        "iat": now,
        "exp": now.plus(LIFETIME),
        "jti": random_token(16),
        "sub": session.sub,
        "sid": session.sid,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    })
}

/// Plain http to this machine, as the configuration's check makes sure.
async fn post(address: &Url, body: &str) -> std::io::Result<()> {
    let host = address.host_str().unwrap_or_default();
    let port = address.port_or_known_default().unwrap_or(80);
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        address.path(),
        body.len()
    );
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    stream.write_all(request.as_bytes()).await?;
    // To hang up before the answer could undo what was asked.
    stream.take(64 * 1024).read_to_end(&mut Vec::new()).await.map(drop)
}
