//! A login in progress lives in a cookie of its own, sealed and short-lived, one for each attempt: any number of tabs
//! can sign in at once, and nothing is stored before a login succeeds.

use http::{HeaderMap, HeaderValue};
use portcullis_audit::Refused;
use portcullis_jose::{Secret, UnixTime, base64url_decode, base64url_encode, sha256};
use portcullis_oidc::login::LoginAttempt;

use crate::{Bff, SameSite, cookies};

/// How long a person may take at the provider, in seconds.
const LIFETIME: i64 = 600;
/// The oldest attempt makes room for a ninth.
const MAX_PENDING: usize = 8;

/// What was sealed: the attempt, and where to go afterwards.
pub(crate) struct Pending {
    pub(crate) attempt: LoginAttempt,
    pub(crate) return_to: String,
}

impl Bff {
    /// The `Set-Cookie` values that remember an attempt, and forget the oldest where there are too many.
    pub(crate) fn remember_attempt(
        &self,
        headers: &HeaderMap,
        attempt: &LoginAttempt,
        return_to: &str,
    ) -> Result<Vec<HeaderValue>, Refused> {
        let settings = &self.0.settings;
        let name = self.attempt_cookie(attempt.state());
        let clear = Secret::new(format!("{return_to}\n{}", attempt.to_sealable().expose()));
        let sealed = self
            .0
            .attempts
            .seal(name.as_bytes(), clear.expose().as_bytes())
            .map_err(|_| Refused::new("internal.error").found("sealing"))?;
        let mut set: Vec<HeaderValue> = settings
            .set_cookie(&name, &base64url_encode(&sealed), Some(LIFETIME), SameSite::Lax)
            .into_iter()
            .collect();
        let mut pending: Vec<(UnixTime, String)> = self
            .attempt_cookies(headers)
            .map(|(name, value)| {
                let started = self.open_attempt(name, value).map(|pending| pending.attempt.started());
                (started.unwrap_or_default(), name.to_owned())
            })
            .collect();
        pending.sort();
        let excess = (pending.len() + 1).saturating_sub(MAX_PENDING);
        set.extend(
            pending
                .iter()
                .take(excess)
                .filter_map(|(_, name)| self.forget_attempt(name)),
        );
        Ok(set)
    }

    /// The attempt that a callback's `state` belongs to, with the `Set-Cookie` value that uses it up.
    pub(crate) fn take_attempt(
        &self,
        headers: &HeaderMap,
        state: &Secret,
    ) -> Result<(Pending, Option<HeaderValue>), Refused> {
        let name = self.attempt_cookie(state);
        let value = cookies::single(headers, &name).ok_or_else(|| Refused::new("login.attempt_expired"))?;
        let issuer = self.0.settings.client.provider().issuer();
        let pending = self
            .open_attempt(&name, value)
            .filter(|pending| pending.attempt.issuer() == issuer)
            .ok_or_else(|| Refused::new("login.attempt_expired"))?;
        if self.0.clock.now().since(pending.attempt.started()) > LIFETIME {
            return Err(Refused::new("login.attempt_expired").expected(format!("at most {LIFETIME} s")));
        }
        Ok((pending, self.forget_attempt(&name)))
    }

    pub(crate) fn forget_attempt(&self, name: &str) -> Option<HeaderValue> {
        self.0.settings.set_cookie(name, "", Some(0), SameSite::Lax)
    }

    fn open_attempt(&self, name: &str, value: &str) -> Option<Pending> {
        let opened = self.0.attempts.open(name.as_bytes(), &base64url_decode(value)?).ok()?;
        let (return_to, attempt) = std::str::from_utf8(&opened.plaintext).ok()?.split_once('\n')?;
        Some(Pending {
            attempt: LoginAttempt::from_sealable(attempt)?,
            return_to: return_to.to_owned(),
        })
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
