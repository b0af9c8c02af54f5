//! Renewing a session's access token: once for each session, in this process by a lock, over all replicas by a lease
//! with a fencing number.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use portcullis_audit::{Event, Refused, RequestId};
use portcullis_jose::{Claims, Refusal, UnixTime, random_token};
use portcullis_oidc::ProviderError;
use portcullis_store::{Lease, LeaseName, SessionKey, SessionRecord, StoreError, Version, Versioned};

use crate::session::{SessionData, store_refused};
use crate::{AccessToken, Bff, Session};

/// So long after a replica was killed another may go on. One that lives extends its lease while it works.
const LEASE_SECONDS: u32 = 10;
const EXTEND_EVERY: Duration = Duration::from_secs(3);
/// Where a lease ran out, its holder may still have the answer, and is given so long to store it: longer than the pause
/// between its attempts.
const LAPSED_WAIT: (Duration, u32) = (Duration::from_millis(100), 12);
/// Whoever wants the token waits for so long. The work goes on without them.
const PATIENCE: Duration = Duration::from_secs(7);
/// A token is used for so long, in seconds, or half its life, before it is renewed.
const SETTLED: i64 = 30;
/// The same where somebody asks for another one.
const ASKED_AGAIN: i64 = 5;
/// How long and how often to look for the result of another replica.
const WAIT_STEP: Duration = Duration::from_millis(50);
const WAIT_STEPS: u32 = 100;
/// What the provider answered is kept for so long while the store does not take it.
const SAVE_FOR: Duration = Duration::from_secs(45);
/// The pauses between attempts to store it: from, and at most.
const SAVE_PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));

/// Why a token is renewed.
#[derive(Debug, Clone, Copy)]
enum Need {
    /// It is about to expire.
    Ahead,
    /// Somebody wants another one than that of this version of the session.
    Another(Version),
}

/// A session's token as it was used for a call, to be renewed where an API refuses it.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    key: SessionKey,
    version: Version,
}

impl Bff {
    pub(crate) async fn fresh_access_token(&self, session: &Session, id: &RequestId) -> Result<AccessToken, Refused> {
        if session.from_copy {
            // Nothing is renewed while the store is away.
            return self.alive_or(
                session,
                Refused::new("store.unavailable").found("the access token is over"),
            );
        }
        if !self.is_needed(session, Need::Ahead) {
            return Ok(session.data.access_token.clone());
        }
        if self.0.refreshing.failed_just_now(session.key, self.0.clock.now()) {
            return self.alive_or(session, failed_a_moment_ago());
        }
        Box::pin(self.renew_apart(session.clone(), Need::Ahead, id)).await
    }

    /// What an API may refuse, so that [`Bff::renew_refused`] knows which token that was.
    #[must_use]
    pub fn used(&self, session: &Session) -> Used {
        Used {
            key: session.key,
            version: session.version,
        }
    }

    /// An API refused the token of a session. Returns whether the session has another one now: then it is worth asking
    /// once more.
    pub async fn renew_refused(&self, used: Used, id: &RequestId) -> bool {
        let Ok(Some(session)) = self.read(used.key).await else {
            return false;
        };
        session.version != used.version || self.renew_now(&session, id).await.unwrap_or(false)
    }

    /// Renews a session's token whether or not it is about to expire. Returns whether there is another one now.
    pub(crate) async fn renew_now(&self, session: &Session, id: &RequestId) -> Result<bool, Refused> {
        let need = Need::Another(session.version);
        if session.data.refresh_token.is_none() || !self.is_needed(session, need) {
            return Ok(false);
        }
        let token = self.renew_apart(session.clone(), need, id).await?;
        Ok(token != session.data.access_token)
    }

    /// In a task of its own: a browser that goes away must not drop the answer with the rotated refresh token.
    async fn renew_apart(&self, session: Session, need: Need, id: &RequestId) -> Result<AccessToken, Refused> {
        let (bff, session_there, id) = (self.clone(), session.clone(), id.clone());
        let work = async move { bff.renew(session_there, need, &id).await };
        let work = tokio::spawn(self.0.work.counted(work));
        let renewed = match tokio::time::timeout(PATIENCE, work).await {
            Ok(done) => done.unwrap_or_else(|_| Err(Refused::new("internal.error").found("refresh"))),
            Err(_) => {
                self.0.refreshing.was_unanswered(session.key, self.0.clock.now());
                let refused = Refused::new("refresh.unavailable").found("the provider takes too long");
                return self.alive_or(&session, refused);
            }
        };
        match renewed {
            Err(refused) if refused.code.starts_with("store.") && refused.status() >= 500 => {
                self.alive_or(&session, refused)
            }
            other => other,
        }
    }

