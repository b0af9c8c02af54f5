//! The store behind the list: written first, read at the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use portcullis_jose::{Claims, UnixTime};
use portcullis_store::{Revocation, RevocationStore, StoreError};
use tokio::sync::Mutex;

use crate::revocation::kind::is_known;
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

/// Seconds between two times at which the whole list is rid of what is over.
const PRUNE_EVERY: i64 = 600;
/// A reading that takes longer is given up: whoever revokes waits for it.
const READING_AT_MOST: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Shared {
    list: RevocationList,
    store: Option<Arc<dyn RevocationStore>>,
    /// Until the list was read, no token can be called good.
    loaded: AtomicBool,
    /// When the list was last read, in the seconds of the guards' clock.
    synced: AtomicI64,
    /// When somebody last tried to read it.
    tried: AtomicI64,
    /// How many readings have ended, well or not.
    readings: AtomicU64,
    /// Held by whoever changes the list.
    cursor: Mutex<Cursor>,
}

/// How far the store's list was read.
#[derive(Debug, Default)]
struct Cursor {
    sequence: u64,
    removals: u64,
    /// When the list was last rid of what is over.
    pruned: UnixTime,
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

    /// What holds here at this time, each with its number, in the order in which it was entered.
    #[must_use]
    pub fn in_force(&self, now: UnixTime) -> Vec<(u64, Revocation)> {
        let mut entries = self.0.list.entries();
        entries.retain(|(_, revocation)| now < revocation.expires);
        entries
    }

    /// For how many seconds nobody could say what other replicas have revoked: the time since the list was last read.
    /// `None` where it was never read, 0 where there is no store and so nobody else.
    #[must_use]
    pub fn age(&self, now: UnixTime) -> Option<i64> {
        match (&self.0.store, self.is_loaded()) {
            (None, _) => Some(0),
            (Some(_), false) => None,
            (Some(_), true) => Some(
                now.as_secs()
                    .saturating_sub(self.0.synced.load(Ordering::Acquire))
                    .max(0),
            ),
        }
    }

    /// Revokes: in the store first, then for the next request of every guard that shares this list. Returns the number
    /// by which it can be taken back.
    ///
    /// # Errors
    /// The store did not take it; nothing is revoked then.
    pub async fn revoke(&self, revocation: Revocation, now: UnixTime) -> Result<u64, StoreError> {
        if !is_known(&revocation) {
            return Err(unknown_kind());
        }
        let mut cursor = self.0.cursor.lock().await;
        let sequence = match &self.0.store {
            Some(store) => store.add(revocation.clone()).await?,
            None => {
                cursor.sequence += 1;
                cursor.sequence
            }
        };
        self.0.list.add([(sequence, revocation)], now);
        Ok(sequence)
    }

    /// Takes a revocation back: in the store first, then here. Other replicas learn of it with their next reading.
    /// Returns what was taken back, or `None` where there is nothing of this number.
    ///
    /// # Errors
    /// The store did not take it; the revocation stays in force then.
    pub async fn take_back(&self, number: u64) -> Result<Option<Revocation>, StoreError> {
        let _writer = self.0.cursor.lock().await;
        let Some(store) = &self.0.store else {
            return Ok(self.0.list.remove(number));
        };
        // Another replica may have entered it a moment ago.
        let stored = store.list_after(number.saturating_sub(1)).await?;
        let stored = stored.into_iter().find(|(found, _)| *found == number);
        if !store.remove(number).await? {
            return Ok(None);
        }
        Ok(self.0.list.remove(number).or(stored.map(|(_, revocation)| revocation)))
    }

    /// Whether a token with these claims is revoked, as far as this list was read.
    #[must_use]
    pub fn covers(&self, claims: &Claims, now: UnixTime) -> bool {
        let list = &self.0.list;
        // A time that cannot be read is none.
        let issued_at = claims.time("iat").ok().flatten();
        list.find(&list.handles(claims), claims, issued_at, now).is_some()
    }

    /// Reads what the store has and this list has not. Returns the number of entries after the first reading, and
    /// `None` after later ones.
    ///
    /// # Errors
    /// The store cannot be read; the list stays as it is.
    pub async fn sync(&self, now: UnixTime) -> Result<Option<usize>, StoreError> {
        self.read(now, None).await
    }

    /// The same for many who come at once: where a reading ends that was not among the first `readings`, everybody who
    /// waited for it is content with it, and nobody reads again.
    pub(crate) async fn sync_together(&self, now: UnixTime, readings: u64) -> Result<Option<usize>, StoreError> {
        self.read(now, Some(readings)).await
    }

    /// How many readings have ended, well or not.
    pub(crate) fn readings(&self) -> u64 {
        self.0.readings.load(Ordering::Acquire)
    }

    async fn read(&self, now: UnixTime, readings: Option<u64>) -> Result<Option<usize>, StoreError> {
        let Some(store) = &self.0.store else { return Ok(None) };
        let mut cursor = self.0.cursor.lock().await;
        if readings.is_some_and(|readings| readings != self.readings()) {
            return match self.is_loaded() {
                true => Ok(None),
                false => Err(unavailable("it could not be read for another call either")),
            };
        }
        let reading = tokio::time::timeout(READING_AT_MOST, self.fill(store.as_ref(), &mut cursor, now));
        let done = reading.await;
        // Noted at the end: who comes in the middle of a reading waits for it, and does not go by a list that is too old.
        self.0.tried.store(now.as_secs(), Ordering::Release);
        self.0.readings.fetch_add(1, Ordering::AcqRel);
        done.unwrap_or_else(|_| Err(unavailable("the store did not answer")))
    }

    async fn fill(
        &self,
        store: &dyn RevocationStore,
        cursor: &mut Cursor,
        now: UnixTime,
    ) -> Result<Option<usize>, StoreError> {
        // Asked first: what is taken back while the list is read makes the next turn read all of it.
        let removals = store.removals().await?;
        let first = !self.is_loaded();
        let all = first || removals != cursor.removals;
        let new = store.list_after(if all { 0 } else { cursor.sequence }).await?;
        if !new.iter().all(|(_, revocation)| is_known(revocation)) {
            return Err(unknown_kind());
        }
        cursor.sequence = new.last().map_or(cursor.sequence, |(sequence, _)| *sequence);
        cursor.removals = removals;
        if all {
            self.0.list.replace(new);
        } else {
            self.0.list.add(new, now);
        }
        if now.since(cursor.pruned) >= PRUNE_EVERY {
            self.0.list.prune(now);
            cursor.pruned = now;
        }
        self.0.synced.store(now.as_secs(), Ordering::Release);
        self.0.loaded.store(true, Ordering::Release);
        Ok(first.then(|| self.0.list.len()))
    }

    /// Whether somebody has tried to read the list in this second.
    pub(crate) fn was_tried(&self, now: UnixTime) -> bool {
        self.0.tried.load(Ordering::Acquire) == now.as_secs()
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
            synced: AtomicI64::new(i64::MIN),
            tried: AtomicI64::new(i64::MIN),
            readings: AtomicU64::new(0),
            cursor: Mutex::default(),
        }))
    }
}

pub(crate) fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable {
        cause: format!("the list of revocations: {why}"),
    }
}

fn unknown_kind() -> StoreError {
    StoreError::Corrupt {
        what: "a revocation of a kind that this version does not know".to_owned(),
    }
}
