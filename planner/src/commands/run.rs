//! `planner run`: checks both ends, reserves, plans, starts, publishes, waits and reports.

use std::path::PathBuf;
use std::sync::Arc;

use thaw_config::Config;
use thaw_model::{Job, RunId, TableId};
use thaw_postgres::PgError;
use thaw_queue::rabbitmq::{RabbitOptions, RabbitQueue};
use thaw_queue::{Publisher, QueueError};
use thaw_snowflake::SnowflakeError;
use thaw_status::{Holder, StoreError};
use thaw_telemetry::{Metrics, MetricsError};
use thaw_worker::{Shutdown, WorkerError, shutdown, start};

use crate::exit::Exit;
use crate::output;
use crate::preflight;
use crate::run::attach::{self, Attached};
use crate::run::local::LocalWorker;
use crate::run::planning::{self, PlanningError};
use crate::run::reserve::{self, Reserved, ReservedRun};
use crate::run::wait::{self, Redispatching};
use crate::run::{dry_run, report};
use crate::select;
use crate::session::Session;

/// Runs that may be put aside one after the other before a planner gives up.
const ATTACH_ATTEMPTS: usize = 8;

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
}

/// Why a run could not be begun or followed.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("snowflake: {0}; check snowflake.account, url, rsa_key, proxy and ca_file")]
    Snowflake(#[from] SnowflakeError),
    #[error("status tables: {0}")]
    Store(#[from] StoreError),
    #[error("rabbitmq: {0}; check rabbitmq.url and ca_file, or use --local")]
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
    let broker = broker(options, config, &session).await?;
    let preflight = preflight::preflight(&session, config, &selected).await;
    if preflight.has_errors() {
        return Ok(refuse(&preflight.findings));
    }
    output::findings(&preflight.findings);
    if options.dry_run {
        return Ok(dry_run::print(&session, config, &preflight.ready, options.json).await?);
    }
    for database in session.pools.databases() {
        if preflight.ready.iter().any(|ready| ready.selected.source.target_database == database) {
            let mut client = session.pools.pool(&database)?.get().await?;
            thaw_status::migrate(&mut client).await?;
        }
    }
    let process = Process { options, config, session: &session, shutdown: Shutdown::default() };
    shutdown::on_signals(&process.shutdown).map_err(RunError::Signals)?;
    for _ in 0..ATTACH_ATTEMPTS {
        let run = match reserve::reserve(&session, config, preflight.ready.clone()).await? {
            Reserved::Run(run) => run,
            Reserved::Held { database, holder } => match attach::attach(&session, &holder).await? {
                Attached::Alive => return Ok(held(&database, &holder)),
                Attached::Superseded => {
                    tracing::warn!(run_id = %holder.run, "an earlier run that was never planned to its end is superseded");
                    continue;
                }
                Attached::Following(run) => {
                    output::complaint(format!("run {} has lost its planner; following it to its end", run.id));
                    run
                }
            },
        };
        tracing::info!(run_id = %run.id, "run {}", run.id);
        thaw_faults::reach("after_reserve");
        return match broker {
            Some(queue) => process.follow(&run, &queue.publisher()).await,
            None => process.follow_locally(&run).await,
        };
    }
    output::complaint("another planner keeps taking the tables; nothing was written");
    Ok(Exit::Held)
}

/// What following a run needs.
struct Process<'a> {
    options: &'a RunOptions,
    config: &'a Config,
    session: &'a Session,
    shutdown: Shutdown,
}

impl Process<'_> {
    async fn follow(&self, run: &ReservedRun<'_>, publisher: &impl Publisher) -> Result<Exit, RunError> {
        self.plan_and_publish(run, publisher).await?;
        if self.options.detach {
            wait::release(self.session, run).await?;
            output::result(format!("run {} is published", run.id));
            return Ok(Exit::Completed);
        }
        let metrics = Arc::new(Metrics::new()?);
        let often = (&metrics, self.config.worker.redispatch);
        let _redispatching = Redispatching::start(self.session, run, publisher, often);
        let end = wait::until_ended(self.session, run, &self.shutdown).await?;
        Ok(report::finish(self.session, run, self.options.report_json.as_deref(), end).await?)
    }

    /// The worker's code in this process; it redispatches as every worker does.
    async fn follow_locally(&self, run: &ReservedRun<'_>) -> Result<Exit, RunError> {
        let worker = LocalWorker::new(self.config);
        let publisher = worker.publisher();
        let drain = Shutdown { stop: self.shutdown.stop.child_token(), interrupt: self.shutdown.interrupt.clone() };
        let followed = async {
            let end = match self.plan_and_publish(run, &publisher).await {
                Ok(()) => wait::until_ended(self.session, run, &self.shutdown).await.map_err(RunError::from),
                Err(error) => Err(error.into()),
            };
            drain.stop.cancel();
            end
        };
        let (worked, end) = tokio::join!(worker.run(self.config, drain.clone()), followed);
        worked?;
        Ok(report::finish(self.session, run, self.options.report_json.as_deref(), end?).await?)
    }

    /// Plans every table and hands each on as soon as its plan is stored. A run that was taken over has its plans.
    async fn plan_and_publish(
        &self,
        run: &ReservedRun<'_>,
        publisher: &impl Publisher,
    ) -> Result<(), PlanningError> {
        for database in &run.databases {
            let start = |table, is_empty| self.start(publisher, &database.name, (run.id, table), is_empty);
            planning::plan_tables(self.session, self.config, database, start).await?;
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
        let started = start::start_and_publish(&self.session.pools, publisher, database, (run, table)).await;
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

/// The broker, once it has answered; `None` with `--local` and in a dry run, which need none.
async fn broker(
    options: &RunOptions,
    config: &Config,
    session: &Session,
) -> Result<Option<RabbitQueue>, RunError> {
    if options.local || options.dry_run {
        return Ok(None);
    }
    let rabbit = config.rabbitmq.as_ref().ok_or(RunError::NoBroker)?;
    let options = RabbitOptions {
        ca_file: rabbit.ca_file.clone(),
        ..RabbitOptions::new(rabbit.url.clone(), session.planner.as_str())
    };
    let queue = RabbitQueue::new(&options)?;
    queue.check().await?;
    Ok(Some(queue))
}

fn refuse(findings: &[thaw_config::Finding]) -> Exit {
    output::findings(findings);
    output::complaint("nothing was written");
    Exit::Configuration
}

fn held(database: &str, holder: &Holder) -> Exit {
    let Holder { run, target_schema, target_table, planner_alive, .. } = holder;
    let RunId(id) = run;
    output::complaint(format!(
        "{database}: {target_schema}.{target_table} is being loaded by run {id}{}; nothing was written",
        if *planner_alive { "" } else { ", whose planner has left; its workers go on" }
    ));
    Exit::Held
}

