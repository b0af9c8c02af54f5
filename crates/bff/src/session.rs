use http::{HeaderMap, Method};
use portcullis_audit::Refused;
use portcullis_jose::{Secret, UnixTime, base64url_encode, random_token, sha256};
use portcullis_oidc::TokenResponse;
use portcullis_store::{IndexKey, SessionKey, SessionRecord, StoreError, Version, Versioned};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::carried::Brought;
use crate::{Bff, cookies};

/// An access token without a stated lifetime is renewed after so long, in seconds.
const UNSTATED_LIFETIME: i64 = 120;

/// Keys that were fetched so many seconds after a token was issued have the key that signed it, if that is published at
/// all: so far may the copies that a provider hands out lag behind.
const KEYS_SETTLE: i64 = 60;

/// A session as it was found in the store.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) key: SessionKey,
    pub(crate) version: Version,
    pub(crate) record: SessionRecord,
    pub(crate) data: SessionData,
    pub(crate) logout_token: Secret,
    /// An old key sealed it.
    pub(crate) needs_reseal: bool,
    /// The store did not answer: this was read a moment before.
    pub(crate) from_copy: bool,
    /// What the cookie names it by; empty where no cookie was read.
    pub(crate) id: String,
    /// How the browser brought it, where it is kept there.
    pub(crate) brought: Option<Brought>,
}

/// What a session knows. In the store it is sealed.
#[derive(Debug, Clone)]
pub(crate) struct SessionData {
    /// `iss` of the ID token: of several tenants, the person's own.
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) sid: Option<String>,
    pub(crate) claims: serde_json::Value,
    pub(crate) id_token: Secret,
    pub(crate) access_token: Secret,
    pub(crate) access_expires: Option<UnixTime>,
    pub(crate) access_issued: UnixTime,
    pub(crate) refresh_token: Option<Secret>,
    /// `nonce` of the login's ID token: a refreshed one may have no other.
    pub(crate) nonce: Option<String>,
    /// What the browser said of itself at the login, and where it was.
    pub(crate) device: Option<String>,
    pub(crate) address: Option<String>,
    /// How often it got new tokens.
    pub(crate) generation: u64,
}

/// The same in the clear, for sealing alone.
#[derive(Serialize, Deserialize)]
struct Sealable {
    issuer: String,
    subject: String,
    sid: Option<String>,
    claims: serde_json::Value,
    id_token: String,
    access_token: String,
    access_expires: Option<UnixTime>,
    access_issued: UnixTime,
    refresh_token: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    device: Option<String>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    generation: u64,
}

impl Session {
    /// `sub` of the person.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.data.subject
    }

    /// Seconds until the session ends, unless it is used before.
    pub(crate) fn seconds_left(&self, now: UnixTime) -> i64 {
        self.record.idle_expires.min(self.record.expires).since(now).max(0)
    }
}

impl SessionData {
    /// Takes over what a grant or a refresh brought; what it did not bring stays.
    pub(crate) fn take_tokens(&mut self, response: TokenResponse, now: UnixTime) {
        self.access_issued = now;
        self.generation += 1;
        // RFC 6749 s5.1: a provider need not say how long a token lives. What can be renewed then is, every minute.
        let unstated = response
            .refresh_token
            .as_ref()
            .or(self.refresh_token.as_ref())
            .map(|_| now.plus(UNSTATED_LIFETIME));
        self.access_expires = response.expires_at(now).or(unstated);
        self.access_token = response.access_token;
        // RFC 6749 s6: a new refresh token replaces the old one; without one the old one stays good.
        if response.refresh_token.is_some() {
            self.refresh_token = response.refresh_token;
        }
        if let Some(id_token) = response.id_token {
            self.id_token = id_token;
        }
    }

    pub(crate) fn to_sealable(&self) -> Zeroizing<Vec<u8>> {
        let sealable = Sealable {
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            sid: self.sid.clone(),
            claims: self.claims.clone(),
            id_token: self.id_token.expose().to_owned(),
            access_token: self.access_token.expose().to_owned(),
            access_expires: self.access_expires,
            access_issued: self.access_issued,
            refresh_token: self.refresh_token.as_ref().map(|token| token.expose().to_owned()),
            nonce: self.nonce.clone(),
            device: self.device.clone(),
            address: self.address.clone(),
            generation: self.generation,
        };
        Zeroizing::new(serde_json::to_vec(&sealable).unwrap_or_default())
    }

