//! The statements of tables whose chunks are partitions of one result: written down before they are sent, taken on by
//! whoever is there, and cut into chunks when they end.
//!
//! A statement is in somebody's hands under a lease and a fence, like a chunk; between two looks it is in nobody's, so a
//! dead poller is replaced by whoever looks next. This file knows handles as text, and nothing of the source.

use std::time::Duration;

use thaw_model::{ErrorReport, Fence, RunId, TableId, TablePlan, WorkerId};
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Row, Transaction};
use uuid::Uuid;

use crate::error::StoreError;
use crate::execution::{MAX_EXECUTIONS, SNAPSHOT_GONE};
use crate::run::PlannerClaim;
use crate::settings::FleetSettings;
use crate::table::{NewChunk, NewPlan, copy_chunks, lock_run, pass_target_on};
use crate::{row, start};

const STORE: &str = include_str!("sql/store_scan_if_planning.sql");
const REPLAN: &str = include_str!("sql/replan_scan_if_planning.sql");
const INSERT: &str = include_str!("sql/insert_execution.sql");
const TAKE: &str = include_str!("sql/take_executions_if_due.sql");
const TAKE_UNWANTED: &str = include_str!("sql/take_executions_of_run_if_unwanted.sql");
const PAST: &str = include_str!("sql/read_past_scans_of_entry.sql");
const NEXT_LOOK: &str = include_str!("sql/next_look_at_executions.sql");
const EXTEND: &str = include_str!("sql/extend_poll_lease_if_fence_mine.sql");
const BEGIN_SUBMIT: &str = include_str!("sql/begin_submit_if_fence_mine.sql");
const NOTE_HANDLE: &str = include_str!("sql/note_handle_if_fence_mine.sql");
const LOOK_AGAIN: &str = include_str!("sql/look_again_if_fence_mine.sql");
const FINISH: &str = include_str!("sql/finish_execution_if_fence_mine.sql");
const LOCK_RUN: &str = include_str!("sql/lock_run_if_running.sql");
const IS_ENDED: &str = include_str!("sql/read_execution_ended.sql");
const END: &str = include_str!("sql/end_execution.sql");
const STORE_PARTITIONS: &str = include_str!("sql/store_partitions_if_planning.sql");
const RAISE: &str = include_str!("sql/raise_execution_if_planning.sql");
const FAIL: &str = include_str!("sql/fail_scan_if_planning.sql");
const TO_PREPARE: &str = include_str!("sql/list_scans_to_prepare.sql");
const DELETE_QUARANTINED: &str = include_str!("sql/delete_quarantined_rows_of_executions.sql");

/// A statement before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStatement {
    /// Under which it is sent, whoever sends it.
    pub request_id: Uuid,
    /// Of its SQL.
    pub digest: String,
}

/// A statement in this process's hands.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanClaim {
    pub run: RunId,
    pub table: TableId,
    pub execution: i32,
    pub fence: Fence,
    /// Its table still waits for it; else it is to be cancelled.
    pub is_wanted: bool,
    pub request_id: Uuid,
    pub digest: String,
    /// Times that somebody began to send it.
    pub submits: i32,
    /// `None`: not known to have been sent.
    pub handle: Option<String>,
    /// Looks in vain, one after the other.
    pub failures: i32,
    /// Since it was sent.
    pub age: Duration,
    pub settings: FleetSettings,
}

/// Stores the plan of a table that one statement reads, together with the statement, before that is sent. The table stays
/// in `planning`; the statement is in the hands of `by`. The chunks of `plan` are not looked at.
///
/// # Errors
/// [`StoreError::FenceLost`] when the run is no longer this planner's or the table has a plan already; else what
/// PostgreSQL says. Nothing is written then.
pub async fn store_scan(
    client: &mut Client,
    planner: &PlannerClaim,
    table: TableId,
    plan: &NewPlan,
    statement: &NewStatement,
) -> Result<ScanClaim, StoreError> {
    let window = plan.watermark.as_ref();
    let transaction = client.transaction().await?;
    lock_run(&transaction, planner).await?;
    let stored = transaction
        .query_opt(
            STORE,
            &[
                &table.0,
                &planner.run.0,
                &Json(&plan.plan),
                &Json(&plan.plan.decisions),
                &plan.plan.source.snapshot,
                &window.map(|window| window.column.as_str()),
                &window.map(|window| window.pg_type.as_str()),
                &window.and_then(|window| window.low.as_deref()),
                &window.and_then(|window| window.high.as_deref()),
                &plan.expected_rows,
                &window.map(|window| window.source.as_str()),
                &window.and_then(|window| window.safe.as_deref()),
                &window.is_some_and(|window| window.leaves_gap),
            ],
        )
        .await?
        .ok_or(StoreError::FenceLost)?;
    let execution = (planner.run, table, stored.try_get("execution")?);
    let claim =
        insert(&transaction, execution, statement, &planner.planner).await?.ok_or(StoreError::FenceLost)?;
    transaction.commit().await?;
    Ok(claim)
}

