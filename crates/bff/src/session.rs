use std::sync::Arc;

use http::{HeaderMap, Method};
use portcullis_audit::Refused;
use portcullis_jose::{Secret, UnixTime, base64url_encode, random_token, sha256};
use portcullis_oidc::TokenResponse;
use portcullis_store::{IndexKey, SessionKey, SessionRecord, StoreError, Version, Versioned};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::carried::Brought;
use crate::copies::Opened;
use crate::recent::Era;
use crate::{AccessToken, Bff, cookies};

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
    pub(crate) times: Times,
    pub(crate) data: Arc<SessionData>,
    /// An old key sealed it.
    pub(crate) needs_reseal: bool,
    /// The store did not answer: this was read a moment before.
    pub(crate) from_copy: bool,
    /// What the cookie names it by; empty where no cookie was read.
    pub(crate) id: Secret,
    /// How the browser brought it, where it is kept there.
    pub(crate) brought: Option<Brought>,
}

/// When a session began, and when it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) created: UnixTime,
    /// Unless it is used before.
    pub(crate) idle_expires: UnixTime,
    /// In any case.
    pub(crate) expires: UnixTime,
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
    pub(crate) access_token: AccessToken,
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
    /// Whether its access token can be renewed without the person.
    #[must_use]
    pub fn is_refreshable(&self) -> bool {
        self.data.refresh_token.is_some()
    }

    fn of(key: SessionKey, copy: &Opened) -> Session {
        Session {
            key,
            version: copy.version,
            times: copy.times(),
            data: Arc::clone(&copy.data),
            needs_reseal: copy.needs_reseal,
            from_copy: false,
            id: Secret::new(""),
            brought: None,
        }
    }

    /// `sub` of the person.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.data.subject
    }

    /// Seconds until the session ends, unless it is used before.
    pub(crate) fn seconds_left(&self, now: UnixTime) -> i64 {
        self.times.ends().since(now).max(0)
    }

    /// What a logout URL carries to prove that our own page made it: derived from the cookie, but neither the cookie nor
    /// the name of the session in the store can be had from it.
    pub(crate) fn logout_token(&self) -> Secret {
        let text = Zeroizing::new(format!("portcullis logout {}", self.id.expose()));
        Secret::new(base64url_encode(&sha256(text.as_bytes())))
    }
}

impl Times {
    /// When the session ends unless it is used.
    pub(crate) fn ends(&self) -> UnixTime {
        self.idle_expires.min(self.expires)
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
        self.access_token = AccessToken::new(response.access_token);
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
            access_token: self.access_token.secret().expose().to_owned(),
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
            access_token: AccessToken::new(Secret::new(sealable.access_token)),
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
        cookies::single(headers, &self.0.session_cookie).is_some()
    }

    /// The session that a request's cookie names; `None` when it has no such cookie. While the store does not answer, a
    /// request that only reads is served with what was read of the session a moment ago.
    ///
    /// # Errors
    /// `session.expired` when the cookie names no session that is alive, `session.invalid` when the session cannot
    /// be opened, `store.unavailable` when it is not known: then the cookie is kept.
    pub async fn session(&self, headers: &HeaderMap, method: &Method) -> Result<Option<Session>, Refused> {
        let mut session = self.session_as_is(headers, method).await?;
        if let Some(session) = session.as_mut().filter(|session| !session.from_copy) {
            match self.slide(session).await {
                Ok(idle_expires) => session.times.idle_expires = idle_expires,
                // It is alive, as the store has just said; that it cannot be written to is no reason not to read.
                Err(StoreError::Unavailable { .. } | StoreError::Full { .. }) if method.is_safe() => {}
                Err(error) => return Err(store_refused(error)),
            }
            self.reseal(session).await;
        }
        Ok(session)
    }

    /// The same, and the session does not live longer for it.
    pub(crate) async fn session_as_is(&self, headers: &HeaderMap, method: &Method) -> Result<Option<Session>, Refused> {
        let Some(presented) = self.presented(headers)? else {
            return Ok(None);
        };
        let (id, now) = (presented.id, self.0.clock.now());
        let key = SessionKey::from_cookie(id.expose());
        let copy = self.0.copies.find(key, now);
        let (session, brought) = match &presented.carried {
            Some(carried) => {
                let (session, brought) = Box::pin(self.brought(key, carried, copy.as_deref())).await?;
                (session, Some(brought))
            }
            None => (self.stored(key, copy.as_deref(), method).await?, None),
        };
        Ok(Some(Session { id, brought, ..session }))
    }

    /// The session in the store. What is still as the copy has it is not read again.
    async fn stored(&self, key: SessionKey, copy: Option<&Opened>, method: &Method) -> Result<Session, Refused> {
        let (now, era) = (self.0.clock.now(), self.0.copies.era(key));
        let found = match copy {
            Some(copy) => match self.unchanged(key, copy, now).await {
                Ok(Some(session)) => return Ok(session),
                Ok(None) => self.0.store.get(key).await,
                Err(error) => Err(error),
            },
            None => self.0.store.get(key).await,
        };
        match found {
            Ok(Some(found)) => self.open_and_keep(key, &found, era, now),
            Ok(None) => {
                self.0.copies.forget(key);
                Err(Refused::new("session.expired"))
            }
            // RFC 9110 s9.2.1: GET, HEAD, OPTIONS and TRACE change nothing.
            Err(error @ StoreError::Unavailable { .. }) if method.is_safe() => {
                let copy = copy.filter(|copy| self.0.copies.counts(copy, now));
                let copy = copy.ok_or_else(|| store_refused(error))?;
                self.0.audit.metrics().session_from_copy(&self.0.settings.name);
                Ok(Session {
                    from_copy: true,
                    ..Session::of(key, copy)
                })
            }
            Err(error) => Err(store_refused(error)),
        }
    }

