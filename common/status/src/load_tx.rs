//! The load transaction: a chunk's rows and its `completed` status commit together (law 2).
//!
//! The order of its statements is the protocol: the advisory key, the fence (a second statement, so that its snapshot
//! is younger), the rows, the completion, COMMIT. The types leave no other order: rows go through
//! [`LoadTx::transaction`], [`LoadTx::complete`] takes it away, and only [`CompletedTx::commit`] makes a [`Recorded`].

use serde_json::Value;
use thaw_model::{Accounting, ChunkState, PhaseTimes};
use thaw_postgres::PgError;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::activity;
use crate::chunk::ClaimedChunk;
use crate::error::{CommitError, StoreError};
use crate::recorded::{Outcome, Recorded};
use crate::row;

const LOCK: &str = include_str!("sql/try_lock_chunk_key.sql");
const CHECK: &str = include_str!("sql/check_fence_mine.sql");
const COMPLETE: &str = include_str!("sql/complete_chunk_if_fence_mine.sql");
const QUARANTINE: &str = include_str!("sql/insert_quarantined_rows.sql");
const LOCK_BAD_ROWS: &str = include_str!("sql/lock_bad_rows_of_table.sql");
const QUARANTINED: &str = include_str!("sql/count_quarantined_rows_of_table.sql");
const READ: &str = include_str!("sql/read_chunk.sql");

/// An open load transaction of a chunk whose fence was ours when it began. Dropping it rolls back.
pub struct LoadTx<'c> {
    transaction: Transaction<'c>,
    chunk: &'c ClaimedChunk,
}

/// A row the target cannot hold.
#[derive(Clone, PartialEq, Eq)]
pub struct QuarantinedRow {
    /// Position in the chunk, from 1.
    pub ordinal: i64,
    /// The target column that refused it.
    pub column: String,
    /// Why, without the value.
    pub reason: String,
    /// Its keys, where they are kept: the user's data.
    pub keys: Option<Value>,
    /// The row, where it is kept: the user's data.
    pub row: Option<Value>,
}

impl std::fmt::Debug for QuarantinedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuarantinedRow").field("ordinal", &self.ordinal).finish_non_exhaustive()
    }
}

impl<'c> LoadTx<'c> {
    /// Begins the transaction, takes the chunk's advisory key and checks that the fence is still ours.
    ///
    /// # Errors
    /// [`StoreError::ChunkBusy`] while an earlier owner's transaction is open, [`StoreError::FenceLost`] when
    /// somebody else has the chunk, and what PostgreSQL says. The transaction is rolled back.
    pub async fn begin(client: &'c mut Client, chunk: &'c ClaimedChunk) -> Result<Self, StoreError> {
        let transaction =
            client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
        let name = activity::of_chunk(chunk.run, chunk.id);
        let locked = transaction.query_one(LOCK, &[&chunk.id.table.0, &chunk.id.number, &name]).await?;
        if !locked.try_get::<_, bool>("locked")? {
            transaction.rollback().await?;
            return Err(StoreError::ChunkBusy);
        }
        let load = Self { transaction, chunk };
        if !load.fence_is_mine().await? {
            load.rollback().await?;
            return Err(StoreError::FenceLost);
        }
        Ok(load)
    }