async fn insert(
    transaction: &Transaction<'_>,
    (run, table, execution): (RunId, TableId, i32),
    statement: &NewStatement,
    by: &WorkerId,
) -> Result<Option<ScanClaim>, StoreError> {
    let inserted = transaction
        .query_opt(INSERT, &[&table.0, &execution, &statement.request_id, &statement.digest, &by.as_str()])
        .await?;
    inserted
        .map(|row| {
            Ok(ScanClaim {
                run,
                table,
                execution,
                fence: Fence(row.try_get("poll_fence")?),
                is_wanted: true,
                request_id: statement.request_id,
                digest: statement.digest.clone(),
                submits: 0,
                handle: None,
                failures: 0,
                age: Duration::ZERO,
                settings: row::json(&row, "settings", "settings")?,
            })
        })
        .transpose()
}

/// A table that waits for a statement which nobody has written down: the one before is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanToPrepare {
    pub run: RunId,
    pub table: TableId,
    pub execution: i32,
    /// Of the execution before.
    pub plan: TablePlan,
    /// Older executions may have brought rows to the target.
    pub was_started: bool,
}

/// The tables of running runs that wait for a statement which nobody has written down.
///
/// # Errors
/// What PostgreSQL says; [`StoreError::Unreadable`] for a plan of a newer program.
pub async fn scans_to_prepare(client: &Client, limit: i64) -> Result<Vec<ScanToPrepare>, StoreError> {
    let rows = client.query(TO_PREPARE, &[&limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(ScanToPrepare {
                run: row::run_id(row)?,
                table: row::table_id(row)?,
                execution: row.try_get("execution")?,
                plan: row::json(row, "plan", "plan")?,
                was_started: row.try_get("was_started")?,
            })
        })
        .collect()
}

/// Writes the statement of a further execution down, with the plan it belongs to. `None`: somebody else was faster, or
/// the table does not wait for it any more.
///
/// # Errors
/// What PostgreSQL says; nothing is written then.
pub async fn prepare(
    client: &mut Client,
    scan: &ScanToPrepare,
    plan: &TablePlan,
    statement: &NewStatement,
    by: &WorkerId,
) -> Result<Option<ScanClaim>, StoreError> {
    let transaction = client.transaction().await?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&scan.table.0, &scan.run.0, &Json(plan), &Json(&plan.decisions), &scan.execution];
    if transaction.execute(REPLAN, &parameters).await? == 0 {
        transaction.rollback().await?;
        return Ok(None);
    }
    let claim = insert(&transaction, (scan.run, scan.table, scan.execution), statement, by).await?;
    if claim.is_none() {
        transaction.rollback().await?;
        return Ok(None);
    }
    transaction.commit().await?;
    Ok(claim)
}

/// Takes statements on that are to be sent or looked at.
///
/// # Errors
/// What PostgreSQL says.
pub async fn take(client: &Client, by: &WorkerId, limit: i64) -> Result<Vec<ScanClaim>, StoreError> {
    let rows = client.query(TAKE, &[&by.as_str(), &limit]).await?;
    rows.iter().map(claim).collect()
}

/// Takes the statements of a run that nobody waits for any more, whoever has them: they are to be cancelled.
///
/// # Errors
/// What PostgreSQL says.
pub async fn take_unwanted(client: &Client, by: &WorkerId, run: RunId) -> Result<Vec<ScanClaim>, StoreError> {
    let rows = client.query(TAKE_UNWANTED, &[&by.as_str(), &run.0]).await?;
    rows.iter().map(claim).collect()
}

/// What the source took for an entry in earlier runs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PastScans {
    /// From the submission of its last statement to its end.
    pub statement: Option<Duration>,
    /// Fetching all pages of the last run that was cut into pages, one after the other, and how many they were.
    pub pages: Option<(Duration, i64)>,
}

/// Reads it.
///
/// # Errors
/// What PostgreSQL says.
pub async fn past_scans(client: &Client, entry: &str) -> Result<PastScans, StoreError> {
    let row = client.query_one(PAST, &[&entry]).await?;
    let span = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let pages: Option<f64> = row.try_get("page_seconds")?;
    let count = row.try_get("page_count")?;
    let statement: Option<f64> = row.try_get("statement_seconds")?;
    Ok(PastScans { statement: statement.map(span), pages: pages.map(|seconds| (span(seconds), count)) })
}

