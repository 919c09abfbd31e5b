//! Thaw's side: plan, start workers, and wait until every chunk is committed.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use thaw_harness::fleet;
use thaw_harness::{ConfigBuilder, Fleet, Process, TestDatabase, wait};
use tokio_postgres::Client;

use crate::data_set::DataSet;
use crate::figure::float;
use crate::machine;
use crate::psql;
use crate::rig::{LIMIT, Rig, Start};

/// Chunks that are not done, and the seconds since the first claim.
const OPEN: &str = "
    select count(*) filter (where status <> 'completed'),
           coalesce(extract(epoch from clock_timestamp() - min(claimed_at)), 0)::float8,
           count(*) filter (where status = 'failed')
    from migration_status.migration_chunk_status";

/// What is loaded, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) set: DataSet,
    pub(crate) start: Start,
    pub(crate) workers: usize,
    /// Of each worker.
    pub(crate) slots: u16,
    pub(crate) batch: u64,
    /// More keys of the table's entry.
    pub(crate) entry: Value,
}

/// What it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) rows: u64,
    /// From the first claim until every chunk was seen committed.
    pub(crate) seconds: f64,
    /// From the planner's start to its end, where it waited.
    pub(crate) whole_seconds: f64,
    /// Of the worker that used most.
    pub(crate) peak_bytes: u64,
    pub(crate) worker_cpu: f64,
    pub(crate) emulator_cpu: f64,
}

/// A load whose chunks wait for workers.
#[derive(Debug)]
pub(crate) struct Planned {
    fleet: Fleet,
    pub(crate) client: Client,
    /// Configuration and logs.
    _folder: TempDir,
}

impl Cost {
    pub(crate) fn rate(&self) -> f64 {
        float(self.rows) / self.seconds
    }
}

impl Load {
    /// One worker with one slot into an empty table without keys.
    pub(crate) fn plain(set: &DataSet) -> Self {
        Self {
            set: set.clone(),
            start: Start::Plain,
            workers: 1,
            slots: 1,
            batch: set.batch,
            entry: json!({}),
        }
    }

    /// As [`Load::plain`], into a target with a primary key that holds `start`.
    pub(crate) fn keyed(set: &DataSet, start: Start) -> Self {
        Self { start, entry: json!({ "uniqueness_columns": set.keys }), ..Self::plain(set) }
    }

    fn key(&self) -> String {
        format!("{} {} {}", self.set.name, self.batch, self.entry)
    }

    fn config(&self, rig: &Rig, target: &TestDatabase) -> Result<ConfigBuilder> {
        let first = self.set.keys.first().context("a data set has a key")?;
        let mut entry = json!({
            "enabled": true, "source": self.set.name.to_uppercase(), "target": self.set.name,
            "chunking_columns": [first], "chunking_column_types": ["bigint"],
        });
        if let (Some(entry), Some(more)) = (entry.as_object_mut(), self.entry.as_object()) {
            entry.extend(more.clone());
        }
        Ok(ConfigBuilder::new(&rig.emulator, "TPCH", "SF", target)
            .amqp(&rig.vhost.url())
            // As users have them, not as tests do.
            .set("/worker", json!({}))
            .set("/batch_size", json!(self.batch))
            .set("/batch_size_copy_mode", json!(self.batch))
            .table(entry))
    }
}

impl Rig {
    /// Makes everything ready that is not measured: the source's rows, one load whose statements the emulator keeps,
    /// and psql's file.
    ///
    /// # Errors
    /// Something fails.
    pub(crate) async fn warm_up(&mut self, load: &Load) -> Result<()> {
        self.fill_source(&load.set).await?;
        if !self.csv(&load.set).exists() {
            let plain = Load::plain(&load.set);
            let target = self.target(&load.set, Start::Plain).await?;
            self.load_into(&plain, &target).await?;
            self.warm.insert(plain.key());
            psql::export(&target, load.set.name, (&self.csv(&load.set), "csv"), self.folder()).await?;
        }
        if self.warm.insert(load.key()) {
            let target = self.target(&load.set, load.start).await?;
            self.load_into(load, &target).await?;
        }
        Ok(())
    }

    /// One measured load into a fresh target.
    ///
    /// # Errors
    /// It does not complete, or a row is missing.
    pub(crate) async fn load(&mut self, load: &Load) -> Result<Cost> {
        let target = self.target(&load.set, load.start).await?;
        self.load_into(load, &target).await
    }

    async fn load_into(&mut self, load: &Load, target: &TestDatabase) -> Result<Cost> {
        let planned = self.plan(load, target).await?;
        let cost = self.work(load, &planned).await?;
        check_rows(&planned.client, load).await?;
        Ok(cost)
    }

