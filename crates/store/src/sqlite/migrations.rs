//! The schema's versions.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::StoreError;

/// "Port": marks the file as ours (sqlite.org/fileformat.html, s1.3).
pub(super) const APPLICATION_ID: i64 = 0x506f_7274;

/// Each brings the schema from the version before it to its own; a migration that was released is never changed.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_initial.sql")];

/// Brings the schema up to date, as a whole or not at all.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    // Immediate: two processes that start at once must not both see the old version.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let pending = usize::try_from(found)
        .ok()
        .and_then(|found| MIGRATIONS.get(found..))
        .ok_or_else(|| StoreError::SchemaTooNew {
            path: path.to_owned(),
            found,
            known,
        })?;
    if pending.is_empty() {
        return Ok(());
    }
    for migration in pending {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}
