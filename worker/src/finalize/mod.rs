//! The end of a table: indexes, sequences, statistics, the accounting, and its final state; then the end of its run.
//!
//! Under a lease and a fence of its own, by whoever notices that no chunk is open. Each step is idempotent, so that a
//! death in between costs nothing but the work.

mod account;
mod analyze;
mod indexes;
mod sequences;
mod sql;
mod target_rows;

use std::time::Instant;

use thaw_model::plan::Decision;
use thaw_model::{Classify as _, Disposition, ErrorReport, Job, RunId, TableId, TablePlan, WorkerId};
use thaw_postgres::{Client, PoolSet};
use thaw_status::finalize::FinishedTable;
use thaw_status::{FinalizeClaim, StoreError};
use thaw_telemetry::Metrics;

use crate::databases::Databases;
use crate::lock_holders::{Waiting, lock_holders};

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
    let Some(finished) = finished else { return Ok(Vec::new()) };
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

/// `None`: something that passes is in the way, and the table was put off.
async fn finish(
    client: &mut Client,
    claim: &FinalizeClaim,
    metrics: &Metrics,
) -> Result<Option<FinishedTable>, StoreError> {
    let plan = thaw_status::read_plan(client, claim.table).await?.map(|stored| stored.plan);
    let mut decisions = Vec::new();
    let error = match steps(client, (claim, plan.as_ref()), metrics, &mut decisions).await {
        Ok(error) => error,
        Err(error) => match error.disposition() {
            // What no repetition can mend ends the table.
            Disposition::Fatal | Disposition::HaltTable => Some(ErrorReport::of(&error)),
            // What passes is done again a little later, by whoever comes first.
            Disposition::Retry | Disposition::Snooze { .. } => {
                return snooze(client, (claim, plan.as_ref()), error).await.map(|()| None);
            }
            Disposition::Interrupted
            | Disposition::Abandon
            | Disposition::Unknown
            | Disposition::HaltWorker => return Err(error),
        },
    };
    if let Some(error) = &error {
        tracing::error!(class = %error.class, error = %error.text, "table cannot be completed");
    }
    let finished = thaw_status::finish_finalize(client, claim, error.as_ref(), &decisions).await?;
    thaw_faults::reach("after_finalize");
    Ok(Some(finished))
}

/// Puts the table off and says why; whose lock it is, where it is one. Where even that cannot be written, its lease runs
/// out.
async fn snooze(
    client: &Client,
    (claim, plan): (&FinalizeClaim, Option<&TablePlan>),
    error: StoreError,
) -> Result<(), StoreError> {
    let blocked_by = match plan {
        Some(plan) if error.is_lock_timeout() => {
            lock_holders(client, &plan.target, Waiting::Maintenance).await
        }
        _ => None,
    };
    let Ok(snoozed) = thaw_status::snooze_finalize(client, claim).await else { return Err(error) };
    if let Some(snoozed) = snoozed {
        let report = ErrorReport::of(&error);
        tracing::warn!(
            table_id = %claim.table, class = %report.class, error = %report.text, blocked_by,
            tries = snoozed.tries, again_secs = snoozed.pause.as_secs_f64(),
            "table is not finalized yet, it is tried again"
        );
    }
    Ok(())
}

/// The steps in order. `Ok(Some(..))`: something is wrong with the table that a person must see.
async fn steps(
    client: &mut Client,
    (claim, plan): (&FinalizeClaim, Option<&TablePlan>),
    metrics: &Metrics,
    decisions: &mut Vec<Decision>,
) -> Result<Option<ErrorReport>, StoreError> {
    timed(metrics, "indexes", indexes::restore(client, claim)).await?;
    thaw_faults::reach("after_indexes");
    let Some(plan) = plan else { return Ok(None) };
    timed(metrics, "sequences", sequences::advance(client, (claim, plan), decisions)).await?;
    thaw_faults::reach("after_sequences");
    timed(metrics, "analyze", analyze::analyze(client, (claim, plan), decisions)).await?;
    thaw_faults::reach("after_analyze");
    let error = timed(metrics, "account", account::check(client, (claim, plan), decisions)).await?;
    thaw_faults::reach("after_account");
    Ok(error)
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
