//! What came of a request, and whether it is what the corpus says.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_audit::{Audit, Record, RequestId};
use portcullis_store::{Revocation, RevocationTarget, TokenId};

use super::build::Request;
use super::entry::{Entry, Expected};
use super::fill::Fill;

/// What can be sent requests.
pub(super) trait World {
    fn fill(&self) -> &Fill;

    fn audit(&self) -> &Audit;

    async fn send(&self, profile: &str, request: &Request) -> Reply;

    /// How many requests got through.
    fn reached(&self) -> usize;

    /// What becomes of a request that this world cannot carry as it is; `None` where it can.
    fn transport(&self, request: &Request) -> Option<Expected>;
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// In the order they came, the names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// The reason, where no audit event tells it.
    pub(super) reason: Option<&'static str>,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The error that is told: in the challenge, or where there is none in OAuth's JSON.
    fn error(&self) -> Option<String> {
        let challenges = self.headers.iter().filter(|(name, _)| name == "www-authenticate");
        let told = |(_, challenge): &(String, String)| {
            let (_, rest) = challenge.split_once("error=\"")?;
            rest.split_once('"').map(|(error, _)| error.to_owned())
        };
        if let Some(error) = challenges.clone().find_map(told) {
            return Some(error);
        }
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["error"].as_str().map(str::to_owned)
    }

    /// All of it that a client can compare, without what differs from request to request by design.
    pub(super) fn public(&self) -> String {
        let id = self.header("x-request-id").unwrap_or("none").to_owned();
        let headers = self.headers.iter().filter(|(name, _)| name != "date");
        format!("{} {:?} {}", self.status, headers.collect::<Vec<_>>(), self.body).replace(&id, "ID")
    }

    pub(super) fn records(&self, audit: &Audit) -> Vec<Arc<Record>> {
        let id = self.header("x-request-id").and_then(RequestId::accept);
        id.map(|id| audit.of_request(&id)).unwrap_or_default()
    }

    fn seen(&self, audit: &Audit) -> Expected {
        let records = self.records(audit);
        let refused = records.iter().find_map(|record| record.event.refused());
        let reason = refused.map(|refused| refused.reason).or(self.reason);
        Expected {
            status: self.status,
            error: self.error(),
            reason: reason.unwrap_or_default().to_owned(),
        }
    }
}

/// What was sent, and what came back.
#[derive(Default)]
pub(super) struct Run {
    pub(super) refusals: Vec<(Entry, Reply)>,
    /// All tokens and proofs.
    pub(super) tokens: Vec<String>,
}

/// Sends everything, each with its good twin after it.
pub(super) async fn run(world: &impl World, entries: &[Entry]) -> Run {
    let mut faults = Vec::new();
    let mut run = Run::default();
    let controls = entries.iter().filter(|entry| entry.passes());
    for entry in controls.clone().chain(entries).chain(controls) {
        for request in super::build::requests(entry, world.fill()) {
            match one(world, entry, &request).await {
                Ok(reply) if entry.passes() => drop(reply),
                Ok(reply) => run.refusals.push((entry.clone(), reply)),
                Err(fault) => faults.push(format!("{}: {fault}", request.name)),
            }
            run.tokens.push(request.token);
        }
        if entry.passes() {
            continue;
        }
        let twin = entry.twin(entries);
        for request in super::build::requests(&twin, world.fill()) {
            if let Err(fault) = one(world, &twin, &request).await {
                faults.push(format!("{}: {fault}", request.name));
            }
        }
    }
    assert!(faults.is_empty(), "{} wrong:\n{}", faults.len(), faults.join("\n"));
    run
}

async fn one(world: &impl World, entry: &Entry, request: &Request) -> Result<Reply, String> {
    let profile = entry.profile.as_deref().unwrap_or(&entry.group);
    if entry.expected.reason == "replayed" {
        let first = world.send(profile, request).await;
        if first.status != 200 {
            return Err(format!("the first time: {first:?}"));
        }
    }
    let before = world.reached();
    let reply = world.send(profile, request).await;
    let reached = world.reached() - before;
    let seen = reply.seen(world.audit());
    let expected = world.transport(request).unwrap_or_else(|| entry.expected.clone());
    if seen != expected {
        return Err(format!("expected {expected:?}, got {seen:?}"));
    }
    // A good logout is answered by ourselves.
    let through = usize::from(expected.status == 200 && !entry.is_logout());
    if reached != through {
        return Err(format!("{reached} requests got through"));
    }
    Ok(reply)
}

/// What is revoked before anything is sent.
pub(super) fn revocations(fill: &Fill) -> Vec<Revocation> {
    let iss = || fill.issuers[0].clone();
    let time = |offset| portcullis_jose::UnixTime::from_secs(fill.now + offset);
    let targets = [
        (
            RevocationTarget::Session {
                iss: iss(),
                sid: "sid-out".into(),
            },
            None,
        ),
        (
            RevocationTarget::Subject {
                iss: iss(),
                sub: "user-1".into(),
            },
            Some(time(-30)),
        ),
        (
            RevocationTarget::Subject {
                iss: iss(),
                sub: "user-out".into(),
            },
            None,
        ),
        (
            RevocationTarget::Client {
                iss: iss(),
                client_id: "client-out".into(),
            },
            None,
        ),
        (
            RevocationTarget::Token {
                id: TokenId::Jti {
                    iss: iss(),
                    jti: "revoked-1".into(),
                },
            },
            None,
        ),
    ];
    let revocation = |(target, issued_before)| Revocation {
        target,
        issued_before,
        expires: time(86_400),
        reason: "a test".to_owned(),
    };
    targets.map(revocation).to_vec()
}

/// Answers to bad tokens on one route must not tell one cause from another.
pub(super) fn assert_no_oracle(refusals: &[(Entry, Reply)]) {
    let bad = refusals.iter().filter(|(entry, _)| {
        entry.expected.error.as_deref() == Some("invalid_token") && entry.profile.is_none() && !entry.is_proof()
    });
    let mut bad = bad.filter(|(_, reply)| reply.status == 401 && reply.reason.is_none());
    let (_, first) = bad.next().expect("there are bad tokens");
    for (entry, reply) in bad {
        assert_eq!(
            reply.public(),
            first.public(),
            "{} can be told from the others",
            entry.name
        );
    }
}

/// No line holds a token or its signature, and each line is one JSON object.
pub(super) fn assert_log_is_clean(log: &str, tokens: &[String]) {
    for line in log.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value.is_object(), "{line}");
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{2028}'), "{line:?}");
    }
    let of_tokens = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let runs = log.split(|c| !of_tokens(c)).filter(|run| run.len() >= 40);
    let long = runs.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("\n");
    for token in tokens {
        let signature = token.rsplit('.').next().unwrap_or_default();
        assert!(
            signature.len() < 40 || !long.contains(signature),
            "a log line holds {token}"
        );
    }
}