    fn is_needed(&self, session: &Session, need: Need) -> bool {
        let now = self.0.clock.now();
        let SessionData {
            access_expires,
            access_issued,
            ..
        } = *session.data;
        let used_for = now.since(access_issued);
        match (need, access_expires) {
            (Need::Ahead, None) => false,
            // A token that never lives as long as the margin is not renewed with every call.
            (Need::Ahead, Some(expires)) => {
                used_for >= SETTLED.min(expires.since(access_issued) / 2)
                    && expires.since(now) <= self.0.settings.refresh_before
            }
            (Need::Another(version), expires) => {
                let half = expires.map_or(ASKED_AGAIN, |expires| expires.since(access_issued) / 2);
                session.version == version && used_for >= ASKED_AGAIN.min(half)
            }
        }
    }

    fn is_alive(&self, session: &Session) -> bool {
        session
            .data
            .access_expires
            .is_none_or(|expires| expires > self.0.clock.now())
    }

    fn alive_or(&self, session: &Session, refused: Refused) -> Result<AccessToken, Refused> {
        if self.is_alive(session) {
            Ok(session.data.access_token.clone())
        } else {
            Err(refused)
        }
    }

    async fn renew(&self, session: Session, need: Need, id: &RequestId) -> Result<AccessToken, Refused> {
        let (flights, key) = (&self.0.refreshing, session.key);
        let flight = flights.of(key, self.0.clock.now());
        let _turn = match flight.lock.try_lock() {
            Ok(turn) => turn,
            // Somebody is at it: who has a token that lives need not wait.
            Err(_) if matches!(need, Need::Ahead) && self.is_alive(&session) => {
                return Ok(session.data.access_token.clone());
            }
            Err(_) => flight.lock.lock().await,
        };
        if flights.failed_just_now(key, self.0.clock.now()) {
            return self.alive_or(&session, failed_a_moment_ago());
        }
        let mut session = self.again(&session).await?;
        for _ in 0..WAIT_STEPS {
            if !self.is_needed(&session, need) {
                return Ok(session.data.access_token.clone());
            }
            if session.data.refresh_token.is_none() {
                return self.without_refresh_token(&session);
            }
            // It is never closed. Whoever has waited for it looks again below.
            let slot = flights.slots.acquire().await;
            let name = LeaseName::session(&session.key);
            let lease = self.0.store.acquire(name, &random_token(8), LEASE_SECONDS).await;
            if let Some(lease) = lease.map_err(store_refused)? {
                let asking = pin!(self.ask_alone(&session, &lease, need, id));
                let result = match select(asking, pin!(self.hold(&lease))).await {
                    Either::Left((result, _)) | Either::Right((result, _)) => result,
                };
                // Not released in time, it ends by itself.
                let _ = self.0.store.release(lease.clone()).await;
                return result;
            }
            drop(slot);
            if matches!(need, Need::Ahead) && self.is_alive(&session) {
                return Ok(session.data.access_token.clone());
            }
            tokio::time::sleep(WAIT_STEP).await;
            session = self.again(&session).await?;
        }
        self.alive_or(
            &session,
            Refused::new("refresh.unavailable").found("another replica holds the refresh"),
        )
    }

    /// With the lease, which came after the last look at the session: whoever had it before may have renewed the token.
    async fn ask_alone(
        &self,
        session: &Session,
        lease: &Lease,
        need: Need,
        id: &RequestId,
    ) -> Result<AccessToken, Refused> {
        let mut session = self.again(session).await?;
        if lease.lapsed {
            session = self.unless_stored_late(session, need).await?;
        }
        match self.is_needed(&session, need) {
            true => self.ask_provider(&session, lease.fencing, id).await,
            false => Ok(session.data.access_token.clone()),
        }
    }

    /// Keeps a lease while its holder is at work.
    async fn hold<T>(&self, lease: &Lease) -> T {
        loop {
            tokio::time::sleep(EXTEND_EVERY).await;
            // A store that is away will be asked again; what is written without the lease is looked at by its version.
            let _ = self.0.store.extend(lease, LEASE_SECONDS).await;
        }
    }

    /// The session as the holder of a lease that ran out may have stored it only now.
    async fn unless_stored_late(&self, session: Session, need: Need) -> Result<Session, Refused> {
        let mut session = session;
        for _ in 0..LAPSED_WAIT.1 {
            if !self.is_needed(&session, need) {
                break;
            }
            tokio::time::sleep(LAPSED_WAIT.0).await;
            session = self.again(&session).await?;
        }
        Ok(session)
    }

    async fn again(&self, session: &Session) -> Result<Session, Refused> {
        let found = self.read(session.key).await?;
        found.ok_or_else(|| Refused::new("session.expired"))
    }

