//! SQLite: the contract, and what is its own: the file.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use portcullis_jose::{Clock, ManualClock, UnixTime};
use portcullis_store::{
    KeyRing, Revocation, RevocationStore, RevocationTarget, Sealer, SealingKey, SessionKey, SessionRecord,
    SessionStore, SqliteStore, Store, StoreError, contract,
};
use tempfile::TempDir;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)))
}

fn record(sealed: Vec<u8>) -> SessionRecord {
    let now = clock().now();
    SessionRecord {
        sealed,
        subject_index: None,
        sid_index: None,
        created: now,
        idle_expires: now.plus(1_800),
        expires: now.plus(43_200),
    }
}

fn refusal(path: &Path) -> StoreError {
    SqliteStore::open(path, clock()).expect_err("the file must be refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory_keeps_the_contract() {
    contract::run(async |clock| Arc::new(SqliteStore::in_memory(clock).unwrap()) as Arc<dyn Store>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_the_contract() {
    let directory = TempDir::new().unwrap();
    let number = std::cell::Cell::new(0);
    contract::run(async |clock| {
        number.set(number.get() + 1);
        let path = directory.path().join(format!("{}.db", number.get()));
        Arc::new(SqliteStore::open(path, clock).unwrap()) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn a_file_outlives_the_process() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state.db");
    contract::run_durable(async |clock| Arc::new(SqliteStore::open(&path, clock).unwrap()) as Arc<dyn Store>).await;
}

/// A copy of the files while the store is in use is what a killed process leaves behind.
#[tokio::test]
async fn a_killed_process_undoes_no_sign_out() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state.db");
    let store = SqliteStore::open(&path, clock()).unwrap();
    let (kept, ended) = (SessionKey::from_cookie("kept"), SessionKey::from_cookie("ended"));
    store.create(kept, record(b"kept".to_vec())).await.unwrap();
    store.create(ended, record(b"ended".to_vec())).await.unwrap();
    assert!(store.delete(ended).await.unwrap());

    let crashed = directory.path().join("crashed.db");
    for suffix in ["", "-wal"] {
        let name = |base: &Path| base.with_extension(format!("db{suffix}"));
        fs::copy(name(&path), name(&crashed)).unwrap();
    }
    let survivor = SqliteStore::open(&crashed, clock()).unwrap();
    assert_eq!(survivor.get(ended).await.unwrap(), None);
    assert!(survivor.get(kept).await.unwrap().is_some());
}

#[tokio::test]
async fn nothing_readable_is_in_the_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state.db");
    let store = SqliteStore::open(&path, clock()).unwrap();
    let sealer = Sealer::new(&KeyRing::from_keys(vec![SealingKey::generate()]).unwrap(), "session").unwrap();
    let (cookie, canary) = ("cookie-canary-5f2d", "token-canary-9c1e");
    let key = SessionKey::from_cookie(cookie);
    let sealed = sealer.seal(key.as_bytes(), canary.repeat(50).as_bytes()).unwrap();
    let part = &sealed[400..432];
    store.create(key, record(sealed.clone())).await.unwrap();
    for neighbour in ["b", "c", "d"] {
        store
            .create(SessionKey::from_cookie(neighbour), record(vec![7; 500]))
            .await
            .unwrap();
    }

    let contents = |directory: &Path| -> Vec<u8> {
        let files = fs::read_dir(directory).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    };
    let found = |needle: &[u8]| {
        contents(directory.path())
            .windows(needle.len())
            .any(|window| window == needle)
    };
    assert!(found(part), "the search finds what is there");
    assert!(!found(canary.as_bytes()));
    assert!(!found(cookie.as_bytes()));

    // A closed file has no trace of an ended session, not even a sealed one.
    store.delete(key).await.unwrap();
    drop(store);
    assert!(!found(part));
}

#[tokio::test]
async fn a_closed_store_leaves_one_file() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path().join("state.db"), clock()).unwrap();
    store.ping().await.unwrap();
    drop(store);
    let names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(names, ["state.db"]);
}

#[test]
fn a_directory_that_does_not_exist_is_refused() {
    let directory = TempDir::new().unwrap();
    let error = refusal(&directory.path().join("absent/state.db"));
    assert_eq!(error.code(), "store.cannot_open");
    assert!(error.to_string().contains("the directory must exist"), "{error}");
    assert_eq!(
        refusal(directory.path()).code(),
        "store.cannot_open",
        "a directory is no file"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = private_file(
        &directory,
        &b"not a database at all, but a text that somebody needs\n".repeat(40),
    );
    let before = fs::read(&path).unwrap();
    let error = refusal(&path);
    assert_eq!(error.code(), "store.corrupt");
    assert!(error.to_string().contains("state.db"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state.db");
    let store = SqliteStore::open(&path, clock()).unwrap();
    for number in 0..50 {
        let key = SessionKey::from_cookie(&number.to_string());
        store.create(key, record(vec![7; 2_000])).await.unwrap();
    }
    drop(store);
    let good = fs::read(&path).unwrap();
    SqliteStore::open(&path, clock()).unwrap();

    fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert_eq!(refusal(&path).code(), "store.corrupt", "cut off");

    let mut overwritten = good;
    overwritten[4_096..].fill(0x5a);
    fs::write(&path, overwritten).unwrap();
    assert_eq!(refusal(&path).code(), "store.corrupt", "overwritten");
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = private_file(&directory, b"");
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')")
        .unwrap();
    other.close().unwrap();
    let before = fs::read(&path).unwrap();
    let error = refusal(&path);
    assert_eq!(error.code(), "store.cannot_open");
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state.db");
    drop(SqliteStore::open(&path, clock()).unwrap());
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.close().unwrap();
    let error = refusal(&path);
    assert_eq!(error.code(), "store.schema_too_new");
    assert!(error.to_string().contains("schema version 99"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_looks_sees_what_is_revoked_and_leaves_nothing_behind() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state %20?.db");
    let names = || {
        let files = fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let look = || SqliteStore::open_read_only(&path, clock());
    assert_eq!(look().unwrap_err().code(), "store.cannot_open");
    assert_eq!(names().len(), 0, "no file is made");

    let revocation = |subject: &str| Revocation {
        target: RevocationTarget::Subject {
            iss: "https://issuer.test".into(),
            sub: subject.into(),
        },
        issued_before: None,
        expires: clock().now().plus(600),
        reason: "test".into(),
    };
    let store = SqliteStore::open(&path, clock()).unwrap();
    store.add(revocation("alice")).await.unwrap();
    let in_use = names();
    assert_eq!(look().unwrap().list_after(0).await.unwrap().len(), 1);
    assert_eq!(names(), in_use, "while it is in use");

    drop(store);
    let before = (names(), fs::read(&path).unwrap());
    assert_eq!(before.0.len(), 1);
    let looking = look().unwrap();
    assert_eq!(looking.list_after(0).await.unwrap().len(), 1);
    assert_eq!(
        looking.add(revocation("bob")).await.unwrap_err().code(),
        "store.unavailable"
    );
    assert_eq!((names(), fs::read(&path).unwrap()), before, "while it is not");
    drop(looking);
    assert_eq!((names(), fs::read(&path).unwrap()), before, "and afterwards");

    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.close().unwrap();
    assert_eq!(look().unwrap_err().code(), "store.schema_too_new");
}

#[cfg(unix)]
mod permissions {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn all_files_are_for_the_owner_alone() {
        let directory = TempDir::new().unwrap();
        let store = SqliteStore::open(directory.path().join("state.db"), clock()).unwrap();
        store.ping().await.unwrap();
        let mut names = Vec::new();
        for file in fs::read_dir(directory.path()).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
            names.push(file.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["state.db", "state.db-shm", "state.db-wal"]);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("state.db");
        drop(SqliteStore::open(&path, clock()).unwrap());
        for mode in [0o604, 0o640, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = refusal(&path);
            assert_eq!(error.code(), "store.insecure_file", "{mode:o}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        SqliteStore::open(&path, clock()).unwrap();
    }
}

/// A file as somebody else left it, with the permissions that are asked for.
fn private_file(directory: &TempDir, content: &[u8]) -> std::path::PathBuf {
    let path = directory.path().join("state.db");
    fs::write(&path, content).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    path
}
