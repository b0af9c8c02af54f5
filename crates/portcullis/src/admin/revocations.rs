//! Revocations: listed, entered, taken back.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use http::header::{CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use portcullis_audit::{Event, Refused};
use portcullis_guard::Guard;
use portcullis_store::{Revocation, RevocationTarget, StoreError};
use serde_json::json;

use super::Admin;
use super::check::is_json;
use super::entry::{Entry, Moment, Wanted, bad};
use super::pasted::Pasted;
use crate::gateway::body;

const MAX_BODY: usize = 32 * 1024;

pub(super) async fn list(State(admin): State<Admin>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let listed = admin.check(&parts).map(|()| {
        let entries = admin.0.revocations.in_force(admin.0.clock.now());
        let entries: Vec<Entry> = entries.into_iter().map(|(id, entry)| Entry::new(id, entry)).collect();
        answer(StatusCode::OK, &json!({ "revocations": entries }))
    });
    listed.unwrap_or_else(|refused| admin.refuse(&parts, refused))
}

pub(super) async fn enter(State(admin): State<Admin>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match admin.revoke(&parts, body).await {
        Ok(entry) => {
            let mut response = answer(StatusCode::CREATED, &json!(entry));
            if let Ok(place) = HeaderValue::from_str(&format!("/admin/v1/revocations/{}", entry.id)) {
                response.headers_mut().insert(LOCATION, place);
            }
            response
        }
        Err(refused) => admin.refuse(&parts, refused),
    }
}

pub(super) async fn take_back(State(admin): State<Admin>, Path(id): Path<String>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    match admin.take_back(&parts, &id).await {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(refused) => admin.refuse(&parts, refused),
    }
}

impl Admin {
    async fn revoke(&self, parts: &Parts, body: Body) -> Result<Entry, Refused> {
        self.check(parts)?;
        is_json(&parts.headers)?;
        let body = body::read(body, MAX_BODY).await?;
        let revocation = self.revocation(Wanted::parse(&body)?)?;
        let now = self.0.clock.now();
        let id = self.0.revocations.revoke(revocation.clone(), now).await;
        let id = id.map_err(store_refused)?;
        let event = Event::Revoked {
            kind: revocation.target.kind(),
            id,
            until: revocation.expires,
            reason: revocation.reason.clone(),
            how: "administrator",
        };
        self.0.audit.emit(None, event);
        Ok(Entry::new(id, revocation))
    }

    /// What is wanted, with everything that was left open.
    fn revocation(&self, wanted: Wanted) -> Result<Revocation, Refused> {
        let now = self.0.clock.now();
        if matches!(wanted.issued_before, Some(Moment::At(at)) if at.as_secs() <= 0) {
            return Err(bad("`issued_before` is in seconds since 1970, and not before that"));
        }
        // What is issued until then has to be outlived.
        let last = match &wanted.issued_before {
            Some(Moment::At(at)) => now.max(*at),
            _ => now,
        };
        let longest_life = self.0.guards.iter().map(Guard::longest_life).max();
        // Without an API no token is judged.
        let of_all = last.plus(longest_life.unwrap_or(0));
        let (target, expires) = match (wanted.target, &wanted.token) {
            (Some(target), _) => {
                if let Some(issuer) = target.issuer() {
                    self.check_issuer(issuer)?;
                }
                (target, wanted.expires.unwrap_or(of_all))
            }
            (None, Some(token)) => {
                let is_opaque = |token: &str| self.0.guards.iter().any(|guard| guard.asks_about(token));
                let pasted = Pasted::read(token, is_opaque)?;
                if let Some(issuer) = &pasted.issuer {
                    self.check_issuer(issuer)?;
                }
                // Longer than any leeway.
                let expires = pasted.expires.map_or(of_all, |expires| expires.plus(600));
                (RevocationTarget::Token { id: pasted.id }, expires)
            }
            (None, None) => return Err(bad("give either `target` or `token`")),
        };
        if expires <= now {
            return Err(bad(
                "it would have ended already: every token that is meant has expired",
            ));
        }
        let issued_before = wanted.issued_before.map(|moment| match moment {
            Moment::At(time) => time,
            // Times are whole seconds, and tokens of this one are meant too.
            Moment::Word(_) => now.plus(1),
        });
        Ok(Revocation {
            target,
            issued_before,
            expires,
            reason: wanted.reason,
        })
    }

    /// A slip in an issuer would revoke nothing, and nobody would notice.
    pub(super) fn check_issuer(&self, issuer: &str) -> Result<(), Refused> {
        let known = &self.0.issuers;
        if known.iter().any(|known| known == issuer) {
            return Ok(());
        }
        let refused = Refused::new("admin.unknown_issuer");
        Err(refused.expected(known.join(" or ")).found(issuer))
    }

    async fn take_back(&self, parts: &Parts, id: &str) -> Result<(), Refused> {
        self.check(parts)?;
        let not_found = || Refused::new("admin.not_found").found(id);
        let id: u64 = id.parse().map_err(|_| not_found())?;
        let taken = self.0.revocations.take_back(id).await.map_err(store_refused)?;
        let kind = taken.ok_or_else(not_found)?.target.kind();
        self.0.audit.emit(None, Event::RevocationRemoved { kind, id });
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the shape that map_err asks for")]
fn store_refused(error: StoreError) -> Refused {
    Refused::new(error.code()).found(error.to_string())
}

pub(super) fn answer(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
