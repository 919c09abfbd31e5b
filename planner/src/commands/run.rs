//! `planner run`: checks both ends, reserves, plans, starts, publishes, waits and reports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thaw_config::Config;
use thaw_model::{ErrorReport, Job, RunId, TableId};
use thaw_postgres::PgError;
use thaw_queue::rabbitmq::{RabbitOptions, RabbitQueue};
use thaw_queue::{Publisher, QueueError};
use thaw_snowflake::SnowflakeError;
use thaw_status::StoreError;
use thaw_telemetry::{Metrics, MetricsError};
use thaw_worker::{Shutdown, WorkerError, shutdown, start};
use tokio_util::sync::CancellationToken;

use crate::await_servers::await_servers;
use crate::check;
use crate::exit::Exit;
use crate::find_run::{self, RunRef};
use crate::output;
use crate::preflight::{self, Ready};
use crate::run::local::LocalWorker;
use crate::run::planning::{self, PlanningError};
use crate::run::reserve::{self, ReservedRun};
use crate::run::resume::Limits;
use crate::run::rounds::{Round, Rounds};
use crate::run::wait::{self, End, Holding, Redispatching, Tending};
use crate::run::{dry_run, execution, reading, report};
use crate::select;
use crate::session::Session;
use crate::watermark::Asked;

/// What the command line asks of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Names of sources; empty: all enabled ones.
    pub sources: Vec<String>,
    /// Names of tables, as source or target spells them; empty: all enabled ones.
    pub tables: Vec<String>,
    /// Publish and leave.
    pub detach: bool,
    /// Load in this process, without a broker.
    pub local: bool,
    /// Plan, write nothing, print the plan.
    pub dry_run: bool,
    /// The dry run as JSON.
    pub json: bool,
    /// Where the report of the end goes as JSON.
    pub report_json: Option<PathBuf>,
    /// `--full` and `--since`: a run that is asked for either never goes on with an older plan.
    pub asked: Asked,
    /// A new run, whatever there is.
    pub no_resume: bool,
    /// Since a run that is resumed by itself last got on.
    pub resume_max_age: Duration,
    /// Go on with this run, its stored plans, whatever its age.
    pub run: Option<RunRef>,
    /// For databases and a broker that are not up yet.
    pub wait: Duration,
}

