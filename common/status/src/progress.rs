//! How far runs and tables are: what waiting, the report and `planner status` read.

use std::time::Duration;

use serde::{Serialize, Serializer};
use thaw_model::plan::Decision;
use thaw_model::{Accounting, ChunkState, RunId, RunState, TableId, TableState};
use tokio_postgres::{Client, Row};

use crate::error::StoreError;
use crate::row;

const RUN_STATE: &str = include_str!("sql/read_run_state.sql");
const TABLE_STATES: &str = include_str!("sql/read_states_of_tables.sql");
const RUNS: &str = include_str!("sql/list_runs.sql");
const BY_PREFIX: &str = include_str!("sql/find_runs_by_prefix.sql");
const CHUNKS: &str = include_str!("sql/list_chunks_of_table.sql");
const TABLES: &str = include_str!("sql/list_tables_of_run.sql");

/// A run in one database. Serialized, states are text and durations seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunProgress {
    pub run: RunId,
    #[serde(serialize_with = "as_text")]
    pub state: RunState,
    /// As PostgreSQL prints it, UTC.
    pub started_at: String,
    /// Since its start.
    #[serde(rename = "started_seconds_ago", serialize_with = "as_seconds")]
    pub started_ago: Duration,
    /// Until its end, or until now.
    #[serde(rename = "elapsed_seconds", serialize_with = "as_seconds")]
    pub elapsed: Duration,
    /// Since the last sign of life of the run, its tables and their chunks.
    #[serde(rename = "idle_seconds", serialize_with = "as_seconds")]
    pub idle: Duration,
    /// Since it last got on: its start, a plan, a completed chunk or table, or a chunk at work. Attempts that failed and
    /// planners that came and went do not count.
    #[serde(rename = "stalled_seconds", serialize_with = "as_seconds")]
    pub stalled: Duration,
    pub planner_alive: bool,
    /// Every table has its plan, or has failed.
    pub planned: bool,
    pub created_by: String,
    pub error_class: Option<String>,
    pub error_text: Option<String>,
}

/// A table of a run. Holds no range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableProgress {
    pub table: TableId,
    pub source_name: String,
    /// `database.schema.table`.
    pub source: String,
    /// `schema.table`.
    pub target: String,
    #[serde(serialize_with = "as_text")]
    pub state: TableState,
    pub decisions: Vec<Decision>,
    pub chunks: ChunkCounts,
    pub expected_rows: Option<i64>,
    /// Sums over the chunks that are completed so far.
    pub accounting: Accounting,
    /// From the start to the end, or to now; `None`: not started.
    #[serde(rename = "elapsed_seconds", serialize_with = "as_optional_seconds")]
    pub elapsed: Option<Duration>,
    /// The one statement that reads the table, where one does.
    pub statement: Option<StatementProgress>,
    pub error_class: Option<String>,
    pub error_text: Option<String>,
}

/// The one statement of a table's execution.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatementProgress {
    /// `to_submit`, `running`, `finished` or `ended`, as `migration_executions` has it.
    pub state: String,
    /// Its query id; `None`: not known to have been sent.
    pub handle: Option<String>,
    /// From its submission until it was seen ended, or until now.
    #[serde(rename = "elapsed_seconds", serialize_with = "as_optional_seconds")]
    pub elapsed: Option<Duration>,
    /// For so long the source keeps its result; `None`: there is none yet, or none any more.
    #[serde(rename = "kept_for_seconds", serialize_with = "as_optional_seconds")]
    pub kept_for: Option<Duration>,
}

/// A chunk with its range, which is the user's data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChunkRow {
    pub number: i32,
    #[serde(serialize_with = "as_text")]
    pub state: ChunkState,
    /// As stored; empty where it was pruned.
    pub range: serde_json::Value,
    pub expected_rows: Option<i64>,
    pub fetched_rows: Option<i64>,
    pub failures: i16,
    pub error_class: Option<String>,
}

/// Chunks of a table's current execution, what is not completed first, at most `limit`. Never log them.
///
/// # Errors
/// What PostgreSQL says.
pub async fn chunks_of_table(
    client: &Client,
    table: TableId,
    limit: i64,
) -> Result<Vec<ChunkRow>, StoreError> {
    let rows = client.query(CHUNKS, &[&table.0, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(ChunkRow {
                number: row.try_get("chunk_no")?,
                state: row::state(row, "status")?,
                range: row::json(row, "range", "range")?,
                expected_rows: row.try_get("expected_rows")?,
                fetched_rows: row.try_get("fetched_rows")?,
                failures: row.try_get("failures")?,
                error_class: row.try_get("error_class")?,
            })
        })
        .collect()
}

/// Chunks of the current execution, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ChunkCounts {
    pub planned: i64,
    pub pending: i64,
    pub in_progress: i64,
    pub completed: i64,
    pub failed: i64,
    pub cancelled: i64,
}

