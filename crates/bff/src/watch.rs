//! Sessions that somebody waits on: WebSockets, answers that go on and on, and pages that want to be told.
//!
//! A session can end in another replica, so those that are waited on are looked up again and again: two lookups in a
//! second for each session, however many wait on it, and none where nobody does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum_core::body::Body;
use futures_util::stream::{self, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response};
use portcullis_store::SessionKey;
use tokio::sync::{Notify, watch};

use crate::user::signed_in;
use crate::{Bff, Failure, Inner, Session};

/// A stream of an ended session is closed within a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// So many lookups are under way at once.
const LOOKUPS: usize = 32;
/// A line that says nothing goes out so often, so that nobody in between takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// The sessions that are waited on.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    sessions: Mutex<HashMap<SessionKey, Watched>>,
    look: Arc<Notify>,
    /// Turns true when the program is about to end.
    leaving: watch::Sender<bool>,
}

/// Who waits learns two things.
#[derive(Debug)]
struct Watched {
    /// Turns true at the session's end.
    over: watch::Sender<bool>,
    /// When it ends by itself, in seconds since 1970.
    ends: watch::Sender<i64>,
}

/// One that waits on a session.
#[derive(Debug)]
struct Waiting {
    over: watch::Receiver<bool>,
    ends: watch::Receiver<i64>,
    leaving: watch::Receiver<bool>,
}

enum Happened {
    Over,
    Changed,
    Nothing,
    Leaving,
}

// === impl Waiting ===

impl Waiting {
    async fn next(&mut self) -> Happened {
        tokio::select! {
            biased;
            // A sender that is gone is an end too.
            _ = self.over.wait_for(|over| *over) => Happened::Over,
            Ok(()) = self.ends.changed() => Happened::Changed,
            _ = self.leaving.wait_for(|leaving| *leaving) => Happened::Leaving,
            () = tokio::time::sleep(KEEP_ALIVE) => Happened::Nothing,
        }
    }
}

// === impl Watches ===

impl Watches {
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<SessionKey, Watched>) -> T) -> T {
        // What is done under the lock does not panic.
        change(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sessions may have ended: whoever waits is told soon.
    pub(crate) fn look_now(&self) {
        self.look.notify_one();
    }

    /// The session has ended here.
    pub(crate) fn over(&self, key: &SessionKey) {
        if let Some(watched) = self.change(|sessions| sessions.remove(key)) {
            watched.over.send_replace(true);
        }
    }

    /// The sessions that somebody still waits on; `None` when there are none, and then nobody looks any more.
    fn waited_on(&self) -> Option<Vec<SessionKey>> {
        self.change(|sessions| {
            sessions.retain(|_, watched| watched.over.receiver_count() > 0);
            (!sessions.is_empty()).then(|| sessions.keys().copied().collect())
        })
    }

    /// Whether its end, as far as it is known, has come.
    fn is_past(&self, key: &SessionKey, now: i64) -> bool {
        self.change(|sessions| sessions.get(key).is_some_and(|watched| *watched.ends.borrow() <= now))
    }

    fn ends(&self, key: &SessionKey, at: i64) {
        self.change(|sessions| {
            if let Some(watched) = sessions.get(key) {
                watched.ends.send_if_modified(|ends| std::mem::replace(ends, at) != at);
            }
        });
    }
}

// === impl Bff ===

impl Bff {
    /// Turns true when a session ends, in this process or another one, by whatever end: within a second.
    #[must_use]
    pub fn session_end(&self, session: &Session) -> watch::Receiver<bool> {
        self.wait_on(session).over
    }

    /// Ends the streams of `/bff/events`: the program is about to end.
    pub fn leave(&self) {
        self.0.watches.leaving.send_replace(true);
    }

    fn wait_on(&self, session: &Session) -> Waiting {
        let ends = session.times.ends().as_secs();
        let (waiting, first) = self.0.watches.change(|sessions| {
            let first = sessions.is_empty();
            let watched = sessions.entry(session.key).or_insert_with(|| Watched {
                over: watch::Sender::new(false),
                ends: watch::Sender::new(ends),
            });
            let waiting = Waiting {
                over: watched.over.subscribe(),
                ends: watched.ends.subscribe(),
                leaving: self.0.watches.leaving.subscribe(),
            };
            (waiting, first)
        });
        if first {
            tokio::spawn(look(Arc::downgrade(&self.0)));
        }
        waiting
    }

    /// `/bff/events`: how long the session lasts, each time that it changes, and its end. It does not prolong it.
    pub(crate) async fn events(&self, request: &Parts) -> Result<Response<Body>, Failure> {
        self.check_same_origin(&request.headers)?;
        let session = self.session_as_is(&request.headers, &request.method).await;
        let session = signed_in(session)?;
        let clock = self.0.clock.clone();
        let mut waiting = self.wait_on(&session);
        waiting.ends.mark_changed();
        let lines = stream::unfold(Some(waiting), move |waiting| {
            let clock = clock.clone();
            async move {
                let mut waiting = waiting?;
                let happened = waiting.next().await;
                let left = waiting.ends.borrow_and_update().saturating_sub(clock.now().as_secs());
                Some(match happened {
                    Happened::Over => {
                        let reason = if left <= 0 { "expired" } else { "signed_out" };
                        (format!("event: ended\ndata: {{\"reason\":\"{reason}\"}}\n\n"), None)
                    }
                    Happened::Changed => {
                        let line = format!("event: session\ndata: {{\"seconds_left\":{}}}\n\n", left.max(0));
                        (line, Some(waiting))
                    }
                    Happened::Nothing => (":\n\n".to_owned(), Some(waiting)),
                    // The page asks again, and another one answers.
                    Happened::Leaving => return None,
                })
            }
        });
        let mut response = Response::new(Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A proxy that gathers answers (nginx) lets this one pass.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

/// Looks at the sessions that are waited on until there are none.
async fn look(inner: Weak<Inner>) {
    loop {
        let Some(look) = inner.upgrade().map(|inner| inner.watches.look.clone()) else {
            return;
        };
        // Either it is time, or something has happened.
        let _ = tokio::time::timeout(LOOK_EVERY, look.notified()).await;
        let Some(bff) = inner.upgrade().map(Bff) else { return };
        let Some(keys) = bff.0.watches.waited_on() else { return };
        stream::iter(keys)
            .for_each_concurrent(LOOKUPS, async |key| match bff.0.store.glance(key).await {
                Ok(Some(found)) => bff.0.watches.ends(&key, found.idle_expires.as_secs()),
                Ok(None) => bff.0.watches.over(&key),
                // A store that does not answer ends nothing but what has come to its age.
                Err(_) => {
                    if bff.0.watches.is_past(&key, bff.0.clock.now().as_secs()) {
                        bff.0.watches.over(&key);
                    }
                }
            })
            .await;
    }
}
