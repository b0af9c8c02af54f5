use std::collections::BTreeSet;

use portcullis_jose::{UnixTime, random_token};

use super::{Digest, State, digest};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct GrantId(u64);

/// What a user allowed a client in one login. All tokens that come of it end with it.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) username: String,
    pub(crate) sub: String,
    pub(crate) sid: String,
    pub(crate) scopes: BTreeSet<String>,
    /// The `resource` parameters of the authorization request (RFC 8707 s2.1).
    pub(crate) resources: Vec<String>,
    pub(crate) auth_time: UnixTime,
    pub(crate) nonce: Option<String>,
    pub(crate) revoked: bool,
    /// Which generation of refresh tokens is the newest, and when the one before it was used.
    pub(crate) generation: u64,
    pub(crate) rotated: UnixTime,
}

#[derive(Debug, Clone)]
pub(crate) struct RefreshToken {
    pub(crate) grant: GrantId,
    generation: u64,
    expires: UnixTime,
}

/// An access token that was issued here, for userinfo, introspection and revocation.
#[derive(Debug, Clone)]
pub(crate) struct AccessToken {
    /// None: client credentials.
    pub(crate) grant: Option<GrantId>,
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) claims: serde_json::Value,
    pub(crate) expires: UnixTime,
    pub(crate) revoked: bool,
}

/// What a presented refresh token turned out to be.
#[derive(Debug)]
pub(crate) enum Rotation {
    Accepted(GrantId, Box<Grant>),
    /// A used one: somebody has a copy. The family is revoked.
    Reused,
    Refused,
}

impl State {
    pub(crate) fn open_grant(&mut self, grant: Grant) -> GrantId {
        let id = GrantId(self.next_grant);
        self.next_grant += 1;
        self.grants.insert(id, grant);
        id
    }

    pub(crate) fn grant(&self, id: GrantId) -> Option<&Grant> {
        self.grants.get(&id).filter(|grant| !grant.revoked)
    }

    pub(crate) fn revoke_grant(&mut self, id: GrantId) {
        if let Some(grant) = self.grants.get_mut(&id) {
            grant.revoked = true;
        }
    }

    pub(crate) fn revoke_all_grants(&mut self) -> usize {
        let live = self.grants.values_mut().filter(|grant| !grant.revoked);
        live.map(|grant| grant.revoked = true).count()
    }

    /// Ends all that a client got, as when its registration is deleted.
    pub(crate) fn revoke_client(&mut self, client_id: &str) {
        let grants = self.grants.values_mut().filter(|grant| grant.client_id == client_id);
        grants.for_each(|grant| grant.revoked = true);
        let tokens = self
            .access_tokens
            .values_mut()
            .filter(|token| token.client_id == client_id);
        tokens.for_each(|token| token.revoked = true);
    }

    /// A refresh token of the grant's newest generation.
    pub(crate) fn issue_refresh_token(&mut self, id: GrantId, expires: UnixTime) -> Option<String> {
        let generation = self.grant(id)?.generation;
        let token = random_token(32);
        self.refresh_tokens.insert(
            digest(&token),
            RefreshToken {
                grant: id,
                generation,
                expires,
            },
        );
        self.counts.refresh_tokens += 1;
        Some(token)
    }

    /// Takes a refresh token of this client and begins the next generation.
    ///
    /// RFC 9700 s4.14.2: a used one that comes back revokes the family. Within `grace` seconds the direct parent of
    /// the newest generation is forgiven, because a client may have lost the answer; an older one never is.
    pub(crate) fn rotate(&mut self, token: &str, client_id: &str, grace: i64, now: UnixTime) -> Rotation {
        let Some(RefreshToken {
            grant: id,
            generation,
            expires,
        }) = self.refresh_tokens.get(&digest(token)).cloned()
        else {
            return Rotation::Refused;
        };
        let Some(grant) = self
            .grants
            .get_mut(&id)
            .filter(|grant| !grant.revoked && grant.client_id == client_id)
        else {
            return Rotation::Refused;
        };
        let forgiven = generation + 1 == grant.generation && now.since(grant.rotated) < grace;
        if generation != grant.generation && !forgiven {
            grant.revoked = true;
            self.counts.reuses += 1;
            return Rotation::Reused;
        }
        if now >= expires {
            return Rotation::Refused;
        }
        if !forgiven {
            let after = now.since(grant.rotated);
            let quickest = self
                .counts
                .quickest_rotation
                .map_or(after, |quickest| quickest.min(after));
            self.counts.quickest_rotation = Some(quickest);
            grant.generation += 1;
            grant.rotated = now;
        }
        self.counts.refreshes += 1;
        Rotation::Accepted(id, Box::new(grant.clone()))
    }

    /// The grant of a refresh token that would be accepted now, and when the token ends.
    pub(crate) fn live_refresh_token(&self, token: &str, now: UnixTime) -> Option<(GrantId, &Grant, UnixTime)> {
        let found = self
            .refresh_tokens
            .get(&digest(token))
            .filter(|found| now < found.expires)?;
        let grant = self
            .grant(found.grant)
            .filter(|grant| grant.generation == found.generation)?;
        Some((found.grant, grant, found.expires))
    }

