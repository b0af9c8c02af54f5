//! The store: there, readable, on a disk with room, and sealed with keys that are at hand.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_jose::Clock;
use portcullis_store::{
    KeyId, KeyRing, PostgresStore, RedisStore, RevocationStore, SealingKey, ServerFacts, SqliteStore, StoreError,
};

use crate::config::{Settings, StorePlace};
use crate::doctor::finding::{Area, Finding};
use crate::doctor::problems;

const SLOW: Duration = Duration::from_millis(200);
/// Less room is worth a word; less than the second is trouble.
const ROOM: (u64, u64) = (256 * 1024 * 1024, 16 * 1024 * 1024);
/// Seconds that the clocks of server and gateway may be apart.
const CLOCKS: i64 = 30;
const AT: [&str; 2] = ["store", "url"];

pub(crate) async fn store(settings: &Settings, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let mut area = Area::new("store");
    match &settings.store.place {
        StorePlace::Sqlite(path) => file(&mut area, settings, path, clock).await,
        StorePlace::Redis(redis) => match RedisStore::new(redis, clock.clone()) {
            Ok(store) if latency(&mut area, &store).await => {
                server(&mut area, settings, store.facts().await, clock);
            }
            Ok(_) => {}
            Err(error) => drop(area.broken("open", &problems::STORE_UNUSABLE, error.to_string()).at(AT)),
        },
        StorePlace::Postgres(postgres) => match PostgresStore::new(postgres, clock.clone()) {
            Ok(store) if latency(&mut area, &store).await => {
                server(&mut area, settings, store.facts().await, clock);
            }
            Ok(_) => {}
            Err(error) => drop(area.broken("open", &problems::STORE_UNUSABLE, error.to_string()).at(AT)),
        },
        StorePlace::Cookie => {
            area.fine("open", "none: browsers carry their sessions".to_owned());
            for limit in settings.store.limits() {
                area.skipped("limit", (*limit).to_owned());
            }
        }
    }
    area.into_findings()
}

/// A file, which is opened to be read only.
async fn file(area: &mut Area, settings: &Settings, path: &Path, clock: &Arc<dyn Clock>) {
    disk(area, path);
    if !path.exists() {
        let why = format!("there is no {} yet; the first start makes it", path.display());
        area.skipped("open", why);
        return;
    }
    let store = match SqliteStore::open_read_only(path, clock.clone()) {
        Ok(store) => store,
        Err(error) => {
            area.broken("open", &problems::STORE_UNUSABLE, error.to_string()).at(AT);
            return;
        }
    };
    match store.schema_version().await {
        Ok(version) => area.fine("open", format!("{}: SQLite, schema {version}", path.display())),
        Err(error) => {
            area.broken("open", &problems::STORE_UNUSABLE, error.to_string()).at(AT);
            return;
        }
    }
    latency(area, &store).await;
    match store.sealing_keys().await {
        Ok(used) => key_ring(area, settings, &used),
        Err(error) => drop(
            area.broken("sealing keys", &problems::STORE_UNUSABLE, error.to_string())
                .at(AT),
        ),
    }
}

/// A server that replicas share, and that has answered already.
fn server(area: &mut Area, settings: &Settings, facts: Result<ServerFacts, StoreError>, clock: &Arc<dyn Clock>) {
    let facts = match facts {
        Ok(facts) => facts,
        // A cluster has no one answer, and a user with few rights may not ask.
        Err(error) => {
            area.fine("open", settings.store.kind());
            area.skipped("server", format!("it says nothing of itself: {error}"));
            at_hand(area, settings);
            return;
        }
    };
    area.fine("open", format!("{} {}", settings.store.kind(), facts.version));
    clocks(area, facts.now.since(clock.now()));
    match facts.limit {
        Some(limit) => memory(area, facts.used, limit),
        None => area.fine(
            "size",
            format!("{} MiB, without a limit of its own", facts.used / (1024 * 1024)),
        ),
    }
    match &facts.evicts {
        // Without a limit nothing has to go.
        Some(policy) if facts.limit.is_some() => {
            let told = format!("maxmemory-policy is {policy}");
            area.warning("eviction", &problems::STORE_EVICTS, told).at(AT);
        }
        _ => area.fine("eviction", "nothing is thrown away"),
    }
    key_ring(area, settings, &facts.sealing_keys);
    if !facts.all_sessions {
        area.skipped("sealing keys", "of the other sessions, as there are many");
    }
}

/// The keys alone, where it is not known what they sealed.
fn at_hand(area: &mut Area, settings: &Settings) {
    match ring(settings) {
        Ok(Some(ring)) => {
            let keys: Vec<String> = ring.key_ids().map(|id| id.to_string()).collect();
            area.fine("sealing keys", format!("{} at hand: {}", keys.len(), keys.join(", ")));
        }
        Ok(None) => area.skipped("sealing keys", "there are none"),
        Err(why) => drop(
            area.broken("sealing keys", &problems::KEY_RING, why)
                .at(["store", "keys"]),
        ),
    }
}

/// A limit on memory may be small on purpose: what counts is the part that is left.
fn memory(area: &mut Area, used: u64, limit: u64) {
    let left = limit.saturating_sub(used);
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    let told = format!("{} of {} MiB free", mebibytes(left), mebibytes(limit));
    match left {
        left if left < limit / 50 => drop(area.broken("memory", &problems::DISK_SPACE, told).at(AT)),
        left if left < limit / 10 => drop(area.warning("memory", &problems::DISK_SPACE, told).at(AT)),
        _ => area.fine("memory", told),
    }
}

