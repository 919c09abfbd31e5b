//! Fresh executions of tables whose snapshot is gone, planned while the planner waits.
//!
//! A worker that cannot read the snapshot any more fences the table; here it is planned anew, over what is there. What
//! combines with what is decided in `plan::fresh`; a planner that dies on the way leaves the table in `planning`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use thaw_config::Config;
use thaw_model::{Classify as _, Disposition, ErrorReport, Job, TableId, TablePlan};
use thaw_queue::Publisher;
use thaw_status::execution::{self, ExecutionToPlan, NewExecution, SNAPSHOT_GONE};
use thaw_status::one_scan::ScanToPrepare;
use thaw_status::{StoreError, end_run};
use thaw_worker::{one_scan, start};

use crate::plan::Planned;
use crate::preflight::{self, Ready};
use crate::run::planning::{self, Failure};
use crate::run::reserve::{ReservedDatabase, ReservedRun, entry_id};
use crate::select::{self, Selected};
use crate::session::{PLANNING_CONCURRENCY, Session};
use crate::snapshot::SNAPSHOT_LAG;

/// How often the status tables are asked for tables to plan anew.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A table that replaced another is younger than its fence; its snapshot must not lie before it.
const SETTLED: Duration = Duration::from_secs(SNAPSHOT_LAG.as_secs() + 1);
/// Looks at a table whose source or target does not answer, before it fails.
const TRIES: u32 = 5;

/// Plans what is to be planned anew, for ever: drop it when the run has ended.
pub async fn keep_planning<P: Publisher>(
    session: &Session,
    config: &Config,
    run: &ReservedRun<'_>,
    publisher: &P,
) -> Infallible {
    let mut tries: HashMap<(TableId, i32), u32> = HashMap::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for database in &run.databases {
            let work = Replanning { session, config, database, publisher };
            if let Err(error) = work.look(&mut tries).await {
                tracing::warn!(database = database.name, error = %error, "fresh executions are not planned; trying again");
            }
        }
    }
}

