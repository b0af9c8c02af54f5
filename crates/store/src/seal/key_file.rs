//! The key ring's file.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use portcullis_jose::random_token;
use zeroize::Zeroizing;

use super::{KeyRing, KeyRingError, SealingKey};
use crate::private_file;

/// More than a thousand keys; a file that is larger is some other file.
const MAX_FILE_BYTES: u64 = 64 * 1024;

pub(super) fn load_or_create(path: &Path) -> Result<KeyRing, KeyRingError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path)?;
            // What lies there now counts: another process may have been first.
            File::open(path).map_err(|error| unreadable(path, &error))?
        }
        Err(error) => return Err(unreadable(path, &error)),
    };
    load(path, &file)
}

fn load(path: &Path, file: &File) -> Result<KeyRing, KeyRingError> {
    // The open file is looked at, not the path, so that the two cannot differ.
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(KeyRingError::File {
            path: path.to_owned(),
            cause: "this is no file with sealing keys".into(),
            fix: "name another file; where there is none, one is made",
        });
    }
    if let Some(mode) = private_file::shared_mode(file).map_err(|error| unreadable(path, &error))? {
        return Err(KeyRingError::InsecureFile {
            path: path.to_owned(),
            mode,
        });
    }
    // Room for all of it at once: a buffer that grows leaves copies of the keys behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 64));
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(path, &error))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<KeyRing, KeyRingError> {
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        keys.push(SealingKey::parse(line).map_err(|error| KeyRingError::Line {
            path: path.to_owned(),
            line: index + 1,
            error: Box::new(error),
        })?);
    }
    KeyRing::from_keys(keys).map_err(|error| KeyRingError::File {
        path: path.to_owned(),
        cause: error.to_string(),
        fix: "correct the file",
    })
}

/// Makes the file as a whole or not at all: it is written under another name, and takes its own
/// only if no other process was faster.
fn create(path: &Path) -> Result<(), KeyRingError> {
    let draft = draft_path(path);
    let made = write_draft(&draft).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    // The draft may not exist; that there is no second copy is all that matters.
    let _ = fs::remove_file(&draft);
    made.and_then(|()| sync_directory(path))
        .map_err(|error| KeyRingError::File {
            path: path.to_owned(),
            cause: format!("the file cannot be made: {error}"),
            fix: "the directory must exist and be writable for the user that Portcullis runs as",
        })
}

fn write_draft(draft: &Path) -> io::Result<()> {
    let mut file = private_file::create_new(draft)?;
    file.write_all(b"# Sealing keys of Portcullis: the first one seals, all of them open. Keep this file secret.\n")?;
    file.write_all(SealingKey::generate().to_text().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", random_token(8)));
    path.with_file_name(name)
}

/// The name of a new file is durable only when its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(directory)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> KeyRingError {
    KeyRingError::File {
        path: path.to_owned(),
        cause: format!("the file cannot be read: {error}"),
        fix: "it must be a text file that the user that Portcullis runs as can read",
    }
}
