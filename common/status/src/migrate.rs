//! Applying schema.sql, and refusing a database that a newer program has migrated.

use std::fmt;

use thaw_postgres::PgError;
use tokio_postgres::Client;

use crate::error::StoreError;

const SCHEMA: &str = include_str!("../../../schema.sql");
const READ_VERSION: &str = include_str!("sql/read_schema_version.sql");
const SCHEMA_EXISTS: &str = include_str!("sql/schema_version_exists.sql");
const LIST_LEGACY: &str = include_str!("sql/list_legacy_schemas.sql");
const DATABASE: &str = include_str!("sql/read_database_name.sql");
/// The number of the last migration in schema.sql.
const KNOWN_VERSION: i32 = 1;

/// What [`migrate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migrated {
    /// Nothing: the tables were up to date.
    Current,
    /// From version 0 where there were none.
    Applied { from: i32, to: i32 },
    /// The tables of the script that came before were moved to this schema, and ours made.
    LegacySetAside { schema: String },
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("status tables are up to date"),
            Self::Applied { from: 0, to } => write!(f, "status tables made, version {to}"),
            Self::Applied { from, to } => write!(f, "status tables migrated from version {from} to {to}"),
            Self::LegacySetAside { schema } => write!(
                f,
                "status tables made; those of the script that came before are kept in schema \"{schema}\""
            ),
        }
    }
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
    let from = match check_version(client).await {
        Ok(()) => return Ok(Migrated::Current),
        Err(StoreError::SchemaMissing { .. }) => 0,
        Err(StoreError::SchemaOlder { found, .. }) => found,
        Err(error) => return Err(error),
    };
    let legacy_before = legacy_schemas(client).await?;
    match client.batch_execute(SCHEMA).await.map_err(PgError::from) {
        Ok(()) => {
            let legacy_now = legacy_schemas(client).await?;
            let set_aside = legacy_now.into_iter().find(|schema| !legacy_before.contains(schema));
            Ok(match set_aside {
                Some(schema) => Migrated::LegacySetAside { schema },
                None => Migrated::Applied { from, to: KNOWN_VERSION },
            })
        }
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

async fn legacy_schemas(client: &Client) -> Result<Vec<String>, StoreError> {
    let rows = client.query(LIST_LEGACY, &[]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
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
    Ok(client.query_one(DATABASE, &[]).await?.try_get(0)?)
}
