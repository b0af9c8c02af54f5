//! The sealing keys of a running gateway: looked at again and again, so that a new one needs no restart.

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Audit, Event, Refused};
use portcullis_bff::Bff;
use portcullis_guard::DpopNonces;
use portcullis_jose::{Clock, Secret, UnixTime};
use portcullis_store::{KeyId, KeyRing, SealingKey};

use super::own::Own;
use crate::config::{SecretSource, Settings, sealing_keys};
use crate::secret_source::Shape;

/// Files are read so often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Programs are run so often, and the files with them, where there are any.
const RUN_EVERY: Duration = Duration::from_secs(30);

/// What is sealed with the ring.
pub(super) struct Sealed {
    pub(super) bffs: Vec<Bff>,
    pub(super) nonces: Option<DpopNonces>,
    pub(super) own: Own,
}

/// The keys of the configuration, else those of a file beside the store, which is made at the first start.
///
/// # Errors
/// What is wrong with them, in words that hold nothing of them.
pub(crate) fn key_ring(settings: &Settings) -> Result<KeyRing, String> {
    if let (true, Some(path)) = (settings.store.keys.is_empty(), settings.store.sqlite()) {
        return KeyRing::load_or_create(path.with_extension("key")).map_err(|error| error.to_string());
    }
    ring_of(&settings.store.keys)
}

/// Takes over other keys as soon as they are there. Keys that cannot be used change nothing, and are told once.
pub(super) async fn keep_up(
    settings: Settings,
    mut known: Vec<KeyId>,
    sealed: Sealed,
    audit: Audit,
    clock: Arc<dyn Clock>,
) {
    let mut told = None;
    let programs = settings.store.key_sources.iter().any(|(source, _)| is_program(source));
    let every = if programs { RUN_EVERY } else { LOOK_EVERY };
    loop {
        tokio::time::sleep(every).await;
        let settings = settings.clone();
        // Files and programs: they may take their time.
        let read = tokio::task::spawn_blocking(move || look(&settings)).await;
        let taken = match read {
            Ok(Ok(ring)) if ids(&ring) == known => {
                told = None;
                continue;
            }
            Ok(Ok(ring)) => match sealed.rekey(&ring) {
                Ok(()) => sealed.reseal(clock.now()).await.map(|()| ids(&ring)),
                Err(why) => Err(why),
            },
            Ok(Err(why)) => Err(why),
            Err(_) => continue,
        };
        match taken {
            Ok(ids) => {
                let keys = ids.iter().map(ToString::to_string).collect();
                audit.emit(None, Event::SealingKeysLoaded { keys });
                (known, told) = (ids, None);
            }
            Err(why) if told.as_ref() != Some(&why) => {
                let refused = Refused::new("store.keys_unusable").found(&why);
                audit.emit(None, Event::SealingKeysRefused { refused });
                told = Some(why);
            }
            Err(_) => {}
        }
    }
}

/// What is there now.
pub(super) fn look(settings: &Settings) -> Result<KeyRing, String> {
    if let (true, Some(path)) = (settings.store.keys.is_empty(), settings.store.sqlite()) {
        let path = path.with_extension("key");
        // None is made here: what was sealed with the one that is gone could not be opened.
        return match path.exists() {
            true => KeyRing::load_or_create(&path).map_err(|error| error.to_string()),
            false => Err(format!("{}: the file is gone", path.display())),
        };
    }
    let mut keys = Vec::new();
    for (source, text) in &settings.store.key_sources {
        // A variable that is not of this process keeps what it had at the start.
        let read = source.read(Shape::Key).map_err(|why| format!("{source}: {why}"))?;
        let read = read.unwrap_or_else(|| text.clone());
        keys.extend(sealing_keys(&read).map(Secret::new));
    }
    ring_of(&keys)
}

fn ring_of(keys: &[Secret]) -> Result<KeyRing, String> {
    let keys: Result<Vec<SealingKey>, _> = keys.iter().map(|key| SealingKey::parse(key.expose())).collect();
    keys.and_then(KeyRing::from_keys).map_err(|error| error.to_string())
}

fn is_program(source: &SecretSource) -> bool {
    matches!(source, SecretSource::Command { .. })
}

fn ids(ring: &KeyRing) -> Vec<KeyId> {
    ring.key_ids().collect()
}

impl Sealed {
    fn rekey(&self, ring: &KeyRing) -> Result<(), String> {
        let mut bffs = self.bffs.iter();
        let bff = bffs.try_for_each(|bff| bff.rekey(ring));
        bff.and_then(|()| self.nonces.as_ref().map_or(Ok(()), |nonces| nonces.rekey(ring)))
            .map_err(|error| error.to_string())
    }

    /// The keys of clients lie in files, which are sealed anew at once: nobody uses them one by one as sessions are.
    async fn reseal(&self, now: UnixTime) -> Result<(), String> {
        let own = self.own.clone();
        let resealed =
            tokio::task::spawn_blocking(move || own.iter().try_for_each(|(_, keys)| keys.reseal(now).map(drop)));
        resealed
            .await
            .unwrap_or_else(|_| Err("the keys of clients could not be sealed anew".to_owned()))
    }
}
