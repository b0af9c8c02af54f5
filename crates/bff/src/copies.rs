//! Sessions as they were read lately, opened. While the store says that one has not changed, it is not read and opened
//! again; while the store does not answer, they let people go on reading, for a short time. Nothing is ever written
//! from them, and they go with the keys that opened them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use portcullis_jose::UnixTime;
use portcullis_store::{Glance, SessionKey, Version};

use crate::Session;
use crate::recent::{Era, Recent};
use crate::session::{SessionData, Times};

/// Bytes of sealed content whose copies are kept; opened they are about twice as large.
const MAX_BYTES: usize = 128 * 1024 * 1024;
/// A copy that is not used goes after so many seconds.
const UNUSED: i64 = 30;

/// What was read lately.
#[derive(Debug)]
pub(crate) struct Copies {
    kept: Recent<SessionKey, Opened>,
    /// For how long a copy counts while the store does not answer, in seconds.
    grace: i64,
}

/// A session as it was read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) version: Version,
    pub(crate) data: Arc<SessionData>,
    pub(crate) needs_reseal: bool,
    created: UnixTime,
    expires: UnixTime,
    idle_expires: AtomicI64,
    /// When the store last said that it is so.
    read: AtomicI64,
}

impl Copies {
    /// Copies that count for `grace` seconds while the store does not answer; not at all where that is 0.
    pub(crate) fn new(grace: i64) -> Copies {
        Copies {
            kept: Recent::new(MAX_BYTES, UNUSED.max(grace)),
            grace,
        }
    }

    /// To be taken before a session is read that is kept.
    pub(crate) fn era(&self, key: SessionKey) -> Era {
        self.kept.era(&key)
    }

    /// Keeps what was read, and was `bytes` long.
    pub(crate) fn keep(&self, session: &Session, bytes: usize, era: Era, now: UnixTime) {
        let copy = Opened {
            version: session.version,
            data: Arc::clone(&session.data),
            needs_reseal: session.needs_reseal,
            created: session.times.created,
            expires: session.times.expires,
            idle_expires: AtomicI64::new(session.times.idle_expires.as_secs()),
            read: AtomicI64::new(now.as_secs()),
        };
        self.kept.put(session.key, Arc::new(copy), bytes, era, now);
    }

    /// What was read of a session. Ask the store whether it is so still.
    pub(crate) fn find(&self, key: SessionKey, now: UnixTime) -> Option<Arc<Opened>> {
        self.kept.get(&key, now)
    }

    /// Whether a copy counts while the store does not answer: it was read not too long ago, and the session's time is
    /// not over.
    pub(crate) fn counts(&self, copy: &Opened, now: UnixTime) -> bool {
        let read = UnixTime::from_secs(copy.read.load(Ordering::Relaxed));
        (0..self.grace).contains(&now.since(read)) && copy.times().idle_expires > now
    }

    /// The session is over.
    pub(crate) fn forget(&self, key: SessionKey) {
        self.kept.remove(&key);
    }

    /// Sessions are over, and it is not known which; or keys are gone.
    pub(crate) fn forget_all(&self) {
        self.kept.clear();
    }
}

impl Opened {
    pub(crate) fn times(&self) -> Times {
        Times {
            created: self.created,
            idle_expires: UnixTime::from_secs(self.idle_expires.load(Ordering::Relaxed)),
            expires: self.expires,
        }
    }

    /// The store has said where the session stands. Returns whether the copy is what it was at `now` too.
    pub(crate) fn is_still(&self, found: Glance, now: UnixTime) -> bool {
        let same = found.version == self.version;
        if same {
            self.idle_expires.store(found.idle_expires.as_secs(), Ordering::Relaxed);
            self.read.store(now.as_secs(), Ordering::Relaxed);
        }
        same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + seconds)
    }

    fn session(name: &str, version: u64) -> Session {
        let data = r#"{"issuer":"i","subject":"s","claims":{},"id_token":"","access_token":"","access_issued":0}"#;
        Session {
            key: key(name),
            version: Version::from_u64(version),
            times: Times {
                created: at(0),
                idle_expires: at(1_000),
                expires: at(5_000),
            },
            data: Arc::new(SessionData::from_sealable(data.as_bytes()).unwrap()),
            needs_reseal: false,
            from_copy: false,
            id: portcullis_jose::Secret::new(""),
            brought: None,
        }
    }

    fn key(name: &str) -> SessionKey {
        SessionKey::from_cookie(name)
    }

    fn counts(copies: &Copies, name: &str, now: UnixTime) -> bool {
        copies
            .find(key(name), now)
            .is_some_and(|copy| copies.counts(&copy, now))
    }

    #[test]
    fn a_copy_counts_for_a_while_and_no_longer_than_its_session() {
        let copies = Copies::new(30);
        copies.keep(&session("a", 1), 10, copies.era(key("a")), at(0));
        assert!(counts(&copies, "a", at(29)));
        assert!(!counts(&copies, "a", at(30)));
        assert!(!counts(&copies, "a", at(-1)), "a clock that was turned back");
        assert!(!counts(&copies, "b", at(0)));
        // Newer ones take its place, and what is over is over.
        copies.keep(&session("a", 2), 10, copies.era(key("a")), at(980));
        assert_eq!(copies.find(key("a"), at(980)).unwrap().version, Version::from_u64(2));
        assert!(counts(&copies, "a", at(999)));
        assert!(!counts(&copies, "a", at(1_000)));
        let none = Copies::new(0);
        none.keep(&session("a", 1), 10, none.era(key("a")), at(0));
        assert!(!counts(&none, "a", at(0)));
    }

    #[test]
    fn a_copy_counts_from_when_the_store_last_said_that_it_is_so() {
        let copies = Copies::new(30);
        copies.keep(&session("a", 1), 10, copies.era(key("a")), at(0));
        let copy = copies.find(key("a"), at(20)).unwrap();
        let glance = |version, idle| Glance {
            version: Version::from_u64(version),
            idle_expires: at(idle),
        };
        assert!(!copy.is_still(glance(2, 1_500), at(20)));
        assert!(!counts(&copies, "a", at(30)), "what has changed proves nothing");
        assert!(copy.is_still(glance(1, 1_500), at(20)));
        assert!(counts(&copies, "a", at(49)));
        assert_eq!(copy.times().idle_expires, at(1_500));
    }

    #[test]
    fn what_was_ended_here_is_forgotten() {
        let copies = Copies::new(30);
        for name in ["a", "b", "c"] {
            copies.keep(&session(name, 1), 10, copies.era(key(name)), at(0));
        }
        copies.forget(key("a"));
        assert!(!counts(&copies, "a", at(1)));
        assert!(counts(&copies, "b", at(1)));
        copies.forget_all();
        assert!(!counts(&copies, "b", at(1)));
    }
}
