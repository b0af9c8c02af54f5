//! All that the running provider remembers. It is in memory, bounded, and gone when the process ends. Nothing here
//! is keyed by a secret itself, only by its SHA-256.

mod bounded;
mod browsers;
mod codes;
mod devices;
mod grants;

use portcullis_jose::{UnixTime, random_token, sha256};
use serde::Serialize;

use crate::form::Params;

pub(crate) use bounded::Bounded;
pub(crate) use browsers::{Interaction, Pending, Session};
pub(crate) use codes::{Code, Redemption};
pub(crate) use devices::{Device, DeviceAnswer, Entered};
pub(crate) use grants::{AccessToken, Grant, GrantId, RefreshToken, Rotation};

const INTERACTIONS: usize = 1_000;
const SESSIONS: usize = 10_000;
const CODES: usize = 10_000;
const DEVICES: usize = 1_000;
const GRANTS: usize = 20_000;
const TOKENS: usize = 50_000;
const ASSERTIONS: usize = 50_000;

/// SHA-256 of a code, a token or a cookie's value.
pub(crate) type Digest = [u8; 32];

pub(crate) fn digest(secret: &str) -> Digest {
    sha256(secret.as_bytes())
}

/// How much was issued since the start, and what is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct TokenCounts {
    /// Authorization codes issued.
    pub codes: u64,
    /// Access tokens issued, also those of client credentials and of rotations.
    pub access_tokens: u64,
    /// ID tokens issued.
    pub id_tokens: u64,
    /// Refresh tokens issued, the first of a login and each rotated one.
    pub refresh_tokens: u64,
    /// Refreshes that succeeded.
    pub refreshes: u64,
    /// The fewest seconds between two rotations of one login's refresh token, or between login and the first one.
    pub quickest_rotation: Option<i64>,
    /// Times that a used refresh token came back and its family was revoked.
    pub reuses: u64,
    /// Refresh tokens that would be accepted now.
    pub live_refresh_tokens: u64,
    /// Browsers signed in now.
    pub live_sessions: u64,
}

#[derive(Debug)]
pub(crate) struct State {
    interactions: Bounded<String, Interaction>,
    sessions: Bounded<Digest, Session>,
    codes: Bounded<Digest, Code>,
    devices: Bounded<Digest, Device>,
    /// The codes that people type, without hyphen. They are no secrets of the devices'.
    user_codes: Bounded<String, Digest>,
    /// When wrong ones were typed.
    wrong_codes: Vec<UnixTime>,
    grants: Bounded<GrantId, Grant>,
    refresh_tokens: Bounded<Digest, RefreshToken>,
    access_tokens: Bounded<Digest, AccessToken>,
    /// When assertions of clients expire that were used, by the hash of client and `jti`.
    assertions: Bounded<Digest, UnixTime>,
    /// Authorization requests that were pushed, by their identifiers.
    pushed: Bounded<String, (String, Params, UnixTime)>,
    next_grant: u64,
    pub(crate) counts: TokenCounts,
}

impl State {
    pub(crate) fn new() -> State {
        State {
            interactions: Bounded::new(INTERACTIONS),
            sessions: Bounded::new(SESSIONS),
            codes: Bounded::new(CODES),
            devices: Bounded::new(DEVICES),
            user_codes: Bounded::new(DEVICES),
            wrong_codes: Vec::new(),
            grants: Bounded::new(GRANTS),
            refresh_tokens: Bounded::new(TOKENS),
            access_tokens: Bounded::new(TOKENS),
            assertions: Bounded::new(ASSERTIONS),
            pushed: Bounded::new(INTERACTIONS),
            next_grant: 0,
            counts: TokenCounts::default(),
        }
    }

    /// Keeps a pushed authorization request; the identifier that stands for it.
    pub(crate) fn push_request(&mut self, client_id: &str, params: Params, expires: UnixTime) -> String {
        let id = random_token(32);
        self.pushed.insert(id.clone(), (client_id.to_owned(), params, expires));
        id
    }

    /// Takes a pushed request of this client: it is used once (RFC 9126 s7.3).
    pub(crate) fn take_request(&mut self, id: &str, client_id: &str, now: UnixTime) -> Option<Params> {
        let id = id.to_owned();
        let (owner, _, expires) = self.pushed.get(&id)?;
        if owner != client_id || *expires <= now {
            return None;
        }
        self.pushed.remove(&id).map(|(_, params, _)| params)
    }

    /// Marks an assertion as used until it expires. Says whether it was not used before.
    pub(crate) fn use_assertion(&mut self, id: &str, expires: UnixTime, now: UnixTime) -> bool {
        let id = digest(id);
        if self.assertions.get(&id).is_some_and(|expires| now < *expires) {
            return false;
        }
        self.assertions.insert(id, expires);
        true
    }
}
