//! Tables: storing a plan with its chunks, reading it back, hints for its chunks, and faults of a whole table.

use std::time::SystemTime;

use thaw_model::{ChunkId, ChunkRange, ErrorReport, Job, RunId, TableId, TablePlan};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{Json, Type};
use tokio_postgres::{Client, Row, Transaction};

use crate::error::StoreError;
use crate::recorded::Recorded;
use crate::row;
use crate::run::PlannerClaim;
use crate::start::read_table;

const LOCK_RUN: &str = include_str!("sql/lock_run_if_planner_fence_mine.sql");
const STORE_PLAN: &str = include_str!("sql/store_plan_if_planning.sql");
const COPY_CHUNKS: &str = include_str!("sql/copy_chunks.sql");
const REFERENCE_TROUBLE: &str = include_str!("sql/read_reference_trouble.sql");
const FAIL: &str = include_str!("sql/fail_table_if_not_started.sql");
const FAIL_START: &str = include_str!("sql/fail_start_if_planned.sql");
const NOTE_ERROR: &str = include_str!("sql/note_table_error_if_loading.sql");
const CANCEL_CHUNKS: &str = include_str!("sql/cancel_open_chunks_of_table.sql");
const PASS_TARGET_ON: &str = include_str!("sql/pass_target_on_if_free.sql");
const READ_PLAN: &str = include_str!("sql/read_plan.sql");
const LIST_HINTS: &str = include_str!("sql/list_hints_of_table.sql");
const LOCK_TABLE: &str = include_str!("sql/lock_table_if_loading.sql");
const TAKE_HINTS: &str = include_str!("sql/take_hints_within_cap.sql");

/// A plan that is to be stored, with its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlan {
    pub plan: TablePlan,
    /// What of the watermark this run reads; `None` where the entry has no watermark.
    pub watermark: Option<WatermarkWindow>,
    /// Rows the source said there are.
    pub expected_rows: Option<i64>,
    /// In the order of their numbers. Empty: the table is up to date.
    pub chunks: Vec<NewChunk>,
}

/// The rows from `low` on, and those without a value: what is read, and what the next bound may rely on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatermarkWindow {
    /// The target's column.
    pub column: String,
    /// The source's column.
    pub source: String,
    /// The type of the target's column.
    pub pg_type: String,
    /// `None`: from the beginning.
    pub low: Option<String>,
    /// The greatest value at the source at the snapshot, at or below the snapshot's time; `None`: unknown.
    pub high: Option<String>,
    /// The safe bound, where `leaves_gap`; `None` there: there was none.
    pub safe: Option<String>,
    /// Rows from `safe` on may be missing even when the table completes.
    pub leaves_gap: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChunk {
    pub range: ChunkRange,
    pub expected_rows: Option<i64>,
}

/// A plan as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPlan {
    pub run: RunId,
    pub table: TableId,
    /// One more each time the plan is stored; plans are cached under (table, version).
    pub version: i32,
    pub execution: i32,
    pub parallel_cap: Option<i32>,
    pub plan: TablePlan,
}

/// Stores the plan and its chunks in one transaction; the table becomes `planned`.
///
/// # Errors
/// [`StoreError::FenceLost`] when the run is no longer this planner's or the table no longer in planning; else what
/// PostgreSQL says. Nothing is written then.
pub async fn store_plan(
    client: &mut Client,
    planner: &PlannerClaim,
    table: TableId,
    plan: &NewPlan,
) -> Result<(), StoreError> {
    let count =
        i32::try_from(plan.chunks.len()).map_err(|_| StoreError::Unwritable { what: "chunk count" })?;
    let window = plan.watermark.as_ref();
    let transaction = client.transaction().await?;
    lock_run(&transaction, planner).await?;
    let stored = transaction
        .query_opt(
            STORE_PLAN,
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
                &count,
                &plan.expected_rows,
                &window.map(|window| window.source.as_str()),
                &window.and_then(|window| window.safe.as_deref()),
                &window.is_some_and(|window| window.leaves_gap),
            ],
        )
        .await?
        .ok_or(StoreError::FenceLost)?;
    copy_chunks(&transaction, table, &plan.chunks, &stored).await?;
    Ok(transaction.commit().await?)
}

