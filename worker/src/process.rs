//! One worker in one process: its parts put together, started, and ended in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thaw_config::Config;
use thaw_model::{ErrorReport, WorkerId};
use thaw_queue::{Consumer, LinkState, Publisher};
use thaw_snowflake::SnowflakeError;
use thaw_status::StoreError;
use thaw_telemetry::{Metrics, MetricsError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connections;
use crate::consume::consume;
use crate::databases::Databases;
use crate::execute::Executor;
use crate::fetch::SourceSession;
use crate::halt::{Cause, Halt, Probes, probe_until_hopeless};
use crate::http::{self, Health};
use crate::lease;
use crate::memory::MemoryBudget;
use crate::one_scan::{Scans, Tender};
use crate::redispatch::Redispatch;
use crate::runner::{Gates, Runner};
use crate::shutdown::{Drain, Limits, Shutdown};

/// How long each database may take to answer before the worker begins without it.
const FIRST_LOOK_LIMIT: Duration = Duration::from_secs(10);
/// What tasks that were told to stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What the command line decides.
#[derive(Debug, Clone, Copy)]
pub struct WorkerOptions {
    /// Chunks at a time; what the consumer was made with.
    pub slots: u16,
    /// When the platform ends this process.
    pub max_runtime: Option<Duration>,
    /// Where the HTTP endpoints are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

/// Both ends of the queue.
#[derive(Debug)]
pub struct Queue<P, C> {
    pub publisher: P,
    /// Made for [`WorkerOptions::slots`].
    pub consumer: C,
}

/// Why a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was told to stop, and nothing runs any more.
    Drained,
    /// It was halted for longer than the halt grace.
    HaltGraceOver,
}

/// Why a worker could not begin. A fault of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("snowflake client cannot be set up")]
    Snowflake(#[source] SnowflakeError),
    #[error("metrics cannot be set up")]
    Metrics(#[from] MetricsError),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// Works until told to stop: takes chunks off the queue, keeps their leases, redispatches, finalizes.
///
/// # Errors
/// [`WorkerError`], before anything was taken off the queue.
pub async fn run_worker<P: Publisher, C: Consumer>(
    config: &Config,
    options: &WorkerOptions,
    queue: Queue<P, C>,
    shutdown: Shutdown,
) -> Result<Exit, WorkerError> {
    let Queue { publisher, consumer } = queue;
    let runner = Arc::new(build(config, options, publisher, &shutdown)?);
    let limits = Limits {
        grace: config.worker.shutdown_grace,
        runtime: options.max_runtime.map(|runtime| (runtime, config.lambda_timeout_buffer)),
    };
    let drain = Drain::new(shutdown.stop.clone(), limits);
    let draining = CancellationToken::new();
    let companions = Companions::default();
    if let Some(address) = options.listen {
        let listener = http::bind(address).await.map_err(|source| WorkerError::Listen { address, source })?;
        tracing::info!(address = %listener.local_addr().unwrap_or(address), "serving /metrics, /healthz and /readyz");
        let health = Health {
            metrics: Arc::clone(&runner.metrics),
            halt: runner.halt.clone(),
            link: consumer.link(),
            draining: draining.clone(),
            source: runner.executor.snowflake.clone(),
        };
        companions.tasks.spawn(http::serve(listener, health, companions.stop.clone()));
    }
    first_look(&runner).await;
    companions.start(&runner, config, consumer.link());
    companions.watch_versions(&runner, config);
    companions.count_reconnects(Arc::clone(&runner.metrics), consumer.link());
    let hopeless = companions.probe(&runner, config, consumer.link(), &shutdown);
    tracing::info!(worker_id = %runner.worker, slots = options.slots, "worker started");

    let deadline = consume(&runner, consumer, &drain, &draining).await;
    finish_background(&runner, deadline).await;
    companions.end().await;
    let exit = if *hopeless.borrow() { Exit::HaltGraceOver } else { Exit::Drained };
    tracing::info!(worker_id = %runner.worker, ?exit, "worker ended");
    Ok(exit)
}

fn build<P: Publisher>(
    config: &Config,
    options: &WorkerOptions,
    publisher: P,
    shutdown: &Shutdown,
) -> Result<Runner<P>, WorkerError> {
    let worker = WorkerId::generate("worker");
    let databases = Databases::new(config, &worker, usize::from(options.slots));
    let snowflake = connections::snowflake(&config.snowflake).map_err(WorkerError::Snowflake)?;
    let session = SourceSession {
        warehouse: Some(config.snowflake.warehouse.clone()),
        role: config.snowflake.role.clone(),
    };
    let metrics = Arc::new(Metrics::new()?);
    metrics.slots.set(i64::from(options.slots));
    let megabytes = usize::try_from(config.worker.memory_mb).unwrap_or(usize::MAX);
    let memory = MemoryBudget::new(
        megabytes.saturating_mul(1024 * 1024),
        usize::from(options.slots),
        Some(Arc::clone(&metrics)),
    );
    Ok(Runner {
        worker,
        publisher,
        executor: Executor { databases: databases.clone(), snowflake, session, memory },
        databases,
        leases: Arc::default(),
        halt: Halt::default(),
        metrics,
        paused: watch::Sender::new(false),
        interrupt: shutdown.interrupt.clone(),
        background: TaskTracker::new(),
        gates: Gates::default(),
    })
}

/// Asks every database for the version of its status tables: a worker older than they are takes nothing.
async fn first_look<P: Publisher>(runner: &Runner<P>) {
    for database in runner.databases.names() {
        match timeout(FIRST_LOOK_LIMIT, version(runner, &database)).await {
            Ok(Ok(())) => {}
            Ok(Err(StoreError::SchemaMissing { .. })) => {
                tracing::info!(database, "no status tables yet: the first planner makes them");
            }
            Ok(Err(error)) => runner.halt.raise(Cause::Database(database), &error),
            Err(_) => {
                let error = StoreError::Postgres(thaw_postgres::PgError::ConnectTimeout);
                runner.halt.raise(Cause::Database(database), &error);
            }
        }
    }
}

async fn version<P: Publisher>(runner: &Runner<P>, database: &str) -> Result<(), StoreError> {
    let client = runner.databases.client(database).await?;
    thaw_status::check_version(&client).await
}

/// Finalizing goes on until the deadline; what is left then is taken over when its lease is over.
async fn finish_background<P: Publisher>(runner: &Runner<P>, deadline: Instant) {
    runner.background.close();
    let deadline = deadline.max(Instant::now() + STOP_LIMIT);
    if timeout_at(deadline, runner.background.wait()).await.is_err() {
        tracing::warn!("a table's finalize did not end in time: its lease runs out");
    }
}

/// The tasks beside the slots.
#[derive(Debug, Default)]
struct Companions {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Companions {
    fn start<P: Publisher>(&self, runner: &Runner<P>, config: &Config, link: watch::Receiver<LinkState>) {
        for database in runner.databases.names() {
            let redispatch = Redispatch {
                pools: runner.databases.control().clone(),
                database: database.clone(),
                publisher: runner.publisher.clone(),
                metrics: Arc::clone(&runner.metrics),
                interval: config.worker.redispatch,
                link: Some(link.clone()),
            };
            self.tasks.spawn(redispatch.run(self.stop.clone()));
            let tender = Tender {
                scans: Scans {
                    pools: runner.databases.control().clone(),
                    database: database.clone(),
                    snowflake: runner.executor.snowflake.clone(),
                    session: runner.executor.session.clone(),
                },
                publisher: runner.publisher.clone(),
                name: runner.worker.clone(),
            };
            self.tasks.spawn(tender.run(config.worker.redispatch, self.stop.clone()));
            self.tasks.spawn(lease::beat(
                lease::Beat {
                    leases: Arc::clone(&runner.leases),
                    pools: runner.databases.beats().clone(),
                    database,
                    worker: runner.worker.clone(),
                    metrics: Arc::clone(&runner.metrics),
                },
                self.stop.clone(),
            ));
        }
    }

    /// Status tables may be migrated under a running worker: one that does not know the new ones takes nothing more.
    fn watch_versions<P: Publisher>(&self, runner: &Arc<Runner<P>>, config: &Config) {
        let (runner, pause) = (Arc::clone(runner), config.worker.heartbeat);
        self.tasks.spawn(with_end(self.stop.clone(), async move {
            loop {
                tokio::time::sleep(pause).await;
                for database in runner.databases.names() {
                    let looked = timeout(FIRST_LOOK_LIMIT, version(&runner, &database)).await;
                    if let Ok(Err(
                        error @ (StoreError::SchemaNewer { .. } | StoreError::SchemaOlder { .. }),
                    )) = looked
                    {
                        runner.halt.raise(Cause::Database(database), &error);
                    }
                }
            }
        }));
    }

    fn count_reconnects(&self, metrics: Arc<Metrics>, mut link: watch::Receiver<LinkState>) {
        self.tasks.spawn(with_end(self.stop.clone(), async move {
            // The first connection is none that was lost.
            drop(link.wait_for(LinkState::is_connected).await);
            while link.wait_for(|state| !state.is_connected()).await.is_ok()
                && link.wait_for(LinkState::is_connected).await.is_ok()
            {
                metrics.queue_reconnects.inc();
            }
        }));
    }

    /// Probes while halted. True in the end: the trouble outlasted the grace, and the worker was told to stop.
    fn probe<P: Publisher>(
        &self,
        runner: &Runner<P>,
        config: &Config,
        link: watch::Receiver<LinkState>,
        shutdown: &Shutdown,
    ) -> watch::Receiver<bool> {
        self.tasks.spawn(with_end(self.stop.clone(), runner.halt.clone().follow_login(link.clone())));
        let probes = Probes {
            link,
            pools: runner.databases.control().clone(),
            snowflake: runner.executor.snowflake.clone(),
        };
        let (hopeless, reader) = watch::channel(false);
        let (halt, grace) = (runner.halt.clone(), config.worker.halt_grace);
        let (stop, ended) = (shutdown.stop.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            if probe_until_hopeless(halt, probes, grace, ended).await {
                tracing::error!(grace_secs = grace.as_secs(), "worker was halted for too long and gives up");
                hopeless.send_replace(true);
                stop.cancel();
            }
        });
        reader
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(STOP_LIMIT, self.tasks.wait()).await.is_err() {
            tracing::debug!("some tasks did not end in time");
        }
    }
}

async fn with_end(stop: CancellationToken, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        () = stop.cancelled() => {}
    }
}

/// The text of an error with its causes, for the one line that `main` prints.
#[must_use]
pub fn describe(error: &WorkerError) -> String {
    match error {
        WorkerError::Snowflake(source) => format!("{error}: {}", ErrorReport::of(source).text),
        WorkerError::Metrics(source) => format!("{error}: {source}"),
        WorkerError::Listen { source, .. } => format!("{error}: {source}"),
    }
}
