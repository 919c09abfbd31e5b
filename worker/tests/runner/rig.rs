//! A planned table and a worker to load it. The plan is written by hand: no planner is involved.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use thaw_config::{Config, LoadOptions};
use thaw_harness::config::ConfigBuilder;
use thaw_harness::emulator::{Emulator, EmulatorOptions};
use thaw_harness::{TestDatabase, wait};
use thaw_model::plan::{
    BadRowPolicy, LoadMode, LoadPlan, OnDuplicate, PlannedColumn, SourcePlan, StartPlan, TablePlan,
    TargetPlan,
};
use thaw_model::range::NumericPart;
use thaw_model::target_type::{NumericModifier, TargetType, TextKind};
use thaw_model::{
    ChunkId, ChunkRange, Job, PgIdent, RunId, RunState, SfIdent, SourceType, TableId, WorkerId,
};
use thaw_queue::Publisher as _;
use thaw_queue::in_process::{InProcessConsumer, InProcessPublisher, InProcessQueue};
use thaw_status::progress::{self, TableProgress};
use thaw_status::{FleetSettings, NewChunk, NewPlan, NewRun, NewTable, Reservation};
use thaw_worker::{Exit, Queue, Shutdown, WorkerOptions, run_worker};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Rows of the source table, ids from 1.
pub(crate) const ROWS: i64 = 300;
/// Chunks of the plan.
pub(crate) const CHUNKS: i64 = 3;

/// Servers, a table on both sides, and a queue.
pub(crate) struct Rig {
    pub(crate) emulator: Emulator,
    pub(crate) target: TestDatabase,
    pub(crate) client: Client,
    pub(crate) queue: InProcessQueue,
    pub(crate) config: Config,
    _folder: tempfile::TempDir,
}

/// A stored plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) run: RunId,
    pub(crate) table: TableId,
}

/// A worker in a task of this process.
pub(crate) struct Running {
    pub(crate) shutdown: Shutdown,
    task: JoinHandle<Exit>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::on(TestDatabase::create().await).await
    }

    /// With this database as the target.
    pub(crate) async fn on(target: TestDatabase) -> Self {
        let options = EmulatorOptions { arguments: vec!["--calm".to_owned()], ..EmulatorOptions::default() };
        let emulator = Emulator::start(TestDatabase::create().await, &options).await.expect("the emulator");
        let rows: Vec<String> = (1..=ROWS).map(|id| format!("({id}, 'row {id}', {id}.25)")).collect();
        emulator
            .sql(&[
                "create database SRC",
                "create schema SRC.S",
                "create table SRC.S.T (ID number(38,0), NAME varchar(100), AMOUNT number(12,2))",
                &format!("insert into SRC.S.T values {}", rows.join(", ")),
            ])
            .await
            .expect("the source table");
        let mut client = target.connect().await.expect("connects");
        client
            .batch_execute("create table t (id bigint primary key, name text, amount numeric(12,2))")
            .await
            .expect("the target table");
        thaw_status::migrate(&mut client).await.expect("the status tables");
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(&emulator, &target, folder.path());
        Self { emulator, target, client, queue: InProcessQueue::new(), config, _folder: folder }
    }

    /// Stores a run with the table in [`CHUNKS`] chunks; publishes and starts nothing.
    pub(crate) async fn plan(&mut self) -> Planned {
        self.plan_as(self.table_plan(), None).await
    }

    pub(crate) async fn plan_as(&mut self, plan: TablePlan, cap: Option<i32>) -> Planned {
        let run = NewRun {
            id: RunId::generate(),
            config_hash: "hash".to_owned(),
            planner: WorkerId::generate("planner"),
            planner_lease: Duration::from_secs(60),
            settings: settings(),
            program: "test".to_owned(),
        };
        let table = NewTable {
            entry: "entry".to_owned(),
            source_name: "tests".to_owned(),
            source_database: plan.source.database.clone(),
            source_schema: plan.source.schema.clone(),
            source_table: plan.source.table.clone(),
            target_schema: plan.target.schema.clone(),
            target_table: plan.target.table.clone(),
            config_hash: "hash".to_owned(),
            config_keys: std::collections::BTreeMap::new(),
            max_attempts: 3,
            parallel_cap: cap,
        };
        let reserved = thaw_status::reserve_run(&mut self.client, &run, &[table]).await.expect("reserves");
        let Reservation::Reserved { planner, tables } = reserved else { panic!("the target is free") };
        let table = tables[0].id;
        let plan = NewPlan { plan, watermark: None, expected_rows: Some(ROWS), chunks: chunks() };
        thaw_status::store_plan(&mut self.client, &planner, table, &plan).await.expect("stores");
        assert!(thaw_status::mark_run_planned(&self.client, &planner).await.expect("marks"));
        Planned { run: run.id, table }
    }

    pub(crate) fn table_plan(&self) -> TablePlan {
        TablePlan {
            source: SourcePlan {
                database: SfIdent::exact("SRC"),
                schema: SfIdent::exact("S"),
                table: SfIdent::exact("T"),
                timezone: "UTC".to_owned(),
                snapshot: None,
                filter: None,
                watermark: None,
            },
            target: TargetPlan {
                database: self.target.name().to_owned(),
                schema: PgIdent::exact("public"),
                table: PgIdent::exact("t"),
            },
            columns: columns(),
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

    /// Only the first chunk may be claimed, until [`Rig::release`].
    pub(crate) async fn hold_all_but_the_first(&self, planned: Planned) {
        let hold = "update migration_status.migration_chunk_status set due_at = 'infinity', redispatch_at = 'infinity'
                    where table_id = $1 and chunk_no > 0";
        self.client.execute(hold, &[&planned.table.0]).await.expect("held");
    }

    /// The other chunks may be claimed as well, and are hinted at.
    pub(crate) async fn release(&self, planned: Planned) {
        let release =
            "update migration_status.migration_chunk_status set due_at = '-infinity', redispatch_at = now()
                       where table_id = $1 and chunk_no > 0";
        self.client.execute(release, &[&planned.table.0]).await.expect("released");
        self.queue.publisher().publish(&self.hints(planned)).await.expect("published");
    }

    /// Hints for every chunk of the plan.
    pub(crate) fn hints(&self, planned: Planned) -> Vec<Job> {
        (0..i32::try_from(CHUNKS).expect("few"))
            .map(|number| Job::Chunk {
                database: self.target.name().to_owned(),
                run: planned.run,
                chunk: ChunkId { table: planned.table, number },
            })
            .collect()
    }

    /// Starts a worker with so many slots.
    pub(crate) fn work(&self, slots: u16) -> Running {
        self.work_with(WorkerOptions { slots, max_runtime: None, listen: None })
    }

    pub(crate) fn work_with(&self, options: WorkerOptions) -> Running {
        let shutdown = Shutdown::default();
        let queue: Queue<InProcessPublisher, InProcessConsumer> =
            Queue { publisher: self.queue.publisher(), consumer: self.queue.consumer(options.slots) };
        let (config, tokens) = (self.config.clone(), shutdown.clone());
        let task = tokio::spawn(async move {
            run_worker(&config, &options, queue, tokens).await.expect("the worker begins")
        });
        Running { shutdown, task }
    }

    pub(crate) async fn await_run(&self, planned: Planned) -> RunState {
        wait::until_some("the run to end", DEADLINE, async || {
            let state = progress::run_state(&self.client, planned.run).await?.expect("the run exists");
            Ok((state != RunState::Running).then_some(state))
        })
        .await
        .expect("in time")
    }

    pub(crate) async fn table(&self, planned: Planned) -> TableProgress {
        let tables = progress::tables_of_run(&self.client, planned.run).await.expect("reads");
        tables.into_iter().find(|table| table.table == planned.table).expect("the table exists")
    }

    /// Count, distinct ids and sum of the target: an independent reader.
    pub(crate) async fn target_rows(&self) -> (i64, i64, String) {
        let row = self
            .client
            .query_one("select count(*), count(distinct id), coalesce(sum(amount), 0)::text from t", &[])
            .await
            .expect("reads");
        (row.get(0), row.get(1), row.get(2))
    }

    /// Failures that were counted, over all chunks.
    pub(crate) async fn failures(&self, planned: Planned) -> i64 {
        let sql = "select coalesce(sum(failures), 0) from migration_status.migration_chunk_status where table_id = $1";
        self.client.query_one(sql, &[&planned.table.0]).await.expect("reads").get(0)
    }

    pub(crate) fn listening(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], thaw_harness::port::free()))
    }
}

