//! A login in progress lives in a cookie of its own, sealed and short-lived, one for each attempt: any number of tabs
//! can sign in at once, and nothing is stored before a login succeeds.

use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderValue};
use portcullis_audit::Refused;
use portcullis_jose::{Secret, UnixTime, base64url_decode, base64url_encode, sha256};
use portcullis_oidc::login::LoginAttempt;
use portcullis_store::SessionKey;
use serde::{Deserialize, Serialize};

use crate::{Bff, SameSite, StepUp, cookies};

/// How long a person may take at the provider, in seconds.
pub(crate) const LIFETIME: i64 = 600;
/// The cookie lives longer, in seconds: whoever comes back too late still finds the way to where they wanted to go.
const COOKIE_LIFETIME: i64 = 3600;
/// The oldest attempt makes room for a ninth, and for one that is too large beside it: the cookies come with every
/// request, and servers read 8 to 32 KB of headers.
const MAX_PENDING: usize = 8;
const MAX_PENDING_BYTES: usize = 12 * 1024;

/// What was sealed: the attempt, and where to go afterwards.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) attempt: LoginAttempt,
    pub(crate) purpose: Purpose,
    /// The session that the browser had when it began.
    pub(crate) replaces: Option<SessionKey>,
}

/// What a login is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Purpose {
    /// Where to go afterwards.
    pub(crate) return_to: String,
    /// Nobody is to be asked; what comes of it is told instead of shown.
    #[serde(default)]
    pub(crate) silent: Silent,
    /// The person must have authenticated within so many seconds.
    #[serde(default)]
    pub(crate) max_age: Option<u64>,
    /// What was demanded of this login, other than what is configured for all.
    #[serde(default)]
    pub(crate) demanded: StepUp,
}

/// Whether a login may ask the person, and who is told when it would have to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Silent {
    /// It may ask.
    #[default]
    No,
    /// It is a page that goes on to where it wanted to go.
    Page,
    /// It is in a frame, and the page around it is told.
    Frame,
}

/// The same in the clear, for sealing alone.
#[derive(Serialize, Deserialize)]
struct Sealable {
    /// Empty once the login has succeeded.
    attempt: String,
    started: UnixTime,
    /// Its place among those that this process has begun, for those of one second.
    #[serde(default)]
    number: u64,
    purpose: Purpose,
    #[serde(default)]
    replaces: Option<[u8; 32]>,
}

/// Why a callback cannot be taken, and where the login wanted to go if that is known.
pub(crate) struct NotPending {
    pub(crate) refused: Refused,
    pub(crate) return_to: Option<String>,
}

impl Bff {
    /// The `Set-Cookie` values that remember an attempt, and forget the oldest where there are too many.
    pub(crate) fn remember_attempt(
        &self,
        headers: &HeaderMap,
        attempt: &LoginAttempt,
        purpose: Purpose,
    ) -> Result<Vec<HeaderValue>, Refused> {
        let name = self.attempt_cookie(attempt.state());
        let sealable = Sealable {
            attempt: attempt.to_sealable().expose().to_owned(),
            started: attempt.started(),
            number: self.0.begun.fetch_add(1, Ordering::Relaxed),
            purpose,
            // The answer may come without the session's cookie: as a form that the provider's page posts, for one.
            replaces: self.session_key(headers).map(|key| *key.as_bytes()),
        };
        let mut set: Vec<HeaderValue> = self.attempt_set_cookie(&name, &sealable)?.into_iter().collect();
        let mut pending: Vec<((UnixTime, u64), &str, usize)> = self
            .attempt_cookies(headers)
            .map(|(name, value)| {
                let opened = self.open_attempt(name, value);
                let begun = opened.map(|sealable| (sealable.started, sealable.number));
                (begun.unwrap_or_default(), name, name.len() + value.len())
            })
            .collect();
        pending.sort();
        let mut bytes: usize = set.iter().map(HeaderValue::len).sum();
        let kept = pending.iter().rev().take(MAX_PENDING - 1);
        let kept = kept.take_while(|(.., size)| {
            bytes += size;
            bytes <= MAX_PENDING_BYTES
        });
        let excess = pending.len() - kept.count();
        let excess = pending.iter().take(excess);
        set.extend(excess.filter_map(|(_, name, _)| self.forget_attempt(name)));
        Ok(set)
    }