    /// The grant that a refresh token, used or not, belongs to.
    pub(crate) fn refresh_token_grant(&self, token: &str) -> Option<(GrantId, &Grant)> {
        let id = self.refresh_tokens.get(&digest(token))?.grant;
        self.grants.get(&id).map(|grant| (id, grant))
    }

    pub(super) fn live_refresh_tokens(&self, now: UnixTime) -> usize {
        let live = |token: &&super::RefreshToken| {
            now < token.expires
                && self
                    .grant(token.grant)
                    .is_some_and(|grant| grant.generation == token.generation)
        };
        self.refresh_tokens.values().filter(live).count()
    }

    pub(crate) fn keep_access_token(&mut self, token: &str, kept: AccessToken) {
        self.access_tokens.insert(digest(token), kept);
        self.counts.access_tokens += 1;
    }

    /// The record of an access token that is neither expired nor revoked.
    pub(crate) fn live_access_token(&self, token: &str, now: UnixTime) -> Option<&AccessToken> {
        let found = self.access_tokens.get(&digest(token))?;
        let of_live_grant = found.grant.is_none_or(|id| self.grant(id).is_some());
        (!found.revoked && now < found.expires && of_live_grant).then_some(found)
    }

    pub(crate) fn access_token_mut(&mut self, token: &str) -> Option<&mut AccessToken> {
        let key: Digest = digest(token);
        self.access_tokens.get_mut(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_000_000);

    fn opened() -> (State, GrantId, String) {
        let mut state = State::new();
        let id = state.open_grant(Grant {
            client_id: "web".into(),
            username: "alice".into(),
            sub: "s".into(),
            sid: "sid".into(),
            scopes: BTreeSet::new(),
            resources: Vec::new(),
            auth_time: NOW,
            nonce: None,
            revoked: false,
            generation: 0,
            rotated: NOW,
        });
        let first = state.issue_refresh_token(id, NOW.plus(100)).unwrap();
        (state, id, first)
    }

    /// Rotates and returns the next token.
    fn next(state: &mut State, token: &str, grace: i64, now: UnixTime) -> Option<String> {
        match state.rotate(token, "web", grace, now) {
            Rotation::Accepted(id, _) => state.issue_refresh_token(id, now.plus(100)),
            _ => None,
        }
    }

    #[test]
    fn the_quickest_rotation_is_remembered_and_a_forgiven_one_is_none() {
        let (mut state, _, r1) = opened();
        assert_eq!(state.counted(NOW).quickest_rotation, None);
        let r2 = next(&mut state, &r1, 10, NOW.plus(7)).unwrap();
        assert_eq!(state.counted(NOW).quickest_rotation, Some(7));
        next(&mut state, &r1, 10, NOW.plus(8)).unwrap();
        assert_eq!(state.counted(NOW).quickest_rotation, Some(7));
        let r3 = next(&mut state, &r2, 10, NOW.plus(10)).unwrap();
        assert_eq!(state.counted(NOW).quickest_rotation, Some(3));
        next(&mut state, &r3, 10, NOW.plus(50)).unwrap();
        assert_eq!(state.counted(NOW).quickest_rotation, Some(3));
    }

    #[test]
    fn a_used_token_ends_its_family() {
        let (mut state, id, r1) = opened();
        let r2 = next(&mut state, &r1, 0, NOW).unwrap();
        assert!(state.live_refresh_token(&r2, NOW).is_some());
        assert!(matches!(state.rotate(&r1, "web", 0, NOW), Rotation::Reused));
        assert!(state.grant(id).is_none());
        assert!(matches!(state.rotate(&r2, "web", 0, NOW), Rotation::Refused));
        assert_eq!(state.counts.reuses, 1);
    }

    #[test]
    fn grace_is_for_the_direct_parent_alone() {
        let (mut state, _, r1) = opened();
        let r2 = next(&mut state, &r1, 10, NOW).unwrap();
        let sibling = next(&mut state, &r1, 10, NOW.plus(9)).unwrap();
        assert_ne!(r2, sibling);
        let r3 = next(&mut state, &r2, 10, NOW.plus(9)).unwrap();
        assert!(state.live_refresh_token(&r3, NOW.plus(9)).is_some());
        assert!(matches!(state.rotate(&r1, "web", 10, NOW.plus(9)), Rotation::Reused));
        assert!(matches!(state.rotate(&r3, "web", 10, NOW.plus(9)), Rotation::Refused));
    }

    #[test]
    fn grace_ends() {
        let (mut state, _, r1) = opened();
        next(&mut state, &r1, 10, NOW).unwrap();
        assert!(matches!(state.rotate(&r1, "web", 10, NOW.plus(10)), Rotation::Reused));
    }

    #[test]
    fn a_token_is_bound_to_its_client_and_its_time() {
        let (mut state, id, r1) = opened();
        assert!(matches!(state.rotate(&r1, "other", 0, NOW), Rotation::Refused));
        assert!(matches!(state.rotate(&r1, "web", 0, NOW.plus(100)), Rotation::Refused));
        assert!(state.grant(id).is_some(), "neither is reuse");
        assert!(matches!(
            state.rotate(&r1, "web", 0, NOW.plus(99)),
            Rotation::Accepted(..)
        ));
    }
}
