//! One run of the doctor, area by area.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use portcullis_audit::{Audit, AuditSettings};
use portcullis_guard::{Check, Explanation, Outcome as Verdict};
use portcullis_jose::Clock;
use portcullis_oidc::{HttpsUrl, HyperClient};
use url::Url;

use super::causes::Answer;
use super::checks;
use super::examine::{Call, Examined, fails};
use super::finding::{Area, Finding};
use super::problems;
use super::report::{Report, TokenReport};
use super::target;
use super::token::{Decoded, Written};
use crate::config::Settings;
use crate::gateway::{client, guard_alone, providers};

/// What is looked at.
pub(crate) struct Run<'r> {
    pub(crate) settings: &'r Settings,
    pub(crate) clock: &'r Arc<dyn Clock>,
    pub(crate) token: Option<&'r Written>,
    /// The API that the token is for, where its name was given.
    pub(crate) api: Option<&'r str>,
    /// The address that callers use.
    pub(crate) url: Option<&'r HttpsUrl>,
    /// PEM file of the authority of that address.
    pub(crate) ca_file: Option<&'r Path>,
    pub(crate) shows_personal: bool,
}

/// What an address answered.
struct Sent {
    answer: Answer,
}

// === impl Run ===

impl Run<'_> {
    /// Makes every check.
    ///
    /// # Errors
    /// Where the question is wrong: no such API, no API at the path.
    pub(crate) async fn make(&self) -> Result<Report, String> {
        let path = self.url.map(|url| target::path(url.as_url().path())).transpose()?;
        let api = match self.token {
            Some(_) => Some(target::api(self.settings, self.api, path.as_deref())?),
            None => None,
        };
        let decoded = self.token.map(|token| Decoded::of(token.token.expose()));
        let mut findings = checks::gateway(self.settings, self.clock.now());
        findings.extend(checks::store(self.settings, self.clock).await);
        self.providers(&mut findings).await;
        for (name, configured) in &self.settings.apis {
            findings.extend(checks::api(self.settings, name, configured, decoded.as_ref()).await);
        }
        let sent = match self.url {
            Some(url) => self.address(&mut findings, url).await,
            None => None,
        };
        let token = match (self.token, api) {
            (Some(token), Some(api)) => {
                let path = path.unwrap_or_else(|| {
                    self.settings
                        .apis
                        .get(api)
                        .map(|api| api.path.clone())
                        .unwrap_or_default()
                });
                let examined = self.token(&mut findings, token, api, &path, sent.as_ref()).await?;
                Some(TokenReport::of(examined, api, self.shows_personal))
            }
            _ => None,
        };
        Ok(Report::new(findings, token, self.settings.dangers()))
    }

    /// Each provider, and after it its clients.
    async fn providers(&self, findings: &mut Vec<Finding>) {
        let audit = Audit::new(AuditSettings::in_memory(), self.clock.clone());
        let built = providers(self.settings, &audit, self.clock);
        for (name, configured) in &self.settings.providers {
            let seen = checks::provider(self.settings, name, configured, &**self.clock).await;
            findings.extend(seen.findings);
            for (client_name, client_settings) in &self.settings.clients {
                if client_settings.provider != *name {
                    continue;
                }
                let made = built.as_ref().map_err(ToString::to_string);
                let made = made.and_then(|built| {
                    client(self.settings, built, client_name, &audit).map_err(|error| error.to_string())
                });
                let made = match made {
                    Ok(made) => made,
                    Err(why) => {
                        let mut area = Area::new(format!("client {client_name}"));
                        area.broken("credentials", &problems::CLIENT_UNANSWERED, why)
                            .at(["client", client_name]);
                        findings.extend(area.into_findings());
                        continue;
                    }
                };
                let methods = seen.auth_methods.as_deref();
                findings.extend(checks::client(client_name, client_settings, &made, methods, self.clock.now()).await);
                for (frontend, settings) in &self.settings.frontends {
                    if settings.client == *client_name && methods.is_some() {
                        findings.extend(checks::login(self.settings, frontend, settings, &made).await);
                    }
                }
            }
        }
    }

    /// The address that callers use, with the token if there is one.
    async fn address(&self, findings: &mut Vec<Finding>, url: &HttpsUrl) -> Option<Sent> {
        let mut area = Area::new(format!("address {url}"));
        let client = match self.ca_file.map(std::fs::read) {
            None => HyperClient::new().map_err(|error| error.to_string()),
            Some(Ok(pem)) => HyperClient::with_ca(&pem).map_err(|error| error.to_string()),
            Some(Err(error)) => Err(error.to_string()),
        };
        let token = self.token.map(|token| &token.sent);
        let asked = match client {
            Ok(client) => checks::ask(&client, url, Method::GET, HeaderMap::new(), Bytes::new(), token).await,
            Err(why) => Err(why),
        };
        let sent = match asked {
            Err(why) => {
                area.broken("answer", &problems::ADDRESS_AWAY, why)
                    .at(["server", "public_url"]);
                None
            }
            Ok(answer) => {
                let answer = checks::parse(&answer);
                let code = answer.code.as_ref().map(|code| format!(", {code}")).unwrap_or_default();
                let told = format!("status {}{code}", answer.status);
                match answer.status {
                    // Without a token a refusal is what is expected of a guarded route.
                    401 | 403 if token.is_none() => area.fine("answer", told),
                    400.. => drop(area.broken("answer", &problems::ADDRESS_REFUSES, told)),
                    _ => area.fine("answer", told),
                }
                Some(Sent { answer })
            }
        };
        match target::is_ours(self.settings, url.as_url()) {
            true => area.fine("origin", "that of public_url"),
            false => area.skipped("origin", "another than any public_url of the configuration"),
        }
        findings.extend(area.into_findings());
        sent
    }

    async fn token(
        &self,
        findings: &mut Vec<Finding>,
        token: &Written,
        api: &str,
        path: &str,
        sent: Option<&Sent>,
    ) -> Result<Examined, String> {
        let audit = Audit::new(AuditSettings::in_memory(), self.clock.clone());
        let (revocations, unseen) = target::revocations(self.settings, self.clock);
        let guarded =
            guard_alone(self.settings, api, &revocations, &audit, self.clock).map_err(|error| error.to_string())?;
        let guarded = guarded.ok_or_else(|| format!("api {api} is public: it looks at no token"))?;
        let policy = guarded.policy("GET", path);
        let call = Call {
            settings: self.settings,
            api,
            guarded: &guarded,
            method: "GET",
            path,
            policy: policy.as_ref().ok().map(|policy| &***policy),
            token_in_query: false,
            clock: self.clock,
            asks_clock: true,
        };
        let mut examined = call.examine(token, sent.map(|sent| &sent.answer)).await;
        complete(&mut examined.explanation, unseen.as_deref());
        let mut area = Area::new("token");
        let (call_of, asked) = (format!("GET {path}"), policy.is_ok());
        if let Err(refused) = policy {
            match self.url {
                // What was named is what is called: the token is looked at first, and this is the answer to a good one.
                Some(_) => fails(&mut examined.explanation, Check::Policy, refused),
                None => {
                    let why = format!(
                        "not asked: {call_of} has none ({}); --url names what is called",
                        refused.code
                    );
                    not_asked(&mut examined.explanation, &why);
                    area.skipped("policy", why);
                }
            }
        }
        match &examined.explanation.refused {
            None if asked => area.fine("guard", format!("api {api} takes it for {call_of}")),
            None => area.fine("guard", format!("api {api} takes it; no policy was asked")),
            Some(refused) => {
                let told = format!(
                    "api {api} answers {call_of} with {}, {}",
                    examined.explanation.status, refused.code
                );
                area.broken("guard", &problems::TOKEN_REFUSED, told);
            }
        }
        findings.extend(area.into_findings());
        Ok(examined)
    }
}

/// Says of the revocations what the guard cannot know: that they were not looked at.
fn complete(explanation: &mut Explanation, unseen: Option<&str>) {
    let Some(why) = unseen else { return };
    for check in &mut explanation.checks {
        if check.check == Check::Revocation && check.outcome == Verdict::Passed {
            check.outcome = Verdict::NotReached;
            check.found = Some(why.to_owned());
        }
    }
}

/// Says of the policy that there is none to ask.
fn not_asked(explanation: &mut Explanation, why: &str) {
    for check in &mut explanation.checks {
        if check.check == Check::Policy && check.outcome == Verdict::Passed {
            check.outcome = Verdict::NotReached;
            check.expected = None;
            check.found = Some(why.to_owned());
        }
    }
}

/// An address that a token may be sent to.
pub(crate) fn address(text: &str) -> Result<HttpsUrl, String> {
    let url = HttpsUrl::parse(text).map_err(|error| error.to_string())?;
    let has_token = |url: &Url| url.query_pairs().any(|(name, _)| name == "access_token");
    match has_token(url.as_url()) {
        true => Err("a token does not belong into an address".to_owned()),
        false => Ok(url),
    }
}
