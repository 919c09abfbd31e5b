//! What the Python script that came before left unfinished.

use thaw_model::PgIdent;
use tokio_postgres::Client;

use crate::error::StoreError;

const UNFINISHED: &str = include_str!("sql/read_legacy_unfinished.sql");

/// Whether the script's last run on this target was not completed, and no full load of the entry has completed since:
/// MAX(target) is no bound then.
///
/// # Errors
/// What PostgreSQL says.
pub async fn legacy_unfinished(
    client: &Client,
    schema: &PgIdent,
    table: &PgIdent,
    entry: &str,
) -> Result<bool, StoreError> {
    Ok(client.query_one(UNFINISHED, &[&schema.as_str(), &table.as_str(), &entry]).await?.try_get(0)?)
}