impl Running {
    /// Stops taking chunks and waits for the end.
    pub(crate) async fn stop(self) -> Exit {
        self.shutdown.stop.cancel();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Exit {
        tokio::time::timeout(DEADLINE, self.task).await.expect("the worker ends in time").expect("no panic")
    }
}

/// All rows, each once.
pub(crate) fn all_rows() -> (i64, i64, String) {
    let sum: i64 = (1..=ROWS).map(|id| id * 100 + 25).sum();
    (ROWS, ROWS, format!("{}.{:02}", sum / 100, sum % 100))
}

fn config(emulator: &Emulator, target: &TestDatabase, folder: &std::path::Path) -> Config {
    let path = ConfigBuilder::new(emulator, "SRC", "S", target)
        .table(json!({"enabled": true, "source": "T", "target": "t"}))
        .set("/worker/shutdown_grace_seconds", json!(2))
        .set("/worker/halt_grace_seconds", json!(2))
        .write(folder)
        .expect("written");
    let options = LoadOptions { config_path: path, env_file: None, strict: false };
    thaw_config::load(&options).expect("a valid configuration").config
}

fn settings() -> FleetSettings {
    FleetSettings {
        lease: Duration::from_secs(3),
        heartbeat: Duration::from_millis(500),
        redispatch: Duration::from_millis(500),
        first_hint: Duration::from_secs(1),
        ..FleetSettings::default()
    }
}

fn columns() -> Vec<PlannedColumn> {
    let column = |source: &str, source_type, target: &str, target_type, nullable| PlannedColumn {
        source: SfIdent::exact(source),
        source_type,
        target: PgIdent::exact(target),
        target_type,
        nullable,
        lossy: false,
    };
    let amount = TargetType::Numeric { modifier: Some(NumericModifier { precision: 12, scale: 2 }) };
    let text = TargetType::Text { kind: TextKind::Text, max_chars: None };
    vec![
        column("ID", SourceType::Number { precision: 38, scale: 0 }, "id", TargetType::Int8, false),
        column("NAME", SourceType::Text { length: Some(100) }, "name", text, true),
        column("AMOUNT", SourceType::Number { precision: 12, scale: 2 }, "amount", amount, true),
    ]
}

fn chunks() -> Vec<NewChunk> {
    let size = ROWS / CHUNKS;
    (0..CHUNKS)
        .map(|number| NewChunk {
            range: ChunkRange::NumericRange {
                column: SfIdent::exact("ID"),
                part: NumericPart::Between {
                    low: Some((number * size + 1).to_string()),
                    high: Some(((number + 1) * size + 1).to_string()),
                },
            },
            expected_rows: Some(size),
        })
        .collect()
}