    /// The attempt that a callback's `state` belongs to, with the `Set-Cookie` value that uses it up.
    pub(crate) fn take_attempt(
        &self,
        headers: &HeaderMap,
        state: &Secret,
    ) -> Result<(Pending, Option<HeaderValue>), NotPending> {
        let name = self.attempt_cookie(state);
        let opened = cookies::single(headers, &name).and_then(|value| self.open_attempt(&name, value));
        let expired = |return_to| NotPending {
            refused: Refused::new("login.attempt_expired"),
            return_to,
        };
        let sealable = opened.ok_or_else(|| expired(None))?;
        let purpose = sealable.purpose;
        let issuer = self.0.settings.client.provider().issuer();
        let attempt = LoginAttempt::from_sealable(&sealable.attempt)
            .filter(|attempt| attempt.issuer() == issuer)
            .ok_or_else(|| expired(Some(purpose.return_to.clone())))?;
        if self.0.clock.now().since(attempt.started()) > LIFETIME {
            let expired = expired(Some(purpose.return_to));
            let refused = expired.refused.expected(format!("at most {LIFETIME} s"));
            return Err(NotPending { refused, ..expired });
        }
        let pending = Pending {
            attempt,
            purpose,
            replaces: sealable.replaces.map(SessionKey::from_bytes),
        };
        Ok((pending, self.forget_attempt(&name)))
    }

    /// What takes the place of an attempt that has succeeded: its answer may come once more, from a history or a
    /// double click, and then leads to the same place.
    pub(crate) fn attempt_done(&self, pending: &Pending) -> Result<Option<HeaderValue>, Refused> {
        let sealable = Sealable {
            attempt: String::new(),
            started: pending.attempt.started(),
            number: 0,
            purpose: pending.purpose.clone(),
            replaces: None,
        };
        self.attempt_set_cookie(&self.attempt_cookie(pending.attempt.state()), &sealable)
    }

    fn attempt_set_cookie(&self, name: &str, sealable: &Sealable) -> Result<Option<HeaderValue>, Refused> {
        let clear = Secret::new(serde_json::to_string(sealable).unwrap_or_default());
        let sealed = self.0.attempts.seal(name.as_bytes(), clear.expose().as_bytes());
        let sealed = sealed.map_err(|_| Refused::new("internal.error").found("sealing"))?;
        let value = base64url_encode(&sealed);
        let settings = &self.0.settings;
        Ok(settings.set_cookie(name, &value, Some(COOKIE_LIFETIME), self.attempt_same_site()))
    }

    fn forget_attempt(&self, name: &str) -> Option<HeaderValue> {
        self.0.settings.set_cookie(name, "", Some(0), self.attempt_same_site())
    }

    /// An answer that comes as a form is posted by the provider's page, and a lax cookie would not come with it.
    fn attempt_same_site(&self) -> SameSite {
        match self.0.settings.client.options().form_post {
            true => SameSite::None,
            false => SameSite::Lax,
        }
    }

    fn open_attempt(&self, name: &str, value: &str) -> Option<Sealable> {
        let opened = self.0.attempts.open(name.as_bytes(), &base64url_decode(value)?).ok()?;
        serde_json::from_slice(&opened.plaintext).ok()
    }

    /// The name holds a hash of the state, so that the callback finds its own among several.
    fn attempt_cookie(&self, state: &Secret) -> String {
        let hash = base64url_encode(&sha256(state.expose().as_bytes()));
        format!("{}{}", self.attempt_prefix(), hash.get(..16).unwrap_or_default())
    }

    fn attempt_prefix(&self) -> String {
        format!("{}-login-", self.0.settings.session_cookie())
    }

    fn attempt_cookies<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = (&'a str, &'a str)> {
        let prefix = self.attempt_prefix();
        cookies::pairs(headers).filter(move |(name, _)| name.starts_with(&prefix))
    }
}
