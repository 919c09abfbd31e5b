//! The life of a chunk outside its load transaction: claim, heartbeat, settle, and the one read that tells the truth.

use std::time::Duration;

use thaw_model::{ChunkId, ChunkRange, ChunkState, ErrorReport, Fence, RunId, WorkerId};
use tokio_postgres::{Client, Row};

use crate::error::StoreError;
use crate::recorded::{Outcome, Recorded};
use crate::row;
use crate::settings::FleetSettings;

const CLAIM: &str = include_str!("sql/claim_chunk_if_due.sql");
const READ: &str = include_str!("sql/read_chunk.sql");
const HEARTBEAT: &str = include_str!("sql/extend_leases_if_fences_mine.sql");
const SETTLE: &str = include_str!("sql/settle_chunk_if_fence_mine.sql");

/// A chunk that this worker holds until the lease is over. Every write about it carries `fence` and `worker`.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimedChunk {
    pub run: RunId,
    pub id: ChunkId,
    pub fence: Fence,
    pub worker: WorkerId,
    /// Attempts that counted before this one.
    pub failures: i16,
    pub max_attempts: i16,
    pub execution: i32,
    /// What to read: the user's data, never logged.
    pub range: ChunkRange,
    /// Rows the source counted at planning, where it did.
    pub expected_rows: Option<i64>,
    /// Under which version of the table's plan; plans are cached by (table, version), see [`crate::read_plan`].
    pub plan_version: i32,
    /// Lease and heartbeat of the run.
    pub settings: FleetSettings,
}

/// Without the range: a debug line must not show the user's data.
impl std::fmt::Debug for ClaimedChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimedChunk")
            .field("run", &self.run)
            .field("id", &self.id)
            .field("fence", &self.fence)
            .field("worker", &self.worker)
            .field("failures", &self.failures)
            .field("strategy", &self.range.strategy())
            .finish_non_exhaustive()
    }
}

/// What a claim gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Claimed(Box<ClaimedChunk>),
    /// Not now, or not ever: the row says why, and redispatch looks after it. Ack and drop the message.
    NotClaimable(Recorded),
}

/// Tries to claim the chunk for `worker` under the lease of its run.
///
/// # Errors
/// What PostgreSQL says. The message stays unacknowledged then.
pub async fn claim(
    client: &Client,
    run: RunId,
    chunk: ChunkId,
    worker: &WorkerId,
) -> Result<Claim, StoreError> {
    let claimed = client.query_opt(CLAIM, &[&chunk.table.0, &chunk.number, &run.0, &worker.as_str()]).await?;
    if let Some(claimed) = claimed {
        return Ok(Claim::Claimed(Box::new(claimed_chunk(&claimed, run, chunk, worker)?)));
    }
    let recorded = match read_row(client, run, chunk).await? {
        Some(row) => Recorded::chunk_in(run, chunk, row.state),
        None => Recorded::chunk(run, chunk, Outcome::NotOurs),
    };
    Ok(Claim::NotClaimable(recorded))
}

fn claimed_chunk(row: &Row, run: RunId, id: ChunkId, worker: &WorkerId) -> Result<ClaimedChunk, StoreError> {
    Ok(ClaimedChunk {
        run,
        id,
        fence: Fence(row.try_get("fence")?),
        worker: worker.clone(),
        failures: row.try_get("failures")?,
        max_attempts: row.try_get("max_attempts")?,
        execution: row.try_get("execution")?,
        range: row::json(row, "range", "chunk range")?,
        expected_rows: row.try_get("expected_rows")?,
        plan_version: row.try_get("plan_version")?,
        settings: row::json(row, "settings", "run settings")?,
    })
}

/// What the row says after an outcome that was not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    Recorded(Recorded),
    /// Still in progress under this worker's fence: nothing was committed.
    StillMine,
}