/// Plans what is to be planned anew now, for a planner that leaves: behind it such a table fails.
///
/// # Errors
/// What a database says.
pub async fn plan_waiting<P: Publisher>(
    session: &Session,
    config: &Config,
    run: &ReservedRun<'_>,
    publisher: &P,
) -> Result<(), StoreError> {
    let mut tries: HashMap<(TableId, i32), u32> = HashMap::new();
    for database in &run.databases {
        let work = Replanning { session, config, database, publisher };
        // The last look of a table fails it; what another planner has taken over stays.
        for _ in 0..=TRIES {
            if work.look(&mut tries).await? == 0 {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// Why a table has no fresh execution now.
enum Trouble {
    /// Somebody is in the way, a lock or a full server: it takes as long as it takes.
    Waiting(ErrorReport),
    /// Worth another look.
    Passing(ErrorReport),
    Final(ErrorReport),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let report = ErrorReport::of(&error);
        match error.disposition() {
            // A foreign key that refuses the truncate, a target that is gone.
            Disposition::Fatal | Disposition::HaltTable => Self::Final(report),
            Disposition::Snooze { .. } => Self::Waiting(report),
            Disposition::Retry
            | Disposition::Interrupted
            | Disposition::Abandon
            | Disposition::Unknown
            | Disposition::HaltWorker => Self::Passing(report),
        }
    }
}

struct Replanning<'a, P> {
    session: &'a Session,
    config: &'a Config,
    database: &'a ReservedDatabase<'a>,
    publisher: &'a P,
}

impl<P: Publisher> Replanning<'_, P> {
    /// How many there were.
    async fn look(&self, tries: &mut HashMap<(TableId, i32), u32>) -> Result<usize, StoreError> {
        let client = self.client().await?;
        let tables = execution::executions_to_plan(&client, self.database.planner.run).await?;
        drop(client);
        let found = tables.len();
        let looks: Vec<(ExecutionToPlan, u32)> = tables
            .into_iter()
            .map(|table| {
                let tried = tries.entry((table.table, table.execution)).or_default();
                *tried += 1;
                (table, *tried)
            })
            .collect();
        let mut outcomes = stream::iter(looks)
            .map(|(table, tried)| async move {
                let counts = self.look_at(&table, tried).await?;
                Ok::<_, StoreError>(((table.table, table.execution), counts))
            })
            .buffer_unordered(PLANNING_CONCURRENCY);
        while let Some(outcome) = outcomes.next().await {
            let (table, counts) = outcome?;
            if !counts && let Some(tried) = tries.get_mut(&table) {
                *tried -= 1;
            }
        }
        Ok(found)
    }

    /// Whether it counts as one of the tries.
    async fn look_at(&self, table: &ExecutionToPlan, tried: u32) -> Result<bool, StoreError> {
        let again = |report: &ErrorReport| {
            tracing::warn!(table_id = %table.table, error = %report.text, "table is not planned anew yet; trying again");
        };
        match self.plan_anew(table).await {
            Ok(()) => {}
            Err(Trouble::Waiting(report)) => {
                again(&report);
                return Ok(false);
            }
            Err(Trouble::Passing(report)) if tried < TRIES => again(&report),
            Err(Trouble::Passing(report) | Trouble::Final(report)) => self.fail(table, &report).await?,
        }
        Ok(true)
    }

    async fn plan_anew(&self, table: &ExecutionToPlan) -> Result<(), Trouble> {
        thaw_faults::reach("before_fresh_plan");
        let ended = execution::end_backends(&*self.client().await?, table.table, table.execution - 1).await?;
        for zombie in ended {
            tracing::info!(chunk_id = %zombie.chunk, pid = zombie.pid, "session of a chunk that loads again was told to end");
        }
        tokio::time::sleep(SETTLED).await;
        let client = self.client().await?;
        let rows_there = execution::rows_of_executions(&client, table.table, table.execution).await?;
        drop(client);
        let selected =
            self.selected(&table.entry).ok_or_else(|| gone("the configuration no longer has its entry"))?;
        let ready = self.look_at_ends(selected).await?;
        let planned =
            planning::plan_execution(self.session, self.config, &ready, (&table.plan, rows_there)).await;
        match planned {
            Ok(planned) => self.store(table, &ready, planned).await,
            Err(Failure::Plan(error)) if error.may_pass() => Err(Trouble::Passing(planning::report(&error))),
            Err(Failure::Plan(error)) => Err(Trouble::Final(planning::report(&error))),
            Err(Failure::Store(error)) => Err(error.into()),
        }
    }

    /// The entry as the configuration has it now.
    fn selected(&self, entry: &str) -> Option<Selected<'_>> {
        let all = select::select(self.config, &[], &[]).ok()?;
        all.into_iter().find(|selected| {
            selected.source.target_database == self.database.name && entry_id(self.config, *selected) == entry
        })
    }

    /// Both ends as they are now: a replaced table may have other columns.
    async fn look_at_ends<'b>(&self, selected: Selected<'b>) -> Result<Ready<'b>, Trouble> {
        let found = preflight::preflight(self.session, self.config, &[selected]).await;
        let faults: Vec<&str> = found
            .findings
            .iter()
            .filter(|finding| finding.severity == thaw_config::Severity::Error)
            .map(|finding| finding.message.as_str())
            .collect();
        if !faults.is_empty() {
            // A connection that is away for a moment is a finding, too.
            return Err(Trouble::Passing(report(&faults.join("; "))));
        }
        found.ready.into_iter().next().ok_or_else(|| gone("both ends cannot be looked at"))
    }

    async fn store(
        &self,
        table: &ExecutionToPlan,
        ready: &Ready<'_>,
        planned: Planned,
    ) -> Result<(), Trouble> {
        planning::log_decisions(ready, &planned);
        if planned.plan.one_scan.is_some() {
            return self.scan(table, &planned.plan).await;
        }
        let is_empty = planned.chunks.is_empty();
        let new_plan = planning::new_plan(ready, planned);
        let fresh = NewExecution {
            number: table.execution,
            leaves_gap: new_plan.watermark.as_ref().is_some_and(|window| window.leaves_gap),
            watermark_high: new_plan.watermark.and_then(|window| window.high),
            expected_rows: new_plan.expected_rows,
            chunks: new_plan.chunks,
            plan: new_plan.plan,
        };
        thaw_faults::reach("before_fresh_execution");
        let mut client = self.client().await?;
        match execution::store_execution(&mut client, &self.database.planner, table.table, &fresh).await {
            Ok(()) => {}
            // Cancelled, or another planner has the run: nothing is ours to plan any more.
            Err(StoreError::FenceLost) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        drop(client);
        thaw_faults::reach("after_fresh_execution");
        let name = &ready.selected.entry.source;
        tracing::info!(table = %name, execution = table.execution, "[{name}] every chunk loads again under a new snapshot");
        self.publish(table.table, is_empty).await;
        Ok(())
    }

    /// From now on one statement reads the table: it is written down and sent, and whoever looks next goes on.
    async fn scan(&self, table: &ExecutionToPlan, plan: &TablePlan) -> Result<(), Trouble> {
        let statement =
            one_scan::new_statement(plan).map_err(|error| Trouble::Final(ErrorReport::of(&error)))?;
        let scan = ScanToPrepare {
            run: self.database.planner.run,
            table: table.table,
            execution: table.execution,
            plan: table.plan.clone(),
            was_started: true,
        };
        let scans = self.session.scans(self.config, &self.database.name);
        let mut client = self.client().await?;
        let by = &self.session.planner;
        let claim = thaw_status::one_scan::prepare(&mut client, &scan, plan, &statement, by).await?;
        drop(client);
        if let Some(claim) = claim {
            scans.submit(&claim).await;
        }
        Ok(())
    }

    /// What fails here is late, not lost: redispatch takes it up.
    async fn publish(&self, table: TableId, is_empty: bool) {
        let name = &self.database.name;
        if let Err(error) = start::publish_chunks(&self.session.pools, self.publisher, name, table).await {
            tracing::warn!(table_id = %table, error = %error, "chunks have no hints yet; redispatch will give them");
        }
        let hint = Job::Table { database: name.clone(), run: self.database.planner.run, table };
        if is_empty && let Err(error) = self.publisher.publish(&[hint]).await {
            tracing::warn!(table_id = %table, error = %error, "table has no hint to be finalized yet");
        }
    }

    async fn fail(&self, table: &ExecutionToPlan, report: &ErrorReport) -> Result<(), StoreError> {
        tracing::error!(table_id = %table.table, class = %report.class, error = %report.text, "table cannot be planned anew");
        let mut client = self.client().await?;
        match execution::fail_execution(&mut client, &self.database.planner, table.table, report).await {
            Ok(()) => end_run(&mut client, self.database.planner.run).await.map(drop),
            Err(StoreError::FenceLost) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn client(&self) -> Result<thaw_postgres::Client, StoreError> {
        Ok(self.session.pools.pool(&self.database.name)?.get().await?)
    }
}

fn gone(reason: &str) -> Trouble {
    Trouble::Final(report(reason))
}

fn report(reason: &str) -> ErrorReport {
    let text = format!(
        "the snapshot is gone in the middle of the load, and the table cannot be planned again: {reason}"
    );
    ErrorReport { class: SNAPSHOT_GONE.to_owned(), text }
}
