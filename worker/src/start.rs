//! Starting a planned table and publishing its chunks; shared by workers and a planner that waits.

use thaw_model::{Classify as _, Disposition, ErrorReport, Job, RunId, TableId, TableState};
use thaw_postgres::PoolSet;
use thaw_queue::Publisher;
use thaw_status::{Outcome, Start, StoreError};

use crate::lock_holders::{Waiting, lock_holders};

/// Hints a page: a table may have a hundred thousand chunks.
const PAGE: i64 = 4096;

/// A start that is ended so often by the limit of its statements would be ended the next time, too.
const CANCELLED_STARTS: i16 = 5;

/// Starts the table if it is planned and its turn has come, and then publishes a hint for each of its chunks (as many
/// as its cap allows). Harmless on any other table.
///
/// A queue that does not take the hints is no error: redispatch publishes them. Nor is a lock on the target: the table
/// is tried again later. A start that can never succeed (a truncate that a foreign key refuses; a delete that takes longer
/// than statements may, again and again) fails the table.
///
/// # Errors
/// What the status store says; nothing has changed then.
pub async fn start_and_publish<P: Publisher>(
    pools: &PoolSet,
    publisher: &P,
    database: &str,
    (run, table): (RunId, TableId),
) -> Result<(), StoreError> {
    let mut client = pools.pool(database)?.get().await?;
    thaw_faults::reach("during_start");
    match thaw_status::start_table(&mut client, run, table).await {
        Ok(Start::Started(_)) => {
            thaw_faults::reach("after_start");
            tracing::info!(run_id = %run, table_id = %table, "table started");
            publish_hints(&mut client, publisher, table).await
        }
        Ok(Start::NotStartable(recorded)) => {
            tracing::debug!(table_id = %table, outcome = %recorded.outcome(), "table is not to be started");
            Ok(())
        }
        // The truncate, or the delete of a tail, is not begun again every few seconds.
        Err(error) if error.is_lock_timeout() || error.is_cancelled() => {
            snooze(&mut client, (run, table), &error).await
        }
        Err(error) => fail_if_hopeless(&mut client, (run, table), error).await,
    }
}

/// Publishes a hint for each chunk of a table that is loading (as many as its cap allows): its execution is a fresh one.
///
/// # Errors
/// What the status store says.
pub async fn publish_chunks<P: Publisher>(
    pools: &PoolSet,
    publisher: &P,
    database: &str,
    table: TableId,
) -> Result<(), StoreError> {
    let mut client = pools.pool(database)?.get().await?;
    publish_hints(&mut client, publisher, table).await
}

/// [`start_and_publish`], and where the table is loading already: a hint for each chunk that is pending. For a planner
/// that goes on with a run.
///
/// # Errors
/// As [`start_and_publish`].
pub async fn publish_table<P: Publisher>(
    pools: &PoolSet,
    publisher: &P,
    database: &str,
    (run, table): (RunId, TableId),
) -> Result<(), StoreError> {
    let is_loading = {
        let client = pools.pool(database)?.get().await?;
        let recorded = thaw_status::start::read_table(&client, run, table).await?;
        recorded.outcome() == Outcome::Table(TableState::Loading)
    };
    if !is_loading {
        return start_and_publish(pools, publisher, database, (run, table)).await;
    }
    publish_chunks(pools, publisher, database, table).await
}

/// Publishes the next hints of a table with a cap of its own; nothing for another.
///
/// # Errors
/// What the status store says.
pub async fn publish_within_cap<P: Publisher>(
    pools: &PoolSet,
    publisher: &P,
    database: &str,
    table: TableId,
) -> Result<(), StoreError> {
    let mut client = pools.pool(database)?.get().await?;
    let jobs = thaw_status::table::take_hints_within_cap(&mut client, table).await?;
    publish(publisher, &jobs).await;
    Ok(())
}

async fn publish_hints<P: Publisher>(
    client: &mut tokio_postgres::Client,
    publisher: &P,
    table: TableId,
) -> Result<(), StoreError> {
    let mut jobs = thaw_status::list_hints(client, table, None, PAGE).await?;
    loop {
        let is_page = i64::try_from(jobs.len()).unwrap_or(i64::MAX) >= PAGE;
        let last = jobs.iter().filter_map(chunk_number).max();
        if !is_page || last.is_none() {
            publish(publisher, &jobs).await;
            return Ok(());
        }
        // The next page is read while the broker confirms this one.
        let reading = thaw_status::list_hints(client, table, last, PAGE);
        let (is_taken, next) = tokio::join!(publish(publisher, &jobs), reading);
        if !is_taken {
            return Ok(());
        }
        jobs = next?;
    }
}

fn chunk_number(job: &Job) -> Option<i32> {
    match job {
        Job::Chunk { chunk, .. } => Some(chunk.number),
        Job::Table { .. } => None,
    }
}

/// False: the queue did not take them; redispatch will see to it.
pub(crate) async fn publish<P: Publisher>(publisher: &P, jobs: &[Job]) -> bool {
    match publisher.publish(jobs).await {
        Ok(()) => true,
        Err(error) => {
            let report = ErrorReport::of(&error);
            tracing::warn!(class = %report.class, error = %report.text, "hints were not published");
            false
        }
    }
}

/// Somebody's lock keeps the table waiting (or has ended its start): say whose, and let the whole fleet leave it alone
/// for a while.
async fn snooze(
    client: &mut tokio_postgres::Client,
    (run, table): (RunId, TableId),
    error: &StoreError,
) -> Result<(), StoreError> {
    let Some(stored) = thaw_status::read_plan(&*client, table).await? else { return Ok(()) };
    let blocked_by = match error.is_lock_timeout() {
        true => lock_holders(&*client, &stored.plan.target, Waiting::Exclusive).await,
        false => None,
    };
    let Some(snoozed) = thaw_status::snooze_start(&*client, run, table).await? else { return Ok(()) };
    if error.is_cancelled() && snoozed.tries >= CANCELLED_STARTS {
        return fail(client, (run, table), error).await;
    }
    let (tries, again_secs) = (snoozed.tries, snoozed.pause.as_secs_f64());
    if error.is_lock_timeout() {
        tracing::warn!(
            table_id = %table, blocked_by, tries, again_secs,
            "table waits for a lock on its target, it is tried again"
        );
    } else {
        let report = ErrorReport::of(error);
        tracing::warn!(
            table_id = %table, class = %report.class, error = %report.text, tries, again_secs,
            "table is not started yet, it is tried again"
        );
    }
    Ok(())
}

async fn fail_if_hopeless(
    client: &mut tokio_postgres::Client,
    (run, table): (RunId, TableId),
    error: StoreError,
) -> Result<(), StoreError> {
    match error.disposition() {
        Disposition::Fatal | Disposition::HaltTable => fail(client, (run, table), &error).await,
        Disposition::Retry
        | Disposition::Snooze { .. }
        | Disposition::Interrupted
        | Disposition::Abandon
        | Disposition::Unknown
        | Disposition::HaltWorker => Err(error),
    }
}

async fn fail(
    client: &mut tokio_postgres::Client,
    (run, table): (RunId, TableId),
    error: &StoreError,
) -> Result<(), StoreError> {
    let report = ErrorReport::of(error);
    tracing::error!(table_id = %table, class = %report.class, error = %report.text, "table cannot be started");
    thaw_status::table::fail_start(client, run, table, &report).await.map(drop)
}
