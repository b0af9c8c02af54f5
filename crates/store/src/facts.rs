use portcullis_jose::UnixTime;

use crate::KeyId;

/// What a server that replicas share says of itself, for somebody who looks after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerFacts {
    /// The server's own version.
    pub version: String,
    /// The time by its clock.
    pub now: UnixTime,
    /// How many bytes it holds.
    pub used: u64,
    /// How many it may hold; `None` where there is no limit, or where it cannot tell.
    pub limit: Option<u64>,
    /// What it throws away when there is no more room, in its own word; `None` where it throws nothing away.
    pub evicts: Option<String>,
    /// Which keys sealed the sessions that are alive, and how many each.
    pub sealing_keys: Vec<(KeyId, u64)>,
    /// Whether these are all sessions; of very many, only some are looked at.
    pub all_sessions: bool,
}
