//! The list in memory. Reading takes no lock; an empty list costs one load.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use portcullis_jose::{Claims, UnixTime};
use portcullis_store::Revocation;

use crate::revocation::kind::{Kind, Name};

/// A change copies one shard, a request looks into one for each kind of revocation.
const SHARDS: usize = 64;

#[derive(Debug)]
pub(crate) struct RevocationList {
    counts: [AtomicUsize; Kind::ALL.len()],
    total: AtomicUsize,
    shards: Box<[ArcSwap<Shard>]>,
    hasher: RandomState,
}

/// Where a token would be found in the list: one place for each kind that it could be revoked by. Made once, when it is
/// verified.
#[derive(Debug, Clone)]
pub(crate) struct Handles([Option<u64>; Kind::ALL.len()]);

#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// The store's number; without a store, our own.
    sequence: u64,
    revocation: Revocation,
}

/// The handle is a keyed hash already.
type Shard = HashMap<u64, Vec<Arc<Entry>>, BuildHasherDefault<AsItIs>>;

#[derive(Debug, Default)]
struct AsItIs(u64);

// === impl RevocationList ===

impl RevocationList {
    pub(crate) fn new() -> RevocationList {
        let empty = Arc::new(Shard::default());
        RevocationList {
            counts: Default::default(),
            total: AtomicUsize::new(0),
            shards: (0..SHARDS).map(|_| ArcSwap::new(Arc::clone(&empty))).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.total.load(Ordering::Acquire)
    }

    /// Where this token would be found.
    pub(crate) fn handles(&self, claims: &Claims) -> Handles {
        Handles(Kind::ALL.map(|kind| kind.of_token(claims).map(|name| self.handle(kind, name))))
    }

    /// What the token is revoked by, if it is.
    pub(crate) fn find(
        &self,
        handles: &Handles,
        claims: &Claims,
        issued_at: Option<UnixTime>,
        now: UnixTime,
    ) -> Option<&'static str> {
        if self.len() == 0 {
            return None;
        }
        Kind::ALL
            .into_iter()
            .zip(&handles.0)
            .zip(&self.counts)
            .find_map(|((kind, handle), count)| {
                let handle = (*handle)?;
                if count.load(Ordering::Acquire) == 0 {
                    return None;
                }
                let shard = self.shard(handle)?.load();
                let revoked = shard.get(&handle)?.iter().any(|entry| {
                    entry.kind == kind
                        && entry.is_about(claims)
                        && entry.covers(issued_at)
                        && now < entry.revocation.expires
                });
                revoked.then_some(kind.name())
            })
    }

    /// Adds entries; one that is there already (by its number) stays once. One change at a time: the caller holds the
    /// writers' lock.
    pub(crate) fn add(&self, revocations: impl IntoIterator<Item = (u64, Revocation)>, now: UnixTime) {
        let mut changed: HashMap<usize, Shard> = HashMap::new();
        for (sequence, revocation) in revocations {
            let Some((handle, entry)) = self.entry(sequence, revocation) else {
                continue;
            };
            let Some(shard) = self.shard(handle) else { continue };
            let shard = changed
                .entry(place(handle))
                .or_insert_with(|| still_in_force(&shard.load(), now));
            let entries = shard.entry(handle).or_default();
            if !entries.iter().any(|other| other.sequence == sequence) {
                entries.push(Arc::new(entry));
            }
        }
        for (place, shard) in changed {
            if let Some(old) = self.shards.get(place) {
                self.put(old, shard);
            }
        }
    }

    /// Takes an entry out. One change at a time, as with [`add`](Self::add).
    pub(crate) fn remove(&self, sequence: u64) -> Option<Revocation> {
        self.shards.iter().find_map(|place| {
            let shard = place.load_full();
            let (handle, entries) = shard
                .iter()
                .find(|(_, entries)| entries.iter().any(|entry| entry.sequence == sequence))?;
            let (removed, kept): (Vec<_>, Vec<_>) =
                entries.iter().cloned().partition(|entry| entry.sequence == sequence);
            let mut changed: Shard = shard
                .iter()
                .map(|(handle, entries)| (*handle, entries.clone()))
                .collect();
            match kept.is_empty() {
                true => changed.remove(handle),
                false => changed.insert(*handle, kept),
            };
            self.put(place, changed);
            removed.first().map(|entry| entry.revocation.clone())
        })
    }

    /// Drops what is over. One change at a time, as with [`add`](Self::add).
    pub(crate) fn prune(&self, now: UnixTime) {
        for place in &self.shards {
            let shard = place.load_full();
            if shard.values().flatten().any(|entry| entry.revocation.expires <= now) {
                self.put(place, still_in_force(&shard, now));
            }
        }
    }

