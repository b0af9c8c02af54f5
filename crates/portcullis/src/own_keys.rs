//! Key pairs that Portcullis makes for a client, keeps sealed in a file, publishes and replaces on a schedule.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use portcullis_jose::{Secret, SigningKey, UnixTime};
use portcullis_store::{KeyRing, SealError, Sealer};
use serde::{Deserialize, Serialize};

use crate::config::OwnKeySettings;
use crate::secret_source::Stamp;

/// A new key signs only when it has been published for so many seconds: providers keep what they have fetched.
pub(crate) const LEAD: i64 = 3_600;

/// A file that cannot be opened is tried again after so many seconds; what was read before counts meanwhile.
const AGAIN: i64 = 5;

/// Gives the sealing keys as they are now.
pub(crate) type CurrentRing = Box<dyn Fn() -> Result<KeyRing, String> + Send + Sync>;

/// The keys of one client.
pub(crate) struct OwnKeys {
    client: String,
    settings: OwnKeySettings,
    sealer: Sealer,
    ring: CurrentRing,
    known: Mutex<Option<Known>>,
}

/// What was read of the file.
struct Known {
    stamp: Stamp,
    keys: Vec<OwnKey>,
    /// The file with this stamp is another, and could not be opened: it is tried again then.
    again: Option<UnixTime>,
}

/// A key, and since when it is there.
#[derive(Clone, Debug)]
pub(crate) struct OwnKey {
    pub(crate) key: SigningKey,
    pub(crate) created: UnixTime,
}

/// What a key is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Published, and not used yet.
    Next,
    /// It signs.
    Signing,
    /// Published for what it has signed.
    Former,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    created: i64,
    jwk: String,
}

impl OwnKeys {
    /// With the sealing keys that are there now, and how to get them later: they change while the program runs.
    pub(crate) fn new(
        client: &str,
        settings: &OwnKeySettings,
        now: &KeyRing,
        ring: CurrentRing,
    ) -> Result<OwnKeys, String> {
        let sealer = Sealer::new(now, "keys of a client").map_err(|error| error.to_string())?;
        Ok(OwnKeys {
            client: client.to_owned(),
            settings: settings.clone(),
            sealer,
            ring,
            known: Mutex::default(),
        })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.settings.file
    }

    /// The keys, the newest first. The first one is made where there is none. Where the file cannot be opened any more,
    /// those that were read before.
    pub(crate) fn all(&self, now: UnixTime) -> Result<Vec<OwnKey>, String> {
        let stamp = Stamp::of([self.file()]);
        if let Some(known) = &*self.known.lock().unwrap_or_else(PoisonError::into_inner)
            && known.stamp == stamp
            && known.again.is_none_or(|again| now < again)
        {
            return Ok(known.keys.clone());
        }
        let read = self.read(now);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match (read, known.as_mut()) {
            (Ok((keys, _)), _) => {
                *known = Some(Known {
                    stamp: Stamp::of([self.file()]),
                    keys: keys.clone(),
                    again: None,
                });
                Ok(keys)
            }
            (Err(_), Some(known)) => {
                (known.stamp, known.again) = (stamp, Some(now.plus(AGAIN)));
                Ok(known.keys.clone())
            }
            (Err(why), None) => Err(why),
        }
    }