    /// The session of a copy, where the store says that it is so still.
    pub(crate) async fn unchanged(
        &self,
        key: SessionKey,
        copy: &Opened,
        now: UnixTime,
    ) -> Result<Option<Session>, StoreError> {
        let found = self.0.store.glance(key).await?;
        let same = found.is_some_and(|found| copy.is_still(found, now));
        Ok(same.then(|| Session::of(key, copy)))
    }

    /// Opens what was read, so that the next request need not.
    pub(crate) fn open_and_keep(
        &self,
        key: SessionKey,
        found: &Versioned<SessionRecord>,
        era: Era,
        now: UnixTime,
    ) -> Result<Session, Refused> {
        let bytes = found.value.sealed.len();
        let session = self.open(key, found)?;
        self.0.copies.keep(&session, bytes, era, now);
        Ok(session)
    }

    /// Whether the provider's keys were fetched so long after the session's token was issued that a key which is not
    /// among them is gone. Else it may be newer than they are, and proves nothing against the session.
    ///
    /// # Errors
    /// `store.unavailable`, and `session.expired` when the session is over.
    pub async fn keys_are_newer(&self, session: &Session) -> Result<bool, Refused> {
        // The token may have been renewed since the session was read.
        let now = self.read(session.key).await?;
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

    pub(crate) async fn read(&self, key: SessionKey) -> Result<Option<Session>, Refused> {
        match self.0.store.get(key).await.map_err(store_refused)? {
            Some(found) => self.open(key, &found).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn open(&self, key: SessionKey, found: &Versioned<SessionRecord>) -> Result<Session, Refused> {
        let record = &found.value;
        // A session that cannot be opened (the sealing key is gone) is a clean logout.
        let opened = self.0.sessions.open(key.as_bytes(), &record.sealed).ok();
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
            times: Times {
                created: record.created,
                idle_expires: record.idle_expires,
                expires: record.expires,
            },
            data: Arc::new(data),
            needs_reseal,
            from_copy: false,
            id: Secret::new(""),
            brought: None,
        })
    }

    /// What is stored of a session.
    pub(crate) fn record(&self, key: SessionKey, data: &SessionData, times: Times) -> Result<SessionRecord, Refused> {
        let sealed = self.0.sessions.seal(key.as_bytes(), &data.to_sealable());
        Ok(SessionRecord {
            sealed: sealed.map_err(|_| Refused::new("internal.error").found("sealing"))?,
            subject_index: Some(IndexKey::subject(&data.issuer, &data.subject)),
            sid_index: data.sid.as_ref().map(|sid| IndexKey::sid(&data.issuer, sid)),
            created: times.created,
            idle_expires: times.idle_expires,
            expires: times.expires,
        })
    }

    /// Begins a session under a new name. Returns the cookie's value.
    pub(crate) async fn begin_session(&self, data: &SessionData) -> Result<Secret, Refused> {
        let cookie = Secret::new(random_token(32));
        let key = SessionKey::from_cookie(cookie.expose());
        let now = self.0.clock.now();
        let times = Times {
            created: now,
            idle_expires: now.plus(self.0.settings.idle.min(self.0.settings.lifetime)),
            expires: now.plus(self.0.settings.lifetime),
        };
        let record = self.record(key, data, times)?;
        let value = match self.0.settings.in_cookies {
            true => Secret::new(self.sealed(cookie.expose(), times, data)?.as_str()),
            false => cookie,
        };
        self.0.store.create(key, record).await.map_err(store_refused)?;
        Ok(value)
    }

    /// The session that a request's cookie names, whether or not it is alive.
    pub(crate) fn session_key(&self, headers: &HeaderMap) -> Option<SessionKey> {
        let presented = self.presented(headers).ok().flatten()?;
        Some(SessionKey::from_cookie(presented.id.expose()))
    }

    /// Deletes the session that a request's cookie names, if there is one.
    pub(crate) async fn end_session_of(&self, headers: &HeaderMap) -> Result<(), Refused> {
        // One that cannot be read is worth nothing already.
        let Ok(Some(presented)) = self.presented(headers) else {
            return Ok(());
        };
        let key = SessionKey::from_cookie(presented.id.expose());
        if let Some(carried) = &presented.carried
            && self.bring_in(key, carried).await.is_err()
        {
            return Ok(());
        }
        self.delete(key).await.map(|_| ())
    }

    /// Seals a session anew whose key is not the first one any more. That it was not done is no reason to refuse
    /// anything: the old key still opens it, and the next request tries again.
    async fn reseal(&self, session: &Session) {
        if !session.needs_reseal {
            return;
        }
        if let Ok(record) = self.record(session.key, &session.data, session.times) {
            // A conflict is somebody else's newer write, which was sealed with the new key as well.
            let _ = self.0.store.update(session.key, session.version, record).await;
        }
    }

    /// Moves the idle limit on, but writes only when a tenth of it has passed.
    /// Returns the limit that holds now.
    async fn slide(&self, session: &Session) -> Result<UnixTime, StoreError> {
        let idle = self.0.settings.idle;
        let until = self.0.clock.now().plus(idle).min(session.times.expires);
        if until.since(session.times.idle_expires) > idle / 10 {
            self.0.store.touch(session.key, until).await?;
            return Ok(until);
        }
        Ok(session.times.idle_expires)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the shape that map_err asks for")]
pub(crate) fn store_refused(error: StoreError) -> Refused {
    Refused::new(error.code()).found(error.to_string())
}
