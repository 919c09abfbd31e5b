//! Redispatch: publishes again what the status tables say needs work.
//!
//! Every worker and a waiting planner run this loop; an advisory lock in the store lets one of them do the work of a
//! tick. It repairs a planner that died between insert and publish, a purged queue and a lost broker alike. It knows
//! no message that was ever sent, and needs none.

use std::sync::Arc;
use std::time::Duration;

use thaw_model::{ErrorReport, Job};
use thaw_postgres::PoolSet;
use thaw_queue::{LinkState, Publisher};
use thaw_status::StoreError;
use thaw_telemetry::Metrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::abandoned_indexes::AbandonedIndexes;

/// Chunk hints a tick at most.
const JOBS_PER_TICK: i64 = 500;

/// One database's loop.
#[derive(Debug)]
pub struct Redispatch<P> {
    pub pools: PoolSet,
    pub database: String,
    pub publisher: P,
    pub metrics: Arc<Metrics>,
    /// From one tick to the next, jittered by half of it either way.
    pub interval: Duration,
    /// While the queue is known to be unreachable, rows are left as they are: each look pushes the next one away.
    pub link: Option<watch::Receiver<LinkState>>,
}

impl<P: Publisher> Redispatch<P> {
    /// Ticks until stopped; beside that, builds the indexes that dead runs left behind.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(self.tick_until(&stop), self.restore_indexes_until(&stop));
    }

    async fn tick_until(&self, stop: &CancellationToken) {
        let mut unpublished = Vec::new();
        while self.pause(stop).await {
            if self.link.as_ref().is_some_and(|link| !link.borrow().is_connected()) {
                continue;
            }
            if let Err(error) = self.tick(&mut unpublished).await {
                self.report(&error);
            }
        }
    }

    async fn restore_indexes_until(&self, stop: &CancellationToken) {
        let mut abandoned = AbandonedIndexes::default();
        while self.pause(stop).await {
            let restored = tokio::select! {
                restored = abandoned.restore(&self.pools, &self.database) => restored,
                () = stop.cancelled() => return,
            };
            if let Err(error) = restored {
                self.report(&error);
            }
        }
    }

    /// False: stopped.
    async fn pause(&self, stop: &CancellationToken) -> bool {
        let pause = self.interval.mul_f64(0.5 + rand::random::<f64>());
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// One look. What could not be published last time goes first: its rows are not due again for a while.
    async fn tick(&self, unpublished: &mut Vec<Job>) -> Result<(), StoreError> {
        if !self.publish(unpublished).await {
            return Ok(());
        }
        let mut client = self.pools.pool(&self.database)?.get().await?;
        self.end_zombies(&client).await;
        let found = thaw_status::redispatch(&mut client, JOBS_PER_TICK).await?;
        if found.had_turn {
            for table in thaw_status::execution::fail_executions_without_planner(&mut client).await? {
                tracing::error!(table_id = %table, "table failed: its snapshot is gone and nobody plans it anew");
            }
        }
        for (run, state) in thaw_status::end_finished_runs(&mut client).await? {
            tracing::info!(run_id = %run, %state, "run ended");
        }
        drop(client);
        for (run, chunk) in &found.lost {
            self.metrics.chunk_settled("lease_lost");
            tracing::error!(run_id = %run, chunk_id = %chunk, "chunk failed: its lease ran out too often");
        }
        self.count(&found.jobs);
        unpublished.extend(found.jobs);
        self.publish(unpublished).await;
        Ok(())
    }

    /// Sessions we may not end must not keep the rest of the tick from happening.
    async fn end_zombies(&self, client: &thaw_postgres::Client) {
        match thaw_status::end_zombies(client).await {
            Ok(zombies) => {
                for zombie in zombies {
                    let (chunk, pid, ended) = (zombie.chunk, zombie.pid, zombie.ended);
                    tracing::warn!(chunk_id = %chunk, pid, ended, "session of an owner whose lease is over was told to end");
                }
            }
            Err(error) => self.report(&error),
        }
    }

    fn count(&self, jobs: &[Job]) {
        let tables = jobs.iter().filter(|job| matches!(job, Job::Table { .. })).count();
        for (reason, count) in [("table", tables), ("chunk", jobs.len() - tables)] {
            self.metrics.redispatched(reason, u64::try_from(count).unwrap_or(0));
        }
    }

    /// Publishes and empties the list; false: the queue did not take it.
    async fn publish(&self, jobs: &mut Vec<Job>) -> bool {
        match self.publisher.publish(jobs).await {
            Ok(()) => {
                self.metrics.jobs_published.inc_by(u64::try_from(jobs.len()).unwrap_or(0));
                jobs.clear();
                true
            }
            Err(error) => {
                let report = ErrorReport::of(&error);
                tracing::warn!(class = %report.class, error = %report.text, job_count = jobs.len(), "jobs were not published");
                false
            }
        }
    }

    fn report(&self, error: &StoreError) {
        // No planner has been here yet.
        if error.is_schema_missing() {
            tracing::debug!(database = self.database, "no status tables yet");
            return;
        }
        let report = ErrorReport::of(error);
        tracing::warn!(database = self.database, class = %report.class, error = %report.text, "redispatch failed");
    }
}