    /// What is in the file, and whether another key than the first of the ring has sealed it.
    fn read(&self, now: UnixTime) -> Result<(Vec<OwnKey>, bool), String> {
        match std::fs::read(self.file()) {
            Ok(sealed) => self.open(&sealed),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let first = vec![self.make(now)?];
                self.save(&first)?;
                Ok((first, false))
            }
            Err(error) => Err(format!("{}: {error}", self.file().display())),
        }
    }

    /// Seals the file with the first key of the ring, where another one has. Says whether it did.
    pub(crate) fn reseal(&self, now: UnixTime) -> Result<bool, String> {
        self.take_ring()?;
        let (keys, is_due) = self.read(now)?;
        if is_due {
            self.save(&keys)?;
        }
        Ok(is_due)
    }

    fn take_ring(&self) -> Result<(), String> {
        self.sealer.rekey(&(self.ring)()?).map_err(|error| error.to_string())
    }

    /// The keys that may sign, the best first: the newest that has been published for a while.
    pub(crate) fn signing(&self, now: UnixTime) -> Result<Vec<OwnKey>, String> {
        let mut keys = self.all(now)?;
        let roles = roles(&keys, now);
        let mut order: Vec<(bool, OwnKey)> = keys
            .drain(..)
            .zip(roles)
            .map(|(key, role)| (role != Role::Signing, key))
            .collect();
        order.sort_by_key(|(later, _)| *later);
        Ok(order.into_iter().map(|(_, key)| key).collect())
    }

    /// Adds a key, and removes those that are over.
    pub(crate) fn rotate(&self, now: UnixTime) -> Result<OwnKey, String> {
        // Not what was read before: what is written replaces the file.
        let (mut keys, _) = self.read(now)?;
        let next = self.make(now)?;
        keys.insert(0, next.clone());
        self.save(&tidied(keys, self.settings.overlap, now))?;
        Ok(next)
    }

    /// Rotates where the newest key is as old as the schedule allows. Says whether it did.
    pub(crate) fn rotate_if_due(&self, now: UnixTime) -> Result<Option<OwnKey>, String> {
        let newest = self.read(now)?.0.first().map(|key| key.created);
        let due = newest.is_none_or(|created| now.since(created) >= self.settings.rotate);
        due.then(|| self.rotate(now)).transpose()
    }

    /// Removes a key at once, as after a theft. Says whether it was there. The last one is not removed.
    pub(crate) fn retire(&self, kid: &str, now: UnixTime) -> Result<bool, String> {
        let (mut keys, _) = self.read(now)?;
        let before = keys.len();
        keys.retain(|key| key.key.kid() != kid);
        if keys.len() == before {
            return Ok(false);
        }
        if keys.is_empty() {
            return Err("it is the only key: rotate first, and register the new one".to_owned());
        }
        self.save(&keys)?;
        Ok(true)
    }

    fn make(&self, now: UnixTime) -> Result<OwnKey, String> {
        let key = SigningKey::generate(self.settings.algorithm).map_err(|error| error.to_string())?;
        Ok(OwnKey { key, created: now })
    }

    fn open(&self, sealed: &[u8]) -> Result<(Vec<OwnKey>, bool), String> {
        let unusable = |why: String| format!("{}: {why}", self.file().display());
        let mut opened = self.sealer.open(self.client.as_bytes(), sealed);
        if let Err(SealError::UnknownKey { .. }) = opened {
            // Somebody who has newer sealing keys has written it.
            self.take_ring()?;
            opened = self.sealer.open(self.client.as_bytes(), sealed);
        }
        let opened = opened.map_err(|error| unusable(error.to_string()))?;
        let kept: Vec<Kept> = serde_json::from_slice(&opened.plaintext).map_err(|_| unusable("no keys".into()))?;
        let read = |kept: Kept| {
            let key = SigningKey::from_private_jwk(&Secret::new(kept.jwk), None);
            let key = key.map_err(|error| unusable(error.to_string()))?;
            Ok(OwnKey {
                key,
                created: UnixTime::from_secs(kept.created),
            })
        };
        let keys: Result<Vec<OwnKey>, String> = kept.into_iter().map(read).collect();
        Ok((keys?, opened.needs_reseal))
    }

    /// Writes a new file beside the old one and puts it in its place, sealed by the first of the keys that are there now.
    fn save(&self, keys: &[OwnKey]) -> Result<(), String> {
        self.take_ring()?;
        let kept: Result<Vec<Kept>, String> = keys
            .iter()
            .map(|key| {
                let jwk = key.key.to_private_jwk().map_err(|error| error.to_string())?;
                Ok(Kept {
                    created: key.created.as_secs(),
                    jwk: jwk.expose().to_owned(),
                })
            })
            .collect();
        let clear = Secret::new(serde_json::to_string(&kept?).map_err(|error| error.to_string())?);
        let sealed = self.sealer.seal(self.client.as_bytes(), clear.expose().as_bytes());
        let sealed = sealed.map_err(|error| error.to_string())?;
        let failed = |error: std::io::Error| format!("{}: {error}", self.file().display());
        let dir = self.file().parent().filter(|dir| !dir.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(dir.unwrap_or(Path::new("."))).map_err(failed)?;
        std::io::Write::write_all(&mut file, &sealed).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(self.file()).map_err(|error| failed(error.error))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

impl fmt::Debug for OwnKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnKeys")
            .field("client", &self.client)
            .field("file", &self.file())
            .finish_non_exhaustive()
    }
}

/// What each of the keys, the newest first, is good for.
pub(crate) fn roles(keys: &[OwnKey], now: UnixTime) -> Vec<Role> {
    let settled = keys.iter().position(|key| now.since(key.created) >= LEAD);
    // Where none has been published for long, the oldest is the one that providers know.
    let signing = settled.unwrap_or(keys.len().saturating_sub(1));
    (0..keys.len())
        .map(|at| match at.cmp(&signing) {
            std::cmp::Ordering::Less => Role::Next,
            std::cmp::Ordering::Equal => Role::Signing,
            std::cmp::Ordering::Greater => Role::Former,
        })
        .collect()
}

