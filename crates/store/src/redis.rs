//! The Redis engine: one server, Sentinel, or a cluster.
//!
//! - Each change is one script on one key, and so one step: it works the same on a cluster. A session and its lease
//!   share a hash tag, and so a slot, since the one guards the other.
//! - Times are the caller's clock, as everywhere; Redis' own expiry tidies up behind it and decides nothing.
//! - An index (the sessions of a subject, of a `sid`) lives in a slot of its own. It is written before the session
//!   and names sessions that may be over: whoever reads it looks at the session itself.
//! - A connection that breaks is made anew and the script is sent once more; each script knows what its first attempt
//!   has done.
//!
//! What is written survives a restart of Redis as its `appendfsync` says: with `always`, all of it.

mod facts;
mod leases;
mod link;
mod replay;
mod revocations;
mod sessions;
mod settings;

use std::fmt;
use std::sync::Arc;

use portcullis_jose::Clock;
use redis::Script;

use self::link::Link;
pub use self::settings::{RedisLayout, RedisSettings};
use crate::{BoxFuture, Store, StoreError};

/// State in Redis, shared by all replicas.
pub struct RedisStore {
    link: Link,
    scripts: Scripts,
    names: Names,
    clock: Arc<dyn Clock>,
}

/// The scripts, hashed once.
struct Scripts {
    create: Script,
    update: Script,
    touch: Script,
    finish: Script,
    remember: Script,
    acquire: Script,
    extend: Script,
    release: Script,
    mark: Script,
    revoke: Script,
    unrevoke: Script,
    forget: Script,
}

/// How keys are spelled.
struct Names {
    prefix: String,
}

// === impl RedisStore ===

impl RedisStore {
    /// The store that `settings` name. Nothing is connected yet: the first use does it.
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`] where the settings make no client, such as a certificate that is none.
    pub fn new(settings: &RedisSettings, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Ok(Self {
            link: Link::new(settings)?,
            scripts: Scripts::new(),
            names: Names {
                prefix: settings.prefix.clone(),
            },
            clock,
        })
    }

    fn now(&self) -> i64 {
        self.clock.now().as_secs()
    }
}

impl Store for RedisStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            // A write, which a replica or a full server refuses.
            let key = self.names.key(&[0; 32], "ping");
            self.link
                .command(redis::cmd("SET").arg(&key).arg(1).arg("EX").arg(60))
                .await
        })
    }

    /// Redis removes sessions, leases and marks by itself; revocations are ours to remove.
    fn purge_expired(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.forget_revocations())
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

// === impl Scripts ===

impl Scripts {
    fn new() -> Self {
        Self {
            create: Script::new(include_str!("redis/scripts/create.lua")),
            update: Script::new(include_str!("redis/scripts/update.lua")),
            touch: Script::new(include_str!("redis/scripts/touch.lua")),
            finish: Script::new(include_str!("redis/scripts/finish.lua")),
            remember: Script::new(include_str!("redis/scripts/remember.lua")),
            acquire: Script::new(include_str!("redis/scripts/acquire.lua")),
            extend: Script::new(include_str!("redis/scripts/extend.lua")),
            release: Script::new(include_str!("redis/scripts/release.lua")),
            mark: Script::new(include_str!("redis/scripts/mark.lua")),
            revoke: Script::new(include_str!("redis/scripts/revoke.lua")),
            unrevoke: Script::new(include_str!("redis/scripts/unrevoke.lua")),
            forget: Script::new(include_str!("redis/scripts/forget.lua")),
        }
    }
}

// === impl Names ===

impl Names {
    /// The pattern that the keys of sessions, and no others, fit.
    fn sessions(&self) -> String {
        let mut pattern = String::new();
        for c in self.prefix.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern + ":{*}:session"
    }

    /// `prefix:{tag}:kind`: what has one tag lies in one slot of a cluster.
    fn key(&self, tag: &[u8; 32], kind: &str) -> String {
        let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
        let mut key = String::with_capacity(self.prefix.len() + 80);
        key.push_str(&self.prefix);
        key.push_str(":{");
        for byte in tag {
            key.push(digit(byte >> 4));
            key.push(digit(byte & 15));
        }
        key.push_str("}:");
        key.push_str(kind);
        key
    }
}