fn claim(row: &Row) -> Result<ScanClaim, StoreError> {
    Ok(ScanClaim {
        run: row::run_id(row)?,
        table: row::table_id(row)?,
        execution: row.try_get("execution")?,
        fence: Fence(row.try_get("poll_fence")?),
        is_wanted: row.try_get("is_wanted")?,
        request_id: row.try_get("request_id")?,
        digest: row.try_get("statement_digest")?,
        submits: row.try_get("submits")?,
        handle: row.try_get("handle")?,
        failures: row.try_get("failures")?,
        age: Duration::try_from_secs_f64(row.try_get("age_seconds")?).unwrap_or_default(),
        settings: row::json(row, "settings", "settings")?,
    })
}

/// How long until some statement is to be looked at; `None`: none is open.
///
/// # Errors
/// What PostgreSQL says.
pub async fn next_look(client: &Client) -> Result<Option<Duration>, StoreError> {
    let seconds: Option<f64> = client.query_one(NEXT_LOOK, &[]).await?.try_get("seconds")?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

/// Keeps the statement in our hands. False: somebody else has it.
///
/// # Errors
/// What PostgreSQL says.
pub async fn extend(client: &Client, claim: &ScanClaim) -> Result<bool, StoreError> {
    let lease = row::seconds(claim.settings.lease);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&claim.table.0, &claim.execution, &claim.fence.0, &lease];
    Ok(client.execute(EXTEND, &parameters).await? == 1)
}

/// To be called, and committed, before the statement is sent: how often it has been begun to be sent, this time
/// included. `None`: it is not ours to send.
///
/// # Errors
/// What PostgreSQL says.
pub async fn begin_submit(client: &Client, claim: &ScanClaim) -> Result<Option<i32>, StoreError> {
    let row = client.query_opt(BEGIN_SUBMIT, &[&claim.table.0, &claim.execution, &claim.fence.0]).await?;
    row.map(|row| Ok(row.try_get("submits")?)).transpose()
}

/// Stores the handle and gives the statement back until the first look. False: somebody else has it.
///
/// # Errors
/// What PostgreSQL says.
pub async fn note_handle(
    client: &Client,
    claim: &ScanClaim,
    handle: &str,
    look_in: Duration,
) -> Result<bool, StoreError> {
    let seconds = row::seconds(look_in);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&claim.table.0, &claim.execution, &claim.fence.0, &handle, &seconds];
    Ok(client.execute(NOTE_HANDLE, &parameters).await? == 1)
}

/// Whether the statement has ended although it was ours: its run was cancelled, or its table has gone over to another.
///
/// # Errors
/// What PostgreSQL says.
pub async fn is_ended(client: &Client, claim: &ScanClaim) -> Result<bool, StoreError> {
    let row = client.query_opt(IS_ENDED, &[&claim.table.0, &claim.execution]).await?;
    Ok(row.map(|row| row.try_get("is_ended")).transpose()?.unwrap_or(true))
}

/// What a look has found that did not end the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// The server says that it runs.
    Running,
    /// Nothing could be learnt; it counts.
    InVain,
    /// Nothing could be learnt, and nobody is to blame.
    Waiting,
}

/// Gives the statement back until the next look.
///
/// # Errors
/// What PostgreSQL says.
pub async fn look_again(
    client: &Client,
    claim: &ScanClaim,
    looked: Looked,
    pause: Duration,
) -> Result<(), StoreError> {
    let seconds = row::seconds(pause);
    let (failed, runs) = (looked == Looked::InVain, looked == Looked::Running);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
        [&claim.table.0, &claim.execution, &claim.fence.0, &seconds, &failed, &runs];
    client.execute(LOOK_AGAIN, &parameters).await?;
    Ok(())
}

/// A result that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutResult {
    pub plan: TablePlan,
    pub rows: i64,
    pub partitions: i32,
    pub bytes: i64,
    pub chunks: Vec<NewChunk>,
}

/// Whether chunks were stored, and how the table goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The table is `planned`: start it.
    Planned,
    /// The table is `loading`, its target is cleared: publish the chunks' hints.
    Loading,
    /// Somebody else was faster, or nobody waits for it any more.
    Left,
}

