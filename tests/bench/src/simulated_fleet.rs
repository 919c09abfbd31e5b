//! A fleet that moves no rows: its claims, heartbeats, completions, looks and redispatch ticks are the product's own
//! statements, over a bounded number of connections, as fast as they are answered.
//!
//! Every chunk costs one claim, one heartbeat, one load transaction without rows and one look whether the table is done;
//! every worker has its redispatch tick. A statement's time does not hold the wait for a connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use secrecy::SecretString;
use thaw_harness::{PostgresServer, TestDatabase};
use thaw_model::plan::{
    BadRowPolicy, LoadMode, LoadPlan, OnDuplicate, PlannedColumn, SourcePlan, StartPlan, TargetPlan,
};
use thaw_model::range::NumericPart;
use thaw_model::{
    Accounting, ChunkId, ChunkRange, PgIdent, PhaseTimes, RunId, SfIdent, SourceType, TableId, TablePlan,
    TargetType, WorkerId,
};

use thaw_postgres::{Client, Pool, PoolSize, PostgresSettings};
use thaw_status::{Claim, FleetSettings, LoadTx, NewChunk, NewPlan, NewRun, NewTable, Reservation};
use tokio::task::JoinSet;

/// Hints a tick, as the product's loop.
const JOBS_PER_TICK: i64 = 500;

/// A table whose chunks wait for the fleet.
#[derive(Debug)]
pub(crate) struct Simulation {
    database: TestDatabase,
    run: RunId,
    table: TableId,
    chunks: i32,
    settings: PostgresSettings,
}

/// Milliseconds of each statement by its kind.
#[derive(Debug, Default)]
pub(crate) struct Times(BTreeMap<&'static str, Vec<f64>>);

/// What a fleet did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) times: Times,
    pub(crate) completed: u64,
    pub(crate) seconds: f64,
}

impl Times {
    fn add(&mut self, kind: &'static str, since: Instant) {
        self.0.entry(kind).or_default().push(since.elapsed().as_secs_f64() * 1000.0);
    }

    fn take(&mut self, other: Self) {
        for (kind, times) in other.0 {
            self.0.entry(kind).or_default().extend(times);
        }
    }

    /// The kinds there are.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.0.keys().copied().filter(|kind| *kind != WAIT).collect()
    }

    /// A quantile of one kind.
    pub(crate) fn quantile(&self, kind: &str, quantile: f64) -> f64 {
        of_sorted(self.0.get(kind).cloned().unwrap_or_default(), quantile)
    }

    /// A quantile of all statements.
    pub(crate) fn quantile_of_all(&self, quantile: f64) -> f64 {
        let statements = self.0.iter().filter(|(kind, _)| **kind != WAIT);
        of_sorted(statements.flat_map(|(_, times)| times.iter().copied()).collect(), quantile)
    }

    /// How many statements there were.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().filter(|(kind, _)| **kind != WAIT).map(|(_, times)| times.len()).sum()
    }
}

