//! Indexes that a dead, cancelled or failed run dropped and never built again: builds them, beside redispatch.
//!
//! A run that loads such a target again builds them in its own finalizer. This is for targets that nobody loads. It
//! has a pace of its own, because a build may outlast many ticks of redispatch.

use std::collections::HashMap;
use std::time::Duration;

use thaw_model::{Classify as _, Disposition, ErrorReport, TableId};
use thaw_postgres::PoolSet;
use thaw_status::{StoreError, indexes};
use tokio::time::Instant;

/// How long a table is left alone whose indexes cannot be built: its definition may no longer fit the target.
const HOPELESS_PAUSE: Duration = Duration::from_secs(3600);

/// What one process remembers of one database.
#[derive(Debug, Default)]
pub(crate) struct AbandonedIndexes {
    /// Not before this time; it was tried in vain.
    postponed: HashMap<TableId, Instant>,
}

impl AbandonedIndexes {
    /// Builds what is missing in a database. Idempotent; of two processes the second waits for the first's build, or
    /// gives up after `lock_timeout` and comes again.
    pub(crate) async fn restore(&mut self, pools: &PoolSet, database: &str) -> Result<(), StoreError> {
        let client = pools.pool(database)?.get().await?;
        let mut tables = indexes::tables_without_their_indexes(&client).await?;
        self.postponed.retain(|table, until| tables.contains(table) && *until > Instant::now());
        tables.retain(|table| !self.postponed.contains_key(table));
        if tables.is_empty() {
            return Ok(());
        }
        // Out of the pool: when the process stops in the middle of a build, nobody shall be lent this connection.
        let mut client = deadpool_postgres::Object::take(client);
        for table in tables {
            match indexes::restore_indexes(&mut client, table).await {
                Ok(index_count) => {
                    tracing::info!(database, table_id = %table, index_count, "indexes built that a run left behind");
                }
                Err(error) => self.postpone(database, table, &error),
            }
        }
        Ok(())
    }

    fn postpone(&mut self, database: &str, table: TableId, error: &StoreError) {
        let report = ErrorReport::of(error);
        match error.disposition() {
            Disposition::Fatal | Disposition::HaltTable => {
                self.postponed.insert(table, Instant::now() + HOPELESS_PAUSE);
                tracing::error!(
                    database, table_id = %table, class = %report.class, error = %report.text,
                    "indexes that a run left behind cannot be built"
                );
            }
            Disposition::Retry
            | Disposition::Snooze { .. }
            | Disposition::Interrupted
            | Disposition::Abandon
            | Disposition::Unknown
            | Disposition::HaltWorker => {
                tracing::debug!(database, table_id = %table, class = %report.class, "indexes are not built yet");
            }
        }
    }
}
