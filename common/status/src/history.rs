//! What earlier runs did to a target: the facts that the next bound is made of.

use thaw_model::{PgIdent, RunId, TableId, TableState};
use tokio_postgres::Client;

use crate::error::StoreError;
use crate::row;

const STARTED: &str = include_str!("sql/list_started_tables_of_entry.sql");
const LEFT: &str = include_str!("sql/read_rows_left_by_entry.sql");
const COLUMNS: &str = include_str!("sql/read_last_loaded_columns_of_entry.sql");
const OTHERS: &str = include_str!("sql/read_other_entries_of_target.sql");

/// A table of an entry that was started: its target may have been changed. Values are text with every digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTable {
    pub id: TableId,
    pub state: TableState,
    /// It counts as not completed, with `safe` as its bound.
    pub leaves_gap: bool,
    /// The watermark's column at the target.
    pub watermark_column: Option<String>,
    /// The watermark's column at the source.
    pub watermark_source: Option<String>,
    /// The type of the target's column.
    pub watermark_type: Option<String>,
    /// Rows from here on were read; `None`: from the beginning.
    pub low: Option<String>,
    /// The greatest value at the source at its snapshot.
    pub high: Option<String>,
    pub safe: Option<String>,
}

/// What the other entries of a target did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherTables {
    /// One of them was started.
    pub loaded: bool,
    /// One of them was started that the caller does not know.
    pub strangers_loaded: bool,
    /// The last of them that emptied the whole target.
    pub emptied_by: Option<TableId>,
}

/// The started tables of an entry, oldest first.
///
/// # Errors
/// What PostgreSQL says.
pub async fn started_tables(client: &Client, entry: &str) -> Result<Vec<PastTable>, StoreError> {
    let rows = client.query(STARTED, &[&entry]).await?;
    rows.iter()
        .map(|row| {
            Ok(PastTable {
                id: row::table_id(row)?,
                state: row::state(row, "status")?,
                leaves_gap: row.try_get("leaves_gap")?,
                watermark_column: row.try_get("watermark_column")?,
                watermark_source: row.try_get("watermark_source")?,
                watermark_type: row.try_get("watermark_type")?,
                low: row.try_get("watermark_low")?,
                high: row.try_get("watermark_high")?,
                safe: row.try_get("watermark_safe")?,
            })
        })
        .collect()
}

/// What entries other than `entry` did to a target; those that are not among `known` are strangers.
///
/// # Errors
/// What PostgreSQL says.
pub async fn other_tables(
    client: &Client,
    schema: &PgIdent,
    table: &PgIdent,
    (entry, known): (&str, &[String]),
) -> Result<OtherTables, StoreError> {
    let row = client.query_one(OTHERS, &[&schema.as_str(), &table.as_str(), &entry, &known]).await?;
    Ok(OtherTables {
        loaded: row.try_get("loaded")?,
        strangers_loaded: row.try_get("strangers_loaded")?,
        emptied_by: row.try_get::<_, Option<i64>>("emptied_by")?.map(TableId),
    })
}

/// Source and target of each column that the entry's last completed table has loaded; none where there is no such table.
///
/// # Errors
/// What PostgreSQL says.
pub async fn loaded_columns(client: &Client, entry: &str) -> Result<Vec<(String, String)>, StoreError> {
    let rows = client.query(COLUMNS, &[&entry]).await?;
    rows.iter().map(|row| Ok((row.try_get("source")?, row.try_get("target")?))).collect()
}

/// The rows that the last started table of an entry has left in its target, and its run; `None`: it completed, or has
/// left none that is known of.
///
/// # Errors
/// What PostgreSQL says.
pub async fn rows_left(client: &Client, entry: &str) -> Result<Option<(RunId, i64)>, StoreError> {
    let row = client.query_opt(LEFT, &[&entry]).await?;
    row.map(|row| Ok((row::run_id(&row)?, row.try_get("rows_there")?))).transpose()
}