    /// All entries, in the order of their numbers.
    pub(crate) fn entries(&self) -> Vec<(u64, Revocation)> {
        let shards = self.shards.iter().map(ArcSwap::load_full);
        let mut all: Vec<_> = shards
            .flat_map(|shard| {
                let entries = shard.values().flatten();
                entries
                    .map(|entry| (entry.sequence, entry.revocation.clone()))
                    .collect::<Vec<_>>()
            })
            .collect();
        all.sort_by_key(|(sequence, _)| *sequence);
        all
    }

    /// Makes these the only entries. At no moment is an entry missing that is in both.
    pub(crate) fn replace(&self, revocations: Vec<(u64, Revocation)>) {
        let mut shards: Vec<Shard> = (0..SHARDS).map(|_| Shard::default()).collect();
        for (sequence, revocation) in revocations {
            if let Some((handle, entry)) = self.entry(sequence, revocation)
                && let Some(shard) = shards.get_mut(place(handle))
            {
                shard.entry(handle).or_default().push(Arc::new(entry));
            }
        }
        for (old, new) in self.shards.iter().zip(shards) {
            self.put(old, new);
        }
    }

    /// Counts never say less than there is, so that a reader never skips an entry.
    fn put(&self, shard: &ArcSwap<Shard>, changed: Shard) {
        self.count(&changed, |count, of_kind| {
            count.fetch_add(of_kind, Ordering::AcqRel);
        });
        let old = shard.swap(Arc::new(changed));
        self.count(&old, |count, of_kind| {
            count.fetch_sub(of_kind, Ordering::AcqRel);
        });
    }

    fn count(&self, shard: &Shard, change: impl Fn(&AtomicUsize, usize)) {
        for (kind, count) in Kind::ALL.iter().zip(&self.counts) {
            let of_kind = shard.values().flatten().filter(|entry| entry.kind == *kind).count();
            change(count, of_kind);
            change(&self.total, of_kind);
        }
    }

    fn entry(&self, sequence: u64, revocation: Revocation) -> Option<(u64, Entry)> {
        let (kind, name) = Kind::of_target(&revocation.target)?;
        let handle = self.handle(kind, name);
        Some((
            handle,
            Entry {
                kind,
                sequence,
                revocation,
            },
        ))
    }

    fn handle(&self, kind: Kind, name: Name<'_>) -> u64 {
        self.hasher.hash_one((kind, name))
    }

    fn shard(&self, handle: u64) -> Option<&ArcSwap<Shard>> {
        self.shards.get(place(handle))
    }
}

// === impl Entry ===

impl Entry {
    fn is_about(&self, claims: &Claims) -> bool {
        match (Kind::of_target(&self.revocation.target), self.kind.of_token(claims)) {
            (Some((_, ours)), Some(theirs)) => ours == theirs,
            _ => false,
        }
    }

    /// A token that does not say when it was issued cannot prove that it is new.
    fn covers(&self, issued_at: Option<UnixTime>) -> bool {
        match (self.revocation.issued_before, issued_at) {
            (Some(before), Some(issued_at)) => issued_at < before,
            _ => true,
        }
    }
}

// === impl AsItIs ===

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached: the keys are u64. It mixes nevertheless, so that nothing breaks if they change.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, handle: u64) {
        self.0 = handle;
    }
}

fn place(handle: u64) -> usize {
    // The map inside the shard uses the low and the top bits.
    usize::try_from((handle >> 32) % SHARDS as u64).unwrap_or(0)
}

