//! The file with the sealing keys, which a running gateway reads again.

use std::fs::File;
use std::path::{Path, PathBuf};

use portcullis_jose::{Secret, random_token};
use portcullis_store::{KeyId, KeyRing, SealingKey};

use super::draft::Draft;
use super::journal::is_at;
use crate::config::{SecretSource, Settings};
use crate::secret_source::Shape;

/// Where a new key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It seals from now on.
    First,
    /// It opens, and does not seal yet.
    Behind,
}

/// The file of the sealing keys, locked, and its lines.
struct RingFile {
    path: PathBuf,
    lines: Vec<String>,
    _lock: File,
}

/// Adds a new key, and gives its name.
pub(crate) fn add(settings: &Settings, place: Place) -> Result<KeyId, String> {
    let mut file = RingFile::open(settings)?;
    let text = random_token(32);
    let made = SealingKey::parse(&text).map_err(|error| error.to_string())?;
    let first = file.lines.iter().position(|line| is_key(line));
    let first = first.ok_or_else(|| format!("{}: there is no key in it", file.path.display()))?;
    let at = match place {
        Place::First => first,
        Place::Behind => first + 1,
    };
    file.lines.insert(at, text);
    file.save()?;
    Ok(made.id())
}

/// Removes a key that does not seal. Says whether it was there.
pub(crate) fn remove(settings: &Settings, name: &str) -> Result<bool, String> {
    let mut file = RingFile::open(settings)?;
    let is_it = |line: &String| is_key(line) && SealingKey::parse(line).is_ok_and(|key| key.id().to_string() == name);
    let Some(at) = file.lines.iter().position(is_it) else {
        return Ok(false);
    };
    if file.lines.iter().position(|line| is_key(line)) == Some(at) {
        return Err(format!("key {name} is the one that seals: rotate first"));
    }
    file.lines.remove(at);
    file.save()?;
    Ok(true)
}

// === impl RingFile ===

impl RingFile {
    fn open(settings: &Settings) -> Result<RingFile, String> {
        let path = path(settings)?;
        let failed = |why: String| format!("{}: {why}", path.display());
        let lock = File::open(&path).map_err(|error| failed(error.to_string()))?;
        lock.lock().map_err(|error| failed(error.to_string()))?;
        if !is_at(&lock, &path) {
            return Err(failed("somebody else has just changed it; try again".to_owned()));
        }
        let text = SecretSource::File(path.clone()).read(Shape::Key).map_err(failed)?;
        let text = text.ok_or_else(|| failed("there is nothing in it".to_owned()))?;
        let lines = text.expose().lines().map(str::to_owned).collect();
        Ok(RingFile {
            lines,
            _lock: lock,
            path,
        })
    }

    fn save(&self) -> Result<(), String> {
        let keys = self
            .lines
            .iter()
            .filter(|line| is_key(line))
            .map(|line| SealingKey::parse(line));
        let keys: Result<Vec<SealingKey>, _> = keys.collect();
        // What a gateway would refuse is not written.
        keys.and_then(KeyRing::from_keys)
            .map_err(|error| format!("{}: {error}", self.path.display()))?;
        Draft::begin(&self.path)?.put(&Secret::new(self.lines.join("\n")))
    }
}

fn path(settings: &Settings) -> Result<PathBuf, String> {
    match (settings.store.key_sources.as_slice(), settings.store.sqlite()) {
        ([], Some(database)) => {
            let path: &Path = database;
            Ok(path.with_extension("key"))
        }
        ([(SecretSource::File(path), _), ..], _) => Ok(path.clone()),
        ([(source, _), ..], _) => Err(format!(
            "the sealing keys come from {source}, where nothing can be written"
        )),
        ([], None) => Err("the configuration has no sealing keys".to_owned()),
    }
}

fn is_key(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}
