use std::collections::{BTreeSet, HashMap};

use portcullis_jose::{UnixTime, random_token};

use super::{Digest, State, TokenCounts, digest};
use crate::authorize::AuthorizationRequest;
use crate::logout::LogoutRequest;

/// Seconds that a login or consent page may stay open.
const INTERACTION_LIFETIME: i64 = 600;

/// Something that waits for the person in front of one browser.
#[derive(Debug, Clone)]
pub(crate) struct Interaction {
    /// The browser cookie's digest. Another browser cannot go on with it.
    pub(crate) browser: Digest,
    pub(crate) expires: UnixTime,
    pub(crate) pending: Pending,
}

#[derive(Debug, Clone)]
pub(crate) enum Pending {
    Login(AuthorizationRequest),
    /// With the `sub` of the one who is asked.
    Consent(AuthorizationRequest, String),
    Logout(LogoutRequest),
    /// A code of a device is to be entered.
    Device,
}

/// A browser that is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) username: String,
    pub(crate) sub: String,
    /// The `sid` claim. Not the cookie's value, which is a secret.
    pub(crate) sid: String,
    pub(crate) auth_time: UnixTime,
    pub(crate) expires: UnixTime,
    /// Scopes that the user has agreed to, for each client.
    pub(crate) consents: HashMap<String, BTreeSet<String>>,
}

impl State {
    pub(crate) fn open_interaction(&mut self, browser: Digest, pending: Pending, now: UnixTime) -> String {
        let id = random_token(16);
        let expires = now.plus(INTERACTION_LIFETIME);
        self.interactions.insert(
            id.clone(),
            Interaction {
                browser,
                expires,
                pending,
            },
        );
        id
    }

    /// The interaction, if it is this browser's and still open.
    pub(crate) fn interaction(&self, id: &str, browser: Digest, now: UnixTime) -> Option<Pending> {
        let found = self.interactions.get(&id.to_owned())?;
        (found.browser == browser && now < found.expires).then(|| found.pending.clone())
    }

    pub(crate) fn close_interaction(&mut self, id: &str) {
        self.interactions.remove(&id.to_owned());
    }

    pub(crate) fn open_session(&mut self, cookie: &str, session: Session) {
        self.sessions.insert(digest(cookie), session);
    }

    pub(crate) fn session(&self, cookie: &str, now: UnixTime) -> Option<&Session> {
        self.sessions
            .get(&digest(cookie))
            .filter(|session| now < session.expires)
    }

    pub(crate) fn end_session(&mut self, cookie: &str) {
        self.sessions.remove(&digest(cookie));
    }

    /// Ends all sessions of one user, or of everybody. Says how many.
    pub(crate) fn end_user_sessions(&mut self, username: Option<&str>) -> usize {
        let before = self.sessions.values().count();
        self.sessions
            .retain(|session| username.is_some_and(|name| name != session.username));
        before - self.sessions.values().count()
    }

    pub(crate) fn agree(&mut self, cookie: &str, client_id: &str, scopes: &BTreeSet<String>) {
        if let Some(session) = self.sessions.get_mut(&digest(cookie)) {
            session
                .consents
                .entry(client_id.to_owned())
                .or_default()
                .extend(scopes.iter().cloned());
        }
    }

    pub(crate) fn counted(&self, now: UnixTime) -> TokenCounts {
        TokenCounts {
            live_sessions: self.sessions.values().filter(|session| now < session.expires).count() as u64,
            live_refresh_tokens: self.live_refresh_tokens(now) as u64,
            ..self.counts
        }
    }
}