    pub(crate) fn from_sealable(bytes: &[u8]) -> Option<SessionData> {
        let sealable: Sealable = serde_json::from_slice(bytes).ok()?;
        Some(SessionData {
            issuer: sealable.issuer,
            subject: sealable.subject,
            sid: sealable.sid,
            claims: sealable.claims,
            id_token: Secret::new(sealable.id_token),
            access_token: Secret::new(sealable.access_token),
            access_expires: sealable.access_expires,
            access_issued: sealable.access_issued,
            refresh_token: sealable.refresh_token.map(Secret::new),
            nonce: sealable.nonce,
            device: sealable.device,
            address: sealable.address,
            generation: sealable.generation,
        })
    }
}

impl Bff {
    /// Whether a request carries a cookie that could name a session of this frontend.
    #[must_use]
    pub fn has_cookie(&self, headers: &HeaderMap) -> bool {
        cookies::single(headers, &self.0.settings.session_cookie()).is_some()
    }

    /// The session that a request's cookie names; `None` when it has no such cookie. While the store does not answer, a
    /// request that only reads is served with what was read of the session a moment ago.
    ///
    /// # Errors
    /// `session.expired` when the cookie names no session that is alive, `session.invalid` when the session cannot
    /// be opened, `store.unavailable` when it is not known: then the cookie is kept.
    pub async fn session(&self, headers: &HeaderMap, method: &Method) -> Result<Option<Session>, Refused> {
        let session = self.session_as_is(headers, method).await?;
        if let Some(session) = session.as_ref().filter(|session| !session.from_copy) {
            self.slide(session).await?;
            self.reseal(session).await;
        }
        Ok(session)
    }

    /// The same, and the session does not live longer for it.
    pub(crate) async fn session_as_is(&self, headers: &HeaderMap, method: &Method) -> Result<Option<Session>, Refused> {
        let Some(presented) = self.presented(headers)? else {
            return Ok(None);
        };
        let id = presented.id;
        let (key, logout_token) = (SessionKey::from_cookie(&id), logout_token(&id));
        let brought = match &presented.carried {
            Some(carried) => Some(self.bring_in(key, carried).await?),
            None => None,
        };
        let (found, from_copy) = match self.0.store.get(key).await {
            Ok(Some(found)) => {
                self.0.copies.keep(key, &found, self.0.clock.now());
                (found, false)
            }
            Ok(None) => {
                self.0.copies.forget(key);
                return Err(Refused::new("session.expired"));
            }
            // RFC 9110 s9.2.1: GET, HEAD, OPTIONS and TRACE change nothing.
            Err(error @ StoreError::Unavailable { .. }) if method.is_safe() => {
                let copy = self.0.copies.find(key, self.0.clock.now());
                let copy = copy.ok_or_else(|| store_refused(error))?;
                self.0.audit.metrics().session_from_copy(&self.0.settings.name);
                (copy, true)
            }
            Err(error) => return Err(store_refused(error)),
        };
        let session = self.open(key, found, logout_token)?;
        Ok(Some(Session {
            from_copy,
            id,
            brought,
            ..session
        }))
    }

    /// Whether the provider's keys were fetched so long after the session's token was issued that a key which is not
    /// among them is gone. Else it may be newer than they are, and proves nothing against the session.
    ///
    /// # Errors
    /// `store.unavailable`, and `session.expired` when the session is over.
    pub async fn keys_are_newer(&self, session: &Session) -> Result<bool, Refused> {
        // The token may have been renewed since the session was read.
        let now = self.read(session.key, session.logout_token.clone()).await?;
        let issued = now.ok_or_else(|| Refused::new("session.expired"))?.data.access_issued;
        let keys = self.0.settings.client.provider().keys();
        Ok(keys.is_some_and(|keys| keys.fetched > issued.plus(KEYS_SETTLE)))
    }

    /// Ends a session, for example because its token is refused where it is used.
    ///
    /// # Errors
    /// `store.unavailable`
    pub async fn end_session(&self, session: &Session) -> Result<(), Refused> {
        self.delete(session.key).await.map(|_| ())
    }

    /// Ends a session. Returns whether there was one.
    pub(crate) async fn delete(&self, key: SessionKey) -> Result<bool, Refused> {
        // Whether or not the store answers: here it does not count any more.
        self.0.copies.forget(key);
        let ended = self.0.store.delete(key).await.map_err(store_refused)?;
        self.0.watches.over(&key);
        Ok(ended)
    }

