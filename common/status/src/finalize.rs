//! The end of a table and of a run: transitions anyone can perform, one worker does.

use std::time::Duration;

use thaw_model::plan::Decision;
use thaw_model::{Accounting, ErrorReport, Fence, RunId, RunState, TableId, TableState, WorkerId};
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Transaction};

use crate::error::StoreError;
use crate::recorded::{Outcome, Recorded};
use crate::settings::FleetSettings;
use crate::start::Snoozed;
use crate::table::pass_target_on;
use crate::{activity, row};

const LOCK_TABLE: &str = include_str!("sql/lock_table_if_finalizable.sql");
const CLAIM: &str = include_str!("sql/claim_finalize_if_no_open_chunk.sql");
const LOADED_ROWS: &str = include_str!("sql/read_loaded_rows.sql");
const HEARTBEAT: &str = include_str!("sql/extend_finalize_lease_if_fence_mine.sql");
const SNOOZE: &str = include_str!("sql/snooze_finalize_if_fence_mine.sql");
const FINISH: &str = include_str!("sql/finish_finalize_if_fence_mine.sql");
const LOCK_RUN: &str = include_str!("sql/lock_run_if_endable.sql");
const END_RUN: &str = include_str!("sql/end_run_if_all_tables_final.sql");
const MARK_PLANNED: &str = include_str!("sql/mark_run_planned_if_planner_gone.sql");
const LIST_ENDABLE: &str = include_str!("sql/list_endable_runs.sql");

/// A table this worker finalizes, until the lease is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalizeClaim {
    pub run: RunId,
    pub table: TableId,
    pub fence: Fence,
    pub worker: WorkerId,
    pub plan_version: i32,
    /// Rows the source said the execution has.
    pub expected_rows: Option<i64>,
    /// [`crate::indexes::restore_indexes_of_target`] before the end, in any case: a table without its indexes cannot be `completed`.
    pub indexes_dropped: bool,
    pub settings: FleetSettings,
}

impl FinalizeClaim {
    /// How often to call [`heartbeat_finalize`].
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.settings.heartbeat
    }
}

/// A table that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedTable {
    pub state: TableState,
    /// Sums over the completed chunks.
    pub accounting: Accounting,
    pub recorded: Recorded,
}

/// After every commit of a chunk, and for a message about a table: takes the table to finalize if no chunk is open.
/// `None`: chunks are open, somebody else has it, or it is over.
///
/// # Errors
/// What PostgreSQL says.
pub async fn claim_finalize(
    client: &mut Client,
    run: RunId,
    table: TableId,
    worker: &WorkerId,
) -> Result<Option<FinalizeClaim>, StoreError> {
    let transaction = client.transaction().await?;
    if transaction.query_opt(LOCK_TABLE, &[&table.0, &run.0]).await?.is_none() {
        transaction.rollback().await?;
        return Ok(None);
    }
    let row = transaction.query_opt(CLAIM, &[&table.0, &worker.as_str()]).await?;
    transaction.commit().await?;
    row.map(|row| {
        Ok(FinalizeClaim {
            run: row::run_id(&row)?,
            table,
            fence: Fence(row.try_get("finalize_fence")?),
            worker: worker.clone(),
            plan_version: row.try_get("plan_version")?,
            expected_rows: row.try_get("expected_rows")?,
            indexes_dropped: row.try_get("indexes_dropped")?,
            settings: row::json(&row, "settings", "run settings")?,
        })
    })
    .transpose()
}

/// What the chunks of a table's current execution hold so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Rows its completed chunks fetched.
    pub fetched: i64,
    /// Rows its completed chunks inserted.
    pub inserted: i64,
    /// Rows that chunks of any execution have inserted.
    pub inserted_ever: i64,
    /// The target was truncated for this execution.
    pub was_truncated: bool,
    /// The start found the target empty.
    pub was_empty: bool,
    /// Rows that had been deleted from the target when the table was started; `None`: nobody could look.
    pub deletes_before: Option<i64>,
    /// Other entries of the run load the same target.
    pub is_shared: bool,
    /// Rows of its completed chunks that met a row of their key: updated or kept.
    pub met: i64,
    /// Rows its completed chunks set aside.
    pub quarantined: i64,
    /// The current execution.
    pub execution: i32,
    pub completed_chunks: i64,
    /// Open, failed or cancelled.
    pub not_completed_chunks: i64,
}

/// Reads it: the finalizer compares it with the plan before the end.
///
/// # Errors
/// What PostgreSQL says.
pub async fn loaded_rows(client: &Client, table: TableId) -> Result<Loaded, StoreError> {
    let row = client.query_one(LOADED_ROWS, &[&table.0]).await?;
    Ok(Loaded {
        fetched: row.try_get("fetched_rows")?,
        inserted: row.try_get("inserted_rows")?,
        inserted_ever: row.try_get("inserted_ever")?,
        was_truncated: row.try_get("was_truncated")?,
        was_empty: row.try_get("was_empty")?,
        deletes_before: row.try_get("deletes_before")?,
        is_shared: row.try_get("is_shared")?,
        met: row.try_get("met_rows")?,
        execution: row.try_get("execution")?,
        quarantined: row.try_get("quarantined_rows")?,
        completed_chunks: row.try_get("completed")?,
        not_completed_chunks: row.try_get("not_completed")?,
    })
}

