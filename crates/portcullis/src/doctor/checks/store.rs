//! The store: there, readable, on a disk with room, and sealed with keys that are at hand.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_jose::Clock;
use portcullis_store::{KeyId, KeyRing, RevocationStore, SealingKey, SqliteStore};

use crate::config::Settings;
use crate::doctor::finding::{Area, Finding};
use crate::doctor::problems;

const SLOW: Duration = Duration::from_millis(200);
/// Less room is worth a word; less than the second is trouble.
const ROOM: (u64, u64) = (256 * 1024 * 1024, 16 * 1024 * 1024);
const AT: [&str; 2] = ["store", "url"];

pub(crate) async fn store(settings: &Settings, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let mut area = Area::new("store");
    let path = &settings.store.sqlite;
    disk(&mut area, path);
    if !path.exists() {
        area.skipped(
            "open",
            format!("there is no {} yet; the first start makes it", path.display()),
        );
        return area.into_findings();
    }
    let begun = Instant::now();
    let store = match SqliteStore::open_read_only(path, clock.clone()) {
        Ok(store) => store,
        Err(error) => {
            area.broken("open", &problems::STORE_UNUSABLE, error.to_string()).at(AT);
            return area.into_findings();
        }
    };
    match store.schema_version().await {
        Ok(version) => area.fine("open", format!("{}: SQLite, schema {version}", path.display())),
        Err(error) => {
            area.broken("open", &problems::STORE_UNUSABLE, error.to_string()).at(AT);
            return area.into_findings();
        }
    }
    match store.list_after(0).await {
        Ok(list) => {
            let took = begun.elapsed();
            let told = format!("{} revocations read in {} ms", list.len(), took.as_millis());
            match took > SLOW {
                true => drop(area.warning("latency", &problems::STORE_SLOW, told).at(AT)),
                false => area.fine("latency", told),
            }
        }
        Err(error) => drop(
            area.broken("latency", &problems::STORE_UNUSABLE, error.to_string())
                .at(AT),
        ),
    }
    match store.sealing_keys().await {
        Ok(used) => key_ring(&mut area, settings, &used),
        Err(error) => drop(
            area.broken("sealing keys", &problems::STORE_UNUSABLE, error.to_string())
                .at(AT),
        ),
    }
    area.into_findings()
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
    if keys.is_empty() {
        let path = settings.store.sqlite.with_extension("key");
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
}