    pub(crate) async fn read(&self, key: SessionKey, logout_token: Secret) -> Result<Option<Session>, Refused> {
        match self.0.store.get(key).await.map_err(store_refused)? {
            Some(found) => self.open(key, found, logout_token).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn open(
        &self,
        key: SessionKey,
        found: Versioned<SessionRecord>,
        logout_token: Secret,
    ) -> Result<Session, Refused> {
        // A session that cannot be opened (the sealing key is gone) is a clean logout.
        let opened = self.0.sessions.open(key.as_bytes(), &found.value.sealed).ok();
        let needs_reseal = opened.as_ref().is_some_and(|opened| opened.needs_reseal);
        let data = opened.and_then(|opened| SessionData::from_sealable(&opened.plaintext));
        // Tokens of one issuer never go to another: after a change of the provider, old sessions are over.
        let rule = self.0.settings.client.provider().issuer_rule();
        let data = data
            .filter(|data| rule.matches(&data.issuer))
            .ok_or_else(|| Refused::new("session.invalid"))?;
        Ok(Session {
            key,
            version: found.version,
            record: found.value,
            data,
            logout_token,
            needs_reseal,
            from_copy: false,
            id: String::new(),
            brought: None,
        })
    }

    /// Begins a session under a new name. Returns the cookie's value.
    pub(crate) async fn begin_session(&self, data: &SessionData) -> Result<Secret, Refused> {
        let cookie = Secret::new(random_token(32));
        let key = SessionKey::from_cookie(cookie.expose());
        let now = self.0.clock.now();
        let record = SessionRecord {
            sealed: self.seal(key, data)?,
            subject_index: Some(IndexKey::subject(&data.issuer, &data.subject)),
            sid_index: data.sid.as_ref().map(|sid| IndexKey::sid(&data.issuer, sid)),
            created: now,
            idle_expires: now.plus(self.0.settings.idle.min(self.0.settings.lifetime)),
            expires: now.plus(self.0.settings.lifetime),
        };
        let value = match self.0.settings.in_cookies {
            true => Secret::new(self.sealed(cookie.expose(), &record, data)?.as_str()),
            false => cookie,
        };
        self.0.store.create(key, record).await.map_err(store_refused)?;
        Ok(value)
    }

    /// Deletes the session that a request's cookie names, if there is one.
    pub(crate) async fn end_session_of(&self, headers: &HeaderMap) -> Result<(), Refused> {
        // One that cannot be read is worth nothing already.
        let Ok(Some(presented)) = self.presented(headers) else {
            return Ok(());
        };
        let key = SessionKey::from_cookie(&presented.id);
        if let Some(carried) = &presented.carried
            && self.bring_in(key, carried).await.is_err()
        {
            return Ok(());
        }
        self.delete(key).await.map(|_| ())
    }

    pub(crate) fn seal(&self, key: SessionKey, data: &SessionData) -> Result<Vec<u8>, Refused> {
        let sealed = self.0.sessions.seal(key.as_bytes(), &data.to_sealable());
        sealed.map_err(|_| Refused::new("internal.error").found("sealing"))
    }

    /// Seals a session anew whose key is not the first one any more. That it was not done is no reason to refuse
    /// anything: the old key still opens it, and the next request tries again.
    async fn reseal(&self, session: &Session) {
        if !session.needs_reseal {
            return;
        }
        let mut record = session.record.clone();
        if let Ok(sealed) = self.seal(session.key, &session.data) {
            record.sealed = sealed;
            // A conflict is somebody else's newer write, which was sealed with the new key as well.
            let _ = self.0.store.update(session.key, session.version, record).await;
        }
    }

    /// Moves the idle limit on, but writes only when a tenth of it has passed.
    async fn slide(&self, session: &Session) -> Result<(), Refused> {
        let idle = self.0.settings.idle;
        let until = self.0.clock.now().plus(idle).min(session.record.expires);
        if until.since(session.record.idle_expires) > idle / 10 {
            self.0.store.touch(session.key, until).await.map_err(store_refused)?;
        }
        Ok(())
    }
}

/// What a logout URL carries to prove that our own page made it: derived from the cookie, but neither the cookie nor
/// the name of the session in the store can be had from it.
pub(crate) fn logout_token(cookie: &str) -> Secret {
    Secret::new(base64url_encode(&sha256(
        format!("portcullis logout {cookie}").as_bytes(),
    )))
}

#[expect(clippy::needless_pass_by_value, reason = "it is the shape that map_err asks for")]
pub(crate) fn store_refused(error: StoreError) -> Refused {
    Refused::new(error.code()).found(error.to_string())
}