/// Stores the chunks of a finished statement. Where an older execution of the table was started, what that has loaded is
/// removed in the same transaction, if that is how the table loads.
///
/// # Errors
/// What PostgreSQL says; nothing is written then.
pub async fn store_partitions(
    client: &mut Client,
    claim: &ScanClaim,
    cut: &CutResult,
) -> Result<Stored, StoreError> {
    let count =
        i32::try_from(cut.chunks.len()).map_err(|_| StoreError::Unwritable { what: "chunk count" })?;
    let (plan, decisions) = (Json(&cut.plan), Json(&cut.plan.decisions));
    let transaction = client.transaction().await?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&claim.table.0, &claim.run.0, &plan, &decisions, &count, &cut.rows, &claim.execution];
    if transaction.query_opt(LOCK_RUN, &[&claim.run.0]).await?.is_none() {
        transaction.rollback().await?;
        return Ok(Stored::Left);
    }
    let stored = transaction.query_opt(STORE_PARTITIONS, &parameters).await?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
        [&claim.table.0, &claim.execution, &claim.fence.0, &cut.rows, &cut.partitions, &cut.bytes];
    let Some(stored) = stored else {
        transaction.rollback().await?;
        return Ok(Stored::Left);
    };
    if transaction.execute(FINISH, &parameters).await? == 0 {
        transaction.rollback().await?;
        return Ok(Stored::Left);
    }
    let was_started: bool = stored.try_get("was_started")?;
    if was_started {
        transaction.execute(DELETE_QUARANTINED, &[&claim.table.0, &claim.execution]).await?;
        start::clear_target(&transaction, (claim.run, claim.table), &cut.plan).await?;
    }
    copy_chunks(&transaction, claim.table, &cut.chunks, &stored).await?;
    transaction.commit().await?;
    Ok(if was_started { Stored::Loading } else { Stored::Planned })
}

/// Ends a statement that nobody waits for.
///
/// # Errors
/// What PostgreSQL says.
pub async fn withdraw(client: &Client, claim: &ScanClaim, error: &ErrorReport) -> Result<(), StoreError> {
    let fence = Some(claim.fence.0);
    client.execute(END, &[&claim.table.0, &claim.execution, &fence, &error.class, &error.text]).await?;
    Ok(())
}

/// What becomes of a table whose statement is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It waits for another one, under this number.
    Execution(i32),
    /// It has had its executions and has failed. Call [`crate::end_run`].
    Failed,
    /// Somebody else was faster.
    Left,
}

/// The statement of a table in planning is lost: it waits for another one, or fails where it has had its executions.
///
/// # Errors
/// What PostgreSQL says; nothing is written then.
pub async fn begin_again(
    client: &mut Client,
    claim: &ScanClaim,
    error: &ErrorReport,
) -> Result<Again, StoreError> {
    if claim.execution >= MAX_EXECUTIONS {
        let text = format!(
            "{} statements were lost one after the other; the last one: {}",
            claim.execution, error.text
        );
        let failed = fail(client, claim, &ErrorReport { class: SNAPSHOT_GONE.to_owned(), text }).await?;
        return Ok(if failed { Again::Failed } else { Again::Left });
    }
    let transaction = client.transaction().await?;
    let raised = transaction.query_opt(RAISE, &[&claim.table.0, &claim.run.0, &claim.execution]).await?;
    let fence = Some(claim.fence.0);
    let ended = transaction
        .execute(END, &[&claim.table.0, &claim.execution, &fence, &error.class, &error.text])
        .await?;
    let Some(raised) = raised.filter(|_| ended == 1) else {
        transaction.rollback().await?;
        return Ok(Again::Left);
    };
    transaction.commit().await?;
    Ok(Again::Execution(raised.try_get("execution")?))
}

/// Fails a table in planning whose statement cannot be had. False: somebody else was faster. Passes its target on; call
/// [`crate::end_run`] afterwards.
///
/// # Errors
/// What PostgreSQL says; nothing is written then.
pub async fn fail(client: &mut Client, claim: &ScanClaim, error: &ErrorReport) -> Result<bool, StoreError> {
    let fence = Some(claim.fence.0);
    fail_as(client, (claim.run, claim.table, claim.execution), fence, error).await
}

/// As [`fail`], for a table that waits for a statement which cannot be prepared.
///
/// # Errors
/// As [`fail`].
pub async fn fail_unprepared(
    client: &mut Client,
    scan: &ScanToPrepare,
    error: &ErrorReport,
) -> Result<bool, StoreError> {
    fail_as(client, (scan.run, scan.table, scan.execution), None, error).await
}

async fn fail_as(
    client: &mut Client,
    (run, table, execution): (RunId, TableId, i32),
    fence: Option<i32>,
    error: &ErrorReport,
) -> Result<bool, StoreError> {
    let transaction = client.transaction().await?;
    transaction.query_opt(LOCK_RUN, &[&run.0]).await?;
    let failed =
        transaction.execute(FAIL, &[&table.0, &run.0, &error.class, &error.text, &execution]).await?;
    let ended = transaction.execute(END, &[&table.0, &execution, &fence, &error.class, &error.text]).await?;
    if failed == 0 || (fence.is_some() && ended == 0) {
        transaction.rollback().await?;
        return Ok(false);
    }
    pass_target_on(&transaction, table).await?;
    transaction.commit().await?;
    Ok(true)
}
