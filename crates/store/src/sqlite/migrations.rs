//! The schema's versions.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::StoreError;

/// "Port": marks the file as ours (sqlite.org/fileformat.html, s1.3).
pub(super) const APPLICATION_ID: i64 = 0x506f_7274;

/// Each brings the schema from the version before it to its own; a migration that was released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_glance.sql"),
];

/// Whether the schema is the one that this program knows; nothing is changed.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if pending(found, path)?.is_empty() {
        return Ok(());
    }
    Err(StoreError::CannotOpen {
        path: path.to_owned(),
        cause: "an older version wrote it".into(),
        fix: "start the gateway once: it brings the file up to date".into(),
    })
}

/// Brings the schema up to date, as a whole or not at all.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    // Immediate: two processes that start at once must not both see the old version.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let pending = pending(found, path)?;
    if pending.is_empty() {
        return Ok(());
    }
    for migration in pending {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known())?;
    Ok(transaction.commit()?)
}

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The migrations that a file of version `found` has not seen.
fn pending(found: i64, path: &Path) -> Result<&'static [&'static str], StoreError> {
    let pending = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..));
    pending.ok_or_else(|| StoreError::SchemaTooNew {
        path: path.to_owned(),
        found,
        known: known(),
    })
}
