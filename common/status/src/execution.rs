//! A fresh execution of a table whose snapshot or result is gone, in three steps: fence the old one, end the sessions
//! that still load its chunks, store the new one over what the old one has loaded.
//!
//! Whoever meets the end of an execution fences it; only a planner plans the next one. A death in between leaves the
//! table in `planning`, under the new execution's number. What is combined with what is not decided here.

use std::time::Duration;

use thaw_model::{ChunkId, ErrorReport, RunId, TableId, TablePlan};
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Transaction};

use crate::error::StoreError;
use crate::redispatch::Zombie;
use crate::run::PlannerClaim;
use crate::table::{NewChunk, copy_chunks, lock_run, pass_target_on};
use crate::{activity, row, start};

const FENCE: &str = include_str!("sql/fence_execution_if_loading.sql");
const SUPERSEDE: &str = include_str!("sql/supersede_chunks_of_execution.sql");
const FAIL: &str = include_str!("sql/fail_execution_if_planning.sql");
const FAIL_ABANDONED: &str = include_str!("sql/fail_executions_without_planner.sql");
const LIST: &str = include_str!("sql/list_executions_to_plan.sql");
const END_BACKENDS: &str = include_str!("sql/end_backends_of_execution.sql");
const READ_ROWS: &str = include_str!("sql/read_rows_of_executions.sql");
const DELETE_QUARANTINED: &str = include_str!("sql/delete_quarantined_rows_of_executions.sql");
const END_STATEMENT: &str = include_str!("sql/end_execution.sql");
const STORE: &str = include_str!("sql/store_execution_if_planning.sql");

/// The class of a table that ended because what it read was gone.
pub const SNAPSHOT_GONE: &str = "snapshot_gone";
/// The class of a statement whose kept result is gone.
const RESULT_GONE: &str = "result_gone";
/// Executions a table may have: one whose source is replaced all the time never ends otherwise.
pub const MAX_EXECUTIONS: i32 = 3;

const NO_PLANNER: &str = "the snapshot is gone (its history has expired, or the table was replaced), and no planner \
    waits that could plan the table again; run `planner run`";
/// Times that a chunk's row is waited for: it is held for the moments of its COMMIT, and longer by who is frozen.
const FENCE_TRIES: u32 = 4;
/// How long a terminated session may take to go.
const TERMINATE_WAIT_MILLIS: i64 = 2_000;
/// How often the sessions that may not be ended are looked at.
const AWAIT_EVERY: Duration = Duration::from_millis(200);

/// What became of a table whose execution was fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// It is in `planning`, under this number: the planner that waits for its run plans it anew.
    ToBePlanned { execution: i32 },
    /// It has failed: no planner waits, or it has had its executions. Call [`crate::end_run`].
    Failed,
    /// Somebody else was faster, or the table is not loading (any more).
    Left,
}

/// Ends an execution: the table goes back to `planning`, every chunk of it is superseded, claims and finalize stop.
/// Where nobody can plan the next one the table fails, in the same transaction.
///
/// # Errors
/// What PostgreSQL says; nothing has changed then.
pub async fn fence_execution(
    client: &mut Client,
    run: RunId,
    table: TableId,
    execution: i32,
) -> Result<Fenced, StoreError> {
    for _ in 1..FENCE_TRIES {
        match try_fence(client, run, table, execution).await {
            // Somebody froze between the completion of a chunk and its COMMIT.
            Err(StoreError::Postgres(error)) if error.is_lock_timeout() => {
                end_backends(client, table, execution).await?;
            }
            fenced => return fenced,
        }
    }
    try_fence(client, run, table, execution).await
}

