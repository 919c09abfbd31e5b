//! Reading rows of the status tables into the words of the domain.

use serde::de::DeserializeOwned;
use thaw_model::{ChunkId, RunId, TableId};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::error::StoreError;

/// A state column.
pub(crate) fn state<S>(row: &Row, column: &str) -> Result<S, StoreError>
where
    S: std::str::FromStr<Err = thaw_model::state::UnknownState>,
{
    Ok(row.try_get::<_, &str>(column)?.parse()?)
}

/// A jsonb column that this program wrote. The parser's message may quote the value, so it is not kept.
pub(crate) fn json<T: DeserializeOwned>(
    row: &Row,
    column: &str,
    what: &'static str,
) -> Result<T, StoreError> {
    let Json(value) = row.try_get::<_, Json<serde_json::Value>>(column)?;
    serde_json::from_value(value).map_err(|_| StoreError::Unreadable { what })
}

pub(crate) fn run_id(row: &Row) -> Result<RunId, StoreError> {
    Ok(RunId(row.try_get::<_, Uuid>("run_id")?))
}

pub(crate) fn table_id(row: &Row) -> Result<TableId, StoreError> {
    Ok(TableId(row.try_get("table_id")?))
}

pub(crate) fn chunk_id(row: &Row) -> Result<ChunkId, StoreError> {
    Ok(ChunkId { table: table_id(row)?, number: row.try_get("chunk_no")? })
}

/// Seconds for `make_interval(secs => ...)`.
pub(crate) fn seconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64()
}
