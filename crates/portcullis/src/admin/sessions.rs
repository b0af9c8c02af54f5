//! Sessions of a person: listed without a secret, and ended.

use axum::body::Body;
use axum::extract::{Request, State};
use http::request::Parts;
use http::{Response, StatusCode};
use portcullis_audit::{Refused, RequestId};
use portcullis_bff::SessionInfo;
use serde::Deserialize;
use serde_json::json;

use super::Admin;
use super::check::is_json;
use super::entry::{bad, is_name};
use super::revocations::answer;
use crate::gateway::body;

const MAX_BODY: usize = 8 * 1024;

/// Whose sessions, and which.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// The only issuer, where there is one alone.
    issuer: Option<String>,
    subject: String,
    /// One session, by what `list` calls it.
    id: Option<String>,
    #[serde(default)]
    all: bool,
}

pub(super) async fn list(State(admin): State<Admin>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    match admin.list_sessions(&parts).await {
        Ok(sessions) => answer(StatusCode::OK, &json!({ "sessions": sessions })),
        Err(refused) => admin.refuse(&parts, refused),
    }
}

pub(super) async fn end(State(admin): State<Admin>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match admin.end_sessions(&parts, body).await {
        Ok(ended) => answer(StatusCode::OK, &json!({ "ended": ended })),
        Err(refused) => admin.refuse(&parts, refused),
    }
}

impl Admin {
    async fn list_sessions(&self, parts: &Parts) -> Result<Vec<SessionInfo>, Refused> {
        self.check(parts)?;
        let mut whose = Whose::default();
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "issuer" if whose.issuer.is_none() => whose.issuer = Some(value.into_owned()),
                "subject" if whose.subject.is_empty() => whose.subject = value.into_owned(),
                _ => return Err(bad("parameters are `subject` and `issuer`, each once")),
            }
        }
        let issuer = self.issuer_of(&whose)?;
        let mut sessions = Vec::new();
        for bff in &self.0.bffs {
            sessions.extend(bff.administered_sessions(&issuer, &whose.subject).await?);
        }
        sessions.sort_by_key(|session| session.since);
        Ok(sessions)
    }

    async fn end_sessions(&self, parts: &Parts, body: Body) -> Result<u64, Refused> {
        self.check(parts)?;
        is_json(&parts.headers)?;
        let body = body::read(body, MAX_BODY).await?;
        let whose: Whose = serde_json::from_slice(&body)
            .map_err(|_| bad("members are `subject`, `issuer`, and either `id` or `all`: true"))?;
        if whose.id.is_some() == whose.all {
            return Err(bad("give either `id` or `all`: true"));
        }
        let issuer = self.issuer_of(&whose)?;
        let (mut ended, request) = (0, RequestId::new());
        for bff in &self.0.bffs {
            let one = whose.id.as_deref();
            ended += bff.end_administered(&issuer, &whose.subject, one, &request).await?;
        }
        match (&whose.id, ended) {
            (Some(id), 0) => Err(Refused::new("admin.not_found").found(id.chars().take(64).collect::<String>())),
            _ => Ok(ended),
        }
    }

    /// The issuer that is meant, which has to be one of ours.
    fn issuer_of(&self, whose: &Whose) -> Result<String, Refused> {
        if !is_name(&whose.subject) {
            return Err(bad("`subject` is missing, too long, or has control characters"));
        }
        match (&whose.issuer, self.0.issuers.as_slice()) {
            (Some(issuer), _) => self.check_issuer(issuer).map(|()| issuer.clone()),
            (None, [only]) => Ok(only.clone()),
            (None, known) => Err(bad(format!("`issuer` is needed; there are: {}", known.join(", ")))),
        }
    }
}
