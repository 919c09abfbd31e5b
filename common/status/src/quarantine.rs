//! The rows that were set aside: what `planner quarantine` reads.

use serde::Serialize;
use serde_json::Value;
use thaw_model::RunId;
use tokio_postgres::Client;
use tokio_postgres::types::Json;

use crate::error::StoreError;
use crate::row;

const LIST: &str = include_str!("sql/list_quarantined_rows.sql");

/// A row that was set aside in the transaction of its chunk.
#[derive(Clone, PartialEq, Serialize)]
pub struct SetAside {
    pub run: RunId,
    pub source_name: String,
    /// `database.schema.table`.
    pub source: String,
    pub target_schema: String,
    pub target_table: String,
    pub chunk: i32,
    /// Position in the chunk, from 1.
    pub ordinal: i64,
    /// The target's column that refused it.
    pub column: String,
    /// Without the value.
    pub reason: String,
    /// The query id of the source's statement.
    pub statement: Option<String>,
    /// As PostgreSQL prints it, UTC.
    pub set_aside_at: String,
    /// The user's data, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Value>,
    /// The user's data, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<Value>,
}

impl std::fmt::Debug for SetAside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = (&self.target_table, self.chunk, self.ordinal);
        f.debug_struct("SetAside")
            .field("place", &place)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Which rows.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The table by its name at either end; `None`: every table.
    pub table: Option<&'a str>,
    /// Also rows that a later run has read again.
    pub settled: bool,
    pub limit: i64,
}

/// Lists them, those of the newest tables first.
///
/// # Errors
/// What PostgreSQL says.
pub async fn list_quarantined(client: &Client, wanted: &Wanted<'_>) -> Result<Vec<SetAside>, StoreError> {
    let rows = client.query(LIST, &[&wanted.table, &wanted.settled, &wanted.limit]).await?;
    rows.iter()
        .map(|row| {
            let json = |column| row.try_get::<_, Option<Json<Value>>>(column);
            Ok(SetAside {
                run: row::run_id(row)?,
                source_name: row.try_get("source_name")?,
                source: row.try_get("source")?,
                target_schema: row.try_get("target_schema")?,
                target_table: row.try_get("target_table")?,
                chunk: row.try_get("chunk_no")?,
                ordinal: row.try_get("ordinal")?,
                column: row.try_get("column_name")?,
                reason: row.try_get("reason")?,
                statement: row.try_get("statement")?,
                set_aside_at: row.try_get("set_aside_at")?,
                keys: json("key_data")?.map(|value| value.0),
                row: json("row_data")?.map(|value| value.0),
            })
        })
        .collect()
}
