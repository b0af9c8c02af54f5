use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use portcullis_jose::{Secret, UnixTime};
use portcullis_oidc::{HttpClient, HttpsUrl, HyperClient};
use serde_json::{Map, Value};

use crate::config::{ProviderSettings, RegistrationSettings};
use crate::gateway::provider_settings;

/// A registration holds keys and addresses, and no more.
const LIMIT: usize = 256 * 1024;
/// What a client must not send (RFC 7592 s2.2), and the secret: who leaves it out asks for another.
const NOT_SENT: [&str; 5] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
    "client_secret",
];

/// A client's registration at its provider (RFC 7592).
pub(super) struct Registration<'a> {
    http: HyperClient,
    uri: HttpsUrl,
    client_id: &'a str,
}

/// What the provider said.
pub(super) enum Asked {
    /// The registration, and what of it is secret.
    Answered(Map<String, Value>, Received),
    /// With which status it refused, and that in words.
    Refused { status: u16, why: String },
    /// It is not known what it did.
    Unanswered(String),
}

/// What an answer brings that must be kept.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) secret: Option<Secret>,
    /// Only one that is another than the request's.
    pub(super) token: Option<Secret>,
    /// When the secret ends, if it does.
    pub(super) expires: Option<UnixTime>,
    pub(super) uri: Option<String>,
}

// === impl Registration ===

impl<'a> Registration<'a> {
    pub(super) fn new(
        provider: &ProviderSettings,
        settings: &RegistrationSettings,
        client_id: &'a str,
    ) -> Result<Registration<'a>, String> {
        let uri = HttpsUrl::parse(settings.uri.as_str()).map_err(|error| format!("{}: {error}", settings.uri))?;
        let http = match &provider.ca_file {
            None => HyperClient::new().map_err(|error| error.to_string())?,
            Some(path) => {
                let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
                HyperClient::with_ca(&pem).map_err(|error| format!("{}: {error}", path.display()))?
            }
        };
        // The configuration names this host too.
        let mut hosts = provider_settings(&provider.issuer, provider)
            .map_err(|error| error.to_string())?
            .hosts();
        hosts.extend(settings.uri.host_str().map(str::to_owned));
        Ok(Registration {
            http: http.beside(&hosts),
            uri,
            client_id,
        })
    }

    /// The registration as it is (RFC 7592 s2.1).
    pub(super) async fn read(&self, token: &Secret) -> Asked {
        self.send(Method::GET, token, None).await
    }

    /// Puts it back without its secret (s2.2): the provider makes another.
    pub(super) async fn replace_secret(&self, known: Map<String, Value>, token: &Secret) -> Asked {
        self.send(Method::PUT, token, Some(without_secrets(known))).await
    }

    async fn send(&self, method: Method, token: &Secret, body: Option<Map<String, Value>>) -> Asked {
        let uri = self.uri.as_str();
        let request = match request(&method, uri, token, body) {
            Ok(request) => request,
            // Nothing was sent.
            Err(why) => return Asked::Refused { status: 0, why },
        };
        match self.http.send(request, LIMIT).await {
            Ok(answer) => judge(answer.status(), answer.body(), self.client_id, token, uri),
            Err(error) => Asked::Unanswered(format!("{uri} does not answer: {error}")),
        }
    }
}

fn request(
    method: &Method,
    uri: &str,
    token: &Secret,
    body: Option<Map<String, Value>>,
) -> Result<Request<Bytes>, String> {
    let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let mut bearer = bearer.map_err(|_| "the registration access token has characters that no header can carry")?;
    bearer.set_sensitive(true);
    let mut request = Request::builder().method(method.clone()).uri(uri);
    request = request.header(AUTHORIZATION, bearer).header(ACCEPT, "application/json");
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(Value::Object(body).to_string()));
    request.body(body).map_err(|error| error.to_string())
}

fn without_secrets(mut known: Map<String, Value>) -> Map<String, Value> {
    for name in NOT_SENT {
        known.remove(name);
    }
    known
}

