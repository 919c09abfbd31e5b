//! Closing a run from outside: a person cancels it, or a later run replaces it.
//!
//! When either returns, nothing of the run can commit any more: every open chunk row was written, fence included.

use thaw_model::{RunId, RunState};
use tokio_postgres::{Client, Transaction};

use crate::error::StoreError;

const CANCEL_RUN: &str = include_str!("sql/cancel_run_if_running.sql");
const SUPERSEDE_RUN: &str = include_str!("sql/supersede_run_if_planner_gone.sql");
const CLOSE_TABLES: &str = include_str!("sql/close_tables_of_run.sql");
const CLOSE_CHUNKS: &str = include_str!("sql/close_open_chunks_of_run.sql");

/// What cancelling a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It was running; so many of its tables and chunks were open.
    Now { tables: u64, chunks: u64 },
    /// It was over before; nothing has changed.
    Already(RunState),
    /// This database has no such run.
    Unknown,
}

/// Cancels a running run with its open tables and chunks. A cancelled run can only be revived by its id. Redispatch
/// restores what [`crate::indexes::tables_without_their_indexes`] names afterwards.
///
/// # Errors
/// What PostgreSQL says; nothing has changed then.
pub async fn cancel_run(client: &mut Client, run: RunId) -> Result<Cancelled, StoreError> {
    let transaction = client.transaction().await?;
    let closed = close(&transaction, run).await?;
    transaction.commit().await?;
    if let Some((tables, chunks)) = closed {
        return Ok(Cancelled::Now { tables, chunks });
    }
    Ok(crate::run_state(client, run).await?.map_or(Cancelled::Unknown, Cancelled::Already))
}

/// Supersedes a running run whose planner is dead or has left, with its unfinished tables and open chunks. Its targets
/// are free then. False: a planner lives, or the run is over.
///
/// # Errors
/// What PostgreSQL says; nothing has changed then.
pub async fn supersede_run(client: &mut Client, run: RunId) -> Result<bool, StoreError> {
    let transaction = client.transaction().await?;
    let closed = supersede_in(&transaction, run).await?;
    transaction.commit().await?;
    Ok(closed)
}

/// [`supersede_run`] in the transaction in which a later run takes the targets.
pub(crate) async fn supersede_in(transaction: &Transaction<'_>, run: RunId) -> Result<bool, StoreError> {
    if transaction.execute(SUPERSEDE_RUN, &[&run.0]).await? == 0 {
        return Ok(false);
    }
    let state = RunState::Superseded.as_str();
    transaction.execute(CLOSE_TABLES, &[&run.0, &state]).await?;
    transaction.execute(CLOSE_CHUNKS, &[&run.0, &state]).await?;
    Ok(true)
}

/// Run, tables, chunks, in this order; how many tables and chunks it closed.
async fn close(transaction: &Transaction<'_>, run: RunId) -> Result<Option<(u64, u64)>, StoreError> {
    if transaction.execute(CANCEL_RUN, &[&run.0]).await? == 0 {
        return Ok(None);
    }
    let state = RunState::Cancelled.as_str();
    let tables = transaction.execute(CLOSE_TABLES, &[&run.0, &state]).await?;
    let chunks = transaction.execute(CLOSE_CHUNKS, &[&run.0, &state]).await?;
    Ok(Some((tables, chunks)))
}
