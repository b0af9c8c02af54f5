//! The store behind the list: written first, read at the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_jose::UnixTime;
use portcullis_store::{Revocation, RevocationStore, StoreError};
use tokio::sync::Mutex;

use crate::revocation::kind::kind_of;
use crate::revocation::list::RevocationList;

/// The revocations that guards go by. A cheap handle: guards that share one learn of each other's revocations at once.
///
/// ```
/// # use portcullis_guard::{Guard, Revocations};
/// # fn main() -> Result<(), portcullis_guard::BuildError> {
/// let revocations = Revocations::in_memory(); // or `Revocations::stored(store)`
/// let api = |audience: &str| {
///     Guard::builder()
///         .authority("https://login.example.com")
///         .audience(audience)
///         .shared_revocations(revocations.clone())
///         .build()
/// };
/// let (orders, billing) = (api("api://orders")?, api("api://billing")?);
/// # let _ = (orders, billing);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Revocations(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    list: RevocationList,
    store: Option<Arc<dyn RevocationStore>>,
    /// Until the list was read, no token can be called good.
    loaded: AtomicBool,
    /// Held by whoever changes the list.
    cursor: Mutex<Cursor>,
}

/// How far the store's list was read.
#[derive(Debug, Default)]
struct Cursor {
    sequence: u64,
    removals: u64,
}

// === impl Revocations ===

impl Revocations {
    /// An empty list that a restart forgets.
    #[must_use]
    pub fn in_memory() -> Revocations {
        Revocations::new(None)
    }

    /// The list of this store: read when it is first needed, and written before a revocation is answered.
    #[must_use]
    pub fn stored(store: Arc<dyn RevocationStore>) -> Revocations {
        Revocations::new(Some(store))
    }

    /// How many revocations are in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.list.len()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the list was read; until then no token passes.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.0.loaded.load(Ordering::Acquire)
    }

    pub(crate) fn list(&self) -> &RevocationList {
        &self.0.list
    }

    fn new(store: Option<Arc<dyn RevocationStore>>) -> Revocations {
        let loaded = AtomicBool::new(store.is_none());
        Revocations(Arc::new(Shared {
            list: RevocationList::new(),
            store,
            loaded,
            cursor: Mutex::default(),
        }))
    }

    /// Reads what the store has and this list has not. Returns the number of entries after the first reading, and
    /// `None` after later ones.
    pub(crate) async fn sync(&self, now: UnixTime) -> Result<Option<usize>, StoreError> {
        let Some(store) = &self.0.store else { return Ok(None) };
        let mut cursor = self.0.cursor.lock().await;
        // Asked first: what is taken back while the list is read makes the next turn read all of it.
        let removals = store.removals().await?;
        let first = !self.is_loaded();
        let all = first || removals != cursor.removals;
        let new = store.list_after(if all { 0 } else { cursor.sequence }).await?;
        // To leave one out would be to undo it.
        if new.iter().any(|(_, revocation)| kind_of(revocation).is_none()) {
            return Err(StoreError::Corrupt {
                what: "a revocation of a kind that this version does not know".to_owned(),
            });
        }
        cursor.sequence = new.last().map_or(cursor.sequence, |(sequence, _)| *sequence);
        cursor.removals = removals;
        if all {
            self.0.list.replace(new);
        } else {
            self.0.list.add(
                new.into_iter()
                    .map(|(sequence, revocation)| (Some(sequence), revocation)),
                now,
            );
        }
        self.0.loaded.store(true, Ordering::Release);
        Ok(first.then(|| self.0.list.len()))
    }

    /// The store first, then the list: what was answered survives a restart. Returns the kind.
    pub(crate) async fn add(&self, revocation: Revocation, now: UnixTime) -> Result<&'static str, StoreError> {
        let Some(kind) = kind_of(&revocation) else {
            return Err(StoreError::Corrupt {
                what: "a revocation of a kind that this version does not know".to_owned(),
            });
        };
        let _writer = self.0.cursor.lock().await;
        let sequence = match &self.0.store {
            Some(store) => Some(store.add(revocation.clone()).await?),
            None => None,
        };
        self.0.list.add([(sequence, revocation)], now);
        Ok(kind)
    }
}
