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

use crate::lock_holders::{Waiting, lock_holders};

/// How long a table is left alone whose indexes cannot be built: its definition may no longer fit the target.
const HOPELESS_PAUSE: Duration = Duration::from_secs(3600);

/// After the first try that met what passes (a person's lock), then twice as long each time: while a build waits for its
/// lock, writers queue behind it.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// What one process remembers of one database.
#[derive(Debug, Default)]
pub(crate) struct AbandonedIndexes {
    postponed: HashMap<TableId, Postponed>,
}

/// A table that was tried in vain.
#[derive(Debug, Clone, Copy)]
struct Postponed {
    /// Not before.
    until: Instant,
    tries: u32,
}

impl AbandonedIndexes {
    /// Builds what is missing in a database. Idempotent; of two processes the second waits for the first's build, or
    /// gives up after `lock_timeout` and comes again.
    pub(crate) async fn restore(&mut self, pools: &PoolSet, database: &str) -> Result<(), StoreError> {
        let client = pools.pool(database)?.get().await?;
        let mut tables = indexes::tables_without_their_indexes(&client).await?;
        self.postponed.retain(|table, _| tables.contains(table));
        tables.retain(|table| {
            self.postponed.get(table).is_none_or(|postponed| postponed.until <= Instant::now())
        });
        if tables.is_empty() {
            return Ok(());
        }
        // Out of the pool: when the process stops in the middle of a build, nobody shall be lent this connection.
        let mut client = deadpool_postgres::Object::take(client);
        for table in tables {
            match indexes::restore_indexes(&mut client, table).await {
                Ok(index_count) => {
                    self.postponed.remove(&table);
                    tracing::info!(database, table_id = %table, index_count, "indexes built that a run left behind");
                }
                Err(error) => {
                    let blocked_by = match error.is_lock_timeout() {
                        true => blockers(&client, table).await,
                        false => None,
                    };
                    self.postpone(database, table, (&error, blocked_by));
                }
            }
        }
        Ok(())
    }

    fn postpone(
        &mut self,
        database: &str,
        table: TableId,
        (error, blocked_by): (&StoreError, Option<String>),
    ) {
        let report = ErrorReport::of(error);
        let tries = self.postponed.get(&table).map_or(0, |postponed| postponed.tries);
        let pause = match error.disposition() {
            Disposition::Fatal | Disposition::HaltTable => {
                tracing::error!(
                    database, table_id = %table, class = %report.class, error = %report.text,
                    "indexes that a run left behind cannot be built"
                );
                HOPELESS_PAUSE
            }
            Disposition::Retry
            | Disposition::Snooze { .. }
            | Disposition::Interrupted
            | Disposition::Abandon
            | Disposition::Unknown
            | Disposition::HaltWorker => {
                let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(8)).min(LAST_PAUSE);
                tracing::warn!(
                    database, table_id = %table, class = %report.class, error = %report.text, blocked_by,
                    again_secs = pause.as_secs(), "indexes that a run left behind are not built yet"
                );
                pause
            }
        };
        self.postponed
            .insert(table, Postponed { until: Instant::now() + pause, tries: tries.saturating_add(1) });
    }
}

async fn blockers(client: &tokio_postgres::Client, table: TableId) -> Option<String> {
    let stored = thaw_status::read_plan(client, table).await.ok().flatten()?;
    lock_holders(client, &stored.plan.target, Waiting::Maintenance).await
}
