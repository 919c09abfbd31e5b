//! The target's side: its catalogue entry, whether it holds rows, and the greatest watermark in it.

mod sql;

use thaw_model::plan::Arbiter;
use thaw_model::{PgIdent, TargetType};
use thaw_postgres::PgError;
use thaw_postgres::catalog::{self, TargetTable};
use tokio_postgres::Client;

use crate::watermark::Kind;

/// What the target holds, read after the run holds the table, so that no other run changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRows {
    pub is_empty: bool,
    /// Some of the rows are the entry's own; true where that cannot be told.
    pub has_own: bool,
    /// The greatest watermark of the entry's rows at or below the snapshot's moment, in the wire's form; `None`: there
    /// is none, or none was asked for.
    pub greatest: Option<String>,
}

/// Describes the target; `None` where there is no such relation.
///
/// # Errors
/// What the server or the line says.
pub async fn describe(
    client: &Client,
    schema: &PgIdent,
    table: &PgIdent,
) -> Result<Option<TargetTable>, PgError> {
    catalog::describe_table(client, schema, table).await
}

/// What is asked about the target's watermark.
#[derive(Debug, Clone, Copy)]
pub struct WatermarkQuestion<'a> {
    pub column: &'a PgIdent,
    /// How the source compares; the answer is of this kind.
    pub kind: Kind,
    pub target_type: &'a TargetType,
    /// The snapshot's moment. Values above it (9999-12-31, infinity) say nothing about what was read.
    pub ceiling: &'a str,
    /// The zone in which a value without one is compared.
    pub timezone: &'a str,
}

/// Looks for rows, for rows of the entry, and for their greatest watermark at or below the ceiling. `filter` is the
/// entry's own in PostgreSQL's SQL: which rows of the target are its own.
///
/// # Errors
/// What the server or the line says.
pub async fn rows(
    client: &Client,
    schema: &PgIdent,
    table: &PgIdent,
    filter: Option<&str>,
    watermark: Option<WatermarkQuestion<'_>>,
) -> Result<TargetRows, PgError> {
    if catalog::is_empty(client, schema, table).await? {
        return Ok(TargetRows { is_empty: true, has_own: false, greatest: None });
    }
    let has_own = match filter {
        Some(filter) => client.query_one(&sql::has_rows(schema, table, filter), &[]).await?.try_get(0)?,
        None => true,
    };
    let greatest = match watermark {
        Some(question) if has_own => {
            let sql = sql::greatest_watermark(schema, table, filter, question);
            client.query_one(&sql, &[]).await?.try_get(0)?
        }
        _ => None,
    };
    Ok(TargetRows { is_empty: false, has_own, greatest })
}

/// The usable unique index on exactly `keys`.
#[must_use]
pub fn arbiter(table: &TargetTable, keys: &[PgIdent]) -> Option<Arbiter> {
    let index = table.unique_indexes.iter().find(|index| !keys.is_empty() && index.is_arbiter_for(keys))?;
    Some(Arbiter {
        index: index.name.clone(),
        columns: index.columns.clone(),
        nulls_not_distinct: index.nulls_not_distinct,
    })
}

/// The primary key, where it can prove keys.
#[must_use]
pub fn primary_key(table: &TargetTable) -> Option<Arbiter> {
    let index = table.unique_indexes.iter().find(|index| index.primary)?;
    arbiter(table, &index.columns.clone())
}

/// The statement that creates the missing arbiter, for a person to run.
#[must_use]
pub fn create_arbiter(schema: &PgIdent, table: &PgIdent, keys: &[PgIdent]) -> String {
    sql::create_unique_index(schema, table, keys)
}
