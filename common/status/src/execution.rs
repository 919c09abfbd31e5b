//! A fresh execution of a table whose snapshot or result is gone: fence the old one, then store the new one.
//!
//! In between, the sessions that hold the old chunks' advisory keys are ended or awaited by the caller. A death in
//! between leaves the table in `planning`, under the new execution's number.

use thaw_model::{RunId, TableId, TablePlan};
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Transaction};

use crate::error::StoreError;
use crate::table::{NewChunk, copy_chunks};

const FENCE: &str = include_str!("sql/fence_execution_if_loading.sql");
const SUPERSEDE: &str = include_str!("sql/supersede_chunks_of_execution.sql");
const STORE: &str = include_str!("sql/store_execution_if_planning.sql");

/// Ends an execution: the table goes back to `planning`, every chunk of it is superseded, claims and finalize stop.
/// Returns the number of the next execution; `None`: somebody else has done it, or the table is not loading.
///
/// # Errors
/// What PostgreSQL says; nothing has changed then.
pub async fn fence_execution(
    client: &mut Client,
    run: RunId,
    table: TableId,
    execution: i32,
) -> Result<Option<i32>, StoreError> {
    let transaction = client.transaction().await?;
    let Some(fenced) = transaction.query_opt(FENCE, &[&table.0, &run.0, &execution]).await? else {
        transaction.rollback().await?;
        return Ok(None);
    };
    transaction.execute(SUPERSEDE, &[&table.0, &execution]).await?;
    transaction.commit().await?;
    Ok(Some(fenced.try_get("execution")?))
}

/// What a fresh execution reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExecution {
    pub number: i32,
    pub plan: TablePlan,
    pub expected_rows: Option<i64>,
    pub chunks: Vec<NewChunk>,
}

/// Stores a fresh execution inside `transaction`, in which the caller also removes what the old one had loaded; the
/// table is `loading` again when that commits.
///
/// # Errors
/// [`StoreError::FenceLost`] when the table is not in planning under this number any more; else what PostgreSQL says.
pub async fn store_execution(
    transaction: &Transaction<'_>,
    run: RunId,
    table: TableId,
    execution: &NewExecution,
) -> Result<(), StoreError> {
    let count =
        i32::try_from(execution.chunks.len()).map_err(|_| StoreError::Unwritable { what: "chunk count" })?;
    let stored = transaction
        .query_opt(
            STORE,
            &[
                &table.0,
                &run.0,
                &Json(&execution.plan),
                &execution.plan.source.snapshot,
                &count,
                &execution.expected_rows,
                &execution.number,
            ],
        )
        .await?
        .ok_or(StoreError::FenceLost)?;
    copy_chunks(transaction, table, &execution.chunks, &stored).await
}
