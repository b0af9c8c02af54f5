//! The schema's versions.

use tokio_postgres::Client;

use crate::StoreError;

/// Each brings the schema from the version before it to its own; a migration that was released is never changed.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_initial.sql")];

/// "Port": replicas that start at once take this lock one after the other.
const LOCK: i64 = 0x506f_7274;

/// Why the schema was not brought up to date.
pub(super) enum Failed {
    Server(tokio_postgres::Error),
    Store(StoreError),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

/// Brings the schema up to date, as a whole or not at all.
pub(super) async fn migrate(client: &mut Client, name: &str) -> Result<(), Failed> {
    // Most often all is as it should be, and the role may have no right to make tables.
    let table = "SELECT to_regclass('portcullis_schema') IS NOT NULL";
    if client.query_one(table, &[]).await?.try_get(0)? && found(client, name).await? == known() {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS portcullis_schema (version bigint NOT NULL);
             INSERT INTO portcullis_schema (version)
             SELECT 0 WHERE NOT EXISTS (SELECT FROM portcullis_schema)",
        )
        .await?;
    let found: i64 = transaction
        .query_one("SELECT version FROM portcullis_schema", &[])
        .await?
        .try_get(0)?;
    // Another version may have been faster.
    too_new(found, name)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.batch_execute(migration).await?;
    }
    transaction
        .execute("UPDATE portcullis_schema SET version = $1", &[&known()])
        .await?;
    Ok(transaction.commit().await?)
}

async fn found(client: &Client, name: &str) -> Result<i64, Failed> {
    let row = client.query_one("SELECT version FROM portcullis_schema", &[]).await?;
    let found: i64 = row.try_get(0)?;
    too_new(found, name)?;
    Ok(found)
}

fn too_new(found: i64, name: &str) -> Result<(), Failed> {
    match found > known() {
        true => Err(Failed::Store(StoreError::SchemaTooNew {
            path: name.into(),
            found,
            known: known(),
        })),
        false => Ok(()),
    }
}

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}
