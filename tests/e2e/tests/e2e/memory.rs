//! A worker's memory does not depend on the size of a chunk. (`make bench` asks the same of a million rows.)

use anyhow::{Context, Result};
use serde_json::json;
use thaw_e2e::{Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::{Emulator, EmulatorOptions};

/// What a worker with one slot may hold, code and all.
const LIMIT: u64 = 64 * 1024 * 1024;

#[tokio::test]
async fn a_worker_streams_a_chunk_far_larger_than_its_memory() -> Result<()> {
    // 150,000 orders are 30 MB of text in one chunk.
    let stage = Stage::set(Setting::of(ORDERS, 150_000, 1_000_000)).await?;
    let worker = stage.fleet.worker("worker", 1)?.spawn()?;
    let planner = stage.planner_run()?;
    let status = stage.expect_completed(planner).await?;
    assert_eq!(status.chunks, 1, "one chunk of all rows");
    let peak = worker.peak_memory()?;
    assert!(peak <= LIMIT, "VmHWM was {} MB", peak / (1024 * 1024));
    stage.expect_equal().await
}

/// Rows of 100 kB of text that does not compress below half.
const WIDE_ROWS: u64 = 2000;

#[tokio::test]
async fn a_partition_of_200_megabytes_is_streamed() -> Result<()> {
    let stage = Stage::set(wide_rows()).await?;
    fill_wide_rows(&stage.emulator).await?;
    // Far above what the product asks for: partition 0 is small, all other rows are in one partition.
    stage.emulator.limits(json!({"partition_bytes": 1_000_000_000})).await?;
    let worker = stage.fleet.worker("worker", 1)?.spawn()?;
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await?;
    let peak = worker.peak_memory()?;
    println!("VmHWM {} MB", peak / (1024 * 1024));
    let scan = stage.emulator.statements("\"BODY\"").await?;
    let scan = scan.iter().find(|one| one["rows"] == WIDE_ROWS).context("nobody read the rows")?;
    assert_eq!(scan["partitions"], 2, "{scan}");
    assert!(scan["uncompressed_bytes"].as_u64() > Some(200_000_000), "{scan}");
    assert!(peak <= LIMIT, "VmHWM was {} MB", peak / (1024 * 1024));
    stage.expect_table_equal("TPCH.SF.WIDE", "wide").await
}

fn wide_rows() -> Setting {
    let batch = 1_000_000;
    Setting {
        source_sql: vec!["create table TPCH.SF.WIDE (ID number(38,0) not null, BODY varchar)".into()],
        target_sql: vec!["create table wide (id bigint primary key, body text)".into()],
        entries: vec![json!({
            "source": "WIDE", "target": "wide", "uniqueness_columns": ["id"], "strategy": "result_partitions",
        })],
        emulator: EmulatorOptions { arguments: vec!["--calm".into()], ..EmulatorOptions::default() },
        ..Setting::default()
    }
    .batch(batch)
}

/// Writes into the emulator's own storage: 200 MB of SQL would take minutes.
async fn fill_wide_rows(emulator: &Emulator) -> Result<()> {
    emulator.sql_committed(&["insert into TPCH.SF.WIDE (ID, BODY) values (0, 'x')"], 60.0).await?;
    let account = emulator.database().connect().await?;
    let table: i64 =
        account.query_one("select id::bigint from sfe.tables where name = 'WIDE'", &[]).await?.get(0);
    let fill = format!(
        "insert into sfd.t{table} (c1, c2, valid_from, valid_to)
         select r, (select string_agg(encode(sha512((r || '.' || n)::text::bytea), 'hex'), '')
                    from generate_series(1, 800) n), valid_from, valid_to
         from sfd.t{table}, generate_series(1, {}) r",
        WIDE_ROWS - 1
    );
    account.batch_execute(&fill).await.context("filling the table")
}