pub(crate) async fn lock_run(
    transaction: &Transaction<'_>,
    planner: &PlannerClaim,
) -> Result<(), StoreError> {
    transaction
        .query_opt(LOCK_RUN, &[&planner.run.0, &planner.planner.as_str(), &planner.fence.0])
        .await?
        .map(drop)
        .ok_or(StoreError::FenceLost)
}

pub(crate) async fn copy_chunks(
    transaction: &Transaction<'_>,
    table: TableId,
    chunks: &[NewChunk],
    stored: &Row,
) -> Result<(), StoreError> {
    let execution: i32 = stored.try_get("execution")?;
    let first_number: i32 = stored.try_get("first_chunk_no")?;
    let first_look_at: SystemTime = stored.try_get("first_look_at")?;
    let sink = transaction.copy_in(COPY_CHUNKS).await?;
    let counted_exactly: bool = stored.try_get("counted_exactly")?;
    let types = [
        Type::INT8,
        Type::INT4,
        Type::INT4,
        Type::TEXT,
        Type::JSONB,
        Type::INT8,
        Type::BOOL,
        Type::TIMESTAMPTZ,
    ];
    let writer = BinaryCopyInWriter::new(sink, &types);
    let mut writer = std::pin::pin!(writer);
    for (number, chunk) in (first_number..).zip(chunks) {
        let range = Json(&chunk.range);
        let strategy = chunk.range.strategy();
        writer
            .as_mut()
            .write(&[
                &table.0,
                &number,
                &execution,
                &strategy,
                &range,
                &chunk.expected_rows,
                &counted_exactly,
                &first_look_at,
            ])
            .await?;
    }
    writer.finish().await?;
    Ok(())
}

/// Fails a table that has not been started: it could not be planned, or a parent failed. Passes its target on.
///
/// # Errors
/// [`StoreError::FenceLost`] when the run is no longer this planner's or the table has been started; else what
/// PostgreSQL says.
pub async fn fail_table(
    client: &mut Client,
    planner: &PlannerClaim,
    table: TableId,
    error: &ErrorReport,
) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    lock_run(&transaction, planner).await?;
    let failed = transaction.execute(FAIL, &[&table.0, &planner.run.0, &error.class, &error.text]).await?;
    if failed == 0 {
        return Err(StoreError::FenceLost);
    }
    transaction.execute(CANCEL_CHUNKS, &[&table.0, &error.class, &error.text]).await?;
    pass_target_on(&transaction, table).await?;
    Ok(transaction.commit().await?)
}

/// Fails a table whose start cannot succeed (TRUNCATE is refused by a foreign key, the relation is gone), without a
/// planner's claim; any worker may. A table that is not `planned` (any more) is left alone. Passes its target on; call
/// [`crate::end_run`] afterwards.
///
/// # Errors
/// What PostgreSQL says.
pub async fn fail_start(
    client: &mut Client,
    run: RunId,
    table: TableId,
    error: &ErrorReport,
) -> Result<Recorded, StoreError> {
    let transaction = client.transaction().await?;
    let failed = transaction.execute(FAIL_START, &[&table.0, &run.0, &error.class, &error.text]).await?;
    if failed == 1 {
        transaction.execute(CANCEL_CHUNKS, &[&table.0, &error.class, &error.text]).await?;
        pass_target_on(&transaction, table).await?;
    }
    transaction.commit().await?;
    read_table(client, run, table).await
}

/// Stops a table whose every chunk would fail alike (a missing relation, a revoked grant): its open chunks are
/// cancelled, claims stop, and the finalizer ends it `partial` or `failed` with this error. Roll the load back first;
/// the chunk that met the error is among the cancelled ones, its message is acked with what [`crate::read_chunk`] says.
/// False: the table is not loading (any more).
///
/// # Errors
/// What PostgreSQL says.
pub async fn halt_table(
    client: &mut Client,
    run: RunId,
    table: TableId,
    error: &ErrorReport,
) -> Result<bool, StoreError> {
    let transaction = client.transaction().await?;
    let noted = transaction.execute(NOTE_ERROR, &[&table.0, &run.0, &error.class, &error.text]).await?;
    if noted == 1 {
        transaction.execute(CANCEL_CHUNKS, &[&table.0, &error.class, &error.text]).await?;
    }
    transaction.commit().await?;
    Ok(noted == 1)
}

