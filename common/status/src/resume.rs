//! What earlier runs left behind: the last word about a target, and reviving a run that did not complete.

use std::time::Duration;

use thaw_model::{Fence, PgIdent, RunId, TableId, TableState, WorkerId};
use tokio_postgres::Client;

use crate::error::StoreError;
use crate::row;
use crate::run::PlannerClaim;

const LAST: &str = include_str!("sql/read_last_table_of_target.sql");
const LIST_UNFINISHED: &str = include_str!("sql/list_unfinished_tables.sql");
const REOPEN_RUN: &str = include_str!("sql/reopen_run_if_revivable.sql");
const REOPEN_TABLE: &str = include_str!("sql/reopen_table_if_target_untouched.sql");
const REOPEN_CHUNKS: &str = include_str!("sql/reopen_chunks_of_table.sql");

/// The last table that was started on a target, whatever run and entry it belonged to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTable {
    pub run: RunId,
    pub state: TableState,
    pub entry: String,
    /// All its chunks read one moment; else they read the present.
    pub had_snapshot: bool,
    /// Since its end; `None`: it has not ended.
    pub finished_ago: Option<Duration>,
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
            had_snapshot: row.try_get("had_snapshot")?,
            finished_ago: row
                .try_get::<_, Option<f64>>("finished_seconds_ago")?
                .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        })
    })
    .transpose()
}

/// A table of a run that is not completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedTable {
    pub id: TableId,
    pub state: TableState,
    pub entry: String,
    /// Of the part of the configuration that changes the plan.
    pub config_hash: String,
    pub target_schema: PgIdent,
    pub target_table: PgIdent,
    pub planned: bool,
    pub started: bool,
}

/// The tables of a run that are neither completed nor superseded, in their order.
///
/// # Errors
/// What PostgreSQL says.
pub async fn unfinished_tables(client: &Client, run: RunId) -> Result<Vec<UnfinishedTable>, StoreError> {
    let rows = client.query(LIST_UNFINISHED, &[&run.0]).await?;
    rows.iter()
        .map(|row| {
            Ok(UnfinishedTable {
                id: row::table_id(row)?,
                state: row::state(row, "status")?,
                entry: row.try_get("entry")?,
                config_hash: row.try_get("config_hash")?,
                target_schema: PgIdent::exact(row.try_get::<_, String>("target_schema")?),
                target_table: PgIdent::exact(row.try_get::<_, String>("target_table")?),
                planned: row.try_get("planned")?,
                started: row.try_get("started")?,
            })
        })
        .collect()
}

/// What reviving a run gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revived {
    pub planner: PlannerClaim,
    /// In `loading` (chunks are pending again) or `planning` (plan it anew).
    pub tables: Vec<(TableId, TableState)>,
    /// A later run has started their targets: left as they are.
    pub left: Vec<TableId>,
}

/// Revives the given tables of a partial, failed or cancelled run, in one transaction: failed and cancelled chunks are
/// pending again with a new budget, completed ones stay. `None`: the run is running (take it over), completed,
/// superseded or unknown, or none of the tables may be revived; nothing has changed then.
///
/// # Errors
/// What PostgreSQL says; 23505 on `holds_target` when another run holds one of the targets.
pub async fn revive_run(
    client: &mut Client,
    run: RunId,
    tables: &[TableId],
    planner: &WorkerId,
    lease: Duration,
) -> Result<Option<Revived>, StoreError> {
    let transaction = client.transaction().await?;
    let reopened =
        transaction.query_opt(REOPEN_RUN, &[&run.0, &planner.as_str(), &row::seconds(lease)]).await?;
    let Some(reopened) = reopened else {
        transaction.rollback().await?;
        return Ok(None);
    };
    let planner =
        PlannerClaim { run, planner: planner.clone(), fence: Fence(reopened.try_get("planner_fence")?) };
    let mut revived = Revived { planner, tables: Vec::new(), left: Vec::new() };
    for table in tables {
        // The table's row first, then its chunks: the order in which every transaction locks them.
        match transaction.query_opt(REOPEN_TABLE, &[&run.0, &table.0]).await? {
            Some(row) => {
                transaction.execute(REOPEN_CHUNKS, &[&table.0]).await?;
                revived.tables.push((*table, row::state(&row, "status")?));
            }
            None => revived.left.push(*table),
        }
    }
    if revived.tables.is_empty() {
        transaction.rollback().await?;
        return Ok(None);
    }
    transaction.commit().await?;
    Ok(Some(revived))
}