/// Why a run could not be begun or followed.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("snowflake: {0}; check snowflake.account, url, rsa_key, proxy and ca_file")]
    Snowflake(#[from] SnowflakeError),
    #[error("status tables: {0}")]
    Store(#[from] StoreError),
    #[error("rabbitmq: {}; check rabbitmq.url and ca_file, or use --local", ErrorReport::of(.0).text)]
    Queue(#[from] QueueError),
    #[error("no broker is configured; set rabbitmq.url or AMQP_URL, or use --local")]
    NoBroker,
    #[error("{0}")]
    Planning(#[from] PlanningError),
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] MetricsError),
    #[error("{}", thaw_worker::describe(.0))]
    Worker(#[from] WorkerError),
    #[error("signals cannot be handled: {0}")]
    Signals(std::io::Error),
}

impl From<PgError> for RunError {
    fn from(error: PgError) -> Self {
        Self::Store(error.into())
    }
}

/// Runs. What went wrong has been said when this returns.
pub async fn execute(options: &RunOptions, config: &Arc<Config>) -> Exit {
    match run(options, config).await {
        Ok(exit) => exit,
        Err(error) => {
            output::complaint(format!("error: {error}"));
            match error {
                RunError::Planning(_) => Exit::Incomplete,
                RunError::Snowflake(_)
                | RunError::Store(_)
                | RunError::Queue(_)
                | RunError::NoBroker
                | RunError::Metrics(_)
                | RunError::Worker(_)
                | RunError::Signals(_) => Exit::Configuration,
            }
        }
    }
}

async fn run(options: &RunOptions, config: &Arc<Config>) -> Result<Exit, RunError> {
    let selected = match select::select(config, &options.sources, &options.tables) {
        Ok(selected) => selected,
        Err(findings) => return Ok(refuse(&findings)),
    };
    let session = Session::new(config)?;
    let broker = broker(options, config, &session)?;
    await_servers(&session, broker.as_ref(), options.wait).await;
    if let Some(queue) = &broker {
        queue.check().await?;
    }
    let limits =
        Limits { may_resume: !options.no_resume && !options.asked.is_any(), max_age: options.resume_max_age };
    let mut ready = Vec::new();
    // A run that is named has its plans; what it does not have is looked at when that is known.
    if options.run.is_none() {
        let preflight = preflight::preflight(&session, config, &selected).await;
        let unusable = unusable_since(&options.asked, &preflight.ready);
        if !preflight.has_errors() && !unusable.is_empty() {
            return Ok(refuse(&unusable));
        }
        if options.dry_run {
            let rounds = Rounds::new(&session, config, selected.clone(), Vec::new(), limits);
            // Where a database does not answer, that is what is said.
            let choice = if preflight.has_errors() { None } else { Some(rounds.choose().await?) };
            let form = (options.json, choice.as_ref());
            return Ok(dry_run::print(&session, config, (&selected, &preflight), form, &options.asked).await?);
        }
        if preflight.has_errors() {
            return Ok(refuse(&preflight.findings));
        }
        output::findings(&preflight.findings);
        make_status_tables(&session, &preflight.ready).await?;
        ready = preflight.ready;
    }
    let process = Process { options, config, session: &session, shutdown: Shutdown::default() };
    shutdown::on_signals(&process.shutdown).map_err(RunError::Signals)?;
    let mut rounds = Rounds::new(&session, config, selected, ready, limits);
    if let Some(named) = &options.run {
        match find_run::find(&session, named).await {
            Ok(run) => {
                rounds = rounds.of_run(run, !(options.sources.is_empty() && options.tables.is_empty()));
            }
            Err(error) => {
                output::complaint(format!("error: {error}"));
                return Ok(Exit::Configuration);
            }
        }
    }
    process.work_through(rounds, broker.as_ref()).await
}

/// In every database that a table goes to.
async fn make_status_tables(session: &Session, ready: &[Ready<'_>]) -> Result<(), RunError> {
    for database in session.pools.databases() {
        if ready.iter().any(|ready| ready.selected.source.target_database == database) {
            let mut client = session.pools.pool(&database)?.get().await?;
            thaw_status::migrate(&mut client).await?;
        }
    }
    Ok(())
}

async fn look_at_clocks(
    session: &Session,
    config: &Config,
    run: &mut ReservedRun<'_>,
) -> Result<(), RunError> {
    reserve::wait_for_snapshots(session, run).await?;
    Ok(reserve::read_clocks(session, config, run).await?)
}

/// How following a run ended.
enum Followed {
    /// To be reported.
    Ended(End),
    /// Said already.
    Left(Exit),
}

/// How planning ended.
#[derive(PartialEq, Eq)]
enum Planning {
    Done,
    /// By a signal, or for want of a worker. The next planner plans what has no plan yet.
    Stopped,
}

/// What following a run needs.
struct Process<'a> {
    options: &'a RunOptions,
    config: &'a Config,
    session: &'a Session,
    shutdown: Shutdown,
}

impl Process<'_> {
    /// Every run that what was asked for takes; the worst end counts.
    async fn work_through(
        &self,
        mut rounds: Rounds<'_>,
        broker: Option<&RabbitQueue>,
    ) -> Result<Exit, RunError> {
        let mut exit = Exit::Completed;
        while !rounds.is_done() {
            let ended = match rounds.next().await? {
                Round::Run { run, is_new, leaves_unfinished } => {
                    let ended = Box::pin(self.begin(run, is_new, broker)).await?;
                    if leaves_unfinished { ended.worse(Exit::Incomplete) } else { ended }
                }
                Round::Held { database, target, run } => {
                    output::complaint(format!(
                        "{database}: {target} is being loaded by run {run}, whose planner is alive; nothing was written"
                    ));
                    return Ok(exit.worse(Exit::Held));
                }
                Round::Refused(reason) => {
                    output::complaint(format!("error: {reason}"));
                    return Ok(Exit::Configuration);
                }
                Round::Faults(findings) => return Ok(refuse(&findings)),
                Round::Busy => {
                    output::complaint("other planners keep taking the tables; nothing was written");
                    return Ok(exit.worse(Exit::Held));
                }
            };
            exit = exit.worse(ended);
            if ended == Exit::Interrupted {
                break;
            }
            // A planner that leaves does not see the end that these have to wait for.
            let left = if self.options.detach { rounds.leave_deferred() } else { Vec::new() };
            if !left.is_empty() {
                output::complaint(format!(
                    "{}: not begun, because another entry of the same target goes on first; `planner run` goes on with \
                     them when it has ended",
                    left.join(", ")
                ));
                exit = exit.worse(Exit::Incomplete);
            }
        }
        Ok(exit)
    }

    /// Keeps the planner's hold on the run while its tables are planned and loaded.
    async fn begin(
        &self,
        mut run: ReservedRun<'_>,
        is_new: bool,
        broker: Option<&RabbitQueue>,
    ) -> Result<Exit, RunError> {
        let _holding = Holding::start(self.session, &run);
        // No earlier than the run holds its targets: another run may have loaded a younger state just before.
        if let Err(error) = look_at_clocks(self.session, self.config, &mut run).await {
            if is_new {
                reserve::cancel(self.session, &run).await?;
            } else {
                wait::release(self.session, &run).await?;
            }
            return Err(error);
        }
        tracing::info!(run_id = %run.id, "run {}", run.id);
        thaw_faults::reach("after_reserve");
        self.carry_out(&run, broker).await
    }

    /// Plans the run's tables, follows the run to its end, and reports. A run that was taken over has its plans.
    /// The caller keeps the planner's lease alive.
    async fn carry_out(&self, run: &ReservedRun<'_>, broker: Option<&RabbitQueue>) -> Result<Exit, RunError> {
        let end = match broker {
            Some(queue) => self.follow(run, &queue.publisher()).await,
            None => self.follow_locally(run).await,
        };
        let end = match end {
            Ok(Followed::Ended(end)) => end,
            Ok(Followed::Left(exit)) => return Ok(exit),
            Err(RunError::Planning(PlanningError::Store(StoreError::FenceLost))) => {
                match wait::end_of_tables(self.session, run).await? {
                    Some(state) => End::Ended(state),
                    None => {
                        output::complaint(format!("another planner has taken run {} over", run.id));
                        return Ok(Exit::Held);
                    }
                }
            }
            Err(error) => {
                // Nobody waits for this planner's lease to run out before the next one may go on.
                if let Err(error) = wait::release(self.session, run).await {
                    tracing::debug!(error = %error, "planner's hold is not given back");
                }
                return Err(error);
            }
        };
        Ok(report::finish(self.session, run, self.options.report_json.as_deref(), end).await?)
    }

    async fn follow(&self, run: &ReservedRun<'_>, publisher: &impl Publisher) -> Result<Followed, RunError> {
        let stop = &self.shutdown.stop;
        let _tending = Tending::start(self.session, self.config, run, publisher);
        if self.plan_unless(stop, run, publisher).await? == Planning::Stopped {
            return Ok(Followed::Ended(End::Interrupted));
        }
        if self.options.detach {
            return self.leave(run, publisher).await;
        }
        let metrics = Arc::new(Metrics::new()?);
        let often = (&metrics, self.config.worker.redispatch);
        let _redispatching = Redispatching::start(self.session, run, publisher, often);
        Ok(Followed::Ended(self.wait(run, publisher, stop).await?))
    }

    /// Leaves a run that was planned to its workers, with nothing that only a planner can do.
    async fn leave(&self, run: &ReservedRun<'_>, publisher: &impl Publisher) -> Result<Followed, RunError> {
        tokio::select! {
            () = self.shutdown.stop.cancelled() => {
                wait::release(self.session, run).await?;
                return Ok(Followed::Ended(End::Interrupted));
            }
            planned = execution::plan_waiting(self.session, self.config, run, publisher) => planned?,
        }
        let failed = wait::failed_so_far(self.session, run).await?;
        wait::release(self.session, run).await?;
        output::result(format!("run {} is published", run.id));
        if failed == 0 {
            return Ok(Followed::Left(Exit::Completed));
        }
        output::complaint(format!(
            "{failed} table(s) have failed already; `planner status {}` says why",
            run.id
        ));
        Ok(Followed::Left(Exit::Incomplete))
    }

    /// Waits for the end; tables whose snapshot goes in the middle are planned anew meanwhile.
    async fn wait(
        &self,
        run: &ReservedRun<'_>,
        publisher: &impl Publisher,
        stop: &CancellationToken,
    ) -> Result<End, StoreError> {
        tokio::select! {
            end = wait::until_ended(self.session, run, stop) => end,
            never = execution::keep_planning(self.session, self.config, run, publisher) => match never {},
        }
    }

    /// The worker's code in this process; it redispatches as every worker does.
    async fn follow_locally(&self, run: &ReservedRun<'_>) -> Result<Followed, RunError> {
        let worker = LocalWorker::new(self.config);
        let publisher = worker.publisher();
        let drain =
            Shutdown { stop: self.shutdown.stop.child_token(), interrupt: self.shutdown.interrupt.clone() };
        // A worker that gives up leaves nobody to wait for.
        let worker_gone = self.shutdown.stop.child_token();
        let working = async {
            let worked = worker.run(self.config, drain.clone()).await;
            worker_gone.cancel();
            worked
        };
        let following = async {
            let end = match self.plan_unless(&worker_gone, run, &publisher).await {
                Ok(Planning::Done) => self.wait(run, &publisher, &worker_gone).await.map_err(RunError::from),
                Ok(Planning::Stopped) => Ok(End::Interrupted),
                Err(error) => Err(error),
            };
            drain.stop.cancel();
            end
        };
        let (worked, end) = tokio::join!(working, following);
        if worked? == thaw_worker::Exit::HaltGraceOver {
            wait::release(self.session, run).await?;
            output::complaint("the worker could not work for longer than halt_grace_seconds and gave up");
            return Ok(Followed::Left(Exit::Incomplete));
        }
        Ok(Followed::Ended(end?))
    }

    async fn plan_unless(
        &self,
        stop: &CancellationToken,
        run: &ReservedRun<'_>,
        publisher: &impl Publisher,
    ) -> Result<Planning, RunError> {
        tokio::select! {
            () = stop.cancelled() => {
                wait::release(self.session, run).await?;
                Ok(Planning::Stopped)
            }
            planned = self.plan_and_publish(run, publisher) => Ok(planned.map(|()| Planning::Done)?),
        }
    }

    /// Plans every table and hands each on as soon as its plan is stored.
    async fn plan_and_publish(
        &self,
        run: &ReservedRun<'_>,
        publisher: &impl Publisher,
    ) -> Result<(), PlanningError> {
        for database in &run.databases {
            for table in &database.resumed {
                self.start(publisher, &database.name, (run.id, *table), false).await;
            }
        }
        for database in &run.databases {
            let start = |table, is_empty| self.start(publisher, &database.name, (run.id, table), is_empty);
            planning::plan_tables(self.session, self.config, database, &self.options.asked, start).await?;
            wait::mark_planned(self.session, database, run.id).await?;
        }
        Ok(())
    }

    /// Starts a table and publishes its hints. What fails here is late, not lost: redispatch takes it up.
    async fn start(
        &self,
        publisher: &impl Publisher,
        database: &str,
        (run, table): (RunId, TableId),
        is_empty: bool,
    ) {
        let started = start::publish_table(&self.session.pools, publisher, database, (run, table)).await;
        if let Err(error) = started {
            tracing::warn!(table_id = %table, error = %error, "table is not started yet; redispatch will try again");
        }
        // Nothing to load: somebody has to finalize it all the same, and redispatch would be a moment later.
        let hint = Job::Table { database: database.to_owned(), run, table };
        if is_empty && let Err(error) = publisher.publish(&[hint]).await {
            tracing::warn!(table_id = %table, error = %error, "table has no hint to be finalized yet");
        }
    }
}

/// The broker, not asked yet; `None` with `--local` and in a dry run, which need none.
fn broker(options: &RunOptions, config: &Config, session: &Session) -> Result<Option<RabbitQueue>, RunError> {
    if options.local || options.dry_run {
        return Ok(None);
    }
    let rabbit = config.rabbitmq.as_ref().ok_or(RunError::NoBroker)?;
    let options = RabbitOptions {
        ca_file: rabbit.ca_file.clone(),
        ..RabbitOptions::new(rabbit.url.clone(), session.planner.as_str())
    };
    Ok(Some(RabbitQueue::new(&options)?))
}

/// Every table that cannot take the value of `--since`.
fn unusable_since(asked: &Asked, ready: &[Ready<'_>]) -> Vec<thaw_config::Finding> {
    let refusals = ready.iter().filter_map(|ready| {
        let error = asked.of_table(reading::kind(ready)).err()?;
        Some(check::fault(ready.selected.entry, "source_watermark", error.to_string()))
    });
    refusals.collect()
}

fn refuse(findings: &[thaw_config::Finding]) -> Exit {
    output::findings(findings);
    output::complaint("nothing was written");
    Exit::Configuration
}