async fn try_fence(
    client: &mut Client,
    run: RunId,
    table: TableId,
    execution: i32,
) -> Result<Fenced, StoreError> {
    let transaction = client.transaction().await?;
    let name = activity::of_table(run, table, "fence");
    activity::begin(&transaction, &name, activity::START).await?;
    let Some(fenced) = transaction.query_opt(FENCE, &[&table.0, &run.0, &execution]).await? else {
        transaction.rollback().await?;
        return Ok(Fenced::Left);
    };
    transaction.execute(SUPERSEDE, &[&table.0, &execution]).await?;
    let is_one_scan: bool = fenced.try_get("is_one_scan")?;
    if is_one_scan {
        // Its result is not to be had any more; the next statement needs no planner.
        transaction
            .execute(END_STATEMENT, &[&table.0, &execution, &None::<i32>, &RESULT_GONE, &"lost"])
            .await?;
    }
    let next: i32 = fenced.try_get("execution")?;
    let reason = if next > MAX_EXECUTIONS && is_one_scan {
        Some(format!(
            "the result was lost in {execution} executions one after the other: is every planner and worker the same \
             snowflake.user? Nobody else may read a result, and Snowflake keeps it for 24 hours"
        ))
    } else if next > MAX_EXECUTIONS {
        Some(format!(
            "the snapshot was lost in {execution} executions one after the other: is the table replaced all the time?"
        ))
    } else if is_one_scan || fenced.try_get("planner_alive")? {
        None
    } else {
        Some(NO_PLANNER.to_owned())
    };
    if let Some(text) = &reason {
        fail(&transaction, run, table, &ErrorReport { class: SNAPSHOT_GONE.into(), text: text.clone() })
            .await?;
    }
    transaction.commit().await?;
    Ok(if reason.is_some() { Fenced::Failed } else { Fenced::ToBePlanned { execution: next } })
}

async fn fail(
    transaction: &Transaction<'_>,
    run: RunId,
    table: TableId,
    error: &ErrorReport,
) -> Result<bool, StoreError> {
    let failed = transaction.execute(FAIL, &[&table.0, &run.0, &error.class, &error.text]).await?;
    pass_target_on(transaction, table).await?;
    Ok(failed == 1)
}

/// Fails the tables whose fresh execution nobody is there to plan; part of every redispatch tick.
///
/// # Errors
/// What PostgreSQL says.
pub async fn fail_executions_without_planner(client: &mut Client) -> Result<Vec<TableId>, StoreError> {
    let transaction = client.transaction().await?;
    let rows = transaction.query(FAIL_ABANDONED, &[&SNAPSHOT_GONE, &NO_PLANNER]).await?;
    let mut failed = Vec::with_capacity(rows.len());
    for row in &rows {
        let table = row::table_id(row)?;
        pass_target_on(&transaction, table).await?;
        failed.push(table);
    }
    transaction.commit().await?;
    Ok(failed)
}

/// A table whose fresh execution is to be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionToPlan {
    pub table: TableId,
    pub entry: String,
    /// Its number.
    pub execution: i32,
    /// Of the execution before: bound, start and target are kept.
    pub plan: TablePlan,
}

/// The tables of a running run that are in `planning` although they were started.
///
/// # Errors
/// What PostgreSQL says; [`StoreError::Unreadable`] for a plan of a newer program.
pub async fn executions_to_plan(client: &Client, run: RunId) -> Result<Vec<ExecutionToPlan>, StoreError> {
    let rows = client.query(LIST, &[&run.0]).await?;
    rows.iter()
        .map(|row| {
            Ok(ExecutionToPlan {
                table: row::table_id(row)?,
                entry: row.try_get("entry")?,
                execution: row.try_get("execution")?,
                plan: row::json(row, "plan", "plan")?,
            })
        })
        .collect()
}

