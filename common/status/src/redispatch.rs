//! The loop that makes messages mere hints: it tells again whatever the status tables say needs work.
//!
//! Every worker and every waiting planner calls [`end_zombies`], then [`redispatch`], every `FleetSettings::redispatch`
//! with jitter. It repairs a planner killed between insert and publish, a purged queue and a lost broker alike.

use std::collections::HashMap;

use thaw_model::{ChunkId, ChunkState, Job, RunId, TableId};
use tokio_postgres::Client;

use crate::error::StoreError;
use crate::row;
use crate::table::{chunk_job, table_job, take_hints_within_cap};

const GATE: &str = include_str!("sql/try_lock_redispatch.sql");
const HINT_CHUNKS: &str = include_str!("sql/hint_chunks_if_due.sql");
const READY_TABLES: &str = include_str!("sql/list_tables_to_start_or_finalize.sql");
const CAPPED_TABLES: &str = include_str!("sql/list_capped_tables.sql");
const END_BACKENDS: &str = include_str!("sql/end_backends_of_lapsed_chunks.sql");
const WAKE: &str = include_str!("sql/wake_chunk_if_lapsed.sql");

/// How long a terminated session may take to go.
const TERMINATE_WAIT_MILLIS: i64 = 2_000;
/// Tables a tick names at most, of each kind.
const TABLES_PER_TICK: i64 = 100;

/// What one tick found. All of it is committed: publish now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redispatched {
    /// False: another process has its tick just now, nothing was looked at.
    pub had_turn: bool,
    /// Hints to publish: tables to start or finalize first, then chunks, tables interleaved.
    pub jobs: Vec<Job>,
    /// Chunks that have failed with `lease_lost`: nobody spoke for them and their attempts are used up.
    pub lost: Vec<(RunId, ChunkId)>,
}

/// One tick: at most about `limit` chunk hints (500 is good), gated so that one process of the fleet does it.
///
/// # Errors
/// What PostgreSQL says.
pub async fn redispatch(client: &mut Client, limit: i64) -> Result<Redispatched, StoreError> {
    let transaction = client.transaction().await?;
    if !transaction.query_one(GATE, &[]).await?.try_get::<_, bool>("locked")? {
        transaction.rollback().await?;
        return Ok(Redispatched::default());
    }
    let chunks = transaction.query(HINT_CHUNKS, &[&limit]).await?;
    let tables = transaction.query(READY_TABLES, &[&TABLES_PER_TICK]).await?;
    let capped = transaction.query(CAPPED_TABLES, &[]).await?;
    transaction.commit().await?;

    let mut found = Redispatched { had_turn: true, ..Redispatched::default() };
    for row in &tables {
        found.jobs.push(table_job(row)?);
    }
    let mut hints = Vec::with_capacity(chunks.len());
    for row in &chunks {
        match row::state(row, "status")? {
            ChunkState::Failed => found.lost.push((row::run_id(row)?, row::chunk_id(row)?)),
            ChunkState::Pending
            | ChunkState::InProgress
            | ChunkState::Completed
            | ChunkState::Cancelled
            | ChunkState::Superseded => hints.push(chunk_job(row)?),
        }
    }
    for row in &capped {
        hints.extend(take_hints_within_cap(client, row::table_id(row)?).await?);
    }
    found.jobs.extend(interleave(hints));
    Ok(found)
}

/// Takes one hint of each table in turn, so that no table's chunks stand behind all of another's.
fn interleave(mut hints: Vec<Job>) -> Vec<Job> {
    let mut taken: HashMap<TableId, usize> = HashMap::new();
    // A stable sort by each hint's place within its own table.
    hints.sort_by_cached_key(|job| {
        let place = taken.entry(job.table()).or_insert(0);
        *place += 1;
        *place
    });
    hints
}

/// A session that was ended because its worker's lease is over and its load transaction was still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zombie {
    pub chunk: ChunkId,
    pub pid: i32,
    /// False: it did not end within the time limit; the next tick tries again.
    pub ended: bool,
}

/// Ends the sessions of frozen owners. Call it before [`redispatch`], in each tick; an error here (the sessions belong
/// to a role we may not signal) must not keep redispatch from running.
///
/// # Errors
/// What PostgreSQL says.
pub async fn end_zombies(client: &Client) -> Result<Vec<Zombie>, StoreError> {
    let mut zombies = Vec::new();
    for row in client.query(END_BACKENDS, &[&TERMINATE_WAIT_MILLIS]).await? {
        let zombie =
            Zombie { chunk: row::chunk_id(&row)?, pid: row.try_get("pid")?, ended: row.try_get("ended")? };
        if zombie.ended {
            client.execute(WAKE, &[&zombie.chunk.table.0, &zombie.chunk.number]).await?;
        }
        zombies.push(zombie);
    }
    Ok(zombies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_of_tables_take_turns() {
        let run = RunId::generate();
        let hint = |table, number| Job::Chunk {
            database: "db".into(),
            run,
            chunk: ChunkId { table: TableId(table), number },
        };
        let mixed = interleave(vec![hint(1, 0), hint(1, 1), hint(1, 2), hint(2, 0), hint(2, 1)]);
        assert_eq!(mixed, vec![hint(1, 0), hint(2, 0), hint(1, 1), hint(2, 1), hint(1, 2)]);
    }
}