/// The wait for a connection: reported, and no statement's time.
pub(crate) const WAIT: &str = "wait";

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::as_conversions,
    reason = "a position among measurements"
)]
fn of_sorted(mut times: Vec<f64>, quantile: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let position = (times.len() as f64 * quantile) as usize;
    times.get(position.min(times.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

impl Simulation {
    /// Stores and starts a table of so many chunks in a database of its own.
    ///
    /// # Errors
    /// The status store refuses.
    pub(crate) async fn prepare(server: &PostgresServer, chunks: u64) -> Result<Self> {
        let database = TestDatabase::create_on(&server.url()).await?;
        let mut client = database.connect().await?;
        thaw_status::migrate(&mut client).await?;
        client.batch_execute("create table public.moved (n bigint)").await?;
        let reserved = thaw_status::reserve_run(&mut client, &new_run(), &[new_table()]).await?;
        let Reservation::Reserved { planner, tables } = reserved else { bail!("the target is held") };
        let table = tables.first().context("one table was reserved")?.id;
        thaw_status::store_plan(&mut client, &planner, table, &new_plan(chunks)).await?;
        thaw_status::mark_run_planned(&client, &planner).await?;
        thaw_status::start_table(&mut client, planner.run, table).await?;
        client.batch_execute("vacuum analyze").await?;
        let mut settings = PostgresSettings::new(database.host(), database.user());
        settings.port = database.port();
        settings.password = Some(SecretString::from(database.password().to_owned()));
        let chunks = i32::try_from(chunks)?;
        Ok(Self { run: planner.run, database, table, chunks, settings })
    }

    /// Lets so many workers work over so many connections until the chunks or the seconds are used up.
    ///
    /// # Errors
    /// A statement fails, or a claim is refused.
    pub(crate) async fn run(&self, workers: usize, connections: usize, limit: Duration) -> Result<Outcome> {
        let size = PoolSize { connections, wait: limit * 10 };
        let fleet = Arc::new(Fleet {
            pool: Pool::new(&self.settings, self.database.name(), size)?,
            run: self.run,
            table: self.table,
            chunks: self.chunks,
            next: AtomicI32::new(0),
            start: Instant::now(),
            limit,
        });
        fleet.connect(connections).await?;
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            tasks.spawn(Arc::clone(&fleet).work());
            tasks.spawn(Arc::clone(&fleet).redispatch());
        }
        let mut outcome = Outcome::default();
        while let Some(done) = tasks.join_next().await {
            let (times, completed) = done??;
            outcome.times.take(times);
            outcome.completed += completed;
            if completed > 0 {
                outcome.seconds = fleet.start.elapsed().as_secs_f64();
            }
        }
        Ok(outcome)
    }
}

/// What the simulated workers share.
struct Fleet {
    pool: Pool,
    run: RunId,
    table: TableId,
    chunks: i32,
    /// Hints come in the order of the chunks.
    next: AtomicI32,
    start: Instant,
    limit: Duration,
}

impl Fleet {
    /// Connecting is not what is measured.
    async fn connect(&self, connections: usize) -> Result<()> {
        let mut held = Vec::new();
        for _ in 0..connections {
            held.push(self.pool.get().await?);
        }
        Ok(())
    }

    async fn connection(&self, times: &mut Times) -> Result<Client> {
        let since = Instant::now();
        let client = self.pool.get().await?;
        times.add(WAIT, since);
        Ok(client)
    }

    fn is_over(&self) -> bool {
        self.start.elapsed() > self.limit || self.next.load(Ordering::Relaxed) >= self.chunks
    }

    async fn work(self: Arc<Self>) -> Result<(Times, u64)> {
        let worker = WorkerId::generate("worker");
        let (mut times, mut completed) = (Times::default(), 0);
        while !self.is_over() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.chunks {
                break;
            }
            self.chunk(ChunkId { table: self.table, number }, &worker, &mut times).await?;
            completed += 1;
        }
        Ok((times, completed))
    }

    async fn chunk(&self, id: ChunkId, worker: &WorkerId, times: &mut Times) -> Result<()> {
        let client = self.connection(times).await?;
        let since = Instant::now();
        let claim = thaw_status::claim(&client, self.run, id, worker).await?;
        times.add("claim", since);
        drop(client);
        let Claim::Claimed(claimed) = claim else { bail!("a chunk is not claimable: {claim:?}") };

        let client = self.connection(times).await?;
        let since = Instant::now();
        thaw_status::heartbeat(&client, worker, &[(id, claimed.fence)]).await?;
        times.add("heartbeat", since);
        drop(client);

        let mut client = self.connection(times).await?;
        let since = Instant::now();
        let load = LoadTx::begin(&mut client, &claimed).await?;
        times.add("begin", since);
        let since = Instant::now();
        let completed = load.complete(Accounting::default(), PhaseTimes::default()).await?;
        times.add("complete", since);
        let since = Instant::now();
        drop(completed.commit().await?);
        times.add("commit", since);
        drop(client);

        let mut client = self.connection(times).await?;
        let since = Instant::now();
        thaw_status::claim_finalize(&mut client, self.run, self.table, worker).await?;
        times.add("look", since);
        Ok(())
    }

    /// As every worker does, jittered by half either way.
    async fn redispatch(self: Arc<Self>) -> Result<(Times, u64)> {
        let interval = FleetSettings::default().redispatch;
        let mut times = Times::default();
        let mut next = interval.mul_f64(rand::random::<f64>());
        loop {
            // Woken often enough to end with the others.
            while self.start.elapsed() < next && !self.is_over() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if self.is_over() {
                return Ok((times, 0));
            }
            let mut client = self.connection(&mut times).await?;
            let since = Instant::now();
            thaw_status::end_zombies(&client).await?;
            thaw_status::redispatch(&mut client, JOBS_PER_TICK).await?;
            times.add("tick", since);
            next = self.start.elapsed() + interval.mul_f64(0.5 + rand::random::<f64>());
        }
    }
}

fn new_run() -> NewRun {
    NewRun {
        id: RunId::generate(),
        config_hash: "bench".into(),
        planner: WorkerId::generate("planner"),
        planner_lease: Duration::from_secs(600),
        settings: FleetSettings::default(),
        program: "bench".into(),
    }
}

fn new_table() -> NewTable {
    NewTable {
        entry: "bench".into(),
        source_name: "bench".into(),
        source_database: SfIdent::exact("DB"),
        source_schema: SfIdent::exact("S"),
        source_table: SfIdent::exact("MOVED"),
        target_schema: PgIdent::exact("public"),
        target_table: PgIdent::exact("moved"),
        config_hash: "bench".into(),
        config_keys: BTreeMap::new(),
        max_attempts: 3,
        parallel_cap: None,
    }
}

fn new_plan(chunks: u64) -> NewPlan {
    let range = |number: u64| ChunkRange::NumericRange {
        column: SfIdent::exact("N"),
        part: NumericPart::Between { low: Some(number.to_string()), high: Some((number + 1).to_string()) },
    };
    let chunks = (0..chunks).map(|number| NewChunk { range: range(number), expected_rows: None }).collect();
    NewPlan { plan: plan(), watermark: None, expected_rows: None, chunks }
}

fn plan() -> TablePlan {
    TablePlan {
        source: SourcePlan {
            database: SfIdent::exact("DB"),
            schema: SfIdent::exact("S"),
            table: SfIdent::exact("MOVED"),
            timezone: "UTC".into(),
            snapshot: None,
            filter: None,
            watermark: None,
        },
        target: TargetPlan {
            database: "db".into(),
            schema: PgIdent::exact("public"),
            table: PgIdent::exact("moved"),
        },
        columns: vec![PlannedColumn {
            source: SfIdent::exact("N"),
            source_type: SourceType::Number { precision: 38, scale: 0 },
            target: PgIdent::exact("n"),
            target_type: TargetType::Int8,
            nullable: true,
            lossy: false,
        }],
        chunking: None,
        one_scan: None,
        load: LoadPlan {
            mode: LoadMode::Copy,
            copy_first: false,
            on_duplicate: OnDuplicate::Fatal,
            arbiter: None,
            watermark: None,
            overriding_system_value: false,
        },
        start: StartPlan::default(),
        bad_rows: BadRowPolicy::default(),
        decisions: Vec::new(),
        left_out: Vec::new(),
    }
}
