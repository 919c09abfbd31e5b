//! Writing down what became of an attempt that failed: the verdict of `settle`, by fence, for as long as it takes.

use std::time::Duration;

use thaw_model::{ChunkRange, Classify as _, Disposition, ErrorReport};
use thaw_queue::Publisher;
use thaw_status::execution::{self, Fenced};
use thaw_status::table::ReferenceTrouble;
use thaw_status::{ClaimedChunk, Recorded, StoreError, Truth};

use crate::chunk_error::ChunkError;
use crate::halt::Cause;
use crate::lock_holders::{Waiting, lock_holders};
use crate::remedy::remedy;
use crate::runner::Runner;
use crate::settle::{Before, RetryPolicy, Verdict, settle};

/// Between two tries while the database is unreachable.
const PAUSE: Duration = Duration::from_secs(1);

/// Settles the chunk and returns the proof for its message; `None`: the row is still ours, or the store could not be
/// told before the process had to end. Then the message is handed back, and the lease's end is noticed by others.
pub(crate) async fn record<P: Publisher>(
    runner: &Runner<P>,
    database: &str,
    claimed: &ClaimedChunk,
    error: ChunkError,
) -> Option<Recorded> {
    let disposition = disposition(runner, database, claimed, &error).await;
    let report = report(runner, database, claimed, &error).await;
    log(claimed, &error, disposition, &report);
    runner.metrics.error(error.stage(), disposition.as_str());
    if disposition == Disposition::HaltWorker {
        let cause = if error.is_of_source() { Cause::Source } else { Cause::Database(database.to_owned()) };
        runner.halt.raise(cause, &error);
    }
    let policy = RetryPolicy::of(&claimed.settings, rand::random());
    let is_kept = matches!(claimed.range, ChunkRange::ResultPartitions { .. });
    let verdict = if error.is_snapshot_gone() || is_kept && error.is_result_gone() {
        Verdict::EndExecution
    } else {
        settle(disposition, Before::of(claimed), &policy, report)
    };
    loop {
        match write(runner, database, claimed, &verdict).await {
            Ok(recorded) => {
                if let Some(recorded) = &recorded {
                    runner.metrics.chunk_settled(recorded.outcome().as_str());
                }
                return recorded;
            }
            // Nobody will ever ask about it again; the message is dealt with when it comes back.
            Err(error) if error.is_schema_missing() => return None,
            Err(error) => {
                tracing::warn!(error = %ErrorReport::of(&error).text, "chunk could not be settled");
                runner.halt.raise(Cause::Database(database.to_owned()), &error);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = runner.interrupt.cancelled() => return None,
        }
    }
}

/// What the error says of itself, but for 23503: the row that is missed may yet come from another table of the run, or
/// from another chunk where tables refer to each other. Then no attempt is counted.
async fn disposition<P: Publisher>(
    runner: &Runner<P>,
    database: &str,
    claimed: &ClaimedChunk,
    error: &ChunkError,
) -> Disposition {
    if !error.is_foreign_key_violation() {
        return error.disposition();
    }
    let trouble = match runner.databases.client(database).await {
        Ok(client) => thaw_status::table::reference_trouble(&client, claimed.run, claimed.id).await,
        Err(error) => Err(error.into()),
    };
    match trouble {
        Ok(ReferenceTrouble::Stays) => error.disposition(),
        Ok(ReferenceTrouble::Counts) => Disposition::Retry,
        // Where it cannot be asked, the next attempt asks again.
        Ok(ReferenceTrouble::Passes) | Err(_) => Disposition::Snooze { after: None },
    }
}

async fn write<P: Publisher>(
    runner: &Runner<P>,
    database: &str,
    claimed: &ClaimedChunk,
    verdict: &Verdict,
) -> Result<Option<Recorded>, StoreError> {
    let mut client = runner.databases.client(database).await?;
    match verdict {
        Verdict::Settle(settlement) => {
            let settled = thaw_status::settle(&client, claimed, settlement).await?;
            Ok(Some(settled.recorded))
        }
        Verdict::HaltTable(report) => {
            thaw_status::halt_table(&mut client, claimed.run, claimed.id.table, report).await?;
            read(&client, claimed).await
        }
        Verdict::EndExecution => {
            end_execution(&mut client, claimed).await?;
            read(&client, claimed).await
        }
        Verdict::ReadRow | Verdict::Abandon => read(&client, claimed).await,
    }
}

/// No chunk of the execution can be read any more. Its rows are dealt with by the planner that plans the next one.
async fn end_execution(
    client: &mut tokio_postgres::Client,
    claimed: &ClaimedChunk,
) -> Result<(), StoreError> {
    let (run, table) = (claimed.run, claimed.id.table);
    match execution::fence_execution(client, run, table, claimed.execution).await? {
        Fenced::ToBePlanned { execution } => {
            tracing::warn!(
                execution,
                "what the table's chunks read is gone: another execution begins and all its chunks load again"
            );
        }
        Fenced::Failed => {
            tracing::error!("the table's snapshot is gone and nobody plans it anew: it has failed");
            thaw_status::end_run(client, run).await?;
        }
        Fenced::Left => {}
    }
    Ok(())
}

async fn read(
    client: &tokio_postgres::Client,
    claimed: &ClaimedChunk,
) -> Result<Option<Recorded>, StoreError> {
    Ok(match thaw_status::read_chunk(client, claimed).await? {
        Truth::Recorded(recorded) => Some(recorded),
        Truth::StillMine => None,
    })
}

/// The report that is stored: what, where, and what to do. A lock that was waited for in vain is given the names of who
/// held it.
async fn report<P: Publisher>(
    runner: &Runner<P>,
    database: &str,
    claimed: &ClaimedChunk,
    error: &ChunkError,
) -> ErrorReport {
    let mut report = ErrorReport::of(error);
    if error.is_lock_timeout()
        && let Some(blockers) = blockers(runner, database, claimed).await
    {
        report.text.push_str("; blocked by ");
        report.text.push_str(&blockers);
    }
    if let Some(remedy) = remedy(error) {
        report.text.push_str("; ");
        report.text.push_str(remedy);
    }
    report
}

async fn blockers<P: Publisher>(
    runner: &Runner<P>,
    database: &str,
    claimed: &ClaimedChunk,
) -> Option<String> {
    let stored = runner.databases.plan(database, claimed).await.ok().flatten()?;
    let client = runner.databases.client(database).await.ok()?;
    lock_holders(&client, &stored.plan.target, Waiting::Load).await
}

/// The one place where a chunk's error is logged.
fn log(claimed: &ClaimedChunk, error: &ChunkError, disposition: Disposition, report: &ErrorReport) {
    let (stage, class, text) = (error.stage().as_str(), &report.class, &report.text);
    let fence = claimed.fence;
    match disposition {
        Disposition::Abandon | Disposition::Interrupted => {
            tracing::info!(%fence, stage, class, error = %text, %disposition, "attempt ended");
        }
        Disposition::Retry | Disposition::Snooze { .. } | Disposition::Unknown => {
            tracing::warn!(%fence, stage, class, error = %text, %disposition, "attempt failed");
        }
        Disposition::Fatal | Disposition::HaltTable | Disposition::HaltWorker => {
            tracing::error!(%fence, stage, class, error = %text, %disposition, "attempt failed");
        }
    }
}