/// By how many seconds the server's clock is ahead of ours.
fn clocks(area: &mut Area, ahead: i64) {
    let told = format!("{} s from ours", ahead.abs());
    match ahead.abs() > CLOCKS {
        true => drop(area.warning("clock", &problems::STORE_CLOCK, told).at(AT)),
        false => area.fine("clock", told),
    }
}

/// Reads what every replica reads each second.
async fn latency(area: &mut Area, store: &dyn RevocationStore) -> bool {
    let begun = Instant::now();
    match store.list_after(0).await {
        Ok(list) => {
            let took = begun.elapsed();
            let told = format!("{} revocations read in {} ms", list.len(), took.as_millis());
            match took > SLOW {
                true => drop(area.warning("latency", &problems::STORE_SLOW, told).at(AT)),
                false => area.fine("latency", told),
            }
            true
        }
        Err(error) => {
            area.broken("open", &problems::STORE_UNUSABLE, error.to_string()).at(AT);
            false
        }
    }
}

/// Whether the keys at hand open every session that is stored.
fn key_ring(area: &mut Area, settings: &Settings, used: &[(KeyId, u64)]) {
    let at = ["store", "keys"];
    let ring = match ring(settings) {
        Ok(Some(ring)) => ring,
        Ok(None) if used.is_empty() => {
            area.skipped("sealing keys", "there is no key file yet; the first start makes it");
            return;
        }
        Ok(None) => {
            let sessions: u64 = used.iter().map(|(_, sessions)| sessions).sum();
            area.broken(
                "sealing keys",
                &problems::KEY_RING,
                format!("no key file, and {sessions} sessions"),
            )
            .at(at);
            return;
        }
        Err(why) => {
            area.broken("sealing keys", &problems::KEY_RING, why).at(at);
            return;
        }
    };
    let known: Vec<KeyId> = ring.key_ids().collect();
    let closed: u64 = used
        .iter()
        .filter(|(id, _)| !known.contains(id))
        .map(|(_, sessions)| sessions)
        .sum();
    let all: u64 = used.iter().map(|(_, sessions)| sessions).sum();
    match closed {
        0 => area.fine(
            "sealing keys",
            format!("{} at hand, they open all {all} sessions", known.len()),
        ),
        closed => drop(
            area.warning(
                "sealing keys",
                &problems::KEY_RING,
                format!("{closed} of {all} sessions stay closed"),
            )
            .at(at),
        ),
    }
}

/// The keys of the configuration, else those of the file beside the store, which is not made here.
fn ring(settings: &Settings) -> Result<Option<KeyRing>, String> {
    let keys = &settings.store.keys;
    if let (true, Some(path)) = (keys.is_empty(), settings.store.sqlite()) {
        let path = path.with_extension("key");
        return match path.exists() {
            true => KeyRing::load_or_create(&path)
                .map(Some)
                .map_err(|error| error.to_string()),
            false => Ok(None),
        };
    }
    let keys: Result<Vec<SealingKey>, _> = keys.iter().map(|key| SealingKey::parse(key.expose())).collect();
    keys.and_then(KeyRing::from_keys)
        .map(Some)
        .map_err(|error| error.to_string())
}

fn disk(area: &mut Area, path: &Path) {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let free = match rustix::fs::statvfs(directory) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            area.broken(
                "disk",
                &problems::STORE_UNUSABLE,
                format!("{}: {error}", directory.display()),
            )
            .at(AT);
            return;
        }
    };
    room(area, free);
}

fn room(area: &mut Area, free: u64) {
    let told = format!("{} MiB free", free / (1024 * 1024));
    match free {
        free if free < ROOM.1 => drop(area.broken("disk", &problems::DISK_SPACE, told).at(AT)),
        free if free < ROOM.0 => drop(area.warning("disk", &problems::DISK_SPACE, told).at(AT)),
        _ => area.fine("disk", told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn a_disk_that_is_almost_full_is_told_of() {
        let outcome = |free| {
            let mut area = Area::new("store");
            room(&mut area, free);
            area.into_findings().first().unwrap().outcome
        };
        assert_eq!(outcome(ROOM.0), Outcome::Fine);
        assert_eq!(outcome(ROOM.0 - 1), Outcome::Warning);
        assert_eq!(outcome(ROOM.1 - 1), Outcome::Broken);
    }

    #[test]
    fn memory_that_is_almost_full_is_told_of() {
        let outcome = |used| {
            let mut area = Area::new("store");
            memory(&mut area, used, 1_000);
            area.into_findings().first().unwrap().outcome
        };
        for (used, expected) in [
            (0, Outcome::Fine),
            (900, Outcome::Fine),
            (901, Outcome::Warning),
            (980, Outcome::Warning),
            (981, Outcome::Broken),
            (2_000, Outcome::Broken),
        ] {
            assert_eq!(outcome(used), expected, "{used}");
        }
    }

    #[test]
    fn a_clock_that_differs_is_told_of() {
        let outcome = |ahead: i64| {
            let mut area = Area::new("store");
            clocks(&mut area, ahead);
            area.into_findings().first().unwrap().outcome
        };
        for (ahead, expected) in [
            (0, Outcome::Fine),
            (CLOCKS, Outcome::Fine),
            (-CLOCKS, Outcome::Fine),
            (CLOCKS + 1, Outcome::Warning),
            (-CLOCKS - 1, Outcome::Warning),
        ] {
            assert_eq!(outcome(ahead), expected, "{ahead}");
        }
    }
}
