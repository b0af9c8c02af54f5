use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Work that is done once for all who want its result at the same time.
///
/// It runs in a task of its own: it goes on when whoever began it goes away, so that a caller who hangs up cannot make
/// the next one begin it again.
#[derive(Debug, Clone)]
pub(crate) struct Flight<T>(Arc<Mutex<Slot<T>>>);

type Slot<T> = Option<watch::Receiver<Option<T>>>;

/// Where a flight's result arrives.
#[derive(Debug)]
pub(crate) struct Landing<T> {
    result: watch::Receiver<Option<T>>,
    /// Whether it is the work that this caller asked for, and not what was under way already.
    pub(crate) ours: bool,
}

impl<T> Default for Flight<T> {
    fn default() -> Flight<T> {
        Flight(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Whether work is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        under_way(&lock(&self.0)).is_some()
    }

    /// Joins the work that is under way, or begins it. `None` where nothing is under way and `begin` has no work.
    pub(crate) fn join<W>(&self, begin: impl FnOnce() -> Option<W>) -> Option<Landing<T>>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut current = lock(&self.0);
        if let Some(landing) = under_way(&current) {
            return Some(landing);
        }
        Some(self.begin(&mut current, begin()?))
    }

    /// Joins the work that is under way, or begins this.
    pub(crate) fn join_or<W>(&self, work: W) -> Landing<T>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut current = lock(&self.0);
        match under_way(&current) {
            Some(landing) => landing,
            None => self.begin(&mut current, work),
        }
    }

    fn begin<W>(&self, current: &mut Slot<T>, work: W) -> Landing<T>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let (sender, result) = watch::channel(None);
        *current = Some(result.clone());
        let slot = Arc::clone(&self.0);
        tokio::spawn(async move {
            let done = work.await;
            *lock(&slot) = None;
            sender.send_replace(Some(done));
        });
        Landing { result, ours: true }
    }
}

/// A sender that is gone without a result was a runtime that ended: its work counts for nothing.
fn under_way<T>(current: &Slot<T>) -> Option<Landing<T>> {
    let result = current.as_ref().filter(|result| result.has_changed().is_ok())?.clone();
    Some(Landing { result, ours: false })
}

impl<T: Clone> Landing<T> {
    /// The result; `None` if the runtime ended before it was there.
    pub(crate) async fn wait(mut self) -> Option<T> {
        self.result.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// What the lock guards is one assignment, so a panic cannot have left it half done.
fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_its_first_caller_goes_away() {
        let flight: Flight<usize> = Flight::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(tokio::sync::Notify::new());
        let work = || {
            let (begun, go) = (begun.clone(), go.clone());
            move || {
                Some(async move {
                    go.notified().await;
                    begun.fetch_add(1, Ordering::SeqCst) + 1
                })
            }
        };
        let first = flight.join(work()).unwrap();
        assert!(first.ours && flight.is_under_way());
        drop(first);
        let second = flight.join(work()).unwrap();
        assert!(!second.ours);
        go.notify_one();
        assert_eq!(second.wait().await, Some(1));
        assert!(!flight.is_under_way());
        // What is over is not joined.
        let third = flight.join(work()).unwrap();
        go.notify_one();
        assert_eq!((third.ours, third.wait().await), (true, Some(2)));
        assert!(flight.join(|| None::<std::future::Ready<usize>>).is_none());
    }
}
