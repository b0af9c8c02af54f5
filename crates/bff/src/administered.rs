//! A person's sessions as an administrator sees them: without anything that opens one.

use portcullis_audit::{Event, Refused, RequestId};
use portcullis_jose::UnixTime;
use portcullis_store::IndexKey;
use serde::Serialize;

use crate::session::store_refused;
use crate::sessions::public_id;
use crate::{Bff, Session};

/// A session, told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Names it here; it is neither its cookie nor its key in the store.
    pub id: String,
    /// The frontend.
    pub frontend: String,
    /// `iss` of the person.
    pub issuer: String,
    /// `sub` of the person.
    pub subject: String,
    /// What the browser said of itself at the login.
    pub device: Option<String>,
    /// Where the login came from.
    pub address: Option<String>,
    /// When it began.
    pub since: UnixTime,
    /// When it ends, unless it is used before.
    pub ends: UnixTime,
}

impl Bff {
    /// The sessions of a person at this frontend, the oldest first.
    ///
    /// # Errors
    /// `store.unavailable`; `session.not_kept` where the browsers carry their sessions.
    pub async fn administered_sessions(&self, issuer: &str, subject: &str) -> Result<Vec<SessionInfo>, Refused> {
        self.needs_store()?;
        let sessions = self.sessions_of_subject(issuer, subject).await?;
        let told = sessions.into_iter().map(|session| SessionInfo {
            id: public_id(&session.key),
            frontend: self.0.settings.name.clone(),
            since: session.times.created,
            ends: session.times.ends(),
            issuer: session.data.issuer.clone(),
            subject: session.data.subject.clone(),
            device: session.data.device.clone(),
            address: session.data.address.clone(),
        });
        Ok(told.collect())
    }

    /// Ends one session of a person at this frontend, or all; its refresh token is revoked at the provider. Returns how
    /// many there were.
    ///
    /// # Errors
    /// `store.unavailable`; `session.not_kept` where the browsers carry their sessions.
    pub async fn end_administered(
        &self,
        issuer: &str,
        subject: &str,
        one: Option<&str>,
        id: &RequestId,
    ) -> Result<u64, Refused> {
        self.needs_store()?;
        let mut ended = 0;
        for session in self.sessions_of_subject(issuer, subject).await? {
            let chosen = one.is_none_or(|one| public_id(&session.key) == one);
            if chosen && self.delete(session.key).await? {
                ended += 1;
                self.revoke_in_background(&session, id);
                let (frontend, subject) = (self.0.settings.name.clone(), session.data.subject.clone());
                let how = "administrator";
                self.0.audit.emit(Some(id), Event::LoggedOut { frontend, subject, how });
            }
        }
        Ok(ended)
    }

    /// The person's sessions that this frontend can open.
    pub(crate) async fn sessions_of_subject(&self, issuer: &str, subject: &str) -> Result<Vec<Session>, Refused> {
        let subject = IndexKey::subject(issuer, subject);
        let keys = self.0.store.keys_by_subject(subject).await.map_err(store_refused)?;
        let mut sessions = Vec::new();
        for key in keys {
            match self.read(key).await {
                Ok(Some(session)) => sessions.push(session),
                // Over by now, or of another frontend.
                Ok(None) => {}
                Err(refused) if refused.code == "session.invalid" => {}
                Err(refused) => return Err(refused),
            }
        }
        Ok(sessions)
    }
}