/// In the transaction that ends a table: the next entry of the run with the same target holds it now.
pub(crate) async fn pass_target_on(transaction: &Transaction<'_>, ended: TableId) -> Result<(), StoreError> {
    transaction.execute(PASS_TARGET_ON, &[&ended.0]).await?;
    Ok(())
}

/// Reads the plan of a table. `None`: no such table, or no plan yet.
///
/// # Errors
/// What PostgreSQL says; [`StoreError::Unreadable`] for a plan of a newer program.
pub async fn read_plan(client: &Client, table: TableId) -> Result<Option<StoredPlan>, StoreError> {
    let row = client.query_opt(READ_PLAN, &[&table.0]).await?;
    row.map(|row| {
        Ok(StoredPlan {
            run: row::run_id(&row)?,
            table,
            version: row.try_get("plan_version")?,
            execution: row.try_get("execution")?,
            parallel_cap: row.try_get("parallel_cap")?,
            plan: row::json(&row, "plan", "plan")?,
        })
    })
    .transpose()
}

/// First hints for a table's chunks, at most `limit`, after chunk number `after` (`None`: from the first).
///
/// Without a cap: every pending chunk, page by page (`after` = the last number returned), and nothing is written. With
/// a cap: as many as it has room for, marked as told of; call it after the start and after every settled chunk, and
/// ignore `after`.
///
/// # Errors
/// What PostgreSQL says.
pub async fn list_hints(
    client: &mut Client,
    table: TableId,
    after: Option<i32>,
    limit: i64,
) -> Result<Vec<Job>, StoreError> {
    let rows = client.query(LIST_HINTS, &[&table.0, &after.unwrap_or(-1), &limit]).await?;
    if !rows.is_empty() {
        return rows.iter().map(chunk_job).collect();
    }
    take_hints_within_cap(client, table).await
}

/// The next hints of a capped table; none for a table without a cap.
///
/// # Errors
/// What PostgreSQL says.
pub async fn take_hints_within_cap(client: &mut Client, table: TableId) -> Result<Vec<Job>, StoreError> {
    let transaction = client.transaction().await?;
    if transaction.query_opt(LOCK_TABLE, &[&table.0]).await?.is_none() {
        transaction.rollback().await?;
        return Ok(Vec::new());
    }
    let rows = transaction.query(TAKE_HINTS, &[&table.0]).await?;
    transaction.commit().await?;
    rows.iter().map(chunk_job).collect()
}

/// What 23503 means for a chunk whose table refers to other tables of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceTrouble {
    /// The row may still come: from a table that has not ended, or from another chunk of a cycle of tables.
    Passes,
    /// Nobody is left who is likely to bring it, but tables that refer to each other get their attempts.
    Counts,
    /// Nobody will bring it.
    Stays,
}

/// Asks it.
///
/// # Errors
/// What PostgreSQL says.
pub async fn reference_trouble(
    client: &Client,
    run: RunId,
    chunk: ChunkId,
) -> Result<ReferenceTrouble, StoreError> {
    let row = client.query_one(REFERENCE_TROUBLE, &[&chunk.table.0, &chunk.number, &run.0]).await?;
    Ok(match row.try_get::<_, Option<&str>>("trouble")? {
        Some("passes") => ReferenceTrouble::Passes,
        Some(_) => ReferenceTrouble::Counts,
        None => ReferenceTrouble::Stays,
    })
}

/// A row of `database, run_id, table_id, chunk_no` as a message.
pub(crate) fn chunk_job(row: &Row) -> Result<Job, StoreError> {
    let chunk: ChunkId = row::chunk_id(row)?;
    Ok(Job::Chunk { database: row.try_get("database")?, run: row::run_id(row)?, chunk })
}

/// A row of `database, run_id, table_id` as a message.
pub(crate) fn table_job(row: &Row) -> Result<Job, StoreError> {
    Ok(Job::Table { database: row.try_get("database")?, run: row::run_id(row)?, table: row::table_id(row)? })
}
