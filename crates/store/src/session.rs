//! Sessions: sealed records under hashed keys, changed only by compare-and-swap.

use std::fmt;

use portcullis_jose::UnixTime;

use crate::{BoxFuture, IndexKey, SessionKey, StoreError};

/// The largest sealed content that a store accepts.
pub const MAX_SEALED_BYTES: usize = 256 * 1024;

/// A session as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The content, sealed with the session's key as associated data.
    pub sealed: Vec<u8>,
    /// Finds the session by its subject.
    pub subject_index: Option<IndexKey>,
    /// Finds the session by the provider's `sid`.
    pub sid_index: Option<IndexKey>,
    /// When the session began. An update does not change it.
    pub created: UnixTime,
    /// When the session ends unless it is used before. Never later than `expires`;
    /// neither an update nor a touch moves it back.
    pub idle_expires: UnixTime,
    /// When the session ends in any case. An update can bring it forward, never put it off.
    pub expires: UnixTime,
}

/// Which write of an entry one has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

/// A value and the version that it had when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// Hand this to the update.
    pub version: Version,
    /// What was read.
    pub value: T,
}

/// Where a session stands, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "engines make them")]
pub struct Glance {
    /// Which write of the session the content is of.
    pub version: Version,
    /// When the session ends unless it is used before: a touch moves it on and leaves the version.
    pub idle_expires: UnixTime,
}

/// Keeps sessions.
///
/// An expired session is absent in every method.
pub trait SessionStore: Send + Sync + fmt::Debug {
    /// Stores a new session.
    ///
    /// A key that is in use is [`StoreError::Conflict`]; one that was in use lately is
    /// [`StoreError::Gone`], so that a deleted session cannot come back under its key.
    fn create(&self, key: SessionKey, record: SessionRecord) -> BoxFuture<'_, Result<Version, StoreError>>;

    /// The session, or `None` where there is none (any more).
    fn get(&self, key: SessionKey) -> BoxFuture<'_, Result<Option<Versioned<SessionRecord>>, StoreError>>;

    /// Where the session stands, for whoever still has its content; `None` where there is none (any more).
    ///
    /// It costs less than [`get`](Self::get), and is as new.
    fn glance(&self, key: SessionKey) -> BoxFuture<'_, Result<Option<Glance>, StoreError>>;

    /// Replaces the session if it is still at `version`: [`StoreError::Conflict`] if it was changed,
    /// [`StoreError::Gone`] if it was deleted or has expired. Never creates one.
    fn update(
        &self,
        key: SessionKey,
        version: Version,
        record: SessionRecord,
    ) -> BoxFuture<'_, Result<Version, StoreError>>;

    /// Like [`update`](Self::update), and refused with [`StoreError::LeaseLost`] unless `fencing` is
    /// the last number that was issued for the lease [`LeaseName::session`](crate::LeaseName::session) of this key.
    ///
    /// A holder whose lease has run out may still write as long as nobody took the lease over: the token
    /// that it fetched would be lost otherwise, and nobody else has fetched one.
    fn update_fenced(
        &self,
        key: SessionKey,
        version: Version,
        fencing: u64,
        record: SessionRecord,
    ) -> BoxFuture<'_, Result<Version, StoreError>>;

    /// Moves `idle_expires` forward without a new version, so that a request in use of the session
    /// never makes an update fail. Returns whether the session is there.
    ///
    /// This is a write: call it when a good part of the idle time has passed, not on every request.
    /// Alone among the writes it may be undone by a power cut (not by a killed process).
    fn touch(&self, key: SessionKey, idle_expires: UnixTime) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Ends the session; durable when it returns. Returns whether there was one.
    fn delete(&self, key: SessionKey) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Ends all sessions of a subject; durable when it returns. Returns how many there were.
    fn delete_by_subject(&self, subject: IndexKey) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Ends all sessions of a provider's `sid`; durable when it returns. Returns how many there were.
    fn delete_by_sid(&self, sid: IndexKey) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The keys of all sessions of a subject, the oldest session first.
    fn keys_by_subject(&self, subject: IndexKey) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>>;
}

// === impl SessionRecord ===

impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("sealed", &format_args!("[{} bytes]", self.sealed.len()))
            .field("subject_index", &self.subject_index)
            .field("sid_index", &self.sid_index)
            .field("created", &self.created)
            .field("idle_expires", &self.idle_expires)
            .field("expires", &self.expires)
            .finish()
    }
}

// === impl Version ===

impl Version {
    /// The version with this number; for engines.
    #[must_use]
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The version's number.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

#[cfg(any(feature = "sqlite", feature = "redis", feature = "postgres"))]
pub(crate) fn check_size(record: &SessionRecord) -> Result<(), StoreError> {
    if record.sealed.len() > MAX_SEALED_BYTES {
        return Err(StoreError::TooLarge {
            bytes: record.sealed.len(),
            limit: MAX_SEALED_BYTES,
        });
    }
    Ok(())
}