/// Extends the finalizer's lease. False: somebody else has the table; stop.
///
/// # Errors
/// What PostgreSQL says.
pub async fn heartbeat_finalize(client: &Client, claim: &FinalizeClaim) -> Result<bool, StoreError> {
    let extended =
        client.execute(HEARTBEAT, &[&claim.table.0, &claim.fence.0, &claim.worker.as_str()]).await?;
    Ok(extended == 1)
}

/// A step of the finalizer that is one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Sequences,
    Analyze,
    Count,
}

/// Begins the transaction of a step: it says in `pg_stat_activity` what it is, and has the step's limits.
///
/// # Errors
/// What PostgreSQL says.
pub async fn begin_step<'c>(
    client: &'c mut Client,
    claim: &FinalizeClaim,
    step: Step,
) -> Result<Transaction<'c>, StoreError> {
    let (name, limits) = match step {
        Step::Sequences => ("sequences", activity::SEQUENCES),
        Step::Analyze => ("analyze", activity::ANALYZE),
        Step::Count => ("count", activity::COUNT),
    };
    let transaction = client.transaction().await?;
    activity::begin(&transaction, &activity::of_table(claim.run, claim.table, name), limits).await?;
    Ok(transaction)
}

/// Gives the table back for a while that grows with each time: something is in the way that passes. `None`: somebody
/// else has it already.
///
/// # Errors
/// What PostgreSQL says; the lease runs out then.
pub async fn snooze_finalize(client: &Client, claim: &FinalizeClaim) -> Result<Option<Snoozed>, StoreError> {
    let mine = client.query_opt(SNOOZE, &[&claim.table.0, &claim.fence.0, &claim.worker.as_str()]).await?;
    let Some(row) = mine else { return Ok(None) };
    let seconds: f64 = row.try_get("seconds")?;
    Ok(Some(Snoozed {
        tries: row.try_get("finalize_tries")?,
        pause: Duration::from_secs_f64(seconds.max(0.0)),
    }))
}

/// Ends the table: `completed` when every chunk is and `error` is `None`, else `partial`, or `failed` when no chunk
/// was loaded. Fills its sums, adds `decisions`, passes its target on. Then call [`end_run`].
///
/// # Errors
/// [`StoreError::FenceLost`] when somebody else has the table; 23514 while its indexes are not restored.
pub async fn finish_finalize(
    client: &mut Client,
    claim: &FinalizeClaim,
    error: Option<&ErrorReport>,
    decisions: &[Decision],
) -> Result<FinishedTable, StoreError> {
    let transaction = client.transaction().await?;
    let row = transaction
        .query_opt(
            FINISH,
            &[
                &claim.table.0,
                &claim.fence.0,
                &claim.worker.as_str(),
                &error.map(|error| error.class.as_str()),
                &error.map(|error| error.text.as_str()),
                &Json(decisions),
            ],
        )
        .await?
        .ok_or(StoreError::FenceLost)?;
    pass_target_on(&transaction, claim.table).await?;
    let state = row::state(&row, "status")?;
    let accounting = Accounting {
        fetched: row.try_get("fetched_rows")?,
        inserted: row.try_get("inserted_rows")?,
        updated: row.try_get("updated_rows")?,
        kept: row.try_get("kept_rows")?,
        deduplicated: row.try_get("deduplicated_rows")?,
        quarantined: row.try_get("quarantined_rows")?,
        bytes: row.try_get("bytes")?,
        nulled: row.try_get("nulled_values")?,
        ambiguous: row.try_get("ambiguous_rows")?,
        tied: row.try_get("tied_rows")?,
        null_watermarks: row.try_get("null_watermark_rows")?,
        watermark_lost: row.try_get("watermark_lost_rows")?,
    };
    transaction.commit().await?;
    let recorded = Recorded::table(claim.run, claim.table, Outcome::Table(state));
    Ok(FinishedTable { state, accounting, recorded })
}

/// Ends the run if it is planned and every table is final. `None`: it is not, or somebody else ended it.
///
/// # Errors
/// What PostgreSQL says.
pub async fn end_run(client: &mut Client, run: RunId) -> Result<Option<RunState>, StoreError> {
    let transaction = client.transaction().await?;
    if transaction.query_opt(LOCK_RUN, &[&run.0]).await?.is_none() {
        transaction.rollback().await?;
        return Ok(None);
    }
    let row = transaction.query_opt(END_RUN, &[&run.0]).await?;
    transaction.commit().await?;
    row.map(|row| row::state(&row, "status")).transpose()
}

/// Ends the runs that nobody ended; part of every redispatch tick. A run whose planner died between its last plan and
/// the word that all are there is planned by that.
///
/// # Errors
/// What PostgreSQL says.
pub async fn end_finished_runs(client: &mut Client) -> Result<Vec<(RunId, RunState)>, StoreError> {
    client.execute(MARK_PLANNED, &[]).await?;
    let mut ended = Vec::new();
    for row in client.query(LIST_ENDABLE, &[]).await? {
        let run = row::run_id(&row)?;
        if let Some(state) = end_run(client, run).await? {
            ended.push((run, state));
        }
    }
    Ok(ended)
}