/// Reads the row once: after [`CommitError::Unknown`], after a claim or settle whose answer was lost, and before a
/// chunk that the heartbeat did not extend is dropped.
///
/// After a lost commit, call it only when the connection that sent the COMMIT is gone; until the server has decided,
/// the row still reads `StillMine`, and the chunk's advisory key keeps everybody else out.
///
/// # Errors
/// What PostgreSQL says.
pub async fn read_chunk(client: &Client, chunk: &ClaimedChunk) -> Result<Truth, StoreError> {
    Ok(match read_row(client, chunk.run, chunk.id).await? {
        None => Truth::Recorded(Recorded::chunk(chunk.run, chunk.id, Outcome::NotOurs)),
        Some(row)
            if row.state == ChunkState::InProgress
                && row.fence == chunk.fence
                && row.worker.as_deref() == Some(chunk.worker.as_str()) =>
        {
            Truth::StillMine
        }
        Some(row) => Truth::Recorded(Recorded::chunk_in(chunk.run, chunk.id, row.state)),
    })
}

struct ChunkRow {
    state: ChunkState,
    fence: Fence,
    worker: Option<String>,
}

async fn read_row(client: &Client, run: RunId, chunk: ChunkId) -> Result<Option<ChunkRow>, StoreError> {
    let row = client.query_opt(READ, &[&chunk.table.0, &chunk.number, &run.0]).await?;
    row.map(|row| {
        Ok(ChunkRow {
            state: row::state(&row, "status")?,
            fence: Fence(row.try_get("fence")?),
            worker: row.try_get("worker_id")?,
        })
    })
    .transpose()
}

/// Extends the leases of all chunks one worker process holds, in one statement; returns those that were extended.
///
/// A chunk that is missing from the answer is lost, or its row is locked just now: [`read_chunk`] tells which. Leave
/// out chunks whose completion has been sent. Use a connection of its own.
///
/// # Errors
/// What PostgreSQL says.
pub async fn heartbeat(
    client: &Client,
    worker: &WorkerId,
    held: &[(ChunkId, Fence)],
) -> Result<Vec<ChunkId>, StoreError> {
    let tables: Vec<i64> = held.iter().map(|(chunk, _)| chunk.table.0).collect();
    let numbers: Vec<i32> = held.iter().map(|(chunk, _)| chunk.number).collect();
    let fences: Vec<i32> = held.iter().map(|(_, fence)| fence.0).collect();
    let rows = client.query(HEARTBEAT, &[&tables, &numbers, &fences, &worker.as_str()]).await?;
    rows.iter().map(row::chunk_id).collect()
}

/// How a chunk that was not loaded is written back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Counts; pending again after `delay`, or failed when the budget is used up.
    Retry { delay: Duration, error: ErrorReport },
    /// Does not count; pending again after `delay`.
    Snooze { delay: Duration, error: ErrorReport },
    /// Does not count; pending again at once.
    Interrupted,
    /// Failed.
    Fatal { error: ErrorReport },
}

/// What a settlement did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// `Pending` or `Failed` if the chunk was still ours; else what the row says, untouched by us.
    pub recorded: Recorded,
    /// False: the fence was lost, nothing was written.
    pub written: bool,
}

/// Writes a chunk back that was not loaded. Roll its load transaction back *first*.
///
/// # Errors
/// What PostgreSQL says; then [`read_chunk`] tells whether it was written.
pub async fn settle(
    client: &Client,
    chunk: &ClaimedChunk,
    settlement: &Settlement,
) -> Result<Settled, StoreError> {
    let (counts, fatal, delay, error) = match settlement {
        Settlement::Retry { delay, error } => (true, false, *delay, Some(error)),
        Settlement::Snooze { delay, error } => (false, false, *delay, Some(error)),
        Settlement::Interrupted => (false, false, Duration::ZERO, None),
        Settlement::Fatal { error } => (false, true, Duration::ZERO, Some(error)),
    };
    let class = error.map(|error| error.class.as_str());
    let text = error.map(|error| error.text.as_str());
    let row = client
        .query_opt(
            SETTLE,
            &[
                &chunk.id.table.0,
                &chunk.id.number,
                &chunk.fence.0,
                &chunk.worker.as_str(),
                &counts,
                &fatal,
                &row::seconds(delay),
                &class,
                &text,
            ],
        )
        .await?;
    if let Some(row) = row {
        let recorded = Recorded::chunk_in(chunk.run, chunk.id, row::state(&row, "status")?);
        return Ok(Settled { recorded, written: true });
    }
    let recorded = match read_row(client, chunk.run, chunk.id).await? {
        Some(row) => Recorded::chunk_in(chunk.run, chunk.id, row.state),
        None => Recorded::chunk(chunk.run, chunk.id, Outcome::NotOurs),
    };
    Ok(Settled { recorded, written: false })
}
