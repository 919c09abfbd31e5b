//! The stage of the end-to-end tests: an emulated account, a target, a virtual host, and a fleet of real processes.

pub mod scale;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use thaw_harness::compare::{self, Ends};
use thaw_harness::fleet::{self, RunStatus};
use thaw_harness::tpch::TpchTable;
use thaw_harness::{
    ConfigBuilder, Emulator, EmulatorOptions, Fleet, Launch, Process, TestDatabase, TestVhost, wait,
};
use tokio_postgres::Client;

/// The patience of every wait: far more than anything takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// What a test varies.
#[derive(Debug, Default)]
pub struct Setting {
    /// TPC-H tables at both ends, with so many rows each.
    pub tables: Vec<(TpchTable, u64)>,
    /// Statements for the emulated account (database TPCH, schema SF exist), executed before anything reads it.
    pub source_sql: Vec<String>,
    /// Statements for the target.
    pub target_sql: Vec<String>,
    /// Entries of the configuration for the tables of `source_sql`; one for a TPC-H table takes the place of its own.
    pub entries: Vec<Value>,
    /// JSON pointers into the configuration, and their values.
    pub config: Vec<(&'static str, Value)>,
    pub emulator: EmulatorOptions,
    /// URL of another target server than the shared one.
    pub target_server: Option<String>,
    /// The database that holds the emulated account; a fresh one of the shared server if absent.
    pub account: Option<TestDatabase>,
    /// Another broker's URL than a fresh virtual host of the shared one.
    pub broker: Option<String>,
}

impl Setting {
    /// One TPC-H table in chunks of `batch` rows.
    #[must_use]
    pub fn of(table: TpchTable, rows: u64, batch: u64) -> Self {
        Self { tables: vec![(table, rows)], ..Self::default() }.batch(batch)
    }

    /// Rows a chunk.
    #[must_use]
    pub fn batch(self, rows: u64) -> Self {
        self.with("/batch_size", json!(rows)).with("/batch_size_copy_mode", json!(rows))
    }

    /// One more value of the configuration.
    #[must_use]
    pub fn with(mut self, pointer: &'static str, value: Value) -> Self {
        self.config.push((pointer, value));
        self
    }
}

/// Everything one test needs; gone with this value.
#[derive(Debug)]
pub struct Stage {
    pub fleet: Fleet,
    pub emulator: Emulator,
    pub target: TestDatabase,
    pub client: Client,
    pub vhost: Option<TestVhost>,
    pub builder: ConfigBuilder,
    tables: Vec<TpchTable>,
    folder: TempDir,
}

impl Stage {
    /// Sets it.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn set(setting: Setting) -> Result<Self> {
        let folder = TempDir::with_prefix("thaw-e2e-")?;
        let target = match &setting.target_server {
            Some(url) => TestDatabase::create_on(url).await?,
            None => TestDatabase::create().await,
        };
        let client = target.connect().await?;
        let account = match setting.account {
            Some(account) => account,
            None => TestDatabase::create().await,
        };
        let emulator = Emulator::start(account, &setting.emulator).await?;
        let vhost = setting.broker.is_none().then(TestVhost::create);
        let broker = vhost.as_ref().map(TestVhost::url).or(setting.broker).context("no broker")?;
        let mut builder = ConfigBuilder::new(&emulator, "TPCH", "SF", &target).amqp(&broker);
        for (table, rows) in &setting.tables {
            // Enough of the scale to have so many rows: orders has 1.5 million rows at scale 1.
            let scale = (u32::try_from(*rows).map(f64::from)? / 150_000.0).max(0.01);
            emulator.load_tpch(table.name, &table.source(), scale, Some(*rows)).await?;
            client.batch_execute(table.ddl()).await?;
            let is_of_table = |entry: &Value| entry["target"] == table.name;
            if !setting.entries.iter().any(is_of_table) {
                builder = builder.table(table.entry());
            }
        }
        if !setting.source_sql.is_empty() {
            emulator
                .sql(&["create database if not exists TPCH", "create schema if not exists TPCH.SF"])
                .await?;
            let statements: Vec<&str> = setting.source_sql.iter().map(String::as_str).collect();
            emulator.sql(&statements).await?;
        }
        for statement in &setting.target_sql {
            client.batch_execute(statement).await.with_context(|| statement.clone())?;
        }
        for entry in setting.entries {
            builder = builder.table(entry);
        }
        for (pointer, value) in setting.config {
            builder = builder.set(pointer, value);
        }
        let fleet = Fleet::new(folder.path(), &builder)?;
        let tables = setting.tables.iter().map(|(table, _)| *table).collect();
        Ok(Self { fleet, emulator, target, client, vhost, builder, tables, folder })
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A worker that runs into a fault point: `after_claim=kill`.
    ///
    /// # Errors
    /// The binary has not been built.
    pub fn faulty_worker(&self, name: &str, faults: &str) -> Result<Launch> {
        Ok(self.fleet.worker(name, 1)?.env("THAW_FAULT_POINTS", faults))
    }