/// What an answer says. Nothing that the provider wrote is repeated but the code of its error.
fn judge(status: StatusCode, body: &[u8], client_id: &str, token: &Secret, uri: &str) -> Asked {
    let document = serde_json::from_slice(body).ok();
    let document = document.and_then(|value: Value| match value {
        Value::Object(document) => Some(document),
        _ => None,
    });
    let refused = |why: String| Asked::Refused {
        status: status.as_u16(),
        why: format!("{uri} {why}"),
    };
    if !status.is_success() {
        let code = document.as_ref().and_then(|document| document.get("error")?.as_str());
        let plain =
            |code: &&str| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let code = code.filter(plain).map(|code| format!(" ({code})")).unwrap_or_default();
        return refused(format!("refuses, with status {}{code}", status.as_u16()));
    }
    // RFC 7592 s3: it is the whole registration. Something else with status 200 may be after it was replaced.
    let Some(document) = document.filter(|document| document.get("client_id").is_some()) else {
        return Asked::Unanswered(format!("{uri} answers with no registration"));
    };
    let text = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    if text("client_id") != Some(client_id) {
        return refused("is the registration of another client".to_owned());
    }
    let expires = document.get("client_secret_expires_at").and_then(Value::as_i64);
    let received = Received {
        secret: text("client_secret").map(Secret::new),
        token: text("registration_access_token")
            .filter(|given| *given != token.expose())
            .map(Secret::new),
        expires: expires.filter(|end| *end > 0).map(UnixTime::from_secs),
        uri: text("registration_client_uri").map(str::to_owned),
    };
    Asked::Answered(document, received)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(status: u16, body: &Value) -> Asked {
        let status = StatusCode::from_u16(status).unwrap();
        judge(
            status,
            body.to_string().as_bytes(),
            "web",
            &Secret::new("token"),
            "https://a.example/web",
        )
    }

    #[test]
    fn what_is_secret_is_taken_out_of_an_answer() {
        let body = json!({
            "client_id": "web", "client_secret": "new", "client_secret_expires_at": 1_900_000_000,
            "registration_access_token": "other", "registration_client_uri": "https://a.example/web",
            "client_id_issued_at": 1, "redirect_uris": ["https://b.example/cb"], "x_own": { "kept": true },
        });
        let Asked::Answered(document, received) = judged(200, &body) else {
            panic!("it is sound")
        };
        let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        assert_eq!(
            (text(&received.secret), text(&received.token)),
            (Some("new".into()), Some("other".into()))
        );
        assert_eq!(received.expires.map(UnixTime::as_secs), Some(1_900_000_000));
        assert_eq!(
            Value::Object(without_secrets(document)),
            json!({ "client_id": "web", "redirect_uris": ["https://b.example/cb"], "x_own": { "kept": true } })
        );
        let body = json!({ "client_id": "web", "registration_access_token": "token", "client_secret_expires_at": 0 });
        let Asked::Answered(_, received) = judged(200, &body) else {
            panic!("it is sound")
        };
        assert!(received.secret.is_none() && received.token.is_none() && received.expires.is_none());
    }

    #[test]
    fn a_refusal_is_told_apart_from_what_is_not_known() {
        for (status, body, says) in [
            (
                401,
                json!({ "error": "invalid_token", "error_description": "private" }),
                "status 401 (invalid_token)",
            ),
            (400, json!({ "error": "<b>\n" }), "status 400"),
            (503, json!([]), "status 503"),
            (
                200,
                json!({ "client_id": "other", "client_secret": "private" }),
                "of another client",
            ),
        ] {
            let Asked::Refused { status: told, why } = judged(status, &body) else {
                panic!("{body}")
            };
            assert_eq!(told, status);
            assert!(why.ends_with(says) && !why.contains("private"), "{why}");
        }
        for body in [json!({}), json!("x"), json!({ "client_secret": "private" })] {
            let Asked::Unanswered(why) = judged(200, &body) else {
                panic!("{body}")
            };
            assert!(!why.contains("private"), "{why}");
        }
    }
}