/// The state of a run; `None`: this database has no such run.
///
/// # Errors
/// What PostgreSQL says.
pub async fn run_state(client: &Client, run: RunId) -> Result<Option<RunState>, StoreError> {
    let row = client.query_opt(RUN_STATE, &[&run.0]).await?;
    row.map(|row| row::state(&row, "status")).transpose()
}

/// The states of these tables, in no order; fewer where some were pruned.
///
/// # Errors
/// What PostgreSQL says.
pub async fn table_states(client: &Client, tables: &[TableId]) -> Result<Vec<TableState>, StoreError> {
    let ids: Vec<i64> = tables.iter().map(|table| table.0).collect();
    client.query(TABLE_STATES, &[&ids]).await?.iter().map(|row| row::state(row, "status")).collect()
}

/// One run; `None`: this database has no such run.
///
/// # Errors
/// What PostgreSQL says.
pub async fn read_run(client: &Client, run: RunId) -> Result<Option<RunProgress>, StoreError> {
    Ok(select_runs(client, Some(run), 1, false).await?.into_iter().next())
}

/// The newest runs first, at most `limit`.
///
/// # Errors
/// What PostgreSQL says.
pub async fn list_runs(client: &Client, limit: i64) -> Result<Vec<RunProgress>, StoreError> {
    select_runs(client, None, limit, false).await
}

/// The runs that a planner may have to do with: running ones, and partial or failed ones with a table that could be
/// revived. The newest first.
///
/// # Errors
/// What PostgreSQL says.
pub async fn incomplete_runs(client: &Client) -> Result<Vec<RunProgress>, StoreError> {
    select_runs(client, None, i64::MAX, true).await
}

/// The runs whose id begins with `prefix` (lowercase, hyphens included), the newest first, at most `limit`.
///
/// # Errors
/// What PostgreSQL says.
pub async fn runs_beginning_with(
    client: &Client,
    prefix: &str,
    limit: i64,
) -> Result<Vec<RunId>, StoreError> {
    client.query(BY_PREFIX, &[&prefix, &limit]).await?.iter().map(row::run_id).collect()
}

async fn select_runs(
    client: &Client,
    run: Option<RunId>,
    limit: i64,
    only_incomplete: bool,
) -> Result<Vec<RunProgress>, StoreError> {
    let rows = client.query(RUNS, &[&run.map(|run| run.0), &limit, &only_incomplete]).await?;
    rows.iter()
        .map(|row| {
            Ok(RunProgress {
                run: row::run_id(row)?,
                state: row::state(row, "status")?,
                started_at: row.try_get("started_at")?,
                started_ago: duration(row, "started_seconds_ago")?.unwrap_or_default(),
                elapsed: duration(row, "elapsed_seconds")?.unwrap_or_default(),
                idle: duration(row, "idle_seconds")?.unwrap_or_default(),
                stalled: duration(row, "stalled_seconds")?.unwrap_or_default(),
                planner_alive: row.try_get("planner_alive")?,
                planned: row.try_get("planned")?,
                created_by: row.try_get("created_by")?,
                error_class: row.try_get("error_class")?,
                error_text: row.try_get("error_text")?,
            })
        })
        .collect()
}

/// The tables of a run, in its order.
///
/// # Errors
/// What PostgreSQL says.
pub async fn tables_of_run(client: &Client, run: RunId) -> Result<Vec<TableProgress>, StoreError> {
    client.query(TABLES, &[&run.0]).await?.iter().map(table_progress).collect()
}

fn table_progress(row: &Row) -> Result<TableProgress, StoreError> {
    Ok(TableProgress {
        table: row::table_id(row)?,
        source_name: row.try_get("source_name")?,
        source: row.try_get("source")?,
        target: row.try_get("target")?,
        state: row::state(row, "status")?,
        decisions: row::json(row, "decisions", "decisions")?,
        chunks: ChunkCounts {
            planned: row.try_get("chunk_count")?,
            pending: row.try_get("pending")?,
            in_progress: row.try_get("in_progress")?,
            completed: row.try_get("completed")?,
            failed: row.try_get("failed")?,
            cancelled: row.try_get("cancelled")?,
        },
        expected_rows: row.try_get("expected_rows")?,
        accounting: Accounting {
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
        },
        elapsed: duration(row, "elapsed_seconds")?,
        statement: statement_progress(row)?,
        error_class: row.try_get("error_class")?,
        error_text: row.try_get("error_text")?,
    })
}

fn statement_progress(row: &Row) -> Result<Option<StatementProgress>, StoreError> {
    let Some(state) = row.try_get("statement_state")? else { return Ok(None) };
    Ok(Some(StatementProgress {
        state,
        handle: row.try_get("statement_handle")?,
        elapsed: duration(row, "statement_seconds")?,
        kept_for: duration(row, "result_seconds")?,
    }))
}

fn duration(row: &Row, column: &str) -> Result<Option<Duration>, StoreError> {
    let seconds: Option<f64> = row.try_get(column)?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

// serde hands fields over by reference.
fn as_text<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_seconds<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(value.as_secs_f64())
}

fn as_optional_seconds<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => as_seconds(value, serializer),
        None => serializer.serialize_none(),
    }
}
