//! What can go wrong with a store.

use std::path::PathBuf;

/// Why a store did not do what it was asked.
///
/// "There is no such session" is no error; see [`SessionStore::get`](crate::SessionStore::get).
/// No message holds a key, a record or anything else that was stored.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be used now. Answer 503, keep the cookie, try again later.
    #[error("the store is unavailable: {cause}")]
    Unavailable {
        /// What the engine said.
        cause: String,
    },

    /// Somebody else changed the entry first. Read it again and decide anew.
    #[error("the entry was changed by somebody else since it was read; read it again")]
    Conflict,

    /// The entry is no more: deleted, expired or never there.
    #[error("the entry is gone: it was deleted or it expired")]
    Gone,

    /// The lease was taken over by somebody else; what was done under it must be thrown away.
    #[error("the lease ran out and somebody else holds it now; the late write was refused")]
    LeaseLost,

    /// What is stored cannot be read.
    #[error("the store's content is damaged: {what}")]
    Corrupt {
        /// What was found.
        what: String,
    },

    /// There is no room left.
    #[error("the store is full: {cause}; free disk space on the store's file system")]
    Full {
        /// What the engine said.
        cause: String,
    },

    /// The record is larger than the store accepts.
    #[error("the record has {bytes} bytes, at most {limit} are accepted")]
    TooLarge {
        /// The record's size.
        bytes: usize,
        /// The largest size that is accepted.
        limit: usize,
    },

    /// The store was written by a newer version of Portcullis.
    #[error(
        "{path}: the store has schema version {found}, this program knows versions up to {known}; \
         run the newer version of Portcullis, or start with another store"
    )]
    SchemaTooNew {
        /// The store's file, or its address.
        path: PathBuf,
        /// The version that was found.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },

    /// There is no store to be opened.
    #[error("{path}: {cause}; {fix}")]
    CannotOpen {
        /// The store's file, or its address.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
        /// What to do.
        fix: String,
    },

    /// Others than the owner may read or write the file.
    #[error("{path}: the file's mode is {mode:04o}, others than its owner can use it; run: chmod 600 '{path}'", path = .path.display())]
    InsecureFile {
        /// The store's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl StoreError {
    /// A stable name for this kind of failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "store.unavailable",
            Self::Conflict => "store.conflict",
            Self::Gone => "store.gone",
            Self::LeaseLost => "store.lease_lost",
            Self::Corrupt { .. } => "store.corrupt",
            Self::Full { .. } => "store.full",
            Self::TooLarge { .. } => "store.too_large",
            Self::SchemaTooNew { .. } => "store.schema_too_new",
            Self::CannotOpen { .. } => "store.cannot_open",
            Self::InsecureFile { .. } => "store.insecure_file",
        }
    }
}

/// What an engine says of itself.
#[cfg(any(feature = "sqlite", feature = "redis", feature = "postgres"))]
impl StoreError {
    pub(crate) fn unavailable(cause: impl Into<String>) -> Self {
        Self::Unavailable { cause: cause.into() }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}
