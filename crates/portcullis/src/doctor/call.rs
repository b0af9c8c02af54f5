//! A call with a fresh token of a client, and what the answer means.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use portcullis_audit::{Audit, AuditSettings, catalogue};
use portcullis_jose::{Clock, Secret};
use portcullis_oidc::{HttpsUrl, HyperClient};
use serde_json::{Value, json};

use super::causes::{self, Answer, Case, Likely};
use super::examine::Call;
use super::inspection::likely_json;
use super::screen::Screen;
use super::token::{Decoded, Kind, Written};
use super::words::{duration, tidy, wrap};
use super::{checks, target};
use crate::config::{Places, Settings};
use crate::diagnostic::SourceText;
use crate::gateway::{client, guard_alone, providers};

/// Where the second column begins.
const MARGIN: usize = 10;

/// What is sent where.
pub(crate) struct Request<'r> {
    pub(crate) settings: &'r Settings,
    pub(crate) clock: &'r Arc<dyn Clock>,
    pub(crate) url: &'r HttpsUrl,
    pub(crate) client: &'r str,
    pub(crate) scopes: &'r [String],
    pub(crate) resource: Option<&'r str>,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// PEM file of the authority of the address.
    pub(crate) ca_file: Option<&'r Path>,
}

/// What came of it.
pub(crate) struct Called {
    pub(crate) response: Response<Bytes>,
    answer: Answer,
    token: Decoded,
    lifetime: Option<i64>,
    causes: Vec<Likely>,
}

// === impl Request ===

impl Request<'_> {
    /// Gets a token and sends the request.
    ///
    /// # Errors
    /// There is no such client, no token is to be had, or the address does not answer.
    pub(crate) async fn send(self) -> Result<Called, String> {
        let audit = Audit::new(AuditSettings::in_memory(), self.clock.clone());
        if !self.settings.clients.contains_key(self.client) {
            let known = self
                .settings
                .clients
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(format!("there is no client {}; there are: {known}", self.client));
        }
        let built = providers(self.settings, &audit, self.clock).map_err(|error| error.to_string())?;
        let oauth = client(self.settings, &built, self.client, &audit).map_err(|error| error.to_string())?;
        let granted = oauth
            .client_credentials(self.scopes, self.resource)
            .await
            .map_err(|error| {
                format!(
                    "client {} got no token: {error}; `portcullis doctor` looks at client and provider",
                    self.client
                )
            })?;
        let token = granted.access_token.clone();
        let http = match self.ca_file {
            None => HyperClient::new().map_err(|error| error.to_string())?,
            Some(path) => {
                let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
                HyperClient::with_ca(&pem).map_err(|error| format!("{}: {error}", path.display()))?
            }
        };
        let (method, headers, body) = (self.method.clone(), self.headers.clone(), self.body.clone());
        let asked = checks::ask(&http, self.url, method, headers, body, Some(&token)).await;
        let response = asked.map_err(|why| format!("{}: {why}", self.url))?;
        let answer = checks::parse(&response);
        let causes = match answer.status {
            400.. => self.causes(&audit, &token, &answer).await,
            _ => Vec::new(),
        };
        Ok(Called {
            answer,
            causes,
            lifetime: granted.expires_in,
            token: Decoded::of(token.expose()),
            response,
        })
    }

    /// Where the address is the gateway's of this configuration, its own guard is asked; else the token alone tells.
    async fn causes(&self, audit: &Audit, token: &Secret, answer: &Answer) -> Vec<Likely> {
        let written = Written::read(token.expose());
        let ours = target::is_ours(self.settings, self.url.as_url());
        let path = target::path(self.url.as_url().path());
        if ours
            && let Ok(path) = &path
            && let Ok(api) = target::api(self.settings, None, Some(path))
        {
            let (revocations, _) = target::revocations(self.settings, self.clock);
            if let Ok(Some(guarded)) = guard_alone(self.settings, api, &revocations, audit, self.clock) {
                let policy = guarded.policy(self.method.as_str(), path).ok().cloned();
                let call = Call {
                    settings: self.settings,
                    api,
                    guarded: &guarded,
                    method: self.method.as_str(),
                    path,
                    policy: policy.as_deref(),
                    token_in_query: false,
                    clock: self.clock,
                    asks_clock: true,
                };
                return call.examine(&written, Some(answer)).await.causes;
            }
        }
        let decoded = Decoded::of(token.expose());
        let mut case = Case::alone(&decoded, &written.slips, self.clock.now());
        case.answer = Some(answer);
        causes::likely(&case)
    }
}

