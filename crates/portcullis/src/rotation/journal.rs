use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use portcullis_jose::{Secret, UnixTime};
use serde::{Deserialize, Serialize};

use super::draft::sync_directory;

/// What is known of a rotation that is not over, in a file for its owner alone: one JSON object in a line, the newest
/// last. The file is locked, so that two rotations of one secret do not meet.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    client: String,
    was_asked: bool,
    secret: Option<Secret>,
    token: Option<Secret>,
    is_resumed: bool,
}

/// How each line begins.
const BEGINS: &str = "{\"client\":";

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Line {
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_access_token: Option<String>,
}

impl Journal {
    /// Opens the one that was left behind, or begins a new one.
    pub(super) fn open(path: &Path, client: &str) -> Result<Journal, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "another rotation of the secret of client {client} is under way"
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let mut journal = Journal {
            path: path.to_owned(),
            file,
            client: client.to_owned(),
            was_asked: false,
            secret: None,
            token: None,
            is_resumed: !text.is_empty(),
        };
        let (whole, cut_off) = text.rsplit_once('\n').unwrap_or(("", &text));
        for line in whole.lines() {
            let line: Line = serde_json::from_str(line).map_err(|_| foreign(path))?;
            if line.client != client {
                let other = &line.client;
                return Err(format!(
                    "{}: an unfinished rotation of client {other}, which has the same file; finish that one first",
                    path.display()
                ));
            }
            journal.was_asked |= line.asked_at.is_some();
            let newer = |known: Option<Secret>, line: Option<String>| line.map(Secret::new).or(known);
            journal.secret = newer(journal.secret.take(), line.client_secret);
            journal.token = newer(journal.token.take(), line.registration_access_token);
        }
        if !cut_off.is_empty() {
            if !cut_off.starts_with(BEGINS) && !BEGINS.starts_with(cut_off) {
                return Err(foreign(path));
            }
            // Its writer was killed in the middle of it.
            let whole = text.len() - cut_off.len();
            journal.file.set_len(whole as u64).map_err(failed)?;
        }
        Ok(journal)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was left behind by a rotation that did not come to its end.
    pub(super) fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Whether the provider was asked for a new secret, and the answer is not known.
    pub(super) fn was_asked(&self) -> bool {
        self.was_asked
    }

    /// The new secret.
    pub(super) fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// The newest registration access token, where the provider gave out another one.
    pub(super) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// The provider is asked now.
    pub(super) fn begin(&mut self, now: UnixTime) -> Result<(), String> {
        self.was_asked = true;
        self.add(Line {
            asked_at: Some(now.as_secs()),
            ..Line::default()
        })
    }

    /// Keeps what the provider answered. It is on the disk when this returns.
    pub(super) fn keep(&mut self, secret: Option<&Secret>, token: Option<&Secret>) -> Result<(), String> {
        let text = |secret: Option<&Secret>| secret.map(|secret| secret.expose().to_owned());
        self.add(Line {
            client_secret: text(secret),
            registration_access_token: text(token),
            ..Line::default()
        })?;
        self.secret = secret.cloned().or(self.secret.take());
        self.token = token.cloned().or(self.token.take());
        Ok(())
    }

    /// It is all written where it belongs.
    pub(super) fn remove(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.path.display());
        std::fs::remove_file(&self.path).map_err(failed)
    }

    fn add(&mut self, line: Line) -> Result<(), String> {
        let line = Line {
            client: self.client.clone(),
            ..line
        };
        let text = serde_json::to_string(&line).map_err(|error| error.to_string())?;
        self.append(&format!("{text}\n"))
    }

    fn append(&mut self, text: &str) -> Result<(), String> {
        let written = self.file.write_all(text.as_bytes());
        let written = written
            .and_then(|()| self.file.sync_all())
            .and_then(|()| sync_directory(&self.path));
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // One in which nothing stands is no use to anybody.
        if is_at(&self.file, &self.path) && self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
        // A child process that is just being started has this file open until it is another program.
        let _ = self.file.unlock();
    }
}

fn foreign(path: &Path) -> String {
    format!(
        "{}: it is no file of an unfinished rotation; move it away",
        path.display()
    )
}

/// Whether this file is still the one of this name: another rotation may have ended, and removed it, since it was opened.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(opened), Ok(named)) => id(opened) == id(named),
        _ => false,
    }
}

#[cfg(not(unix))]
pub(super) fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.rotation");
        let open = || Journal::open(&path, "web");
        let text = |secret: Option<&Secret>| secret.map(|secret| secret.expose().to_owned());
        drop(open().unwrap());
        assert!(!path.exists(), "nothing had happened");

        let mut journal = open().unwrap();
        journal.begin(UnixTime::from_secs(1_800_000_000)).unwrap();
        assert!(open().unwrap_err().contains("is under way"));
        drop(journal);
        let mut journal = open().unwrap();
        assert!(journal.is_resumed() && journal.was_asked() && journal.secret().is_none());
        journal.keep(None, Some(&Secret::new("token"))).unwrap();
        journal.keep(Some(&Secret::new("secret")), None).unwrap();
        drop(journal);

        // Killed while it wrote: what stood before counts.
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"client\":\"web\",\"client_sec")).unwrap();
        let mut journal = open().unwrap();
        assert_eq!(
            (text(journal.secret()), text(journal.token())),
            (Some("secret".to_owned()), Some("token".to_owned()))
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        assert!(Journal::open(&path, "other").is_err());
        journal.remove().unwrap();
        drop(journal);
        assert!(!path.exists());
    }

    #[test]
    fn another_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.rotation");
        for text in [
            "notes of mine\n",
            "notes of mine",
            "{\"client\":\"other\",\"asked_at\":1}\n",
        ] {
            std::fs::write(&path, text).unwrap();
            let why = Journal::open(&path, "web").unwrap_err();
            assert!(why.contains("unfinished rotation"), "{why}");
            assert!(!why.contains("mine"), "{why}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
