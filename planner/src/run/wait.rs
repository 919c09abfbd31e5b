//! Waiting for a run's end: the planner's lease, redispatch, progress, and signals.
//!
//! The status tables say when a run has ended; nothing is concluded from the queue.

use std::sync::Arc;
use std::time::Duration;

use thaw_config::Config;
use thaw_model::{RunId, RunState, TableId, TableState};
use thaw_postgres::PoolSet;
use thaw_queue::Publisher;
use thaw_status::{PlannerClaim, StoreError, progress};
use thaw_telemetry::Metrics;
use thaw_worker::one_scan::Tender;
use thaw_worker::redispatch::Redispatch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::run::progress::Progress;
use crate::run::reserve::{ReservedDatabase, ReservedRun};
use crate::session::Session;

/// How often the status tables are asked whether the tables have ended.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every table that was asked for is final; this is what their states come to.
    Ended(RunState),
    /// Told to stop; the run goes on without this planner.
    Interrupted,
}

/// Says that every table of one database has its plan or has failed; ends the run there if nothing is left to do.
///
/// # Errors
/// What the database says.
pub async fn mark_planned(
    session: &Session,
    database: &ReservedDatabase<'_>,
    run: RunId,
) -> Result<(), StoreError> {
    let mut client = session.pools.pool(&database.name)?.get().await?;
    thaw_status::mark_run_planned(&client, &database.planner).await?;
    thaw_status::end_run(&mut client, run).await?;
    Ok(())
}

/// Leaves the run to its workers.
///
/// # Errors
/// What a database says.
pub async fn release(session: &Session, run: &ReservedRun<'_>) -> Result<(), StoreError> {
    for database in &run.databases {
        let client = session.pools.pool(&database.name)?.get().await?;
        thaw_status::release_planner(&client, &database.planner).await?;
    }
    Ok(())
}

/// Republishes what needs work in every database of the run, as workers do, until it is dropped.
#[derive(Debug)]
pub struct Redispatching {
    stop: CancellationToken,
    _tasks: JoinSet<()>,
}

impl Redispatching {
    /// Starts.
    #[must_use]
    pub fn start<P: Publisher>(
        session: &Session,
        run: &ReservedRun<'_>,
        publisher: &P,
        (metrics, interval): (&Arc<Metrics>, Duration),
    ) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for database in &run.databases {
            let redispatch = Redispatch {
                pools: session.pools.clone(),
                database: database.name.clone(),
                publisher: publisher.clone(),
                metrics: Arc::clone(metrics),
                interval,
                link: None,
            };
            tasks.spawn(redispatch.run(stop.clone()));
        }
        Self { stop, _tasks: tasks }
    }
}