    /// The open transaction, for COPY and the statements of a load mode. What fails in it aborts it.
    #[must_use]
    pub fn transaction(&self) -> &Transaction<'c> {
        &self.transaction
    }

    /// The chunk that is being loaded.
    #[must_use]
    pub fn chunk(&self) -> &'c ClaimedChunk {
        self.chunk
    }

    /// Whether the fence is still ours as of now. Not usable once a statement of the transaction has failed: roll back
    /// and ask [`crate::read_chunk`] instead, before a duplicate key is called one.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn fence_is_mine(&self) -> Result<bool, StoreError> {
        let ChunkKey { table, number, fence, worker } = ChunkKey::of(self.chunk);
        Ok(self.transaction.query_opt(CHECK, &[&table, &number, &fence, &worker]).await?.is_some())
    }

    /// Sets bad rows of the source's `statement` aside; they commit with the chunk.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn quarantine(
        &self,
        rows: &[QuarantinedRow],
        statement: Option<&str>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let ordinals: Vec<i64> = rows.iter().map(|row| row.ordinal).collect();
        let columns: Vec<&str> = rows.iter().map(|row| row.column.as_str()).collect();
        let reasons: Vec<&str> = rows.iter().map(|row| row.reason.as_str()).collect();
        let keys: Vec<Option<Json<&Value>>> = rows.iter().map(|row| row.keys.as_ref().map(Json)).collect();
        let values: Vec<Option<Json<&Value>>> = rows.iter().map(|row| row.row.as_ref().map(Json)).collect();
        let id = self.chunk.id;
        self.transaction
            .execute(
                QUARANTINE,
                &[&id.table.0, &id.number, &ordinals, &columns, &reasons, &statement, &keys, &values],
            )
            .await?;
        Ok(())
    }

    /// Rows that the other chunks of the execution have set aside. Chunks of the table that ask wait for each other's
    /// end, so that none of them is missed: who asks, commits soon or not at all.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn quarantined_elsewhere(&self) -> Result<i64, StoreError> {
        let id = self.chunk.id;
        // A statement of its own: the count's snapshot must be younger than the key.
        self.transaction.execute(LOCK_BAD_ROWS, &[&id.table.0]).await?;
        Ok(self
            .transaction
            .query_one(QUARANTINED, &[&id.table.0, &id.number])
            .await?
            .try_get("quarantined")?)
    }

    /// The last statement: the chunk becomes `completed`. Nothing can follow but COMMIT.
    ///
    /// # Errors
    /// [`StoreError::FenceLost`]: the server has aborted the transaction. 23514 where the accounting does not add up.
    /// The transaction is rolled back.
    pub async fn complete(
        self,
        accounting: Accounting,
        times: PhaseTimes,
    ) -> Result<CompletedTx<'c>, StoreError> {
        let ChunkKey { table, number, fence, worker } = ChunkKey::of(self.chunk);
        let completed = self
            .transaction
            .query_one(
                COMPLETE,
                &[
                    &table,
                    &number,
                    &fence,
                    &worker,
                    &accounting.fetched,
                    &accounting.inserted,
                    &accounting.updated,
                    &accounting.kept,
                    &accounting.deduplicated,
                    &accounting.quarantined,
                    &accounting.bytes,
                    &times.fetch_ms,
                    &times.decode_ms,
                    &times.load_ms,
                    &accounting.nulled,
                    &accounting.ambiguous,
                    &accounting.tied,
                    &accounting.null_watermarks,
                    &accounting.watermark_lost,
                ],
            )
            .await;
        match completed.map(|row| row.try_get::<_, i64>("completed")) {
            Ok(Ok(1)) => Ok(CompletedTx { transaction: self.transaction, chunk: self.chunk }),
            Ok(Ok(_)) => Err(StoreError::FenceLost),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => {
                let error = PgError::from(error);
                // The division of the statement; nothing else in it divides.
                Err(if error.sqlstate() == Some("22012") {
                    StoreError::FenceLost
                } else {
                    StoreError::Postgres(error)
                })
            }
        }
    }

    /// Gives the load up; nothing of it remains. Always before [`crate::settle`].
    ///
    /// # Errors
    /// What PostgreSQL says; the connection is of no more use then.
    pub async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.transaction.rollback().await?)
    }
}

impl std::fmt::Debug for LoadTx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadTx").field("chunk", &self.chunk.id).finish_non_exhaustive()
    }
}

/// A load transaction whose completion the server has accepted. It can only be committed (or dropped: rolled back).
pub struct CompletedTx<'c> {
    transaction: Transaction<'c>,
    chunk: &'c ClaimedChunk,
}

impl CompletedTx<'_> {
    /// Commits, then reads the row on the same connection: the driver reports success also when the server answers
    /// COMMIT with ROLLBACK.
    ///
    /// # Errors
    /// [`CommitError::Unknown`] when the connection was lost on the way; [`CommitError::RolledBack`] else.
    pub async fn commit(self) -> Result<Recorded, CommitError> {
        // `and chain` opens the transaction that the row is read in, so that the driver's handle stays true.
        self.transaction.batch_execute("commit and chain").await.map_err(commit_failed)?;
        let id = self.chunk.id;
        let unknown = |error: tokio_postgres::Error| CommitError::Unknown(error.into());
        let row = self
            .transaction
            .query_opt(READ, &[&id.table.0, &id.number, &self.chunk.run.0])
            .await
            .map_err(unknown)?;
        // The outcome stands; a connection that breaks here is the pool's concern.
        drop(self.transaction);
        let Some(row) = row else {
            return Ok(Recorded::chunk(self.chunk.run, id, Outcome::NotOurs));
        };
        let state = row::state(&row, "status").map_err(CommitError::Unknown)?;
        let fence = row.try_get::<_, i32>("fence").map_err(unknown)?;
        if state == ChunkState::InProgress && fence == self.chunk.fence.0 {
            return Err(CommitError::RolledBack(StoreError::CommitRefused));
        }
        Ok(Recorded::chunk_in(self.chunk.run, id, state))
    }
}

impl std::fmt::Debug for CompletedTx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompletedTx").field("chunk", &self.chunk.id).finish_non_exhaustive()
    }
}

/// An error that the server itself sent for COMMIT, and that does not speak of its end, means rollback.
fn commit_failed(error: tokio_postgres::Error) -> CommitError {
    let error = PgError::from(error);
    match &error {
        PgError::Server(_) if !error.is_connection_lost() => CommitError::RolledBack(error.into()),
        _ => CommitError::Unknown(error.into()),
    }
}

struct ChunkKey<'a> {
    table: i64,
    number: i32,
    fence: i32,
    worker: &'a str,
}

impl<'a> ChunkKey<'a> {
    fn of(chunk: &'a ClaimedChunk) -> Self {
        Self {
            table: chunk.id.table.0,
            number: chunk.id.number,
            fence: chunk.fence.0,
            worker: chunk.worker.as_str(),
        }
    }
}
