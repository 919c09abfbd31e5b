//! What a transaction calls itself in `pg_stat_activity`, and how long its statements may take: set inside the
//! transaction, so that a session of a pool is another's again behind it.

use thaw_model::{ChunkId, RunId, TableId};
use tokio_postgres::Transaction;

use crate::error::StoreError;

/// PostgreSQL cuts names off at 63 bytes.
const LONGEST: usize = 63;

/// `thaw/<run>/<table>/<chunk>`, as the status tables number them.
pub(crate) fn of_chunk(run: RunId, chunk: ChunkId) -> String {
    cut(format!("thaw/{run}/{chunk}"))
}

/// `thaw/<run>/<table>/start`, or `finalize`.
pub(crate) fn of_table(run: RunId, table: TableId, step: &str) -> String {
    cut(format!("thaw/{run}/{table}/{step}"))
}

fn cut(mut name: String) -> String {
    name.truncate(LONGEST);
    name
}

/// What a phase may take. Locks are waited for shortly where somebody else's work would queue behind ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) lock: &'static str,
    /// `0`: as long as it takes; `None`: what the session has, `postgres.statement_timeout_seconds`.
    pub(crate) statement: Option<&'static str>,
}

/// For status rows and rows of the target.
pub(crate) const START: Limits = Limits { lock: "3s", statement: None };
/// One look whether a target is empty: rows that were deleted and are still there make it read them all.
pub(crate) const LOOK: Limits = Limits { lock: "3s", statement: Some("2s") };
/// Everybody else queues behind our exclusive lock while it waits for a person's, so each try is short; but longer than
/// `deadlock_timeout` (1 s), after which autovacuum gives way.
pub(crate) const EXCLUSIVE: Limits = Limits { lock: "1500ms", statement: None };
/// An index build takes as long as it takes; under its lock the target is read and nothing is written but by us. Writers
/// queue behind it while it waits.
pub(crate) const INDEX: Limits = Limits { lock: "5s", statement: Some("0") };
/// One look at the greatest value of a column.
pub(crate) const SEQUENCES: Limits = Limits { lock: "5s", statement: Some("10min") };
pub(crate) const ANALYZE: Limits = Limits { lock: "5s", statement: None };
/// A count that takes longer proves less than it costs.
pub(crate) const COUNT: Limits = Limits { lock: "5s", statement: Some("10min") };

/// Sets name and limits for the rest of the transaction.
pub(crate) async fn begin(
    transaction: &Transaction<'_>,
    name: &str,
    limits: Limits,
) -> Result<(), StoreError> {
    transaction.execute(SET, &[&name, &limits.lock, &limits.statement]).await?;
    Ok(())
}

const SET: &str = include_str!("sql/set_activity.sql");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_what_postgres_shows() {
        let run = RunId::generate();
        let chunk = ChunkId { table: TableId(4_711), number: 10_967 };
        assert_eq!(of_chunk(run, chunk), format!("thaw/{run}/4711/10967"));
        let long = of_table(run, TableId(i64::MAX), "finalize");
        assert_eq!(long.len(), LONGEST);
        assert!(long.starts_with(&format!("thaw/{run}/{}", i64::MAX)));
    }
}
