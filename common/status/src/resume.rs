//! What earlier runs left behind on a target.

use thaw_model::{PgIdent, RunId, TableState};
use tokio_postgres::Client;

use crate::error::StoreError;
use crate::row;

const LAST: &str = include_str!("sql/read_last_table_of_target.sql");

/// The last table that was started on a target, whatever run and entry it belonged to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTable {
    pub run: RunId,
    pub state: TableState,
    pub entry: String,
    /// Its bound; `None`: it read from the beginning.
    pub watermark_low: Option<String>,
}

/// Reads it; `None`: no run has ever touched this target.
///
/// # Errors
/// What PostgreSQL says.
pub async fn last_of_target(
    client: &Client,
    schema: &PgIdent,
    table: &PgIdent,
) -> Result<Option<LastTable>, StoreError> {
    let row = client.query_opt(LAST, &[&schema.as_str(), &table.as_str()]).await?;
    row.map(|row| {
        Ok(LastTable {
            run: row::run_id(&row)?,
            state: row::state(&row, "status")?,
            entry: row.try_get("entry")?,
            watermark_low: row.try_get("watermark_low")?,
        })
    })
    .transpose()
}