/// Ends the sessions that hold the advisory keys of the table's chunks up to `execution`, and returns when none is left;
/// sessions that this role may not end are waited for. Behind [`fence_execution`] no new one can begin a load.
///
/// # Errors
/// What PostgreSQL says.
pub async fn end_backends(
    client: &Client,
    table: TableId,
    execution: i32,
) -> Result<Vec<Zombie>, StoreError> {
    let mut ended = Vec::new();
    let mut may_end = true;
    loop {
        let held =
            client.query(END_BACKENDS, &[&table.0, &execution, &may_end, &TERMINATE_WAIT_MILLIS]).await;
        let rows = match held.map_err(StoreError::from) {
            Ok(rows) => rows,
            Err(error) if may_end && error.sqlstate() == Some("42501") => {
                may_end = false;
                continue;
            }
            Err(error) => return Err(error),
        };
        if rows.is_empty() {
            return Ok(ended);
        }
        for row in &rows {
            let chunk = ChunkId { table, number: row.try_get("chunk_no")? };
            ended.push(Zombie { chunk, pid: row.try_get("pid")?, ended: row.try_get("ended")? });
        }
        tokio::time::sleep(AWAIT_EVERY).await;
    }
}

/// Rows that the executions before `execution` have inserted into the target. Exact once [`end_backends`] has returned.
///
/// # Errors
/// What PostgreSQL says.
pub async fn rows_of_executions(client: &Client, table: TableId, execution: i32) -> Result<i64, StoreError> {
    Ok(client.query_one(READ_ROWS, &[&table.0, &execution]).await?.try_get("inserted_rows")?)
}

/// What a fresh execution reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExecution {
    pub number: i32,
    pub plan: TablePlan,
    /// The greatest watermark at the new snapshot, as [`crate::WatermarkWindow::high`].
    pub watermark_high: Option<String>,
    /// Rows from the bound on may be missing even when the table completes, as [`crate::WatermarkWindow::leaves_gap`].
    pub leaves_gap: bool,
    pub expected_rows: Option<i64>,
    pub chunks: Vec<NewChunk>,
}

/// Stores a fresh execution and removes what the old ones had loaded, where that is how the plan starts (truncate,
/// delete of the tail), in one transaction; the table is `loading` again. Then publish [`crate::list_hints`].
///
/// # Errors
/// [`StoreError::FenceLost`] when the run is no longer this planner's, or the table not in planning under this number;
/// else what PostgreSQL says. Nothing is written then.
pub async fn store_execution(
    client: &mut Client,
    planner: &PlannerClaim,
    table: TableId,
    execution: &NewExecution,
) -> Result<(), StoreError> {
    let count =
        i32::try_from(execution.chunks.len()).map_err(|_| StoreError::Unwritable { what: "chunk count" })?;
    let plan = &execution.plan;
    let transaction = client.transaction().await?;
    lock_run(&transaction, planner).await?;
    let stored = transaction
        .query_opt(
            STORE,
            &[
                &table.0,
                &planner.run.0,
                &Json(plan),
                &Json(&plan.decisions),
                &plan.source.snapshot,
                &execution.watermark_high,
                &count,
                &execution.expected_rows,
                &execution.number,
                &execution.leaves_gap,
            ],
        )
        .await?
        .ok_or(StoreError::FenceLost)?;
    transaction.execute(DELETE_QUARANTINED, &[&table.0, &execution.number]).await?;
    start::clear_target(&transaction, (planner.run, table), plan).await?;
    copy_chunks(&transaction, table, &execution.chunks, &stored).await?;
    Ok(transaction.commit().await?)
}

/// Fails a table whose fresh execution cannot be planned. Passes its target on; call [`crate::end_run`] afterwards.
///
/// # Errors
/// [`StoreError::FenceLost`] when the run is no longer this planner's or the table no longer in planning; else what
/// PostgreSQL says.
pub async fn fail_execution(
    client: &mut Client,
    planner: &PlannerClaim,
    table: TableId,
    error: &ErrorReport,
) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    lock_run(&transaction, planner).await?;
    if !fail(&transaction, planner.run, table, error).await? {
        return Err(StoreError::FenceLost);
    }
    Ok(transaction.commit().await?)
}