// === impl Called ===

impl Called {
    pub(crate) fn is_good(&self) -> bool {
        self.answer.status < 400
    }

    /// Everything but the body, for people. The token is told by what it says, and never shown.
    pub(crate) fn explain(&self, places: &Places, screen: Screen) -> String {
        let mut out = String::new();
        let (kind, _) = Kind::of(&self.token);
        let lives = self
            .lifetime
            .map_or_else(String::new, |seconds| format!(", for {}", duration(seconds)));
        out.push_str(&format!(
            "sent      {}{lives}; aud {}, scope {}\n",
            kind.words(),
            shown(&self.token.audiences()),
            shown(&self.token.scopes())
        ));
        let status = self.response.status();
        let told = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        let told = match self.is_good() {
            true => screen.style.good(told.trim_end()),
            false => screen.style.bad(told.trim_end()),
        };
        out.push_str(&format!("answered  {told}\n"));
        for challenge in &self.answer.challenges {
            out.push_str(&format!("challenge {challenge}\n"));
        }
        if let Some(id) = self
            .response
            .headers()
            .get("x-request-id")
            .and_then(|id| id.to_str().ok())
        {
            out.push_str(&format!("request   {}\n", tidy(id)));
        }
        if let Some((code, cause, fix)) = self.code() {
            out.push_str(&format!("code      {code}\n"));
            for (what, text) in [("cause", cause), ("fix", fix)] {
                let lines = wrap(&text, screen.width.saturating_sub(MARGIN));
                out.push_str(&format!(
                    "{what:<MARGIN$}{}\n",
                    lines.join(&format!("\n{:MARGIN$}", ""))
                ));
            }
        }
        if !self.causes.is_empty() {
            out.push('\n');
            out.push_str(&screen.likely(&self.causes, places, &SourceText::new("the answer", "")));
        }
        out
    }

    /// The code of the answer, and what it means here.
    fn code(&self) -> Option<(String, String, String)> {
        let code = self.answer.code.as_deref()?;
        if let Some(entry) = catalogue::find(code) {
            return Some((code.to_owned(), entry.cause.to_owned(), entry.fix.to_owned()));
        }
        // RFC 6750 s3.1.
        let (cause, fix) = match code {
            "invalid_token" => (
                "The token is expired, revoked, malformed or not for this API; which of these is not told to callers.",
                "The audit event of the request id has the reason. `portcullis doctor --token -` finds it here.",
            ),
            "insufficient_scope" => (
                "The token is good, and may not do this.",
                "Ask for the scope that the challenge names: `--scope`.",
            ),
            "invalid_request" => (
                "The request is not as RFC 6750 wants it: no token, several, or one in the URL.",
                "Look at what is between here and there: proxies add and remove headers.",
            ),
            _ => return None,
        };
        Some((code.to_owned(), cause.to_owned(), fix.to_owned()))
    }

    pub(crate) fn to_json(&self, places: &Places) -> Value {
        let body = String::from_utf8_lossy(self.response.body());
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| Value::from(body.into_owned()));
        let code = self
            .code()
            .map(|(code, cause, fix)| json!({ "code": code, "cause": cause, "fix": fix }));
        json!({
            "status": self.answer.status,
            "challenges": self.answer.challenges,
            "code": self.answer.code,
            "explained": code,
            "request_id": self.response.headers().get("x-request-id").and_then(|id| id.to_str().ok()),
            "token": {
                "kind": Kind::of(&self.token).0.name(),
                "expires_in": self.lifetime,
                "audience": self.token.audiences(),
                "scopes": self.token.scopes(),
            },
            "causes": self.causes.iter().map(|likely| likely_json(likely, places)).collect::<Vec<_>>(),
            "body": body,
        })
    }
}

fn shown(values: &[&str]) -> String {
    match values {
        [] => "(none)".to_owned(),
        some => tidy(&some.join(" ")),
    }
}