    /// The session goes on without a token to call APIs with: who the person is has not changed.
    fn without_refresh_token(&self, session: &Session) -> Result<AccessToken, Refused> {
        self.alive_or(session, Refused::new("session.token_expired"))
    }

    /// Whether an ID token of now is refused for good: not for want of a key, or by keys from before it was issued.
    fn is_proven(&self, refusal: &Refusal, issued: UnixTime) -> bool {
        match refusal {
            Refusal::UnknownKid { .. } => false,
            Refusal::SignatureInvalid => {
                let keys = self.0.settings.client.provider().keys();
                keys.is_some_and(|keys| keys.fetched >= issued)
            }
            _ => true,
        }
    }

    async fn ask_provider(&self, session: &Session, fencing: u64, id: &RequestId) -> Result<AccessToken, Refused> {
        let client = &self.0.settings.client;
        let Some(refresh_token) = &session.data.refresh_token else {
            return self.without_refresh_token(session);
        };
        let asked = self.0.clock.now();
        let response = match client.refresh(refresh_token, self.0.settings.resource.as_deref()).await {
            Ok(response) => response,
            Err(error) => return self.refresh_failed(session, &error, id).await,
        };
        let (mut undecided, mut sid) = (None, None);
        if let Some(id_token) = &response.id_token {
            // OpenID Connect Core 1.0 s12.2: the same person at the same issuer, and the rules of any ID token.
            match client
                .verify_id_token(id_token, None, Some(&response.access_token))
                .await
            {
                Ok(claims) => {
                    if let Some(found) = differs(&claims, &session.data) {
                        self.revoke_token_in_background(response.refresh_token, id);
                        return self.end(session, wrong_id_token(found), id).await;
                    }
                    sid = claims.str("sid").map(str::to_owned);
                }
                Err(ProviderError::Token(refusal)) if self.is_proven(&refusal, asked) => {
                    self.revoke_token_in_background(response.refresh_token, id);
                    return self.end(session, wrong_id_token(&refusal.to_string()), id).await;
                }
                // Its key cannot be had now, or may be newer than ours: that proves nothing against it, and nothing for it.
                Err(error) => undecided = Some(error),
            }
        }
        let expires_in = response.expires_in.unwrap_or_default();
        let mut data = SessionData::clone(&session.data);
        match undecided {
            None => {
                data.take_tokens(response, asked);
                // What the provider's logout will name.
                data.sid = sid.or(data.sid);
            }
            // The old refresh token may be used up, so the new one is kept; of the rest nothing is used.
            Some(_) => {
                data.refresh_token = response.refresh_token.or(data.refresh_token);
                data.generation += 1;
            }
        }
        self.save(session, fencing, &data).await?;
        if let Some(error) = undecided {
            return self.unavailable(session, &error, id);
        }
        let (frontend, subject) = (self.0.settings.name.clone(), data.subject);
        let refreshed = Event::TokenRefreshed {
            frontend,
            subject,
            expires_in,
        };
        self.0.audit.emit(Some(id), refreshed);
        Ok(data.access_token)
    }