    /// A started worker with two slots.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn worker(&self, name: &str) -> Result<Process> {
        self.fleet.worker(name, 2)?.spawn()
    }

    /// A started `planner run`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn planner_run(&self) -> Result<Process> {
        self.fleet.planner("planner", &["run"])?.spawn()
    }

    /// Waits for the planner and expects exit code 0.
    ///
    /// # Errors
    /// It ends otherwise, or not at all; the message holds its log.
    pub async fn expect_completed(&self, mut planner: Process) -> Result<RunStatus> {
        let code = planner.wait(PATIENCE).await?;
        ensure!(code == 0, "planner ended with {code}:\n{}\n{}", planner.stdout()?, planner.stderr()?);
        let status = self.status().await?;
        ensure!(status.state == "completed", "the run ended {status:?}");
        Ok(status)
    }

    /// Waits until the newest run is completed, whoever ends it.
    ///
    /// # Errors
    /// It does not get there.
    pub async fn await_completed(&self) -> Result<RunStatus> {
        wait::until_some("the run to be completed", PATIENCE, async || {
            let status = fleet::newest_run(&self.client).await?;
            Ok(status.filter(|status| status.state == "completed"))
        })
        .await
        .with_context(|| self.fleet.logs().unwrap_or_default())
    }

    /// The newest run.
    ///
    /// # Errors
    /// There is none.
    pub async fn status(&self) -> Result<RunStatus> {
        fleet::newest_run(&self.client).await?.context("the status tables have no run")
    }

    /// Waits until the newest run satisfies `condition`.
    ///
    /// # Errors
    /// It never does.
    pub async fn await_status(
        &self,
        what: &str,
        condition: impl Fn(&RunStatus) -> bool,
    ) -> Result<RunStatus> {
        wait::until_some(what, PATIENCE, async || {
            Ok(fleet::newest_run(&self.client).await?.filter(|status| condition(status)))
        })
        .await
    }

    /// Every TPC-H table has arrived: no row is missing, none is doubled, none has other values.
    ///
    /// # Errors
    /// A table differs.
    pub async fn expect_equal(&self) -> Result<()> {
        ensure!(!self.tables.is_empty(), "there is nothing to compare");
        for table in &self.tables {
            self.expect_table_equal(&table.source(), table.name).await?;
        }
        Ok(())
    }

    /// One table has arrived, row by row.
    ///
    /// # Errors
    /// It differs, or is empty.
    pub async fn expect_table_equal(&self, source: &str, target: &str) -> Result<()> {
        let account = self.emulator.database().connect().await?;
        let found = compare::table(Ends::new(&account, source, &self.client, target)).await?;
        ensure!(found.is_equal(), "{source} differs: {found:?}");
        ensure!(found.source_rows > 0, "{source} has no rows: the comparison proves nothing");
        Ok(())
    }
}