impl Drop for Redispatching {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Looks after the statements of tables that one statement reads, in every database of the run, until it is dropped.
#[derive(Debug)]
pub struct Tending {
    stop: CancellationToken,
    _tasks: JoinSet<()>,
}

impl Tending {
    /// Starts.
    #[must_use]
    pub fn start<P: Publisher>(
        session: &Session,
        config: &Config,
        run: &ReservedRun<'_>,
        publisher: &P,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for database in &run.databases {
            let tender = Tender {
                scans: session.scans(config, &database.name),
                publisher: publisher.clone(),
                name: session.planner.clone(),
            };
            tasks.spawn(tender.run(LOOK_EVERY, stop.clone()));
        }
        Self { stop, _tasks: tasks }
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Renews the planner's lease in every database of the run, planning and waiting included, until it is dropped.
#[derive(Debug)]
pub struct Holding {
    _task: JoinSet<()>,
}

impl Holding {
    /// Starts.
    #[must_use]
    pub fn start(session: &Session, run: &ReservedRun<'_>) -> Self {
        let mut task = JoinSet::new();
        let (pools, lease) = (session.pools.clone(), session.lease);
        let claims: Vec<(String, PlannerClaim)> =
            run.databases.iter().map(|database| (database.name.clone(), database.planner.clone())).collect();
        task.spawn(async move {
            loop {
                tokio::time::sleep(lease / 4).await;
                for (database, planner) in &claims {
                    if let Err(error) = renew(&pools, database, planner, lease).await {
                        tracing::warn!(database, error = %error, "planner lease is not renewed");
                    }
                }
            }
        });
        Self { _task: task }
    }
}

async fn renew(
    pools: &PoolSet,
    database: &str,
    planner: &PlannerClaim,
    lease: Duration,
) -> Result<(), StoreError> {
    let client = pools.pool(database)?.get().await?;
    // False: the run has ended here, or another planner has it; whatever is written next says which.
    thaw_status::renew_planner(&client, planner, lease).await.map(drop)
}

/// Waits. A database that cannot be asked for a while is asked again: the run does not depend on this process.
///
/// # Errors
/// The planner's hold cannot be given back after a signal.
pub async fn until_ended(
    session: &Session,
    run: &ReservedRun<'_>,
    stop: &CancellationToken,
) -> Result<End, StoreError> {
    let mut progress = Progress::new(session.patience);
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => {
                progress.finish();
                release(session, run).await?;
                return Ok(End::Interrupted);
            }
            _ = look.tick() => {}
        }
        match end_of_tables(session, run).await {
            Ok(Some(state)) => {
                progress.finish();
                return Ok(End::Ended(state));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error, "status tables cannot be read; asking again"),
        }
        progress.show(session, run).await;
    }
}

/// What the ends of the tables that this call follows come to; `None` while one goes on. Ends the run where they were the
/// last ones.
///
/// # Errors
/// What a database says.
pub async fn end_of_tables(session: &Session, run: &ReservedRun<'_>) -> Result<Option<RunState>, StoreError> {
    let mut states = vec![TableState::Completed; run.done.len()];
    for database in &run.databases {
        let followed: Vec<TableId> = database.followed().collect();
        let client = session.pools.pool(&database.name)?.get().await?;
        let found = progress::table_states(&client, &followed).await?;
        if found.iter().any(|state| !state.is_final()) {
            return Ok(None);
        }
        // The row is gone: somebody pruned it; nothing can be said but that it did not complete here.
        let gone = followed.len().saturating_sub(found.len());
        states.extend(found);
        states.extend(std::iter::repeat_n(TableState::Failed, gone));
    }
    for database in &run.databases {
        let mut client = session.pools.pool(&database.name)?.get().await?;
        thaw_status::end_run(&mut client, run.id).await?;
    }
    Ok(Some(joined(&states)))
}

/// How many of the tables that this call follows have failed already.
///
/// # Errors
/// What a database says.
pub async fn failed_so_far(session: &Session, run: &ReservedRun<'_>) -> Result<usize, StoreError> {
    let mut failed = 0;
    for database in &run.databases {
        let followed: Vec<TableId> = database.followed().collect();
        let client = session.pools.pool(&database.name)?.get().await?;
        let states = progress::table_states(&client, &followed).await?;
        failed += states.iter().filter(|state| **state == TableState::Failed).count();
    }
    Ok(failed)
}

/// As a run is ended by its tables, and as a person or a later run ends it.
fn joined(states: &[TableState]) -> RunState {
    let any = |state| states.contains(&state);
    if any(TableState::Superseded) {
        RunState::Superseded
    } else if any(TableState::Cancelled) {
        RunState::Cancelled
    } else if states.iter().all(|state| *state == TableState::Completed) {
        RunState::Completed
    } else if any(TableState::Completed) || any(TableState::Partial) {
        RunState::Partial
    } else {
        RunState::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_tables_come_to_one_state() {
        use TableState::{Cancelled, Completed, Failed, Partial, Superseded};
        assert_eq!(joined(&[]), RunState::Completed);
        assert_eq!(joined(&[Completed, Completed]), RunState::Completed);
        assert_eq!(joined(&[Completed, Failed]), RunState::Partial);
        assert_eq!(joined(&[Partial]), RunState::Partial);
        assert_eq!(joined(&[Failed, Failed]), RunState::Failed);
        assert_eq!(joined(&[Completed, Cancelled, Failed]), RunState::Cancelled);
        assert_eq!(joined(&[Cancelled, Superseded]), RunState::Superseded);
    }
}
