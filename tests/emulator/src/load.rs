//! `snowflake-emulator load`: creates a table and fills it, streaming.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use emulator_engine::{BulkInsert, Engine, EngineOptions, ExecuteRequest};
use tokio::sync::mpsc;

use crate::cli::{LoadArgs, TpchTable};
use crate::clock;
use crate::csv::{CsvReader, wire_text};
use crate::tpch::{self, RowText};

/// Rows made ahead of the one being sent.
const BATCH_ROWS: usize = 512;

/// A name given as `DB.SCHEMA.TABLE`.
#[derive(Debug, PartialEq, Eq)]
struct TableName {
    database: String,
    schema: String,
    table: String,
}

/// Runs the command.
///
/// # Errors
/// What stopped it; the rows are loaded in one transaction, so that nothing of them stays then.
pub(crate) async fn run(args: &LoadArgs) -> anyhow::Result<()> {
    let name = TableName::parse(&args.table)?;
    let options = EngineOptions { connections: 4, ..EngineOptions::default() };
    let engine =
        Engine::connect(&args.postgres, options).await.context("cannot open the emulator's database")?;
    let started = Instant::now();
    let ago = i64::try_from(args.created_ago.as_millis()).context("--created-ago is too long")?;
    let committed_at = i128::from(clock::wall_ms() - ago) * 1_000_000;
    let session = Session { engine: &engine, name: &name, at: committed_at };
    session.create_containers(args.replace).await?;
    let ddl = match (args.tpch, &args.ddl) {
        (Some(table), _) => tpch::ddl(table, &name.quoted()),
        (None, Some(path)) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the DDL {}", path.display()))?,
        (None, None) => bail!("--csv needs --ddl"),
    };
    session.execute(&ddl).await.context("cannot create the table")?;
    let bulk = engine
        .bulk_insert(&name.database, &name.schema, &name.table, committed_at)
        .await
        .context("cannot load the table")?;
    let rows_max = args.rows.unwrap_or(u64::MAX);
    let rows = match (args.tpch, &args.csv) {
        (Some(table), _) => load_tpch(bulk, (table, args.scale), rows_max).await?,
        (None, Some(path)) => load_csv(bulk, path, rows_max).await?,
        (None, None) => bail!("nothing to load: give --tpch or --csv"),
    };
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!(table = %args.table, rows, seconds = format!("{seconds:.1}"), "loaded");
    Ok(())
}

struct Session<'a> {
    engine: &'a Engine,
    name: &'a TableName,
    at: i128,
}

impl Session<'_> {
    async fn create_containers(&self, replace: bool) -> anyhow::Result<()> {
        let TableName { database, schema, .. } = self.name;
        let (database, schema) = (quoted(database), quoted(schema));
        self.execute(&format!("create database if not exists {database}")).await?;
        self.execute(&format!("create schema if not exists {database}.{schema}")).await?;
        if replace {
            self.execute(&format!("drop table if exists {}", self.name.quoted())).await?;
        }
        Ok(())
    }

    async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let request = ExecuteRequest {
            sql: sql.to_owned(),
            database: Some(self.name.database.clone()),
            schema: Some(self.name.schema.clone()),
            user: "LOAD".to_owned(),
            timezone: Some("UTC".to_owned()),
            now: self.at,
            visible_until: self.at,
            ..ExecuteRequest::default()
        };
        let output = self.engine.execute(request).await.with_context(|| format!("while executing {sql}"))?;
        output.rows.collect().await?;
        Ok(())
    }
}

async fn load_tpch(
    mut bulk: BulkInsert,
    (table, scale): (TpchTable, f64),
    rows_max: u64,
) -> anyhow::Result<u64> {
    // Making rows and sending them each take a core.
    let (sender, mut batches) = mpsc::channel::<Vec<RowText>>(4);
    let generator = tokio::task::spawn_blocking(move || {
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        let mut left = rows_max;
        tpch::generate(table, scale, |row| {
            if left == 0 {
                return false;
            }
            left -= 1;
            batch.push(std::mem::take(row));
            batch.len() < BATCH_ROWS
                || sender.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_ROWS))).is_ok()
        });
        drop(sender.blocking_send(batch));
    });
    let mut cells = Vec::new();
    while let Some(batch) = batches.recv().await {
        for row in &batch {
            cells.clear();
            cells.extend(row.cells());
            bulk.push(&cells).await?;
        }
        cells = Vec::new();
    }
    generator.await.context("the row generator failed")?;
    Ok(bulk.finish().await?)
}

async fn load_csv(mut bulk: BulkInsert, path: &Path, rows_max: u64) -> anyhow::Result<u64> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = CsvReader::new(BufReader::with_capacity(1 << 20, file));
    let types = bulk.types().to_vec();
    let header = reader.record()?.context("the CSV file is empty")?;
    if header.len() != types.len() {
        bail!("the CSV file has {} columns, the table has {}", header.len(), types.len());
    }
    let mut rows = 0;
    while rows < rows_max {
        let line = reader.line();
        let Some(record) = reader.record()? else { break };
        if record.len() != types.len() {
            bail!("line {line} has {} fields, the table has {} columns", record.len(), types.len());
        }
        let mut cells = Vec::with_capacity(record.len());
        for (column, (field, sql_type)) in record.into_iter().zip(&types).enumerate() {
            let cell = field.map(|text| {
                wire_text(*sql_type, text)
                    .with_context(|| format!("line {line}, column {}: not a {sql_type}", column + 1))
            });
            cells.push(cell.transpose()?);
        }
        let borrowed: Vec<_> = cells.iter().map(Option::as_deref).collect();
        bulk.push(&borrowed).await?;
        rows += 1;
    }
    Ok(bulk.finish().await?)
}

impl TableName {
    /// Three parts; an unquoted part folds to upper case, a `"quoted"` one is exact.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut parts = Vec::new();
        let mut part = String::new();
        let mut inside = false;
        let mut exact = false;
        for character in text.chars().chain(['.']) {
            match character {
                '"' => {
                    inside = !inside;
                    exact = true;
                }
                '.' if !inside => {
                    let name = std::mem::take(&mut part);
                    parts.push(if exact { name } else { name.to_uppercase() });
                    exact = false;
                }
                other => part.push(other),
            }
        }
        match <[String; 3]>::try_from(parts) {
            Ok([database, schema, table])
                if ![&database, &schema, &table].iter().any(|part| part.is_empty()) =>
            {
                Ok(Self { database, schema, table })
            }
            _ => bail!("--table must be DATABASE.SCHEMA.TABLE, not {text}"),
        }
    }

    fn quoted(&self) -> String {
        [&self.database, &self.schema, &self.table].map(|part| quoted(part)).join(".")
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_fold_as_snowflake_folds_them() {
        let name = TableName::parse("db.Public.\"My.Table\"").unwrap();
        assert_eq!(name.quoted(), "\"DB\".\"PUBLIC\".\"My.Table\"");
        for wrong in ["T", "A.B", "A..C", "A.B.C.D"] {
            assert!(TableName::parse(wrong).is_err(), "{wrong}");
        }
    }
}
