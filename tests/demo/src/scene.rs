//! The stage: private servers, the emulated account with its rows, empty targets, a configuration, and the logs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;
use thaw_harness::tpch::{CUSTOMER, LINEITEM, ORDERS, TpchTable};
use thaw_harness::{
    ConfigBuilder, Emulator, EmulatorOptions, Fleet, PostgresOptions, PostgresServer, RabbitServer,
    TestDatabase,
};
use tokio_postgres::Client;

use crate::narrate::say;

/// Small tables first: while the large one loads there is time to kill somebody.
pub(crate) const TABLES: [TpchTable; 3] = [CUSTOMER, ORDERS, LINEITEM];
/// 7,500 customers, 75,000 orders, 300,000 line items.
const SCALE: f64 = 0.05;
const LINES_SHOWN: usize = 25;

/// Where every process logs; kept when the demo fails.
#[derive(Debug)]
pub(crate) struct Logs(TempDir);

impl Logs {
    pub(crate) fn create() -> Result<Self> {
        Ok(Self(TempDir::with_prefix("thaw-demo-")?))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Prints the end of each log and leaves the folder.
    pub(crate) fn show(self) {
        let folder = self.0.keep();
        let mut files: Vec<_> =
            fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|suffix| suffix != "json")) {
            let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            if !lines.is_empty() {
                say(&format!("--- {}", file.display()));
                say(&lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n"));
            }
        }
        say(&format!("The logs are in {}.", folder.display()));
    }
}

/// Everything the story needs. Dropped in this order: processes first, servers last.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) fleet: Fleet,
    pub(crate) emulator: Emulator,
    pub(crate) target: TestDatabase,
    rabbit: RabbitServer,
    postgres: PostgresServer,
}

impl Scene {
    pub(crate) async fn set(logs: &Logs) -> Result<Self> {
        say("Starting PostgreSQL and RabbitMQ on free ports.");
        let postgres = tokio::task::spawn_blocking(|| PostgresServer::start(&PostgresOptions::default()));
        let rabbit = tokio::task::spawn_blocking(RabbitServer::start);
        let (postgres, rabbit) = (postgres.await??, rabbit.await??);
        let account = TestDatabase::create_on(&postgres.url()).await?;
        let target = TestDatabase::create_on(&postgres.url()).await?;

        say("Starting a Snowflake emulator and loading TPC-H customer, orders and lineitem into it.");
        let options =
            EmulatorOptions { log_folder: Some(logs.folder().to_owned()), ..EmulatorOptions::default() };
        let emulator = Emulator::start(account, &options).await?;
        for table in TABLES {
            emulator.load_tpch(table.name, &table.source(), SCALE, None).await?;
        }
        let client = target.connect().await?;
        let mut config = ConfigBuilder::new(&emulator, "TPCH", "SF", &target)
            .amqp(&rabbit.url())
            .set("/worker/lease_seconds", json!(3));
        for table in TABLES {
            client.batch_execute(table.ddl()).await.context("making the target's tables")?;
            config = config.table(table.entry());
        }
        let fleet = Fleet::new(logs.folder(), &config)?;
        Ok(Self { fleet, emulator, target, rabbit, postgres })
    }

    /// A connection to the emulator's storage.
    pub(crate) async fn source_client(&self) -> Result<Client> {
        self.emulator.database().connect().await
    }

    /// Puts the servers' own logs beside the others, before the servers go.
    pub(crate) fn collect_logs(&self, logs: &Logs) {
        for (name, file) in
            [("postgres.log", self.postgres.log_file()), ("rabbitmq.log", self.rabbit.log_file())]
        {
            fs::copy(file, logs.folder().join(name)).ok();
        }
    }
}