    /// Plans and publishes; nobody works yet.
    ///
    /// # Errors
    /// The planner fails.
    pub(crate) async fn plan(&mut self, load: &Load, target: &TestDatabase) -> Result<Planned> {
        let folder = tempfile::tempdir_in(self.folder())?;
        let fleet = Fleet::new(folder.path(), &load.config(self, target)?)?;
        let client = target.connect().await?;
        let planner = fleet.planner("planner", &["run", "--detach"])?.run(LIMIT).await?;
        ensure!(planner.code == 0, "planner ended with {}:\n{}", planner.code, planner.stderr);
        Ok(Planned { fleet, client, _folder: folder })
    }

    /// Starts the workers of a planned load and waits until every chunk is completed.
    ///
    /// # Errors
    /// A chunk fails.
    pub(crate) async fn work(&mut self, load: &Load, planned: &Planned) -> Result<Cost> {
        let emulator = self.emulator.process().id();
        let before = machine::cpu_seconds(emulator)?;
        let workers = workers(&planned.fleet, load)?;
        let seconds = wait::until_some("every chunk to be completed", LIMIT, async || {
            let done = chunks_done(&planned.client).await;
            done.with_context(|| planned.fleet.logs().unwrap_or_default())
        })
        .await?;
        let emulator_cpu = machine::cpu_seconds(emulator)? - before;
        let mut cost = Cost { rows: load.set.rows, seconds, emulator_cpu, ..Cost::default() };
        end(workers, &mut cost).await?;
        Ok(cost)
    }

    /// Workers are there already; the planner starts, waits for the run's end, and leaves.
    ///
    /// # Errors
    /// As [`Rig::load`].
    pub(crate) async fn run_fleet(&mut self, load: &Load) -> Result<Cost> {
        let target = self.target(&load.set, load.start).await?;
        let folder = tempfile::tempdir_in(self.folder())?;
        let fleet = Fleet::new(folder.path(), &load.config(self, &target)?)?;
        let client = target.connect().await?;
        let workers = workers(&fleet, load)?;
        for worker in &workers {
            wait::until_some("the worker's id", LIMIT, async || fleet::worker_id(worker)).await?;
        }
        let start = Instant::now();
        let planned = fleet.planner("planner", &["run"])?.run(LIMIT).await?;
        let whole_seconds = start.elapsed().as_secs_f64();
        ensure!(planned.code == 0, "planner ended with {}:\n{}", planned.code, planned.stderr);
        let mut cost = Cost { rows: load.set.rows, whole_seconds, seconds: whole_seconds, ..Cost::default() };
        end(workers, &mut cost).await?;
        check_rows(&client, load).await?;
        Ok(cost)
    }

    /// psql's seconds for a script on a fresh target that must hold the source's rows afterwards.
    ///
    /// # Errors
    /// psql fails, or a row is missing.
    pub(crate) async fn psql(&mut self, load: &Load, script: &str) -> Result<f64> {
        let target = self.target(&load.set, load.start).await?;
        let seconds = psql::run(&target, script, self.folder()).await?;
        check_rows(&target.connect().await?, load).await?;
        Ok(seconds)
    }
}

fn workers(fleet: &Fleet, load: &Load) -> Result<Vec<Process>> {
    (0..load.workers).map(|number| fleet.worker(&format!("worker-{number}"), load.slots)?.spawn()).collect()
}

/// The seconds since the first claim, once nothing is left to do.
async fn chunks_done(client: &Client) -> Result<Option<f64>> {
    let row = client.query_one(OPEN, &[]).await?;
    let (open, seconds, failed): (i64, f64, i64) = (row.get(0), row.get(1), row.get(2));
    ensure!(failed == 0, "{failed} chunks failed");
    Ok((open == 0).then_some(seconds))
}

async fn end(workers: Vec<Process>, cost: &mut Cost) -> Result<()> {
    for mut worker in workers {
        cost.peak_bytes = cost.peak_bytes.max(worker.peak_memory()?);
        cost.worker_cpu += machine::cpu_seconds(worker.id())?;
        let code = worker.terminate(LIMIT).await?;
        ensure!(code == 0, "a worker ended with {code}:\n{}", worker.stderr()?);
    }
    Ok(())
}

async fn check_rows(client: &Client, load: &Load) -> Result<()> {
    let count: i64 = client.query_one(&format!("select count(*) from {}", load.set.name), &[]).await?.get(0);
    let expected = i64::try_from(load.set.rows + load.start.other_rows())?;
    ensure!(count == expected, "{} has {count} rows instead of {expected}", load.set.name);
    Ok(())
}