    /// Stores what the provider answered. Where the refresh token was rotated it is here and nowhere else, so a store
    /// that is away for a moment is waited for.
    async fn save(&self, session: &Session, fencing: u64, data: &SessionData) -> Result<(), Refused> {
        let record = self.record(session.key, data, session.times)?;
        let (mut version, mut pause, mut fenced) = (session.version, SAVE_PAUSE.0, true);
        let until = tokio::time::Instant::now() + SAVE_FOR;
        loop {
            let store = &self.0.store;
            let stored = match fenced {
                true => store.update_fenced(session.key, version, fencing, record.clone()).await,
                false => store.update(session.key, version, record.clone()).await,
            };
            match stored {
                Ok(_) => return Ok(()),
                // Logged out meanwhile: what came is worth nothing any more, and is not used.
                Err(StoreError::Gone) => return Err(Refused::new("session.expired")),
                // The lease ran out while the store was away. What the provider has given is good all the same, unless
                // somebody else has another answer of its by now.
                Err(StoreError::LeaseLost) if fenced => {
                    fenced = false;
                    continue;
                }
                // Whoever has no lease may have sealed it anew; or an attempt of ours was done and its answer lost.
                Err(StoreError::Conflict) => match store.get(session.key).await {
                    Ok(Some(found)) if found.value.sealed == record.sealed => return Ok(()),
                    Ok(Some(found)) if fenced || !self.has_newer_token(session, &found) => version = found.version,
                    Ok(Some(_)) => return Err(store_refused(StoreError::Conflict)),
                    Ok(None) => return Err(Refused::new("session.expired")),
                    Err(_) => {}
                },
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Full { .. })) => {
                    if tokio::time::Instant::now() >= until {
                        return Err(store_refused(error));
                    }
                }
                Err(error) => return Err(store_refused(error)),
            }
            if tokio::time::Instant::now() >= until {
                return Err(store_refused(StoreError::Conflict));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SAVE_PAUSE.1);
        }
    }

    /// Whether somebody else has renewed the token since the session was read.
    fn has_newer_token(&self, session: &Session, found: &Versioned<SessionRecord>) -> bool {
        let now = self.open(session.key, found);
        now.is_ok_and(|now| now.data.generation > session.data.generation)
    }

    async fn refresh_failed(
        &self,
        session: &Session,
        error: &ProviderError,
        id: &RequestId,
    ) -> Result<AccessToken, Refused> {
        if error.is_invalid_grant() || error.needs_the_person() {
            // Another replica may have used it up and be ahead of us.
            let now = self.again(session).await?;
            if now.version != session.version {
                return Ok(now.data.access_token.clone());
            }
            return self
                .end(session, Refused::new("refresh.rejected").found(error.to_string()), id)
                .await;
        }
        self.unavailable(session, error, id)
    }

    /// Nothing is proven against the session: it stays, and so does its token while that lives.
    fn unavailable(&self, session: &Session, error: &ProviderError, id: &RequestId) -> Result<AccessToken, Refused> {
        let refused = Refused::new("refresh.unavailable").found(error.to_string());
        let (flights, now) = (&self.0.refreshing, self.0.clock.now());
        match error.is_temporary() {
            true => flights.was_unanswered(session.key, now),
            false => flights.was_refused(session.key, now),
        }
        self.tell_failure(session, false, refused.clone(), id);
        self.alive_or(session, refused)
    }

    async fn end(&self, session: &Session, refused: Refused, id: &RequestId) -> Result<AccessToken, Refused> {
        self.delete(session.key).await?;
        self.tell_failure(session, true, refused.clone(), id);
        Err(refused)
    }

    fn tell_failure(&self, session: &Session, session_ended: bool, refused: Refused, id: &RequestId) {
        let (frontend, subject) = (self.0.settings.name.clone(), session.data.subject.clone());
        let failed = Event::RefreshFailed {
            frontend,
            subject,
            session_ended,
            refused,
        };
        self.0.audit.emit(Some(id), failed);
    }
}

/// OpenID Connect Core 1.0 s12.2: what a refreshed ID token has to share with the first one.
fn differs(claims: &Claims, data: &SessionData) -> Option<&'static str> {
    if claims.str("sub") != Some(&data.subject) {
        return Some("another subject");
    }
    if claims.str("iss") != Some(&data.issuer) {
        return Some("another issuer");
    }
    // It should have none; where it has one, it is that of the login.
    if claims
        .str("nonce")
        .is_some_and(|nonce| data.nonce.as_deref() != Some(nonce))
    {
        return Some("another nonce");
    }
    None
}

fn failed_a_moment_ago() -> Refused {
    Refused::new("refresh.unavailable").found("the provider could not be asked a moment ago")
}

fn wrong_id_token(found: &str) -> Refused {
    Refused::new("refresh.rejected").found(format!("the refreshed ID token: {found}"))
}

#[cfg(test)]
mod tests {
    use portcullis_jose::{Limits, Object, Secret, danger};
    use serde_json::json;

    use super::*;

    /// OpenID Connect Core 1.0 s12.2.
    #[test]
    fn a_refreshed_id_token_keeps_issuer_subject_and_nonce() {
        let data = SessionData {
            issuer: "https://issuer.test".into(),
            subject: "alice".into(),
            sid: None,
            claims: json!({}),
            id_token: Secret::new("i"),
            access_token: AccessToken::new(Secret::new("a")),
            access_expires: None,
            access_issued: UnixTime::from_secs(0),
            refresh_token: None,
            nonce: Some("n-1".into()),
            device: None,
            address: None,
            generation: 0,
        };
        let judged = |claims: serde_json::Value| {
            let object = Object::parse(claims.to_string().as_bytes(), "claims", &Limits::default()).unwrap();
            differs(&danger::vouched_by_introspection(object, [0; 32]), &data)
        };
        let good = json!({"iss": "https://issuer.test", "sub": "alice"});
        assert_eq!(judged(good.clone()), None, "it need not have a nonce");
        for (member, value, expected) in [
            ("nonce", json!("n-1"), None),
            ("nonce", json!("n-2"), Some("another nonce")),
            ("sub", json!("mallory"), Some("another subject")),
            ("sub", json!(null), Some("another subject")),
            ("iss", json!("https://evil.test"), Some("another issuer")),
            ("iss", json!("https://issuer.test/"), Some("another issuer")),
        ] {
            let mut claims = good.clone();
            claims[member] = value.clone();
            assert_eq!(judged(claims), expected, "{member} {value}");
        }
    }
}
