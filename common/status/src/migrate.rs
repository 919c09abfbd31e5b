//! Applying schema.sql, and refusing a database that a newer program has migrated.

use thaw_postgres::PgError;
use tokio_postgres::Client;

use crate::error::StoreError;

const SCHEMA: &str = include_str!("../../../schema.sql");
const READ_VERSION: &str = include_str!("sql/read_schema_version.sql");
const SCHEMA_EXISTS: &str = include_str!("sql/schema_version_exists.sql");
/// The number of the last migration in schema.sql.
const KNOWN_VERSION: i32 = 1;

/// What [`migrate`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrated {
    /// Nothing: the tables were up to date.
    Current,
    Applied,
}

/// The text of schema.sql, for those who apply it by hand.
#[must_use]
pub const fn schema_sql() -> &'static str {
    SCHEMA
}

/// Applies schema.sql unless the tables are up to date. Concurrent calls wait for one another.
///
/// # Errors
/// [`StoreError::SchemaNewer`], [`StoreError::SchemaDenied`] (print [`schema_sql`] then), or what PostgreSQL says.
pub async fn migrate(client: &mut Client) -> Result<Migrated, StoreError> {
    match check_version(client).await {
        Ok(()) => return Ok(Migrated::Current),
        Err(StoreError::SchemaMissing { .. } | StoreError::SchemaOlder { .. }) => {}
        Err(error) => return Err(error),
    }
    match client.batch_execute(SCHEMA).await.map_err(PgError::from) {
        Ok(()) => Ok(Migrated::Applied),
        Err(error) => {
            // The file opens a transaction of its own, which the error has left aborted.
            client.batch_execute("rollback").await?;
            if error.sqlstate() == Some("42501") {
                return Err(StoreError::SchemaDenied { database: database(client).await? });
            }
            // A newer program may have been faster.
            check_version(client).await?;
            Err(error.into())
        }
    }
}

/// Whether the status tables are those this program knows.
///
/// # Errors
/// [`StoreError::SchemaMissing`], [`StoreError::SchemaOlder`], [`StoreError::SchemaNewer`].
pub async fn check_version(client: &Client) -> Result<(), StoreError> {
    let exists: bool = client.query_one(SCHEMA_EXISTS, &[]).await?.try_get(0)?;
    if !exists {
        return Err(StoreError::SchemaMissing { database: database(client).await? });
    }
    let found: Option<i32> = client.query_one(READ_VERSION, &[]).await?.try_get(0)?;
    match found.unwrap_or(0) {
        found if found > KNOWN_VERSION => {
            Err(StoreError::SchemaNewer { database: database(client).await?, found, known: KNOWN_VERSION })
        }
        found if found < KNOWN_VERSION => {
            Err(StoreError::SchemaOlder { database: database(client).await?, found, known: KNOWN_VERSION })
        }
        _ => Ok(()),
    }
}

async fn database(client: &Client) -> Result<String, StoreError> {
    Ok(client.query_one("select current_database()::text", &[]).await?.try_get(0)?)
}
