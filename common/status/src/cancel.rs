//! Closing a run from outside: a person cancels it, or a later run replaces it.
//!
//! When either returns, nothing of the run can commit any more: every open chunk row was written, fence included.

use thaw_model::{RunId, RunState};
use tokio_postgres::{Client, Transaction};

use crate::error::StoreError;

const CLOSE_RUN: &str = include_str!("sql/close_run_if_open.sql");
const CLOSE_TABLES: &str = include_str!("sql/close_tables_of_run.sql");
const CLOSE_CHUNKS: &str = include_str!("sql/close_open_chunks_of_run.sql");

/// Cancels a running run with its open tables and chunks. False: it is not running (any more). A cancelled run can
/// only be revived by its id. Afterwards restore what [`crate::indexes::tables_without_their_indexes`] names.
///
/// # Errors
/// What PostgreSQL says; nothing has changed then.
pub async fn cancel_run(client: &mut Client, run: RunId) -> Result<bool, StoreError> {
    let transaction = client.transaction().await?;
    let closed = close(&transaction, run, RunState::Cancelled).await?;
    transaction.commit().await?;
    Ok(closed)
}

/// Marks an unfinished run, its unfinished tables and open chunks as superseded. Its targets are free then: reserve the
/// later run next. False: it is over.
///
/// # Errors
/// What PostgreSQL says; nothing has changed then.
pub async fn supersede_run(client: &mut Client, run: RunId) -> Result<bool, StoreError> {
    let transaction = client.transaction().await?;
    let closed = close(&transaction, run, RunState::Superseded).await?;
    transaction.commit().await?;
    Ok(closed)
}

/// Run, tables, chunks, in this order.
async fn close(transaction: &Transaction<'_>, run: RunId, becomes: RunState) -> Result<bool, StoreError> {
    let state = becomes.as_str();
    if transaction.execute(CLOSE_RUN, &[&run.0, &state]).await? == 0 {
        return Ok(false);
    }
    transaction.execute(CLOSE_TABLES, &[&run.0, &state]).await?;
    transaction.execute(CLOSE_CHUNKS, &[&run.0, &state]).await?;
    Ok(true)
}
