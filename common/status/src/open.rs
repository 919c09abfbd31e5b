//! Opening a run for a planner: a new one, a dead planner's, or one that is over and goes on.
//!
//! One transaction for one database: what is put aside, the planner's hold on the run, the tables that go on, those that
//! are planned anew and those that are added. It waits for no worker: whoever still loads a chunk that was taken away
//! has lost its fence when this commits, and cannot commit after it.

use std::time::Duration;

use thaw_model::{Fence, RunId, RunState, TableId, TableState, WorkerId};
use thaw_postgres::PgError;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Transaction};

use crate::cancel;
use crate::error::StoreError;
use crate::row;
use crate::run::{NewRun, NewTable, PlannerClaim, ReservedTable};
use crate::table::pass_target_on;

const RESERVE_RUN: &str = include_str!("sql/reserve_run.sql");
const RESERVE_TABLE: &str = include_str!("sql/reserve_table.sql");
const TAKE_OVER: &str = include_str!("sql/take_over_run_if_planner_gone.sql");
const REOPEN_RUN: &str = include_str!("sql/reopen_run_if_revivable.sql");
const RESUME_TABLE: &str = include_str!("sql/resume_table_if_open.sql");
const REOPEN_TABLE: &str = include_str!("sql/reopen_table_if_target_untouched.sql");
const REOPEN_CHUNKS: &str = include_str!("sql/reopen_chunks_of_table.sql");
const SUPERSEDE_TABLE: &str = include_str!("sql/supersede_table_of_run.sql");
const ABANDON_TABLE: &str = include_str!("sql/abandon_table_if_unplanned.sql");
const SUPERSEDE_CHUNKS: &str = include_str!("sql/supersede_open_chunks_of_table.sql");

/// What is to be opened in one database.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The run; what is more than its id and its planner counts only where the database does not have it.
    pub run: &'a NewRun,
    /// The state in which this database was seen to have the run; `None`: it has no part in it.
    pub found: Option<RunState>,
    /// Running runs of dead or departed planners that hold targets of this one.
    pub supersede: &'a [RunId],
    /// Unfinished tables that go on: failed and cancelled chunks are pending again with a new budget.
    pub resume: &'a [TableId],
    /// Unfinished tables that a row of `add` stands for from now on.
    pub replace: &'a [TableId],
    /// Never planned, and by nobody any more: what waits for them goes on, and the run can end.
    pub abandon: &'a [TableId],
    /// Tables without a plan, in the order in which entries of one target load.
    pub add: &'a [NewTable],
}

/// What opening gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    Open(OpenedRun),
    /// Nothing was written: a planner lives or was faster, or another run holds a target. Look again.
    Changed,
}

/// A run that is this planner's now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedRun {
    pub planner: PlannerClaim,
    pub resumed: Vec<ResumedTable>,
    /// They could not be resumed: they have ended meanwhile, a later run has started their target, or another entry of
    /// this run holds it. As they were.
    pub left: Vec<TableId>,
    /// In the order of [`Opening::add`].
    pub added: Vec<ReservedTable>,
}

/// A table that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumedTable {
    pub id: TableId,
    /// Planning, planned, loading or finalizing.
    pub state: TableState,
    /// False: it has never been planned.
    pub has_plan: bool,
}

/// Opens it.
///
/// # Errors
/// What PostgreSQL says; nothing is written then.
pub async fn open_run(client: &mut Client, opening: &Opening<'_>) -> Result<Opened, StoreError> {
    let transaction = client.transaction().await?;
    match write(&transaction, opening).await {
        Ok(Some(opened)) => {
            transaction.commit().await?;
            Ok(Opened::Open(opened))
        }
        Ok(None) => {
            transaction.rollback().await?;
            Ok(Opened::Changed)
        }
        Err(error) if is_held(&error) => {
            transaction.rollback().await?;
            Ok(Opened::Changed)
        }
        Err(error) => Err(error),
    }
}

/// Takes a running run over whose planner has left or is dead, as it is. `None`: a planner is alive, or the run has
/// ended.
///
/// # Errors
/// What PostgreSQL says.
pub async fn take_over_run(
    client: &Client,
    run: RunId,
    planner: &WorkerId,
    lease: Duration,
) -> Result<Option<PlannerClaim>, StoreError> {
    let row = client.query_opt(TAKE_OVER, &[&run.0, &planner.as_str(), &row::seconds(lease)]).await?;
    row.map(|row| claim(run, planner, &row)).transpose()
}

