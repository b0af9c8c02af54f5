//! Where logins are kept: a directory of their own, a file for each, which is replaced as a whole.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::Problem;
use crate::secret_source::mode_of;

/// A login with sixteen large tokens is far below.
const MAX_FILE: u64 = 2 * 1024 * 1024;
const LONGEST_NAME: usize = 64;

/// The files of one login.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    dir: PathBuf,
    name: String,
}

/// Nobody else changes the login while this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Place {
    /// The place of the login of this name. Nothing is made yet.
    pub(crate) fn new(dir: Option<&Path>, name: &str) -> Result<Place, Problem> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(plain) || name.starts_with('.') {
            return Err(Problem::usage(format!(
                "{name:?} is no name of a login: 1 to {LONGEST_NAME} of A-Z a-z 0-9 - _ and ., and no . in front"
            )));
        }
        let dir = match dir {
            Some(dir) => std::path::absolute(dir).map_err(|error| unusable(dir, &error))?,
            None => usual_dir().ok_or_else(|| {
                Problem::usage("there is no home directory to keep logins in: name a directory with --dir")
            })?,
        };
        Ok(Place {
            dir,
            name: name.to_owned(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells apart what has the same name in another directory.
    pub(super) fn account(&self) -> String {
        format!("{}/{}", self.dir.display(), self.name)
    }

    fn file(&self) -> PathBuf {
        self.dir.join(format!("{}.login", self.name))
    }

    /// Makes the directory, for its owner alone.
    pub(crate) fn prepare(&self) -> Result<(), Problem> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.dir).map_err(|error| unusable(&self.dir, &error))
    }

    /// Waits until no other process holds the login.
    pub(super) fn lock(&self) -> Result<Lock, Problem> {
        let path = self.dir.join(format!("{}.lock", self.name));
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| unusable(&path, &error))?;
        // The system lets go of it when the process ends, however it ends.
        file.lock().map_err(|error| unusable(&path, &error))?;
        Ok(Lock { _file: file })
    }

    /// What lies there.
    pub(super) fn read(&self) -> Result<Vec<u8>, Problem> {
        let path = self.file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Problem::new(format!(
                    "nobody is signed in as {:?}: run portcullis login",
                    self.name
                )));
            }
            Err(error) => return Err(unusable(&path, &error)),
        };
        if let Some(mode) = mode_of(&path).filter(|mode| mode & 0o077 != 0) {
            let (path, mode) = (path.display(), mode & 0o7777);
            return Err(Problem::new(format!(
                "{path}: others can use it (mode {mode:04o}); run: chmod 600 '{path}'"
            )));
        }
        let mut bytes = Vec::new();
        let read = file.take(MAX_FILE).read_to_end(&mut bytes);
        read.map_err(|error| unusable(&path, &error))?;
        Ok(bytes)
    }

    /// Puts a new file in the place of the old one, whole or not at all.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Problem> {
        let path = self.file();
        let written = (|| {
            // Its mode is 0600 from its first moment.
            let mut draft = tempfile::Builder::new().prefix(".draft").tempfile_in(&self.dir)?;
            draft.write_all(bytes)?;
            draft.as_file().sync_all()?;
            draft.persist(&path)?;
            // The new name is durable only when the directory is.
            File::open(&self.dir)?.sync_all()
        })();
        written.map_err(|error| unusable(&path, &error))
    }

    /// Forgets. The lock's file stays: whoever waits for it holds the same one.
    pub(super) fn remove(&self) -> Result<(), Problem> {
        let path = self.file();
        fs::remove_file(&path).map_err(|error| unusable(&path, &error))
    }
}

fn usual_dir() -> Option<PathBuf> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(dir) = from("PORTCULLIS_LOGINS") {
        return std::path::absolute(dir).ok();
    }
    let state = if cfg!(target_os = "macos") {
        from("HOME")?.join("Library/Application Support")
    } else {
        // A relative path there is to be passed over (XDG Base Directory Specification).
        let named = from("XDG_STATE_HOME").filter(|path| path.is_absolute());
        named.or_else(|| Some(from("HOME")?.join(".local/state")))?
    };
    Some(state.join("portcullis/logins"))
}

fn unusable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(format!("{}: {error}", path.display()))
}