/// Without those whose successor has signed for longer than the overlap.
fn tidied(keys: Vec<OwnKey>, overlap: i64, now: UnixTime) -> Vec<OwnKey> {
    let mut successor: Option<UnixTime> = None;
    keys.into_iter()
        .filter(|key| {
            let over = successor.is_some_and(|began| now.since(began) > LEAD + overlap);
            successor = Some(key.created);
            !over
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use portcullis_jose::Algorithm;
    use portcullis_store::SealingKey;

    use super::*;

    const DAY: i64 = 86_400;

    const OLD: &str = "07c4b1e2953fa86d7e0b19cd42f6a5380ed97b61c3f2458a96eb71d03c85f24a";
    const NEW: &str = "e5a1c9f37b2d4860915cd3fe8a07b64112fd5e9c30a8b7746e1d02c95fb83a6e";

    fn ring(keys: &[&str]) -> KeyRing {
        KeyRing::from_keys(keys.iter().map(|key| SealingKey::parse(key).unwrap()).collect()).unwrap()
    }

    fn own(dir: &Path, keys: &'static [&str]) -> OwnKeys {
        own_by(dir, &ring(keys), Box::new(move || Ok(ring(keys))))
    }

    fn own_by(dir: &Path, now: &KeyRing, ring: CurrentRing) -> OwnKeys {
        let settings = OwnKeySettings {
            file: dir.join("keys"),
            rotate: 90 * DAY,
            overlap: 7 * DAY,
            algorithm: Algorithm::ES256,
        };
        OwnKeys::new("web", &settings, now, ring).unwrap()
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after() {
        let dir = tempfile::tempdir().unwrap();
        let keys = own(dir.path(), &[OLD]);
        let start = UnixTime::from_secs(1_800_000_000);
        let first = keys.all(start).unwrap().remove(0);
        let signs = |now: UnixTime| keys.signing(now).unwrap()[0].key.kid().to_owned();
        assert_eq!(signs(start), first.key.kid(), "there is no other");
        assert!(keys.rotate_if_due(start.plus(90 * DAY - 1)).unwrap().is_none());
        let begun = start.plus(90 * DAY);
        let second = keys.rotate_if_due(begun).unwrap().unwrap();
        assert_eq!(roles(&keys.all(begun).unwrap(), begun), [Role::Next, Role::Signing]);
        assert_eq!(signs(begun.plus(LEAD - 1)), first.key.kid());
        assert_eq!(signs(begun.plus(LEAD)), second.key.kid());
        assert_eq!(keys.all(begun.plus(DAY)).unwrap().len(), 2);
        // With the next rotation the one before the last is long over.
        keys.rotate(begun.plus(90 * DAY)).unwrap();
        let kids: Vec<_> = keys
            .all(begun)
            .unwrap()
            .iter()
            .map(|key| key.key.kid().to_owned())
            .collect();
        assert_eq!((kids.len(), kids[1].as_str()), (2, second.key.kid()));
        assert!(keys.retire(second.key.kid(), begun).unwrap() && !keys.retire("nobody", begun).unwrap());
        assert!(keys.retire(&kids[0], begun).is_err(), "the only one");
    }

    #[test]
    fn the_file_is_sealed_for_its_client() {
        let dir = tempfile::tempdir().unwrap();
        let now = UnixTime::from_secs(1_800_000_000);
        let made = own(dir.path(), &[OLD]).all(now).unwrap();
        let bytes = std::fs::read(dir.path().join("keys")).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("kty"));
        let again = own(dir.path(), &[OLD]).all(now).unwrap();
        assert_eq!(again[0].key.kid(), made[0].key.kid());
        assert!(own(dir.path(), &[NEW]).all(now).is_err());
    }

    #[test]
    fn other_sealing_keys_are_taken_over() {
        use std::sync::Arc;

        let dir = tempfile::tempdir().unwrap();
        let now = UnixTime::from_secs(1_800_000_000);
        let current: Arc<Mutex<&[&str]>> = Arc::new(Mutex::new(&[OLD]));
        let source = Arc::clone(&current);
        let running = own_by(
            dir.path(),
            &ring(&[OLD]),
            Box::new(move || Ok(ring(&source.lock().unwrap()))),
        );
        let first = running.all(now).unwrap()[0].key.kid().to_owned();
        // Another program rotates with a key that the running one has not seen, and cannot have yet.
        let second = own(dir.path(), &[NEW, OLD]).rotate(now).unwrap().key.kid().to_owned();
        let kids = |keys: &OwnKeys, now| {
            let keys = keys.all(now).unwrap();
            keys.iter().map(|key| key.key.kid().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            kids(&running, now),
            std::slice::from_ref(&first),
            "what was read before"
        );
        assert!(running.rotate(now).is_err(), "it would write over what it cannot read");
        *current.lock().unwrap() = &[NEW, OLD];
        assert_eq!(kids(&running, now.plus(AGAIN)), [second.clone(), first.clone()]);
        // The key is put behind, and the file is sealed with the first.
        *current.lock().unwrap() = &[OLD, NEW];
        assert!(running.reseal(now).unwrap() && !running.reseal(now).unwrap());
        assert_eq!(kids(&own(dir.path(), &[OLD]), now), [second, first]);
        assert!(own(dir.path(), &[NEW]).all(now).is_err());
    }
}