/// Another run holds a target, or has written its row meanwhile.
fn is_held(error: &StoreError) -> bool {
    match error {
        StoreError::Postgres(error) => {
            error.is_unique_violation()
                && matches!(error.constraint(), Some("holds_target" | "table_once" | "migration_runs_pkey"))
        }
        _ => false,
    }
}

async fn write(
    transaction: &Transaction<'_>,
    opening: &Opening<'_>,
) -> Result<Option<OpenedRun>, StoreError> {
    for run in opening.supersede {
        if !cancel::supersede_in(transaction, *run).await? {
            return Ok(None);
        }
    }
    let Some(planner) = take(transaction, opening).await? else { return Ok(None) };
    let run = opening.run.id;
    for table in opening.replace {
        if transaction.execute(SUPERSEDE_TABLE, &[&run.0, &table.0]).await? == 0 {
            return Ok(None);
        }
        transaction.execute(SUPERSEDE_CHUNKS, &[&table.0]).await?;
    }
    for table in opening.abandon {
        if transaction.execute(ABANDON_TABLE, &[&run.0, &table.0]).await? == 0 {
            return Ok(None);
        }
        pass_target_on(transaction, *table).await?;
    }
    let mut opened = OpenedRun { planner, resumed: Vec::new(), left: Vec::new(), added: Vec::new() };
    for table in opening.resume {
        match resume(transaction, run, *table).await? {
            Some(resumed) => opened.resumed.push(resumed),
            None => opened.left.push(*table),
        }
    }
    for table in opening.add {
        opened.added.push(add(transaction, run, table).await?);
    }
    let is_useless =
        opening.found.is_some_and(RunState::is_final) && opened.resumed.is_empty() && opened.added.is_empty();
    Ok((!is_useless).then_some(opened))
}

/// The planner's hold on the run; `None`: it is not to be had.
async fn take(
    transaction: &Transaction<'_>,
    opening: &Opening<'_>,
) -> Result<Option<PlannerClaim>, StoreError> {
    let run = opening.run;
    let (planner, lease) = (run.planner.as_str(), row::seconds(run.planner_lease));
    let taken = match opening.found {
        None => {
            transaction
                .execute(
                    RESERVE_RUN,
                    &[&run.id.0, &run.config_hash, &planner, &lease, &Json(run.settings), &run.program],
                )
                .await?;
            return Ok(Some(PlannerClaim { run: run.id, planner: run.planner.clone(), fence: Fence(1) }));
        }
        Some(RunState::Running) => transaction.query_opt(TAKE_OVER, &[&run.id.0, &planner, &lease]).await?,
        Some(state) => {
            transaction.query_opt(REOPEN_RUN, &[&run.id.0, &planner, &lease, &state.as_str()]).await?
        }
    };
    taken.map(|row| claim(run.id, &run.planner, &row)).transpose()
}

fn claim(run: RunId, planner: &WorkerId, row: &tokio_postgres::Row) -> Result<PlannerClaim, StoreError> {
    Ok(PlannerClaim { run, planner: planner.clone(), fence: Fence(row.try_get("planner_fence")?) })
}

/// The table's row first, then its chunks: the order in which every transaction locks them.
async fn resume(
    transaction: &Transaction<'_>,
    run: RunId,
    table: TableId,
) -> Result<Option<ResumedTable>, StoreError> {
    let row = match transaction.query_opt(RESUME_TABLE, &[&run.0, &table.0]).await? {
        Some(row) => row,
        None => match transaction.query_opt(REOPEN_TABLE, &[&run.0, &table.0]).await? {
            Some(row) => row,
            None => return Ok(None),
        },
    };
    transaction.execute(REOPEN_CHUNKS, &[&table.0]).await?;
    Ok(Some(ResumedTable {
        id: table,
        state: row::state(&row, "status")?,
        has_plan: row.try_get("has_plan")?,
    }))
}

async fn add(
    transaction: &Transaction<'_>,
    run: RunId,
    table: &NewTable,
) -> Result<ReservedTable, StoreError> {
    let row = transaction
        .query_one(
            RESERVE_TABLE,
            &[
                &run.0,
                &table.entry,
                &table.source_name,
                &table.source_database.as_str(),
                &table.source_schema.as_str(),
                &table.source_table.as_str(),
                &table.target_schema.as_str(),
                &table.target_table.as_str(),
                &table.config_hash,
                &Json(&table.config_keys),
                &table.max_attempts,
                &table.parallel_cap,
            ],
        )
        .await
        .map_err(PgError::from)?;
    Ok(ReservedTable { id: row::table_id(&row)?, holds_target: row.try_get("holds_target")? })
}
