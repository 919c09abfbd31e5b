//! The end of a table: indexes, sequences, statistics, the accounting, and its final state; then the end of its run.
//!
//! Under a lease and a fence of its own, by whoever notices that no chunk is open. Each step is idempotent, so that a
//! death in between costs nothing but the work.

mod account;
mod analyze;
mod indexes;
mod sequences;

use std::time::Instant;

use thaw_model::plan::Decision;
use thaw_model::{Classify as _, Disposition, ErrorReport, Job, RunId, TableId, WorkerId};
use thaw_postgres::{Client, PoolSet};
use thaw_status::{FinalizeClaim, StoreError};
use thaw_telemetry::Metrics;

use crate::databases::Databases;

/// Finalizes the table if no chunk of it is open and nobody else does; ends its run if it was the last. Returns the
/// tables that waited for it.
///
/// # Errors
/// What the status store or the target says. The lease runs out then, and redispatch has it done again.
pub async fn finalize_if_done(
    databases: &Databases,
    database: &str,
    (run, table): (RunId, TableId),
    (worker, metrics): (&WorkerId, &Metrics),
) -> Result<Vec<Job>, StoreError> {
    let mut client = databases.client(database).await?;
    let Some(claim) = thaw_status::claim_finalize(&mut client, run, table, worker).await? else {
        return Ok(Vec::new());
    };
    thaw_faults::reach("during_finalize");
    tracing::info!(fence = %claim.fence, "finalizing table");
    let finished = tokio::select! {
        finished = Box::pin(finish(&mut client, &claim, metrics)) => finished?,
        () = lost(databases.beats(), database, &claim) => return Err(StoreError::FenceLost),
    };
    tracing::info!(
        state = %finished.state,
        fetched = finished.accounting.fetched,
        inserted = finished.accounting.inserted,
        updated = finished.accounting.updated,
        kept = finished.accounting.kept,
        "table finished"
    );
    if let Some(state) = thaw_status::end_run(&mut client, run).await? {
        tracing::info!(run_id = %run, %state, "run ended");
    }
    thaw_status::start::children_to_start(&client, run, table).await
}

async fn finish(
    client: &mut Client,
    claim: &FinalizeClaim,
    metrics: &Metrics,
) -> Result<thaw_status::finalize::FinishedTable, StoreError> {
    let mut decisions = Vec::new();
    let error = match steps(client, claim, metrics, &mut decisions).await {
        Ok(error) => error,
        // What no repetition can mend ends the table; what passes is done again under another lease.
        Err(error) => match error.disposition() {
            Disposition::Fatal | Disposition::HaltTable => Some(ErrorReport::of(&error)),
            Disposition::Retry
            | Disposition::Snooze { .. }
            | Disposition::Interrupted
            | Disposition::Abandon
            | Disposition::Unknown
            | Disposition::HaltWorker => return Err(error),
        },
    };
    if let Some(error) = &error {
        tracing::error!(class = %error.class, error = %error.text, "table cannot be completed");
    }
    let finished = thaw_status::finish_finalize(client, claim, error.as_ref(), &decisions).await;
    thaw_faults::reach("after_finalize");
    finished
}

/// The steps in order. `Ok(Some(..))`: something is wrong with the table that a person must see.
async fn steps(
    client: &mut Client,
    claim: &FinalizeClaim,
    metrics: &Metrics,
    decisions: &mut Vec<Decision>,
) -> Result<Option<ErrorReport>, StoreError> {
    let plan = thaw_status::read_plan(client, claim.table).await?.map(|stored| stored.plan);
    timed(metrics, "indexes", indexes::restore(client, claim)).await?;
    thaw_faults::reach("after_indexes");
    if let Some(plan) = &plan {
        timed(metrics, "sequences", sequences::advance(client, plan, decisions)).await?;
        timed(metrics, "analyze", analyze::analyze(client, plan, decisions)).await?;
    }
    thaw_faults::reach("after_analyze");
    match &plan {
        Some(plan) => timed(metrics, "account", account::check(client, claim, plan)).await,
        None => Ok(None),
    }
}

async fn timed<T>(metrics: &Metrics, step: &'static str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = work.await;
    metrics.finalize_took(step, began.elapsed());
    done
}

/// Keeps the finalizer's lease alive; resolves when it is lost. An index build may outlast many leases. Its connections
/// are those of heartbeats, which nobody holds for long.
async fn lost(pools: &PoolSet, database: &str, claim: &FinalizeClaim) {
    loop {
        tokio::time::sleep(claim.heartbeat()).await;
        match beat(pools, database, claim).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!("finalizer's lease is lost");
                return;
            }
            Err(error) => {
                tracing::warn!(error = %ErrorReport::of(&error).text, "finalizer's heartbeat failed");
            }
        }
    }
}

async fn beat(pools: &PoolSet, database: &str, claim: &FinalizeClaim) -> Result<bool, StoreError> {
    let client = pools.pool(database)?.get().await?;
    thaw_status::heartbeat_finalize(&client, claim).await
}
