//! Erasing what is old: runs that are over, except what the bounds of later runs are made of.

use std::time::Duration;

use tokio_postgres::Client;
use uuid::Uuid;

use crate::error::StoreError;
use crate::row;

const RUNS: &str = include_str!("sql/lock_runs_to_prune.sql");
const TABLES: &str = include_str!("sql/list_tables_to_prune.sql");
const DELETE_CHUNKS: &str = include_str!("sql/delete_chunks_of_tables.sql");
const DELETE_TABLES: &str = include_str!("sql/delete_tables.sql");
const DELETE_RUNS: &str = include_str!("sql/delete_runs_without_tables.sql");
const ERASE_RANGES: &str = include_str!("sql/erase_ranges_of_runs.sql");
const ERASE_VALUES: &str = include_str!("sql/erase_quarantined_values_of_runs.sql");
const MARK: &str = include_str!("sql/mark_tables_pruned.sql");

/// What pruning removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub runs: u64,
    pub tables: u64,
    pub chunks: u64,
    /// Kept for the bounds of later runs, with their ranges and quarantined values erased.
    pub kept_tables: u64,
    pub erased_ranges: u64,
    pub erased_rows: u64,
}

/// Prunes runs that ended longer ago than `older_than`, in one transaction. `dry`: it is rolled back.
///
/// # Errors
/// What PostgreSQL says; nothing has changed then.
pub async fn prune(client: &mut Client, older_than: Duration, dry: bool) -> Result<Pruned, StoreError> {
    let transaction = client.transaction().await?;
    let runs = transaction.query(RUNS, &[&row::seconds(older_than)]).await?;
    let runs = runs.iter().map(|row| row.try_get("run_id")).collect::<Result<Vec<Uuid>, _>>()?;
    let tables = transaction.query(TABLES, &[&runs]).await?;
    let tables = tables.iter().map(|row| row.try_get("table_id")).collect::<Result<Vec<i64>, _>>()?;
    let pruned = Pruned {
        chunks: transaction.execute(DELETE_CHUNKS, &[&tables]).await?,
        tables: transaction.execute(DELETE_TABLES, &[&tables]).await?,
        runs: transaction.execute(DELETE_RUNS, &[&runs]).await?,
        erased_ranges: transaction.execute(ERASE_RANGES, &[&runs]).await?,
        erased_rows: transaction.execute(ERASE_VALUES, &[&runs]).await?,
        kept_tables: transaction.execute(MARK, &[&runs]).await?,
    };
    if dry {
        transaction.rollback().await?;
    } else {
        transaction.commit().await?;
    }
    Ok(pruned)
}