fn still_in_force(shard: &Shard, now: UnixTime) -> Shard {
    let mut kept = Shard::default();
    for (handle, entries) in shard {
        let entries: Vec<_> = entries
            .iter()
            .filter(|entry| now < entry.revocation.expires)
            .cloned()
            .collect();
        if !entries.is_empty() {
            kept.insert(*handle, entries);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use portcullis_store::{RevocationTarget, TokenId};
    use serde_json::json;

    use super::*;
    use crate::testing::claims;

    const ISS: &str = "https://issuer.test";

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    fn revoke(target: RevocationTarget) -> Revocation {
        Revocation {
            target,
            issued_before: None,
            expires: at(1_000),
            reason: "test".into(),
        }
    }

    fn found(list: &RevocationList, token: &serde_json::Value, now: i64) -> Option<&'static str> {
        let claims = claims(token);
        let issued_at = claims.time("iat").unwrap();
        list.find(&list.handles(&claims), &claims, issued_at, at(now))
    }

    fn full() -> serde_json::Value {
        json!({"iss": ISS, "sub": "alice", "jti": "t1", "sid": "s1", "client_id": "web", "iat": 100})
    }

    fn without(claim: &str, other: &str) -> serde_json::Value {
        let mut token = full();
        token[claim] = other.into();
        token
    }

    #[test]
    fn each_target_finds_its_tokens_and_no_others() {
        let iss = || ISS.to_owned();
        let hash = *claims(&full()).signed_part_hash();
        for (target, name, twin) in [
            (
                RevocationTarget::Token {
                    id: TokenId::Jti {
                        iss: iss(),
                        jti: "t1".into(),
                    },
                },
                "token",
                without("jti", "t2"),
            ),
            (
                RevocationTarget::Token {
                    id: TokenId::SignedPart(hash),
                },
                "token",
                without("nonsense", "x"),
            ),
            (
                RevocationTarget::Session {
                    iss: iss(),
                    sid: "s1".into(),
                },
                "session",
                without("sid", "s2"),
            ),
            (
                RevocationTarget::Subject {
                    iss: iss(),
                    sub: "alice".into(),
                },
                "subject",
                without("sub", "Alice"),
            ),
            (
                RevocationTarget::Client {
                    iss: iss(),
                    client_id: "web".into(),
                },
                "client",
                without("client_id", "web2"),
            ),
            (
                RevocationTarget::Issuer { iss: iss() },
                "issuer",
                without("iss", "https://issuer.test/"),
            ),
        ] {
            let list = RevocationList::new();
            assert_eq!(found(&list, &full(), 500), None);
            list.add([(1, revoke(target.clone()))], at(500));
            assert_eq!(found(&list, &full(), 500), Some(name), "{target:?}");
            assert_eq!(found(&list, &twin, 500), None, "{target:?}");
            if name != "issuer" {
                assert_eq!(
                    found(&list, &json!({"iss": ISS}), 500),
                    None,
                    "a token without the claim: {target:?}"
                );
            }
        }
    }

    #[test]
    fn the_same_name_at_another_issuer_is_another() {
        let list = RevocationList::new();
        list.add(
            [(
                1,
                revoke(RevocationTarget::Subject {
                    iss: "https://other.test".into(),
                    sub: "alice".into(),
                }),
            )],
            at(0),
        );
        assert_eq!(found(&list, &full(), 0), None);
    }

    #[test]
    fn issued_before_spares_what_is_newer() {
        let list = RevocationList::new();
        let target = RevocationTarget::Subject {
            iss: ISS.into(),
            sub: "alice".into(),
        };
        list.add(
            [(
                1,
                Revocation {
                    issued_before: Some(at(100)),
                    ..revoke(target)
                },
            )],
            at(0),
        );
        assert_eq!(found(&list, &full(), 0), None, "issued at 100");
        let mut old = full();
        old["iat"] = 99.into();
        assert_eq!(found(&list, &old, 0), Some("subject"));
        old.as_object_mut().unwrap().remove("iat");
        assert_eq!(
            found(&list, &old, 0),
            Some("subject"),
            "without iat it cannot prove to be newer"
        );
    }

    #[test]
    fn entries_end_by_themselves_and_are_dropped_by_later_ones() {
        let list = RevocationList::new();
        let target = || RevocationTarget::Subject {
            iss: ISS.into(),
            sub: "alice".into(),
        };
        list.add([(1, revoke(target()))], at(0));
        assert_eq!(found(&list, &full(), 999), Some("subject"));
        assert_eq!(found(&list, &full(), 1_000), None);
        list.add(
            [(
                2,
                Revocation {
                    expires: at(2_000),
                    ..revoke(target())
                },
            )],
            at(1_000),
        );
        assert_eq!((list.len(), found(&list, &full(), 1_000)), (1, Some("subject")));
    }

    fn subject(sub: &str) -> Revocation {
        revoke(RevocationTarget::Subject {
            iss: ISS.into(),
            sub: sub.into(),
        })
    }

    #[test]
    fn the_same_number_is_one_entry_and_replacing_forgets_the_rest() {
        let list = RevocationList::new();
        list.add([(1, subject("alice")), (2, subject("bob"))], at(0));
        list.add([(1, subject("alice"))], at(0));
        assert_eq!(list.len(), 2);
        list.replace(vec![(2, subject("bob"))]);
        assert_eq!((list.len(), found(&list, &full(), 0)), (1, None));
        assert_eq!(found(&list, &without("sub", "bob"), 0), Some("subject"));
    }

    #[test]
    fn many_entries_are_all_found() {
        let list = RevocationList::new();
        let names: Vec<String> = (0..500).map(|number| format!("user-{number}")).collect();
        let entries = names.iter().zip(1..).map(|(sub, sequence)| (sequence, subject(sub)));
        list.add(entries, at(0));
        assert_eq!(list.len(), 500);
        for sub in names.iter().step_by(50) {
            assert_eq!(found(&list, &without("sub", sub), 0), Some("subject"), "{sub}");
        }
        assert_eq!(list.entries()[41], (42, subject("user-41")));
        assert_eq!(list.remove(42), Some(subject("user-41")));
        assert_eq!((list.remove(42), list.len()), (None, 499));
        assert_eq!(found(&list, &without("sub", "user-41"), 0), None);
        assert_eq!(found(&list, &without("sub", "user-40"), 0), Some("subject"));
        list.prune(at(999));
        assert_eq!(list.len(), 499);
        list.prune(at(1_000));
        assert_eq!((list.len(), list.entries()), (0, Vec::new()));
    }
}
