//! Planner and workers of one test: real processes that share a configuration, and what they write about themselves.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio_postgres::Client;

use crate::config::ConfigBuilder;
use crate::process::{Launch, Process};

/// A folder with a config.json; each process logs into it.
#[derive(Debug, Clone)]
pub struct Fleet {
    folder: PathBuf,
    config: PathBuf,
}

impl Fleet {
    /// Writes the configuration.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(folder: &Path, config: &ConfigBuilder) -> Result<Self> {
        Ok(Self { folder: folder.to_owned(), config: config.write(folder)? })
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// `planner <command>...` with this configuration.
    ///
    /// # Errors
    /// The binary has not been built.
    pub fn planner(&self, name: &str, command: &[&str]) -> Result<Launch> {
        Ok(Launch::bin("planner", name, &self.folder)?.args(command).arg("--config").arg(&self.config))
    }

    /// `worker` with this configuration and `slots` chunks at a time.
    ///
    /// # Errors
    /// The binary has not been built.
    pub fn worker(&self, name: &str, slots: u16) -> Result<Launch> {
        let launch = Launch::bin("worker", name, &self.folder)?;
        Ok(launch.args(["--concurrency", &slots.to_string()]).arg("--config").arg(&self.config))
    }

    /// Everything that every process of the fleet has printed and logged so far.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn logs(&self) -> Result<String> {
        let mut all = String::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|suffix| suffix == "out" || suffix == "err") {
                all.push_str(&String::from_utf8_lossy(&std::fs::read(&path)?));
            }
        }
        Ok(all)
    }
}

/// The id under which a worker writes to the status tables, once it has logged it.
///
/// # Errors
/// The log cannot be read.
pub fn worker_id(worker: &Process) -> Result<Option<String>> {
    const RANDOM: usize = 12;
    let log = worker.stderr()?;
    Ok(log.match_indices("worker-").find_map(|(at, prefix)| {
        let id = log.get(at..at + prefix.len() + RANDOM)?;
        let random = id.strip_prefix(prefix)?;
        random.chars().all(|c| c.is_ascii_hexdigit()).then(|| id.to_owned())
    }))
}

/// The newest run of a target database, as its status tables have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStatus {
    pub run: String,
    pub state: String,
    /// (table, state), by position.
    pub tables: Vec<(String, String)>,
    pub chunks: i64,
    pub chunks_completed: i64,
    pub chunks_in_progress: i64,
    pub chunks_failed: i64,
    /// Sums over the completed chunks.
    pub rows_fetched: i64,
    pub rows_written: i64,
    /// Failures counted against the budgets.
    pub failures: i64,
}

const RUN: &str = "
    select r.run_id::text, r.status,
           count(c.chunk_no), count(*) filter (where c.status = 'completed'),
           count(*) filter (where c.status = 'in_progress'), count(*) filter (where c.status = 'failed'),
           coalesce(sum(c.fetched_rows) filter (where c.status = 'completed'), 0)::bigint,
           coalesce(sum(c.inserted_rows + c.updated_rows) filter (where c.status = 'completed'), 0)::bigint,
           coalesce(sum(c.failures), 0)::bigint
    from (select * from migration_status.migration_runs order by started_at desc limit 1) r
    left join migration_status.migration_table_status t using (run_id)
    left join migration_status.migration_chunk_status c using (table_id)
    group by r.run_id, r.status";

const TABLES: &str = "
    select target_table, status from migration_status.migration_table_status
    where run_id = $1::text::uuid order by position, table_id";

/// Reads the newest run; `None` before there are status tables or a run.
///
/// # Errors
/// The server does not answer.
pub async fn newest_run(client: &Client) -> Result<Option<RunStatus>> {
    let exists =
        client.query_one("select to_regclass('migration_status.migration_chunk_status') is not null", &[]);
    if !exists.await?.get::<_, bool>(0) {
        return Ok(None);
    }
    let Some(row) = client.query_opt(RUN, &[]).await? else { return Ok(None) };
    let run: String = row.get(0);
    let tables = client.query(TABLES, &[&run]).await?;
    Ok(Some(RunStatus {
        run,
        state: row.get(1),
        tables: tables.iter().map(|row| (row.get(0), row.get(1))).collect(),
        chunks: row.get(2),
        chunks_completed: row.get(3),
        chunks_in_progress: row.get(4),
        chunks_failed: row.get(5),
        rows_fetched: row.get(6),
        rows_written: row.get(7),
        failures: row.get(8),
    }))
}

/// How many chunks a worker holds now.
///
/// # Errors
/// The server does not answer.
pub async fn chunks_held(client: &Client, worker: &str) -> Result<i64> {
    let row = client
        .query_one(
            "select count(*) from migration_status.migration_chunk_status \
             where status = 'in_progress' and worker_id = $1",
            &[&worker],
        )
        .await
        .context("reading the chunks of a worker")?;
    Ok(row.get(0))
}
