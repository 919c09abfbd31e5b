//! The servers of a run, the frozen source, and the targets that measurements begin with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use thaw_harness::{
    Emulator, EmulatorOptions, Fsync, Launch, PostgresOptions, PostgresServer, RabbitServer, TestDatabase,
    TestVhost,
};

use crate::data_set::{DataSet, Origin};
use crate::{psql, say};

/// The emulator's programmatic access token, for reads that are not the product's.
pub(crate) const TOKEN: &str = "bench";
/// Longer than anything takes, on a machine that does other things as well.
pub(crate) const LIMIT: Duration = Duration::from_secs(1800);

/// Everything the benches share.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) scale: f64,
    pub(crate) rounds: usize,
    /// What is measured.
    pub(crate) target: PostgresServer,
    pub(crate) rabbit: RabbitServer,
    pub(crate) vhost: TestVhost,
    pub(crate) emulator: Emulator,
    pub(crate) folder: TempDir,
    /// Loads whose statements the emulator has executed once.
    pub(crate) warm: BTreeSet<String>,
    loaded: BTreeSet<&'static str>,
    templates: BTreeMap<(&'static str, Start), Rc<TestDatabase>>,
    /// Holds the emulated account; out of the way of the target.
    _source: PostgresServer,
}

/// What a target holds at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Start {
    /// Empty, without an index.
    Plain,
    /// Empty, with its primary key.
    Keyed,
    /// One row that the source does not have: no initial load.
    OneOther,
    /// Every row, each with another value in one column.
    AllChanged,
    /// Every row, three percent of them with another value, scattered.
    FewChanged,
}

impl Start {
    fn is_keyed(self) -> bool {
        self != Self::Plain
    }

    /// Rows that are there beside the source's.
    pub(crate) fn other_rows(self) -> u64 {
        u64::from(self == Self::OneOther)
    }
}

impl Rig {
    /// Starts the servers.
    ///
    /// # Errors
    /// One does not start.
    pub(crate) async fn start(scale: f64, rounds: usize) -> Result<Self> {
        let target = PostgresServer::start(&PostgresOptions {
            // Both sides pay for what a real server does.
            fsync: Fsync::On,
            settings: vec![
                "shared_buffers = 512MB".into(),
                "max_wal_size = 8GB".into(),
                "checkpoint_timeout = 30min".into(),
                "autovacuum_naptime = 10min".into(),
            ],
        })?;
        let source = PostgresServer::start(&PostgresOptions::default())?;
        let rabbit = RabbitServer::start()?;
        let vhost = TestVhost::create_on(&rabbit.url(), rabbit.control().clone())?;
        let folder = TempDir::with_prefix("thaw-bench-")?;
        let options = EmulatorOptions {
            // Rows in storage order, each query executed once: neither is what is measured.
            arguments: vec![
                "--calm".into(),
                "--freeze".into(),
                "--token".into(),
                format!("pat:LOADER={TOKEN}"),
                "--spool".into(),
                folder.path().display().to_string(),
            ],
            ..EmulatorOptions::default()
        };
        let account = TestDatabase::create_on(&source.url()).await?;
        let emulator = Emulator::start(account, &options).await?;
        Ok(Self {
            scale,
            rounds,
            target,
            rabbit,
            vhost,
            emulator,
            folder,
            warm: BTreeSet::new(),
            loaded: BTreeSet::new(),
            templates: BTreeMap::new(),
            _source: source,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a data set into the emulated account, once.
    ///
    /// # Errors
    /// The loader fails.
    pub(crate) async fn fill_source(&mut self, set: &DataSet) -> Result<()> {
        if !self.loaded.insert(set.name) {
            return Ok(());
        }
        match set.origin {
            Origin::Tpch(table) => {
                let rows_at_scale_1 = if table == "lineitem" { 6_000_000.0 } else { 1_500_000.0 };
                // A little more than enough.
                let scale = (crate::figure::float(set.rows) * 1.02 / rows_at_scale_1).max(0.01);
                self.emulator.load_tpch(table, &set.source(), scale, Some(set.rows)).await?;
            }
            Origin::Mixed | Origin::Text => self.fill_from_csv(set).await?,
        }
        let count = self.emulator.sql(&[&format!("select count(*) from {}", set.source())]).await?;
        say(&format!("  source {}: {} rows", set.name, count["rows"][0][0].as_str().unwrap_or("?")));
        Ok(())
    }

    async fn fill_from_csv(&self, set: &DataSet) -> Result<()> {
        let csv = self.folder().join("source.csv");
        let ddl = self.folder().join("source.sql");
        set.write_csv(&csv)?;
        std::fs::write(&ddl, set.source_ddl())?;
        let load = Launch::bin("snowflake-emulator", "load", self.folder())?
            .args(["load", "--postgres", &self.emulator.database().url(), "--table", &set.source()])
            .arg("--csv")
            .arg(&csv)
            .arg("--ddl")
            .arg(&ddl);
        let finished = load.run(LIMIT).await?;
        ensure!(finished.code == 0, "loading {} failed:\n{}", set.name, finished.stderr);
        Ok(std::fs::remove_file(csv)?)
    }

    /// The target's rows as psql takes them: written once, from what Thaw has loaded.
    pub(crate) fn csv(&self, set: &DataSet) -> PathBuf {
        self.folder().join(format!("{}.csv", set.name))
    }

    /// A fresh target database, a copy of one that was prepared once.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn target(&mut self, set: &DataSet, start: Start) -> Result<TestDatabase> {
        let key = (set.name, start);
        let template = match self.templates.get(&key) {
            Some(template) => Rc::clone(template),
            None => {
                let template = Rc::new(self.prepare(set, start).await?);
                self.templates.insert(key, Rc::clone(&template));
                template
            }
        };
        let database = TestDatabase::copy_of(&template).await?;
        // What earlier measurements left to be written is none of the next one's.
        psql::run(&database, "checkpoint;\n", self.folder()).await?;
        Ok(database)
    }

    async fn prepare(&self, set: &DataSet, start: Start) -> Result<TestDatabase> {
        let database = TestDatabase::create_on(&self.target.url()).await?;
        let mut script = format!("{};\n", set.target_ddl(start.is_keyed()));
        let (table, key) = (set.name, set.keys.first().context("a data set has a key")?);
        let last = &set.columns.last().context("a data set has columns")?.0;
        let changed = format!("update {table} set \"{last}\" = \"{last}\" || ' (before)'");
        match start {
            Start::Plain | Start::Keyed => {}
            Start::OneOther => {
                script += &psql::copy_csv(table, &self.csv(set));
                script += &format!(
                    "delete from {table} where ctid <> (select min(ctid) from {table});\n\
                     update {table} set \"{key}\" = -1;\nvacuum full {table};\n"
                );
            }
            Start::AllChanged => {
                script += &psql::copy_csv(table, &self.csv(set));
                script += &format!("{changed};\nvacuum full {table};\n");
            }
            Start::FewChanged => {
                script += &psql::copy_csv(table, &self.csv(set));
                script += &format!("{changed} where \"{key}\" % 33 = 0;\nvacuum full {table};\n");
            }
        }
        script += &format!("vacuum (freeze, analyze) {table};\n");
        psql::run(&database, &script, self.folder()).await?;
        Ok(database)
    }
}
