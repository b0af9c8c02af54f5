//! Opening the file: what is refused, and how a connection is set up.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::migrations;
use crate::{StoreError, private_file};

/// How long a connection waits for another process's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Up to this size the whole file is checked at start; that costs some ten milliseconds.
const CHECKED_BYTES: u64 = 16 * 1024 * 1024;

/// The WAL file is cut back to this after a checkpoint.
const WAL_BYTES: i64 = 16 * 1024 * 1024;

/// The connection that writes, to a file whose schema is up to date.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    let size = prepare_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error.to_string()))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    refuse_foreign_or_damaged(&connection, path, size)?;

    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(cannot_open(
            path,
            &format!("the file system allows no write-ahead log (journal mode is {mode})"),
        ));
    }
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    set_up_writer(&mut connection, path)?;
    Ok(connection)
}

/// A connection that reads.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error.to_string()))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    set_up(&connection)?;
    Ok(connection)
}

/// A connection that only looks: it changes nothing, and makes no file beside the one that is there.
pub(super) fn read_only(path: &Path) -> Result<Connection, StoreError> {
    let size = existing_file(path)?;
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Path::new(&name).exists()
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match (beside("-wal"), beside("-shm")) {
        // It is in use, and one reader more does not matter.
        (_, true) => Connection::open_with_flags(path, flags),
        // Nobody writes to it. A reader would make the files of the log, unless it is told that nobody ever does.
        (false, false) => Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI),
        (true, false) => return Err(cannot_open(path, "it was not closed when it was last written to")),
    };
    let connection = connection.map_err(|error| cannot_open(path, &error.to_string()))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    set_up(&connection)?;
    refuse_foreign_or_damaged(&connection, path, size)?;
    migrations::check(&connection, path)?;
    Ok(connection)
}

/// <https://sqlite.org/uri.html>: the path, percent-encoded.
fn immutable(path: &Path) -> String {
    let encoded = path.as_os_str().as_encoded_bytes().iter().map(|&byte| match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        other => format!("%{other:02x}"),
    });
    format!("file:{}?immutable=1", encoded.collect::<String>())
}

/// The connection to a new database in memory.
pub(super) fn in_memory() -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory()?;
    set_up_writer(&mut connection, Path::new(":memory:"))?;
    Ok(connection)
}

fn set_up_writer(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    set_up(connection)?;
    // What was deleted is overwritten, not only forgotten.
    connection.pragma_update(None, "secure_delete", true)?;
    migrations::migrate(connection, path)
}

fn set_up(connection: &Connection) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A file may come from anywhere (a backup, another machine): its schema is not trusted, its cells are checked.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

/// Makes the file where there is none, checks who may use it, and returns its size.
fn prepare_file(path: &Path) -> Result<u64, StoreError> {
    match private_file::create_new(path) {
        Ok(_) => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => existing_file(path),
        Err(error) => Err(cannot_open(path, &error.to_string())),
    }
}

/// Checks who may use the file, and returns its size.
fn existing_file(path: &Path) -> Result<u64, StoreError> {
    let refuse = |error: &io::Error| cannot_open(path, &error.to_string());
    let file = std::fs::File::open(path).map_err(|error| refuse(&error))?;
    let metadata = file.metadata().map_err(|error| refuse(&error))?;
    if !metadata.is_file() {
        return Err(cannot_open(path, "this is no file"));
    }
    if let Some(mode) = private_file::shared_mode(&file).map_err(|error| refuse(&error))? {
        return Err(StoreError::InsecureFile {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(metadata.len())
}

/// Looks before anything is written: a file of another program stays as it is.
fn refuse_foreign_or_damaged(connection: &Connection, path: &Path, size: u64) -> Result<(), StoreError> {
    let in_file = |error: rusqlite::Error| match StoreError::from(error) {
        StoreError::Corrupt { what } => damaged(path, &what),
        other => other,
    };
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(in_file)?;
    let id: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(in_file)?;
    if tables > 0 && id != migrations::APPLICATION_ID {
        return Err(StoreError::CannotOpen {
            path: path.to_owned(),
            cause: "this is a SQLite file of another program".into(),
            fix: "name another file; where there is none, one is made".into(),
        });
    }
    if size <= CHECKED_BYTES {
        let verdict: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(in_file)?;
        if verdict != "ok" {
            return Err(damaged(path, &verdict));
        }
    }
    Ok(())
}

fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::corrupt(format!(
        "{}: {what}; put a backup in its place, or move the file away and let everybody sign in again",
        path.display()
    ))
}

fn cannot_open(path: &Path, cause: &str) -> StoreError {
    StoreError::CannotOpen {
        path: path.to_owned(),
        cause: cause.to_owned(),
        fix: "the directory must exist on a local disk, and it and the file must be writable for the user that \
              Portcullis runs as"
            .into(),
    }
}
