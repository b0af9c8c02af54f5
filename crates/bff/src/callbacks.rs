//! Logins that are being finished. The provider's answer may come twice at once, from a double click or from a page that is
//! loaded again: its code counts once (RFC 6749 s4.1.2), and all who brought it get what came of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use portcullis_audit::Refused;
use portcullis_jose::{Clock, UnixTime};
use tokio::sync::watch;

/// For so many seconds what came of a login is there for a browser that gave up waiting and asked again. It goes with the
/// next login after that.
const KEPT: i64 = 10;

/// What came of a login: the `Set-Cookie` values of the new session.
pub(crate) type Finished = Result<Vec<HeaderValue>, Refused>;

/// By the hash of their `state`.
#[derive(Debug, Default)]
pub(crate) struct Callbacks(Arc<Mutex<HashMap<[u8; 32], Finishing>>>);

#[derive(Debug)]
struct Finishing {
    result: watch::Receiver<Option<Finished>>,
    /// Since when it is over.
    over: Option<UnixTime>,
}

impl Callbacks {
    /// Does the work, which goes on when whoever began it goes away; or waits for the same login's that is under way or was
    /// a moment ago. `None` where the program is ending.
    pub(crate) async fn once<W>(&self, state: [u8; 32], clock: &Arc<dyn Clock>, work: W) -> Option<Finished>
    where
        W: Future<Output = Finished> + Send + 'static,
    {
        let mut result = self.join(state, clock, work);
        result.wait_for(Option::is_some).await.ok()?.clone()
    }

    fn join<W>(&self, state: [u8; 32], clock: &Arc<dyn Clock>, work: W) -> watch::Receiver<Option<Finished>>
    where
        W: Future<Output = Finished> + Send + 'static,
    {
        let mut logins = lock(&self.0);
        let now = clock.now();
        logins.retain(|_, login| match login.over {
            Some(over) => (0..KEPT).contains(&now.since(over)),
            // A sender that is gone without a result was a panic.
            None => login.result.has_changed().is_ok(),
        });
        if let Some(login) = logins.get(&state) {
            return login.result.clone();
        }
        let (sender, result) = watch::channel(None);
        let login = Finishing {
            result: result.clone(),
            over: None,
        };
        logins.insert(state, login);
        let (all, clock) = (Arc::clone(&self.0), Arc::clone(clock));
        tokio::spawn(async move {
            let finished = work.await;
            sender.send_replace(Some(finished));
            if let Some(login) = lock(&all).get_mut(&state) {
                login.over = Some(clock.now());
            }
        });
        result
    }
}

/// What is done under the lock does not panic.
fn lock<T>(logins: &Mutex<T>) -> MutexGuard<'_, T> {
    logins.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use portcullis_jose::ManualClock;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn what_is_begun_twice_is_done_once_also_where_the_first_went_away() {
        let callbacks = Callbacks::default();
        let manual = Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)));
        let clock: Arc<dyn Clock> = manual.clone();
        let (done, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let work = || {
            let (done, go) = (done.clone(), go.clone());
            async move {
                go.acquire().await.unwrap().forget();
                done.fetch_add(1, Ordering::SeqCst);
                Ok(vec![HeaderValue::from_static("session=s")])
            }
        };
        drop(callbacks.join([1; 32], &clock, work()));
        let second = callbacks.join([1; 32], &clock, work());
        let other = callbacks.join([2; 32], &clock, work());
        assert!(second.borrow().is_none() && other.borrow().is_none());
        go.add_permits(2);
        let second = callbacks.once([1; 32], &clock, work()).await.unwrap().unwrap();
        assert_eq!(second, ["session=s"]);
        callbacks.once([2; 32], &clock, work()).await.unwrap().unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 2, "one for each login");

        // What is over is kept for a moment.
        manual.advance(KEPT);
        assert!(
            callbacks
                .once([1; 32], &clock, async { Err(Refused::new("x.y")) })
                .await
                .unwrap()
                .is_err()
        );
        assert_eq!(lock(&callbacks.0).len(), 1, "the others are gone");
    }
}
